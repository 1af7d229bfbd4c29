"""What is missing, by format; real certificates' addresses; and addresses that nobody should be sent to."""

from __future__ import annotations

import pytest

from runtime.attestation.endorsements.wanted import Want, endorsements_needed
from runtime.errors import MalformedError
from tests.attestation.endorsements import machines
from tests.fakes import td_machine
from tests.fakes.amd import FakeAmd


def kinds(wants: tuple[Want, ...]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(want.source, want.kind, want.gives) for want in wants]


@pytest.mark.parametrize("format_", ["sev-snp", "aws-snp-nitrotpm"])
def test_a_chip(amd: FakeAmd, format_: str) -> None:
    wants = endorsements_needed(machines.snp(amd.chip("one", "Genoa"), format_))
    assert kinds(wants) == [
        ("amd_kds", "chain", ("intermediate", "root")),
        ("amd_kds", "crl", ("crl",)),
        ("amd_kds", "certificate", ("vek",)),
    ]
    assert wants[0].paths == ("/vcek/v1/Genoa/cert_chain",)
    assert len({want.key for want in wants}) == 3


def test_what_is_there_is_not_wanted(amd: FakeAmd) -> None:
    chip = amd.chip("one", "Genoa")
    assert endorsements_needed(machines.snp(chip, **dict(chip.endorsements))) == ()


def test_on_azure_the_cloud_has_the_certificates_and_amd_the_list(amd: FakeAmd) -> None:
    chip = amd.chip("one", "Milan")
    assert kinds(endorsements_needed(machines.snp(chip, "azure-snp"))) == [
        ("azure_thim", "thim", ("intermediate", "root", "vek")),
        ("amd_kds", "crl", ("crl",)),
    ]
    certificates = {name: chip.endorsements[name] for name in ("vek", "intermediate", "root")}
    assert kinds(endorsements_needed(machines.snp(chip, "azure-snp", **certificates))) == [
        ("amd_kds", "crl", ("crl",))
    ]


def test_a_td_on_google() -> None:
    wants = endorsements_needed(machines.tdx())
    assert kinds(wants) == [
        ("intel_pcs", "collateral", ("tdx_collateral",)),
        ("google_launch", "launch", ("launch_endorsement",)),
    ]
    assert wants[0].paths[0].startswith("/tdx/certification/v4/tcb?fmspc=")
    assert wants[1].paths[0].startswith("/tdx/")
    have = {"tdx_collateral": td_machine.COLLATERAL, "launch_endorsement": b"x"}
    assert endorsements_needed(machines.tdx(**have)) == ()
    assert kinds(endorsements_needed(machines.tdx("azure-tdx"))) == kinds(wants)[:1]


def test_snp_on_google_names_the_measurement(amd: FakeAmd) -> None:
    wants = endorsements_needed(machines.snp(amd.chip("one", "Milan"), "gcp-snp"))
    assert [want.paths[0] for want in wants if want.source == "google_launch"] == [
        f"/sevsnp/{machines.snp(amd.chip('one', 'Milan')).parts['snp_report'][0x90:0xC0].hex()}.binarypb"
    ]


def test_an_attestation_key_leads_to_its_issuers_one_by_one() -> None:
    path = machines.google_path()
    leaf, authority, root = path.ders()
    have = {"tdx_collateral": b"x", "launch_endorsement": b"x", "ak_certificate": leaf}
    first = endorsements_needed(machines.tdx(**have))
    assert [(want.kind, want.paths, want.gives[0]) for want in first] == [
        ("certificate", (f"{machines.HOST}/ca.crt",), "ak_authority_1"),
        ("crl", (f"{machines.HOST}/ak.crl",), "ak_crl"),
    ]
    second = endorsements_needed(machines.tdx(**have, ak_authority_1=authority, ak_crl=b"x"))
    assert [(want.kind, want.paths, want.gives[0]) for want in second] == [
        ("certificate", (f"{machines.HOST}/root.crt",), "ak_authority_2"),
        ("crl", (f"{machines.HOST}/ca.crl",), "ak_authority_1_crl"),
    ]
    lists = {"ak_crl": b"x", "ak_authority_1_crl": b"x"}
    assert endorsements_needed(machines.tdx(**have, ak_authority_1=authority, ak_root=root, **lists)) == ()


@pytest.mark.parametrize(
    "url",
    [
        "http://attacker.example/ca.crt",
        "http://169.254.169.254/latest/meta-data",
        "http://storage.googleapis.com.attacker.example/ca.crt",
        "http://evilstorage.googleapis.com.x/ca.crt",
        "http://user@privateca-content-1.storage.googleapis.com/ca.crt",
        "http://privateca-content-1.storage.googleapis.com:8080/ca.crt",
        "http://privateca-content-1.storage.googleapis.com:bad/ca.crt",
        "file:///etc/passwd",
        "ldap://crl.microsoft.com/ca",
        "http://[bad",
    ],
)
def test_a_certificate_sends_nobody_elsewhere(url: str) -> None:
    extra = {machines.AIA: machines.access(url), machines.CDP: machines.points(url)}
    leaf = machines.google_path().but(0, extensions=extra).ders()[0]
    have = {"tdx_collateral": b"x", "launch_endorsement": b"x", "ak_certificate": leaf}
    assert endorsements_needed(machines.tdx(**have)) == ()


def test_a_certificate_without_addresses_leads_nowhere() -> None:
    leaf = machines.google_path().but(0, extensions={}).ders()[0]
    have = {"tdx_collateral": b"x", "launch_endorsement": b"x", "ak_certificate": leaf}
    assert endorsements_needed(machines.tdx(**have)) == ()


@pytest.mark.parametrize("name", ["snp_report", "td_quote"])
def test_evidence_that_cannot_be_read_is_malformed(name: str) -> None:
    with pytest.raises(MalformedError):
        endorsements_needed(machines.evidence("sev-snp" if name == "snp_report" else "gcp-tdx", {}))


def test_a_certificate_that_cannot_be_read_is_malformed() -> None:
    with pytest.raises(MalformedError):
        endorsements_needed(machines.tdx(tdx_collateral=b"x", launch_endorsement=b"x", ak_certificate=b"x"))


def test_a_software_tpm_has_no_endorser() -> None:
    assert endorsements_needed(machines.evidence("qemu-tpm", {})) == ()
