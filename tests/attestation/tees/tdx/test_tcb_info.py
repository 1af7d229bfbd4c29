"""Every value of Intel's statements has one type and one range; anything else is malformed, by name."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.attestation.tees.tdx import tcb_info as tcb
from runtime.documents import times
from runtime.errors import MalformedError
from tests.fakes.intel import level, platform_level, qe_identity, tcb_info
from tests.fakes.intel_certificates import COMPONENTS, FMSPC


def test_a_tcb_info() -> None:
    info = tcb.tcb_info(tcb_info())
    assert (info.fmspc, info.pce_id, info.evaluation_number) == (FMSPC, b"\0\0", 19)
    assert (times.show(info.issued), times.show(info.next_update)) == (
        "2026-01-01T00:00:00Z",
        "2026-02-01T00:00:00Z",
    )
    assert [module.id for module in info.modules] == ["TDX_03", "TDX_01"]
    assert (info.base_module.id, info.base_module.levels) == ("", ())
    first = info.levels[0]
    assert (first.sgx, first.pce_svn, first.tdx[:3]) == (COMPONENTS, 13, (5, 0, 3))
    assert (first.verdict.status, first.verdict.advisories) == (tcb.TcbStatus.UP_TO_DATE, ())
    assert info.levels[1].verdict.advisories == ("INTEL-SA-01079",)
    assert times.show(first.verdict.date) == "2025-11-12T00:00:00Z"


def test_an_older_tcb_info_has_no_module_identities() -> None:
    body = tcb_info()
    del body["tdxModuleIdentities"]
    assert tcb.tcb_info(body).modules == ()


def test_a_qe_identity() -> None:
    found = tcb.qe_identity(qe_identity(miscselect="00000001", miscselectMask="FFFFFFFE"))
    assert (found.evaluation_number, found.isv_prod_id) == (20, 2)
    assert (found.miscselect, found.miscselect_mask) == (1, 0xFFFFFFFE)
    assert (found.attributes[0], found.attributes_mask[0]) == (0x11, 0xFB)
    assert [entry.isv_svn for entry in found.levels] == [4, 3, 1]


def test_names_that_intel_may_add_are_passed_over() -> None:
    assert tcb.tcb_info(tcb_info(somethingNew=[1])).evaluation_number == 19


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tcbType": 1}, "tcbType is not an integer from 0 to 0"),
        ({"issueDate": "2026-01-01 00:00:00"}, "issueDate is not a time in UTC"),
        ({"issueDate": "2026-02-30T00:00:00Z"}, "issueDate is not a time that exists"),
        ({"nextUpdate": 5}, "nextUpdate is not 1 to 20"),
        ({"fmspc": "90c06f0000"}, "fmspc is not 6 bytes"),
        ({"fmspc": "90c06f00000g"}, "fmspc is not hexadecimal"),
        ({"fmspc": "90 c06f00000"}, "fmspc is not"),
        ({"fmspc": "90c06f0000  "}, "fmspc is not 6 bytes"),
        ({"fmspc": "90c06f000000 "}, "fmspc is not 1 to 12"),
        (
            {"tcbEvaluationDataNumber": 1 << 32},
            "tcbEvaluationDataNumber is not an integer from 0 to 4294967295",
        ),
        ({"tdxModuleIdentities": [{"id": "T" * 17}]}, r"tdxModuleIdentities\[0\].id is not 1 to 16"),
        ({"fmspc": "90c06f00000é"}, "fmspc is not 1 to 12 ASCII"),
        ({"fmspc": ""}, "fmspc is not 1 to 12"),
        ({"tcbEvaluationDataNumber": True}, "tcbEvaluationDataNumber is not an integer"),
        ({"tcbEvaluationDataNumber": 1.0}, "tcbEvaluationDataNumber is not an integer"),
        ({"tcbEvaluationDataNumber": -1}, "tcbEvaluationDataNumber is not an integer"),
        ({"tdxModule": None}, "tdxModule is no object"),
        ({"tdxModuleIdentities": []}, "tdxModuleIdentities is not a list of 1 to 16"),
        ({"tdxModuleIdentities": [{}]}, r"tdxModuleIdentities\[0\].id"),
        ({"tcbLevels": {}}, "tcbLevels is not a list"),
        ({"tcbLevels": [platform_level("UpToDate")] * 129}, "tcbLevels is not a list of 1 to 128"),
        ({"tcbLevels": [platform_level("Fine")]}, r"tcbLevels\[0\].tcbStatus is not a status"),
        ({"tcbLevels": [platform_level("UpToDate", sgx=[1] * 15)]}, "sgxtcbcomponents is not a list of 16"),
        (
            {"tcbLevels": [platform_level("UpToDate", tdx=[1] * 17)]},
            "tdxtcbcomponents is not a list of 16",
        ),
        ({"tcbLevels": [platform_level("UpToDate", tdx=[256] * 16)]}, "svn is not an integer from 0 to 255"),
        (
            {"tcbLevels": [platform_level("UpToDate", pce_svn=65536)]},
            "pcesvn is not an integer from 0 to 65535",
        ),
        ({"tcbLevels": [platform_level("UpToDate", advisories=[5])]}, "advisoryIDs is not a list of names"),
        ({"tcbLevels": [platform_level("UpToDate", advisories=[""])]}, "advisoryIDs is not a list of names"),
        ({"tcbLevels": [platform_level("UpToDate", advisories=["x" * 65])]}, "advisoryIDs is not a list of"),
        ({"tcbLevels": [platform_level("UpToDate", advisories=["é"])]}, "advisoryIDs is not a list of names"),
        ({"tcbLevels": [platform_level("UpToDate", advisories="INTEL")]}, "advisoryIDs is not a list of at"),
        (
            {"tcbLevels": [platform_level("UpToDate", advisories=["x"] * 257)]},
            "advisoryIDs is not a list of at",
        ),
    ],
)
def test_values_of_another_kind(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        tcb.tcb_info(tcb_info(**changes))


@pytest.mark.parametrize("svn", [-1, 256, True, 1.0, "1", None])
def test_the_component_that_is_no_number_is_named(svn: Any) -> None:
    level = platform_level("UpToDate")
    level["tcb"]["sgxtcbcomponents"] = [{"svn": n} for n in (0, 255, 3, svn, *[9] * 12)]
    with pytest.raises(MalformedError, match=r"sgxtcbcomponents\[3\].svn is not an integer from 0 to 255"):
        tcb.tcb_info(tcb_info(tcbLevels=[level]))
    for components in [None, {"x": 1}, "x" * 16]:
        level["tcb"]["sgxtcbcomponents"] = components
        with pytest.raises(MalformedError, match="sgxtcbcomponents is not a list of 16"):
            tcb.tcb_info(tcb_info(tcbLevels=[level]))


def test_the_largest_values_are_read() -> None:
    most = platform_level("UpToDate", advisories=["x" * 64, "y", *["z"] * 254], pce_svn=65535)
    most["tcb"]["sgxtcbcomponents"] = [{"svn": n} for n in (0, 255, *[9] * 14)]
    info = tcb.tcb_info(tcb_info(tcbLevels=[most], tcbEvaluationDataNumber=(1 << 32) - 1))
    assert info.levels[0].verdict.advisories[:2] == ("x" * 64, "y")
    assert (info.levels[0].pce_svn, info.evaluation_number) == (65535, (1 << 32) - 1)
    assert info.levels[0].sgx[:2] == (0, 255)
    modules = tcb_info()["tdxModuleIdentities"][:1]
    named = tcb.tcb_info(tcb_info(tdxModuleIdentities=[modules[0] | {"id": "T" * 16}])).modules
    assert [module.id for module in named] == ["T" * 16]
    found = tcb.qe_identity(
        qe_identity(
            isvprodid=65535,
            tcbEvaluationDataNumber=(1 << 32) - 1,
            tcbLevels=[level("UpToDate", isvsvn=65535)],
        )
    )
    assert (found.isv_prod_id, found.evaluation_number) == (65535, (1 << 32) - 1)
    assert found.levels[0].isv_svn == 65535


@pytest.mark.parametrize(
    "changes",
    [
        {"isvprodid": 65536},
        {"tcbEvaluationDataNumber": 1 << 32},
        {"tcbLevels": [level("UpToDate", isvsvn=65536)]},
    ],
)
def test_larger_values_of_a_qe_identity_are_not(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedError, match="is not an integer from 0 to"):
        tcb.qe_identity(qe_identity(**changes))


def test_levels_of_a_qe_identity_are_read_too() -> None:
    with pytest.raises(MalformedError, match=r"tcbLevels\[0\].tcb.isvsvn"):
        tcb.qe_identity(qe_identity(tcbLevels=[level("UpToDate", isvsvn=-1)]))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff", "not UTF-8"),
        (b"{", "not JSON"),
        (b'{"a":1,"a":1}', "a name twice"),
        (b"[NaN]", "the number NaN"),
        (b"[" * 20000, "recursion"),
        (b"[" + b"9" * 5000 + b"]", "digits"),
    ],
)
def test_json_has_one_reading(data: bytes, words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        tcb.read_json(data, "TCB info")


def test_what_a_body_says_that_it_is() -> None:
    assert tcb.kind(tcb.read_json(b'{"id":"SGX","version":3}', "x"), "x") == ("SGX", 3)
    assert tcb.kind({"id": "T" * 16, "version": 65535}, "x") == ("T" * 16, 65535)
    assert tcb.kind({"id": "T", "version": 0}, "x") == ("T", 0)
    for wrong in ({"id": "T" * 17, "version": 1}, {"id": "T", "version": 65536}, {"id": "", "version": 1}):
        with pytest.raises(MalformedError, match="is not"):
            tcb.kind(wrong, "x")
    with pytest.raises(MalformedError, match="no object"):
        tcb.kind([], "TCB info")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(sorted(tcb_info())), _VALUES)
def test_any_value_anywhere_is_read_or_refused(name: str, value: Any) -> None:
    for read, body in ((tcb.tcb_info, tcb_info()), (tcb.qe_identity, qe_identity())):
        with contextlib.suppress(MalformedError):
            read(json.loads(json.dumps(body | {name: value})))
