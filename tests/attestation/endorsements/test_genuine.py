"""What an endorser signed for this machine counts, up to a pinned root: bad news too, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from runtime.attestation.endorsements import contents, genuine
from runtime.attestation.endorsements.wanted import Want, endorsements_needed
from runtime.attestation.tees import Root
from runtime.attestation.wire import Evidence
from runtime.errors import MalformedError
from tests.attestation.endorsements import machines
from tests.fakes import endorsers, fleets, google, intel, intel_certificates, td_machine, tpm
from tests.fakes.amd import Chip, FakeAmd
from tests.fakes.td_machine import Machine
from tests.fakes.tpm_certificates import FakePath

NOW = fleets.NOW
LONG_AFTER = NOW + 100 * 365 * 86400


@pytest.fixture(scope="module")
def chip(amd: FakeAmd) -> Chip:
    return amd.chip("one", "Genoa")


def void(signed: bytes) -> bytes:
    """Return a certificate or list of which the signature does not hold."""
    return signed[:-3] + bytes(byte ^ 0xFF for byte in signed[-3:])


def check(
    kind: str, body: bytes, evidence: Evidence, roots: tuple[Root, ...], now: int = NOW, gives: str = ""
) -> Mapping[str, bytes]:
    """Take a body for a want, as the endorser does."""
    wants = [want for want in endorsements_needed(evidence) if want.kind == kind]
    want = next(want for want in wants if not gives or gives in want.gives)
    found = contents.read(want, body, evidence).endorsements
    genuine.check(want, found, evidence, roots, now)
    return found


# -- AMD ------------------------------------------------------------------------------------------------


def chain(*ders: bytes) -> bytes:
    return endorsers.pem(*ders)


def test_amd_s_chain_is_of_the_report_s_product_under_a_pinned_root(amd: FakeAmd, chip: Chip) -> None:
    evidence, have = machines.snp(chip), chip.endorsements
    good = chain(have["intermediate"], have["root"])
    assert set(check("chain", good, evidence, amd.roots())) == {"intermediate", "root"}
    wrong = {
        "no root of ours": (good, ()),
        "the root of another product": (good, (amd.root("Milan"),)),
        "another product's chain": (
            chain(amd.certificate("ask", "Milan"), amd.certificate("ark", "Milan")),
            amd.roots(),
        ),
        "the other kind of signer's": (chain(amd.certificate("asvk", "Genoa"), have["root"]), amd.roots()),
        "a void intermediate": (chain(void(have["intermediate"]), have["root"]), amd.roots()),
        "a void root": (chain(have["intermediate"], void(have["root"])), amd.roots()),
    }
    for body, roots in wrong.values():
        with pytest.raises(MalformedError, match=r"does not hold|has no SEV-Genoa"):
            check("chain", body, evidence, roots)


def test_amd_s_list_and_leaf_are_held_against_the_path(amd: FakeAmd, chip: Chip) -> None:
    have = chip.endorsements
    path = {name: have[name] for name in ("intermediate", "root")}
    evidence = machines.snp(chip, **path)
    assert check("crl", have["crl"], evidence, amd.roots())
    assert check("certificate", have["vek"], evidence, amd.roots())
    for kind, body in (
        ("crl", void(have["crl"])),
        ("crl", amd.crl("Milan")),
        ("certificate", void(have["vek"])),
    ):
        with pytest.raises(MalformedError):
            check(kind, body, evidence, amd.roots())
    other = machines.snp(chip, **path | {"intermediate": amd.certificate("asvk", "Genoa")})
    with pytest.raises(MalformedError):
        check("certificate", have["vek"], other, amd.roots())
    bare = machines.snp(chip)
    for kind, body in (("crl", have["crl"]), ("certificate", have["vek"])):
        with pytest.raises(MalformedError, match="to be held against"):
            check(kind, body, bare, amd.roots())
    with pytest.raises(MalformedError, match="no intermediate"):
        check("certificate", have["vek"], machines.snp(chip, root=have["root"]), amd.roots())


def test_amd_s_bad_news_are_let_through(amd: FakeAmd, chip: Chip) -> None:
    """A list that names the intermediate, and a path that is over, are for the verifier to tell."""
    have = chip.endorsements
    path = {name: have[name] for name in ("intermediate", "root")}
    evidence = machines.snp(chip, **path)
    assert check("crl", amd.crl("Genoa", [amd.serial("ask", "Genoa")]), evidence, amd.roots())
    assert check("certificate", have["vek"], evidence, amd.roots(), LONG_AFTER)


def test_azure_s_certificates_are_held_as_well(amd: FakeAmd, chip: Chip) -> None:
    from tests.attestation.endorsements.test_contents import thim

    evidence, have = machines.snp(chip, "azure-snp"), chip.endorsements
    assert set(check("thim", thim(chip), evidence, amd.roots())) == {"vek", "intermediate", "root"}
    spoiled = thim(chip, vcekCert=endorsers.pem(void(have["vek"])).decode())
    with pytest.raises(MalformedError, match=r"chain\.signature\.leaf"):
        check("thim", spoiled, evidence, amd.roots())


# -- Intel ----------------------------------------------------------------------------------------------


def test_intel_s_collateral_is_signed_and_about_this_platform() -> None:
    machine = td_machine.MACHINE
    evidence = machines.tdx()
    assert check("collateral", td_machine.COLLATERAL, evidence, machine.roots, intel.NOW)
    other = Machine()
    wrong: dict[str, bytes] = {
        "another root": other.collateral(),
        "another key": machine.collateral(body_key=other.intel.signer_key),
        "another signer": machine.collateral(signer=other.intel.signer()),
        "a void list": machine.collateral(
            pck_crl=void(intel_certificates.crl(intel_certificates.PLATFORM_CA, machine.intel.ca_key))
        ),
        "a void root's list": machine.collateral(
            root_crl=void(intel_certificates.crl("Intel SGX Root CA", machine.intel.root_key))
        ),
        "another platform": machine.collateral(tcb_info=intel.tcb_info(fmspc="00906ed50000")),
    }
    for body in wrong.values():
        with pytest.raises(MalformedError, match="does not hold"):
            check("collateral", body, evidence, machine.roots, intel.NOW)
    with pytest.raises(MalformedError, match="no root at all"):
        check("collateral", td_machine.COLLATERAL, evidence, (), intel.NOW)


def test_intel_s_bad_news_are_let_through() -> None:
    machine = td_machine.MACHINE
    revoked = intel_certificates.crl(intel_certificates.PLATFORM_CA, machine.intel.ca_key, [4])
    body = machine.collateral(pck_crl=revoked)
    assert check("collateral", body, machines.tdx(), machine.roots, intel.NOW)
    assert check("collateral", td_machine.COLLATERAL, machines.tdx(), machine.roots, LONG_AFTER)


# -- Google ---------------------------------------------------------------------------------------------


def test_google_s_endorsement_is_signed_and_of_this_firmware(chip: Chip) -> None:
    for evidence, kind in ((machines.tdx(), "tdx"), (machines.snp(chip, "gcp-snp"), "snp")):
        want = next(want for want in endorsements_needed(evidence) if want.kind == "launch")
        measured = bytes.fromhex(want.paths[0].rpartition("/")[2].removesuffix(".binarypb"))
        body = google.golden(**{kind: [measured]})  # type: ignore[arg-type]  # a name made here
        good = google.endorsement(body)
        assert check("launch", good, evidence, (google.pin(),))
        assert check("launch", good, evidence, (google.pin(),), LONG_AFTER)
        for wrong in (
            google.endorsement(body, tpm.rsa_key("another")),
            google.endorsement(google.golden(**{kind: [b"\x01" * 48]})),  # type: ignore[arg-type]  # likewise
        ):
            with pytest.raises(MalformedError, match=r"launch\.signature|other firmware"):
                check("launch", wrong, evidence, (google.pin(),))
        with pytest.raises(MalformedError, match=r"launch\.root"):
            check("launch", good, evidence, ())


# -- attestation keys -----------------------------------------------------------------------------------


@cache
def ak_path() -> FakePath:
    return machines.google_path()


def ak_list(depth: int, **changes: int) -> bytes:
    """Return the list of a certificate's issuer."""
    spec = ak_path().specs[depth]
    issuer = ak_path().specs[depth + 1].subject
    at = datetime.fromtimestamp(NOW, UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer)
        .last_update(at - timedelta(days=1))
        .next_update(at + timedelta(days=changes.get("days", 30)))
    )
    made = builder.sign(spec.issuer_key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def with_path(*ders: bytes) -> Evidence:
    names = ("ak_certificate", "ak_authority_1", "ak_root")
    given = dict(zip(names, ders, strict=False))
    return machines.tdx(tdx_collateral=b"x", launch_endorsement=b"x", **given)


def test_a_path_is_judged_when_its_root_is_here() -> None:
    leaf, authority, root = ak_path().ders()
    roots = (ak_path().root(),)
    assert check("certificate", authority, with_path(leaf), roots)
    assert check("certificate", root, with_path(leaf, authority), roots)
    with pytest.raises(MalformedError, match=r"ak\.root"):
        check("certificate", root, with_path(leaf, authority), ())
    with pytest.raises(MalformedError, match="did not issue"):
        check("certificate", root, with_path(leaf, void(authority)), roots)
    late = ak_path().but(1, days=1).ders()
    assert check("certificate", root, with_path(late[0], late[1]), roots), "that it is over is not hidden"


def test_a_list_is_its_authority_s() -> None:
    leaf, authority, root = ak_path().ders()
    evidence = with_path(leaf, authority, root)
    roots = (ak_path().root(),)
    assert check("crl", ak_list(0), evidence, roots, gives="ak_crl")
    assert check("crl", ak_list(1), evidence, roots, gives="ak_authority_1_crl")
    for gives, body in (
        ("ak_crl", void(ak_list(0))),
        ("ak_crl", ak_list(1)),
        ("ak_authority_1_crl", ak_list(0)),
    ):
        with pytest.raises(MalformedError, match="is no list"):
            check("crl", body, evidence, roots, gives=gives)


def test_what_cannot_be_checked_is_known_before_it_is_asked_for(chip: Chip) -> None:
    leaf, authority, root = ak_path().ders()

    def missing(evidence: Evidence) -> set[str]:
        wants: tuple[Want, ...] = endorsements_needed(evidence)
        return {name for want in wants if genuine.issuer_missing(want, evidence) for name in want.gives}

    have = chip.endorsements
    assert missing(machines.snp(chip)) == {"vek", "crl"}
    assert missing(machines.snp(chip, root=have["root"])) == {"vek"}
    assert missing(machines.snp(chip, root=have["root"], intermediate=have["intermediate"])) == set()
    assert missing(machines.tdx()) == set()
    assert missing(with_path(leaf)) == {"ak_crl"}
    assert missing(with_path(leaf, authority)) == {"ak_authority_1_crl"}
    assert missing(with_path(leaf, authority, root)) == set()
