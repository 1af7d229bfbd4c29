"""What TCB levels mean: module, platform and quoting enclave, alone and together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runtime.attestation import certificates
from runtime.attestation.findings import Findings
from runtime.attestation.tees.tdx import qe, quote, sgx_extension, tcb
from runtime.attestation.tees.tdx import tcb_info as bodies
from runtime.attestation.tees.tdx.tcb import converge
from runtime.attestation.tees.tdx.tcb_info import TcbStatus
from runtime.documents import times
from tests.fakes import intel as fakes
from tests.fakes.intel import level, platform_level, qe_identity, tcb_info
from tests.fakes.intel_certificates import (
    COMPONENTS,
    Platform,
)
from tests.fakes.td_machine import MACHINE, accept, collateral, refused


def test_a_module_that_intel_does_not_know() -> None:
    assert refused(MACHINE.quote(td={"tee_tcb_svn": bytes([6, 2, 3])})) == {"module.identity": "module"}
    two = tcb_info()["tdxModuleIdentities"] * 2
    assert refused(collateral=collateral(tcb_info=tcb_info(tdxModuleIdentities=two))) == {
        "module.identity": "module"
    }


@pytest.mark.parametrize(
    ("td", "failed"),
    [
        ({"mrsignerseam": b"\1" * 48}, "module.signer"),
        ({"seam_attributes": b"\1"}, "module.attributes"),
    ],
)
def test_a_module_that_intel_did_not_sign(td: dict[str, bytes], failed: str) -> None:
    for version in (bytes([6, 1, 3]), bytes([6, 0, 3])):
        quote = MACHINE.quote(td=td | {"tee_tcb_svn": version})
        assert refused(quote) == {failed: "module"}


def test_the_module_of_tdx_1_0_is_judged_by_all_components() -> None:
    def at(svn: int) -> bytes:
        return MACHINE.quote(td={"tee_tcb_svn": bytes([svn, 0, 3])})

    given = collateral(tcb_info={k: v for k, v in tcb_info().items() if k != "tdxModuleIdentities"})
    claims = accept(at(5), given)
    assert (claims.tcb.status, claims.tcb.module) == (TcbStatus.UP_TO_DATE, None)
    assert refused(at(4), given) == {"tcb.platform": "tcb"}


def test_a_newer_module_is_not_judged_by_the_first_two_components() -> None:
    levels = [platform_level("UpToDate", tdx=(99, 99, 3, *[0] * 13))]
    assert accept(collateral=collateral(tcb_info=tcb_info(tcbLevels=levels))).tcb.status == "UpToDate"


@pytest.mark.parametrize(
    ("platform", "td", "qe", "status", "advisories"),
    [
        ({}, {}, {"isv_svn": 3}, "OutOfDate", ("INTEL-SA-00615",)),
        ({}, {"tee_tcb_svn": bytes([5, 1, 3])}, {}, "OutOfDate", ("INTEL-SA-01036",)),
        ({"components": (2,) * 16}, {}, {}, "OutOfDate", ("INTEL-SA-01079",)),
        (
            {"components": (2,) * 16},
            {"tee_tcb_svn": bytes([4, 1, 3])},
            {"isv_svn": 3},
            "OutOfDate",
            ("INTEL-SA-00615", "INTEL-SA-01036", "INTEL-SA-01079"),
        ),
        ({"components": (255,) * 16, "pce_svn": 999}, {"tee_tcb_svn": bytes([9, 3, 9])}, {}, "UpToDate", ()),
    ],
)
def test_the_status_is_that_of_all_parts(
    platform: dict[str, Any], td: dict[str, Any], qe: dict[str, Any], status: str, advisories: tuple[str, ...]
) -> None:
    claims = accept(MACHINE.quote(pck={"platform": Platform(**platform)}, td=td, qe=qe))
    assert (claims.tcb.status, claims.tcb.advisories) == (status, advisories)


@pytest.mark.parametrize(
    ("platform", "td", "qe", "failed"),
    [
        ({"components": (0,) * 16}, {}, {}, {"tcb.platform": "tcb"}),
        ({"pce_svn": 12}, {}, {}, {"tcb.platform": "tcb"}),
        ({}, {"tee_tcb_svn": bytes([6, 1, 2])}, {}, {"tcb.platform": "tcb"}),
        ({}, {"tee_tcb_svn": bytes([1, 1, 3])}, {}, {"tcb.module": "tcb"}),
        ({}, {}, {"isv_svn": 0}, {"tcb.qe": "tcb"}),
        ({"components": (1,) * 16}, {}, {}, {"tcb.platform.revoked": "revoked"}),
        ({}, {"tee_tcb_svn": bytes([3, 1, 3])}, {}, {"tcb.module.revoked": "revoked"}),
        ({}, {}, {"isv_svn": 2}, {"tcb.qe.revoked": "revoked"}),
    ],
)
def test_no_level_or_a_revoked_one(
    platform: dict[str, Any], td: dict[str, Any], qe: dict[str, Any], failed: dict[str, str]
) -> None:
    assert refused(MACHINE.quote(pck={"platform": Platform(**platform)}, td=td, qe=qe)) == failed


@pytest.mark.parametrize("component", range(6))
def test_every_component_counts(component: int) -> None:
    components = tuple(svn - (n == component) for n, svn in enumerate(COMPONENTS))
    levels = [platform_level("UpToDate")]
    given = collateral(tcb_info=tcb_info(tcbLevels=levels))
    quote = MACHINE.quote(pck={"platform": Platform(components=components)})
    assert refused(quote, given) == {"tcb.platform": "tcb"}


S = TcbStatus


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([S.UP_TO_DATE, S.UP_TO_DATE], S.UP_TO_DATE),
        ([S.UP_TO_DATE, S.SW_HARDENING_NEEDED], S.SW_HARDENING_NEEDED),
        ([S.CONFIGURATION_NEEDED, S.UP_TO_DATE], S.CONFIGURATION_NEEDED),
        ([S.CONFIGURATION_NEEDED, S.SW_HARDENING_NEEDED], S.CONFIGURATION_AND_SW_HARDENING_NEEDED),
        ([S.CONFIGURATION_AND_SW_HARDENING_NEEDED], S.CONFIGURATION_AND_SW_HARDENING_NEEDED),
        ([S.OUT_OF_DATE, S.SW_HARDENING_NEEDED], S.OUT_OF_DATE),
        ([S.CONFIGURATION_NEEDED, S.OUT_OF_DATE], S.OUT_OF_DATE_CONFIGURATION_NEEDED),
        ([S.CONFIGURATION_AND_SW_HARDENING_NEEDED, S.OUT_OF_DATE], S.OUT_OF_DATE_CONFIGURATION_NEEDED),
        ([S.OUT_OF_DATE_CONFIGURATION_NEEDED, S.UP_TO_DATE], S.OUT_OF_DATE_CONFIGURATION_NEEDED),
        *(([status, S.REVOKED], S.REVOKED) for status in S),
    ],
)
def test_a_whole_has_everything_that_is_wrong_with_its_parts(parts: list[S], whole: S) -> None:
    assert converge(parts) is whole
    assert converge(reversed(parts)) is whole


@pytest.mark.parametrize("oldest", ["platform", "module", "qe"])
def test_the_date_is_that_of_the_oldest_part(oldest: str) -> None:
    """It is told with a refusal; days of grace count from what replaced a level."""

    def dated(name: str, given: dict[str, Any]) -> dict[str, Any]:
        return given | {"tcbDate": "2023-08-09T00:00:00Z" if name == oldest else "2025-02-12T00:00:00Z"}

    modules = [
        entry | {"tcbLevels": [dated("module", level("UpToDate", isvsvn=3))]}
        for entry in tcb_info()["tdxModuleIdentities"]
    ]
    levels = [dated("platform", platform_level("UpToDate"))]
    info = tcb_info(tcbLevels=levels, tdxModuleIdentities=modules)
    identity = qe_identity(tcbLevels=[dated("qe", level("UpToDate", isvsvn=4))])
    claims = accept(collateral=collateral(tcb_info=info, qe_identity=identity))
    assert claims.tcb.date == times.parse("2023-08-09T00:00:00Z")


@pytest.mark.parametrize(
    ("platform", "module", "enclave", "since"),
    [
        (["2025-11-12"], ["2024-01-01"], ["2023-01-01"], None),
        (["2025-11-12", "2025-05-14", "2024-11-13*"], ["2023-08-09"], ["2023-08-09"], "2025-05-14"),
        (["2025-11-12", "2025-05-14*"], ["2023-08-09"], ["2023-08-09"], "2025-11-12"),
        (["2025-11-12", "2025-11-12*"], ["2023-08-09"], ["2023-08-09"], "2025-11-12"),
        (["2025-11-12*"], ["2023-08-09"], ["2023-08-09"], "2025-11-12"),  # of no newer one Intel speaks
        (["2025-11-12", "2025-05-14*"], ["2025-08-13", "2024-01-01*"], ["2023-08-09"], "2025-08-13"),
        (["2025-11-12"], ["2023-08-09"], ["2025-02-12", "2023-08-09*"], "2025-02-12"),
    ],
)
def test_a_part_is_out_of_date_since_newer_fixes_are_there(
    platform: list[str], module: list[str], enclave: list[str], since: str | None
) -> None:
    """The star is on what is reached; of several parts that are late the first to be counts."""

    def levels(dates: list[str], make: Any) -> list[dict[str, Any]]:
        found = []
        for at, text in enumerate(dates):
            reached = at == len(dates) - 1
            late = text.endswith("*")
            made = make(reached, "OutOfDate" if late else "UpToDate")
            found.append(made | {"tcbDate": f"{text.rstrip('*')}T00:00:00Z"})
        return found

    modules = [
        entry | {"tcbLevels": levels(module, lambda hit, said: level(said, isvsvn=0 if hit else 255))}
        for entry in tcb_info()["tdxModuleIdentities"]
    ]
    info = tcb_info(
        tcbLevels=levels(platform, lambda hit, said: platform_level(said, COMPONENTS if hit else [255] * 16)),
        tdxModuleIdentities=modules,
    )
    identity = qe_identity(
        tcbLevels=levels(enclave, lambda hit, said: level(said, isvsvn=0 if hit else 65535))
    )
    claims = accept(collateral=collateral(tcb_info=info, qe_identity=identity))
    assert claims.tcb.outdated_since == (None if since is None else times.parse(f"{since}T00:00:00Z"))


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({}, []),
        ({"pck": {"pce_svn": 12}}, ["tcb.platform"]),
        ({"report": {"tee_tcb_svn": bytes([0, 1, 3]).ljust(16, b"\0")}}, ["tcb.module"]),
        ({"qe": {"isv_svn": 0}}, ["tcb.qe"]),
    ],
)
def test_without_one_level_there_is_no_judgement(changes: dict[str, Any], failed: list[str]) -> None:
    """Whoever forgot to look at the findings would still have nothing to go on."""
    parsed = quote.parse(MACHINE.quote())
    leaf = certificates.load(fakes.pem(MACHINE.intel.pck()), "PCK")
    report = replace(parsed.report, **changes.get("report", {}))
    platform = replace(sgx_extension.read(leaf), **changes.get("pck", {}))
    enclave = replace(qe.read(parsed.qe_report), **changes.get("qe", {}))
    info, identity = bodies.tcb_info(tcb_info()), bodies.qe_identity(qe_identity())
    findings = Findings()
    module = tcb.check_module(findings, report, info)
    judged = tcb.check_levels(findings, report, platform, enclave, info, identity, module)
    assert [check.id for check in findings.failed()] == failed
    assert (judged is None) is bool(failed)
    unknown = tcb.check_levels(Findings(), report, platform, enclave, info, identity, None)
    assert unknown is None  # a module of a newer line than TDX 1.0 needs its own levels
