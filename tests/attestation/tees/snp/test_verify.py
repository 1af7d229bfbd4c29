"""Claims come into being only for what a genuine chip signed: one check broken at a time, really signed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.attestation import certificates
from runtime.attestation.findings import EvidenceRefusedError, Reason
from runtime.attestation.roots import AMD_ROOTS
from runtime.attestation.snp_claims import Claims
from runtime.attestation.tees.snp import SnpTee, cert_table
from runtime.attestation.wire import Evidence
from runtime.documents import times
from runtime.errors import MalformedError
from tests.attestation.scene import Scene
from tests.fakes import snp_report
from tests.fakes.amd import CSP_ID, PRODUCTS, Chip, FakeAmd
from tests.fakes.amd_certificates import NOT_BEFORE
from tests.fakes.fleets import NOW
from tests.fakes.tpm import rsa_key

VLEK_NOW = times.parse("2025-06-01T00:00:00Z")  # a VLEK lives for a year
Scenes = Callable[..., Scene]


def table_of(entries: Mapping[str, bytes], order: Literal["bytes", "bytes_le"]) -> bytes:
    """Return a GHCB certificate table."""
    head, body, start = b"", b"", (len(entries) + 1) * 24
    for name, value in entries.items():
        guid = getattr(cert_table._NAMES[name], order)
        head += struct.pack("<16sII", guid, start + len(body), len(value))
        body += value
    return head + bytes(24) + body


def verify(amd: FakeAmd, evidence: Evidence, now: int = NOW) -> Claims:
    return SnpTee().verify(evidence, amd.roots(), now)


def refused(amd: FakeAmd, evidence: Evidence, now: int = NOW) -> dict[str, Reason]:
    with pytest.raises(EvidenceRefusedError) as caught:
        verify(amd, evidence, now)
    return {check.id: check.reason for check in caught.value.checks}


def changed(evidence: Evidence, **endorsements: bytes | None) -> Evidence:
    merged = {name: value for name, value in (dict(evidence.endorsements) | endorsements).items() if value}
    return Evidence(format="sev-snp", parts=evidence.parts, endorsements=merged)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("version", [3, 5])
def test_a_genuine_vcek_report_makes_claims(amd: FakeAmd, product: Any, version: int) -> None:
    chip = amd.chip("genuine", product)
    claims = verify(amd, chip.evidence(version=version, report_data=b"d" * 64))
    assert (claims.product, claims.signer, claims.csp_id) == (product, "vcek", None)
    assert (claims.report_data, claims.chip_id) == (b"d" * 64, chip.chip_id)
    assert claims.reported_tcb.components() == snp_report.TCBS[product]
    assert (claims.root.kind, claims.revocation_checked) == ("test", True)
    assert claims.mitigations == ((0, 0) if version == 5 else None)
    assert claims.newest_endorsement <= NOW < claims.endorsed_until


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_genuine_vlek_report_names_its_cloud(amd: FakeAmd, product: Any) -> None:
    claims = verify(amd, amd.chip("genuine", product, signer="vlek").evidence(), VLEK_NOW)
    assert (claims.signer, claims.csp_id, claims.chip_id) == ("vlek", CSP_ID, bytes(64))


@pytest.mark.parametrize("product", ["Milan", "Genoa"])
def test_version_2_has_the_product_of_its_chain(amd: FakeAmd, product: Any) -> None:
    assert verify(amd, amd.chip("genuine", product).evidence(version=2)).product == product


def test_turin_never_made_version_2(amd: FakeAmd) -> None:
    assert "chain.product" in refused(amd, amd.chip("genuine", "Turin").evidence(version=2))


def test_without_a_revocation_list_the_claims_say_so(amd: FakeAmd) -> None:
    evidence = changed(amd.chip("genuine").evidence(), crl=None)
    assert verify(amd, evidence).revocation_checked is False


# The certificate table


@pytest.mark.parametrize("order", ["bytes", "bytes_le"])
@pytest.mark.parametrize("signer", ["vcek", "vlek"])
def test_endorsements_may_come_in_the_hosts_table(amd: FakeAmd, order: Any, signer: Any) -> None:
    evidence = amd.chip("genuine", signer=signer).evidence()
    table = table_of(
        {
            "ask": evidence.endorsements["intermediate"],
            "ark": evidence.endorsements["root"],
            signer: evidence.endorsements["vek"],
            "crl": evidence.endorsements["crl"],
        },
        order,
    )
    alone = Evidence(format="sev-snp", parts=evidence.parts, endorsements={"cert_table": table})
    assert verify(amd, alone, VLEK_NOW).revocation_checked


def test_a_leaf_of_the_other_kind_is_not_even_tried(amd: FakeAmd) -> None:
    evidence = amd.chip("genuine").evidence()
    table = table_of({"vlek": evidence.endorsements["vek"]}, "bytes_le")
    assert refused(amd, changed(evidence, vek=None, cert_table=table)) == {"endorsements.vek": Reason.CHAIN}


def test_all_missing_certificates_are_named(amd: FakeAmd) -> None:
    bare = Evidence(format="sev-snp", parts=amd.chip("genuine").evidence().parts, endorsements={})
    assert set(refused(amd, bare)) == {"endorsements.vek", "endorsements.intermediate", "endorsements.root"}


def test_missing_endorsements_are_named_by_amd_s_paths(amd: FakeAmd) -> None:
    chip = amd.chip("genuine", "Turin")
    bare = Evidence(format="sev-snp", parts=chip.evidence().parts, endorsements={})
    paths = {ref.name: ref.path for ref in SnpTee().endorsements_needed(bare)}
    assert paths == {
        "intermediate": "/vcek/v1/Turin/cert_chain",
        "root": "/vcek/v1/Turin/cert_chain",
        "crl": "/vcek/v1/Turin/crl",
        "vek": f"/vcek/v1/Turin/{chip.chip_id[:8].hex()}?fmcSPL=00&blSPL=01&teeSPL=00&snpSPL=02&ucodeSPL=71",
    }
    assert SnpTee().endorsements_needed(chip.evidence()) == ()
    assert SnpTee().endorsements_needed(amd.chip("genuine", "Milan").evidence(version=2)) == ()
    vlek = amd.chip("genuine", signer="vlek").evidence()
    assert {ref.name for ref in SnpTee().endorsements_needed(changed(vlek, vek=None, crl=None))} == {"crl"}


# One thing wrong at a time


def test_a_root_that_is_not_pinned(amd: FakeAmd) -> None:
    evidence = amd.chip("genuine").evidence()
    for roots in (AMD_ROOTS, (), (amd.root("Milan"),)):
        with pytest.raises(EvidenceRefusedError) as caught:
            SnpTee().verify(evidence, roots, NOW)
        assert [check.id for check in caught.value.checks] == ["chain.root"]


def test_the_chain_of_another_product(amd: FakeAmd) -> None:
    evidence = amd.chip("genuine", "Genoa").evidence()
    other = changed(
        evidence, intermediate=amd.certificate("ask", "Milan"), root=amd.certificate("ark", "Milan")
    )
    # The keys are those of Genoa's chain: names and the pinned product alone refuse here.
    assert set(refused(amd, other).values()) == {Reason.CHAIN, Reason.REVOCATION_UNKNOWN}
    assert {"chain.product", "chain.names.root", "chain.names.leaf"} <= set(refused(amd, other))


def test_a_signed_cpuid_of_another_product(amd: FakeAmd) -> None:
    evidence = amd.chip("genuine", "Genoa").evidence(cpuid=snp_report.CPUID["Milan"])
    assert "chain.product" in refused(amd, evidence)


def test_an_unknown_processor(amd: FakeAmd) -> None:
    failed = refused(amd, amd.chip("genuine").evidence(cpuid=(0x1A, 0x50, 0)))
    assert failed == {"report.product": Reason.PRODUCT, "chain.product": Reason.CHAIN}


def test_the_intermediate_of_the_other_signer(amd: FakeAmd) -> None:
    failed = refused(
        amd, changed(amd.chip("genuine").evidence(), intermediate=amd.certificate("asvk", "Genoa"))
    )
    assert set(failed) == {"chain.names.intermediate", "chain.names.leaf", "chain.signature.leaf"}


def test_a_report_signed_by_another_chip(amd: FakeAmd) -> None:
    mine, other = amd.chip("genuine"), amd.chip("another")
    own_id = mine.evidence(chip_id=other.chip_id)
    assert refused(amd, own_id) == {"vek.chip_id": Reason.CHIP_ID}
    forged = changed(mine.evidence(), vek=other.endorsements["vek"])
    assert refused(amd, forged) == {"report.signature": Reason.SIGNATURE, "vek.chip_id": Reason.CHIP_ID}


@pytest.mark.parametrize("signer", ["vcek", "vlek"])
def test_a_masked_or_named_chip(amd: FakeAmd, signer: Any) -> None:
    evidence = amd.chip("genuine", signer=signer).evidence(
        chip_id=bytes(64) if signer == "vcek" else b"\1" * 64
    )
    assert refused(amd, evidence, VLEK_NOW) == {"vek.chip_id": Reason.CHIP_ID}


def test_turin_s_chip_id_ends_in_zeros(amd: FakeAmd) -> None:
    chip = amd.chip("genuine", "Turin")
    evidence = chip.evidence(chip_id=chip.chip_id[:8] + b"\1" + bytes(55))
    assert refused(amd, evidence) == {"vek.chip_id": Reason.CHIP_ID}


def test_a_vek_for_other_firmware(amd: FakeAmd) -> None:
    newer = {**snp_report.TCBS["Genoa"], "snp": 24}
    evidence = amd.chip("genuine").evidence(reported_tcb=snp_report.raw_tcb("Genoa", newer))
    assert refused(amd, evidence) == {"vek.tcb": Reason.TCB}


def test_a_vek_for_another_product(amd: FakeAmd) -> None:
    chip = amd.chip("genuine", extensions={"2": b"\x16\x05Milan"})
    assert refused(amd, chip.evidence()) == {"vek.product": Reason.CHAIN}


@pytest.mark.parametrize(
    ("certificate", "failed"),
    [
        ({"subject": "SEV-VLEK"}, {"chain.names.leaf"}),
        ({"subject": "SEV-VCEK "}, {"chain.names.leaf"}),
        ({"issuer": "SEV-Milan"}, {"chain.names.leaf"}),
        ({"days": 1}, {"chain.dates.leaf"}),
        ({"not_before": datetime(2027, 1, 1, tzinfo=UTC)}, {"chain.dates.leaf"}),
        ({"critical": ["3.1"]}, {"chain.authority.leaf"}),
        ({"ca": True}, {"chain.authority.leaf"}),
        (
            {"public_key": ec.generate_private_key(ec.SECP256R1()).public_key()},
            {"chain.authority.leaf", "report.signature"},
        ),
        ({"public_key": ec.generate_private_key(ec.SECP384R1()).public_key()}, {"report.signature"}),
        ({"public_key": rsa_key("vek").public_key()}, {"chain.authority.leaf", "report.signature"}),
    ],
)
def test_a_leaf_of_another_shape(amd: FakeAmd, certificate: dict[str, Any], failed: set[str]) -> None:
    assert set(refused(amd, amd.chip("shape", **certificate).evidence())) == failed


def test_a_leaf_signed_by_somebody_else(amd: FakeAmd) -> None:
    chip = amd.chip("shape", issuer_key=amd.keys["asvk"])
    assert refused(amd, chip.evidence()) == {"chain.signature.leaf": Reason.CHAIN}


def test_expired_and_not_yet_valid(amd: FakeAmd) -> None:
    evidence = amd.chip("genuine", signer="vlek").evidence()
    assert refused(amd, evidence, NOW) == {"chain.dates.leaf": Reason.EXPIRED}
    early = refused(amd, changed(evidence, crl=None), times.parse("2024-12-31T23:59:59Z"))
    assert set(early) == {f"chain.dates.{role}" for role in ("root", "intermediate", "leaf")}
    assert set(early.values()) == {Reason.EXPIRED}


def test_revocation(amd: FakeAmd) -> None:
    evidence, day = amd.chip("genuine").evidence(), timedelta(days=1)
    now = datetime.fromtimestamp(NOW, tz=UTC)
    for crl, failed in (
        (amd.crl("Genoa", [amd.serial("ask", "Genoa")]), {"revocation.intermediate": Reason.REVOKED}),
        (amd.crl("Genoa", next_update=now - day), {"revocation.dates": Reason.REVOCATION_UNKNOWN}),
        (amd.crl("Genoa", next_update=now), {"revocation.dates": Reason.REVOCATION_UNKNOWN}),
        (amd.crl("Genoa", this_update=now + day), {"revocation.dates": Reason.REVOCATION_UNKNOWN}),
        (amd.crl("Milan"), {"revocation.signature": Reason.REVOCATION_UNKNOWN}),
    ):
        assert refused(amd, changed(evidence, crl=crl)) == failed
    other = amd.crl("Genoa", [amd.serial("asvk", "Genoa")])
    assert verify(amd, changed(evidence, crl=other)).revocation_checked


def test_a_vek_that_amd_signed_and_that_says_nothing_is_malformed(amd: FakeAmd) -> None:
    with pytest.raises(MalformedError, match="extension"):
        verify(amd, amd.chip("genuine", extensions={"3.8": None}).evidence())


def test_a_version_2_report_under_no_pinned_root_has_no_product(amd: FakeAmd) -> None:
    evidence = amd.chip("genuine", "Milan").evidence(version=2)
    with pytest.raises(EvidenceRefusedError) as caught:
        SnpTee().verify(evidence, (), NOW)
    assert [check.id for check in caught.value.checks] == ["chain.root"]


def test_everything_wrong_is_listed_together(amd: FakeAmd) -> None:
    chip = amd.chip("shape", days=1, issuer_key=amd.keys["ark"], subject="SEV-OTHER")
    failed = refused(amd, chip.evidence(chip_id=b"\1" * 64))
    assert set(failed) == {"chain.names.leaf", "chain.signature.leaf", "chain.dates.leaf", "vek.chip_id"}


# Any byte


def accepted(amd: FakeAmd, evidence: Evidence) -> bool:
    try:
        verify(amd, evidence)
    except (EvidenceRefusedError, MalformedError):
        return False
    return True


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.data())
def test_any_flipped_bit_refuses(amd: FakeAmd, data: st.DataObject) -> None:
    evidence = amd.chip("genuine").evidence()
    part = data.draw(st.sampled_from(["snp_report", "vek", "intermediate", "root", "crl"]))
    wrong = bytearray(evidence.parts["snp_report"] if part == "snp_report" else evidence.endorsements[part])
    wrong[data.draw(st.integers(0, len(wrong) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    if part == "snp_report":
        assert not accepted(
            amd, Evidence(format="sev-snp", parts={part: bytes(wrong)}, endorsements=evidence.endorsements)
        )
    else:
        assert not accepted(amd, changed(evidence, **{part: bytes(wrong)}))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    st.sampled_from(["vek", "intermediate", "root", "crl", "cert_table"]),
    st.binary(max_size=120),
    st.floats(0, 1),
)
def test_cut_and_foreign_endorsements_are_refused(amd: FakeAmd, name: str, tail: bytes, cut: float) -> None:
    evidence = amd.chip("genuine").evidence()
    right = evidence.endorsements.get(name, b"\0" * 24)
    wrong = right[: int(len(right) * cut)] + tail
    if wrong not in {right, b""} and name != "cert_table":
        assert not accepted(amd, changed(evidence, **{name: wrong}))
    else:
        accepted(amd, changed(evidence, cert_table=wrong or b"\0"))


def test_a_chip_survives_its_folder(amd: FakeAmd) -> None:
    chip = amd.chip("genuine")
    again = Chip.load(chip.path)
    assert verify(amd, again.evidence()) == verify(amd, FakeAmd.load(amd.path).chip("genuine").evidence())
    assert (chip.path / "vek.key").stat().st_mode & 0o777 == 0o600
    assert (amd.path / "ark.key").stat().st_mode & 0o777 == 0o600


def test_claims_are_good_until_the_first_certificate_ends(amd: FakeAmd) -> None:
    chip = amd.chip("short", days=(NOW - int(NOT_BEFORE.timestamp())) // times.DAY_S + 2)
    leaf = certificates.load(chip.endorsements["vek"], "VEK")
    claims = verify(amd, chip.evidence())
    assert claims.endorsed_until == leaf.not_after + 1
    assert verify(amd, chip.evidence(), leaf.not_after).endorsed_until == leaf.not_after + 1
    assert set(refused(amd, chip.evidence(), leaf.not_after + 1)) == {"chain.dates.leaf"}


def test_under_a_wrong_chain_it_is_the_chain_that_is_wrong(amd: FakeAmd) -> None:
    broken = amd.chip("broken", extensions={"3.1": None}).evidence()
    with pytest.raises(MalformedError):
        verify(amd, broken)
    with pytest.raises(EvidenceRefusedError) as caught:
        SnpTee().verify(broken, (), NOW)
    assert {check.id for check in caught.value.checks} == {"chain.root"}
