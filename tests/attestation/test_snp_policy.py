"""Each rule of the owner's fails alone, on a report that is really signed; tightening never accepts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.attestation import snp_policy, verifier
from runtime.attestation.findings import Check, EvidenceRefusedError
from runtime.attestation.tees import TEES
from runtime.documents import fleet as documents
from runtime.documents import times
from tests.attestation.scene import Scene
from tests.fakes import fleets, snp_report
from tests.fakes.amd import CSP_ID, FakeAmd
from tests.fakes.findings import Everything

Scenes = Callable[..., Scene]
RIGHT = snp_report.TCBS["Genoa"]
GUEST = {"smt": "allowed", "cxl": "forbidden", "min_abi": "0.0", "require": []}


def raw(**changes: int) -> bytes:
    return snp_report.raw_tcb("Genoa", {**RIGHT, **changes})


def floor(product: str = "Genoa", **changes: int) -> dict[str, Any]:
    return {product: {"min_tcb": {**snp_report.TCBS[product], **changes}, "opt_in": []}}


def test_the_usual_scene_is_accepted(scene: Scenes) -> None:
    assert scene().accept().grade == "T"


@pytest.mark.parametrize(
    ("fields", "failed"),
    [
        ({"version": 2}, {"snp.version"}),
        ({"vmpl": 1}, {"snp.vmpl"}),
        ({"policy": 0x30000 | 1 << 19}, {"policy.debug"}),
        ({"policy": 0x30000 | 1 << 18}, {"policy.migration"}),
        ({"policy": 0x30000 | 1 << 21}, {"policy.cxl"}),
        ({"policy": 0x10000}, {"policy.reserved"}),
        ({"policy": 0x30000 | 1 << 26}, {"policy.reserved"}),
        ({"policy": 0x30000 | 1 << 63}, {"policy.reserved"}),
        ({"platform_info": 0x05}, {"platform.alias_check_complete", "snp.known_weak"}),
        ({"id_key_digest": b"\1" * 48}, {"snp.id_key"}),
        ({"author_key_digest": b"\1" * 48}, {"snp.author_key"}),
        ({"author_key_en": 1}, {"snp.author_key"}),
        ({"report_id_ma": b"\xfe" + b"\xff" * 31}, {"snp.migration_agent"}),
        ({"committed_tcb": raw(microcode=83)}, {"tcb.committed", "tcb.provisional"}),
        ({"launch_tcb": raw(microcode=83)}, {"tcb.launch"}),
        ({"current_tcb": raw(microcode=85)}, {"tcb.provisional"}),
        ({"current_tcb": raw(bootloader=9)}, {"tcb.provisional", "tcb.current"}),
        ({"current_version": (1, 55, 41)}, {"tcb.provisional"}),
    ],
)
def test_a_report_that_breaks_one_rule(scene: Scenes, fields: dict[str, Any], failed: set[str]) -> None:
    assert scene(fields=fields).refuse() == failed


@pytest.mark.parametrize(
    ("values", "failed"),
    [
        ({"report_versions": [5]}, {"snp.version"}),
        ({"signers": ["vlek"]}, {"snp.signer"}),
        ({"products": floor("Turin")}, {"snp.product", "tcb.reported", "tcb.committed", "tcb.launch"}),
        ({"products": floor(snp=24)}, {"tcb.reported", "tcb.committed", "tcb.launch"}),
        ({"guest_policy": GUEST | {"smt": "forbidden"}}, {"policy.smt"}),
        ({"guest_policy": GUEST | {"min_abi": "1.0"}}, {"policy.abi"}),
        ({"guest_policy": GUEST | {"min_abi": "0.1"}}, {"policy.abi"}),
        *(
            ({"guest_policy": GUEST | {"require": [bit]}}, {f"policy.{bit}"})
            for bit in (
                "single_socket",
                "aes_256_xts",
                "rapl_disabled",
                "ciphertext_hiding",
                "page_swap_disabled",
            )
        ),
        *(
            ({"platform_require": [bit]}, {f"platform.{bit}"})
            for bit in ("tsme", "rapl_disabled", "ciphertext_hiding", "tio")
        ),
        ({"min_guest_svn": 1}, {"snp.guest_svn"}),
        ({"id_key_digests": ["11" * 48]}, {"snp.id_key"}),
        ({"author_key_digests": ["11" * 48]}, {"snp.author_key"}),
        ({"required_mitigations": "0x1"}, {"snp.mitigations"}),
    ],
)
def test_a_rule_that_the_usual_report_breaks(scene: Scenes, values: dict[str, Any], failed: set[str]) -> None:
    assert scene(snp=values).refuse() == failed


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ({"version": 2}, {"report_versions": [2]}),
        ({"policy": 0x20000}, {"guest_policy": GUEST | {"smt": "forbidden"}}),
        ({"policy": 0x30000 | 1 << 21}, {"guest_policy": GUEST | {"cxl": "allowed"}}),
        ({"policy": 0x30102}, {"guest_policy": GUEST | {"min_abi": "1.2"}}),
        (
            {"policy": 0x30000 | 0b111101 << 20},
            {"guest_policy": GUEST | {"require": ["single_socket", "aes_256_xts"]}},
        ),
        ({"platform_info": 0x27}, {"platform_require": ["tsme", "ecc", "alias_check_complete"]}),
        ({"guest_svn": 9}, {"min_guest_svn": 9}),
        ({"id_key_digest": b"\x11" * 48}, {"id_key_digests": ["11" * 48]}),
        ({"author_key_digest": b"\x11" * 48, "author_key_en": 1}, {"author_key_digests": ["11" * 48]}),
        ({"version": 5, "mitigations": (0b111, 0b101)}, {"required_mitigations": "0x5"}),
        ({"current_tcb": raw(microcode=85)}, {"provisional_firmware": True}),
        ({"current_version": (1, 56, 0)}, {"provisional_firmware": True}),
    ],
)
def test_what_the_owner_allows_passes(scene: Scenes, fields: dict[str, Any], values: dict[str, Any]) -> None:
    assert scene(fields=fields, snp=values).accept().member == "client-1"


@pytest.mark.parametrize("vectors", [(0b101, 0b001), (0b001, 0b101), (0, 0)])
def test_both_mitigation_vectors_count(scene: Scenes, vectors: tuple[int, int]) -> None:
    fields = {"version": 5, "mitigations": vectors}
    assert scene(fields=fields, snp={"required_mitigations": "0x5"}).refuse() == {"snp.mitigations"}


def test_provisional_firmware_still_does_not_run_backwards(scene: Scenes) -> None:
    change = {"fields": {"committed_tcb": raw(microcode=90)}, "snp": {"provisional_firmware": True}}
    assert scene(**change).refuse() == {"tcb.provisional"}


def test_revocation_may_be_required(scene: Scenes) -> None:
    bare: dict[str, Any] = {"endorsements": {"crl": None}}
    assert scene(**bare).refuse() == {"snp.revocation"}
    result = scene(**bare, snp={"revocation": "when_present"}).accept()
    assert any("revocation list" in gap for gap in result.not_proven)


def test_a_vlek_must_be_of_a_listed_cloud_and_names_no_machine(amd: FakeAmd, scene: Scenes) -> None:
    now = times.parse("2025-06-01T00:00:00Z")
    usual: dict[str, Any] = {
        "chip": amd.chip("client-1", signer="vlek"),
        "document": {"now": now},
        "now": now,
    }
    listed = {"signers": ["vlek"], "csp_ids": [CSP_ID]}
    assert scene(**usual, snp=listed).refuse() == {"member.instance"}
    assert scene(**usual, snp=listed | {"csp_ids": []}).refuse() == {"member.instance", "snp.csp_id"}
    elsewhere = listed | {"csp_ids": ["CN=cc-eu-west-1.amazonaws.com"]}
    assert scene(**usual, snp=elsewhere).refuse() == {"member.instance", "snp.csp_id"}
    assert scene(**usual).refuse() == {"member.instance", "snp.csp_id", "snp.signer"}


TIGHTER: tuple[dict[str, Any], ...] = (
    {"report_versions": [5]},
    {"products": floor(tee=1)},
    {"guest_policy": GUEST | {"smt": "forbidden"}},
    {"guest_policy": GUEST | {"require": ["rapl_disabled"]}},
    {"platform_require": ["alias_check_complete", "tsme"]},
    {"min_guest_svn": 3},
    {"required_mitigations": "0x2"},
    {"id_key_digests": ["33" * 48]},
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    tightened=st.sampled_from(TIGHTER),
    version=st.sampled_from([2, 3, 5]),
    policy=st.integers(0, 0x3FFFFFF),
    platform=st.integers(0, 0xFF),
    svn=st.integers(0, 4),
)
def test_tightening_never_turns_refusal_into_acceptance(
    scene: Scenes, tightened: dict[str, Any], version: int, policy: int, platform: int, svn: int
) -> None:
    fields = {"version": version, "policy": policy | 0x20000, "platform_info": platform, "guest_svn": svn}

    def accepted(values: dict[str, Any]) -> bool:
        try:
            verifier.appraise(scene(fields=fields, snp=values).request())
        except EvidenceRefusedError:
            return False
        return True

    assert accepted({}) or not accepted(tightened)


def test_the_fake_fleet_asks_for_what_the_fake_chips_have() -> None:
    assert set(fleets.snp_values()["products"]) == set(snp_report.TCBS)


def checks(scene: Scene, **changes: Any) -> dict[str, tuple[bool, Check]]:
    """Return every check of the chip's rules, and whether it holds; `changes` are of the values."""
    document, findings = documents.read(scene.payload()), Everything()
    claims = TEES["sev-snp"].verify(scene.evidence(), scene.binder, scene.amd.roots(), scene.now)
    values = document.reference_values.formats["sev-snp"].snp
    assert claims.snp is not None
    assert values is not None
    snp_policy.check(findings, claims.snp, dataclasses.replace(values, **changes))
    return findings.made


def test_firmware_that_goes_back_is_refused_even_where_provisional_may_be(scene: Scenes) -> None:
    for version, good in (((1, 55, 39), False), ((1, 55, 41), True)):
        made = scene(fields={"current_version": version}, snp={"provisional_firmware": True})
        assert checks(made)["tcb.provisional"][0] is good


def test_an_abi_of_two_full_bytes_is_read(scene: Scenes) -> None:
    made = scene(fields={"policy": 0x3FFFF}, snp={"guest_policy": GUEST | {"min_abi": "255.255"}})
    assert checks(made)["policy.abi"][0]
    less = scene(fields={"policy": 0x3FFFE}, snp={"guest_policy": GUEST | {"min_abi": "255.255"}})
    assert not checks(less)["policy.abi"][0]


def test_what_is_wanted_is_listed_in_order(scene: Scenes) -> None:
    listed = scene(snp={"id_key_digests": ["22" * 48, "11" * 48]})
    shown = checks(listed)["snp.id_key"][1].expected
    assert shown.index("11" * 8) < shown.index("22" * 8)
    assert checks(scene(snp={"report_versions": [3, 2]}))["snp.version"][1].expected == "2, 3"
    assert checks(scene(), id_key_digests=frozenset())["snp.id_key"][1].expected == "none"


def test_without_vectors_no_mitigation_is_shown(scene: Scenes) -> None:
    for wanted, good in (("0x0", True), ("0x1", False)):
        held, made = checks(scene(snp={"required_mitigations": wanted}))["snp.mitigations"]
        assert (held, made.actual) == (good, "no vectors before version 5")
