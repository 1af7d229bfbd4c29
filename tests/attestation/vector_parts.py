"""What single vectors are made of, where one changed field is not enough. Pure, but for keys."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from runtime.attestation.binding import tied_qualifying
from runtime.attestation.eventlog import events
from runtime.attestation.formats import QUOTED_REGISTERS
from runtime.documents import settings, times
from tests.fakes import (
    azure,
    google,
    intel,
    machines,
    measured_boot,
    snp_report,
    td_machine,
    tpm,
    tpm_certificates,
)
from tests.fakes.amd import FakeAmd
from tests.fakes.amd_certificates import ia5
from tests.fakes.intel_certificates import PLATFORM_CA, Platform, crl
from tests.fakes.machines import BINDER, FakeMachine
from tests.fakes.tpm_certificates import FakePath

Options = dict[str, Any]
ROLES = ("server", "client", "key_receiver")


def attributes(bit: int) -> bytes:
    """Return TDATTRIBUTES with one bit beside SEPT_VE_DISABLE."""
    return (1 << 28 | 1 << bit).to_bytes(8, "little")


def platform(*, dynamic: bool = False, cached: bool = False, smt: bool = False) -> Options:
    """Return a PCK certificate's options for a platform with these flags."""
    return {"platform": Platform(flags=(dynamic, cached, smt))}


def two_banks() -> tuple[bytes, ...]:
    """Return a quote's selection of two banks."""
    chosen = sorted(QUOTED_REGISTERS)
    return tpm.selection(chosen), tpm.selection(chosen, tpm.SHA384)


def loose_jwk() -> dict[str, Any]:
    """Return the attestation key with a character that base64url does not know."""
    key = azure.jwk(tpm.rsa_key("ak").public_key())
    return key | {"n": key["n"][:8] + "\n" + key["n"][8:]}


def foreign_endorsement() -> bytes:
    """Return a launch endorsement whose root is nobody's."""
    root = google.root(days=3651)
    return google.endorsement(google.golden(tdx=[machines.MRTD], field6=google.pem(root)))


def _retied(machine: FakeMachine, change: Any) -> Options:
    """Return parts with a changed report and the quote that speaks of the changed one."""
    report = change(machine.evidence().parts["snp_report"])
    quote = measured_boot.quote_parts(tied_qualifying(BINDER, report), machines.SETTINGS, {})
    return {"parts": {"snp_report": report, **quote}}


def short_report(machine: FakeMachine, _: FakeAmd) -> Options:
    return _retied(machine, lambda report: report[:-1])


def reserved_report(machine: FakeMachine, _: FakeAmd) -> Options:
    return _retied(machine, lambda report: report[:0x190] + b"\x01" + report[0x191:])


def signed_by_another(machine: FakeMachine, amd: FakeAmd) -> Options:
    other = amd.chip("another-host", "Milan")
    return _retied(machine, lambda report: snp_report.sign(report[:0x2A0], other.key))


def _chip(amd: FakeAmd, **changes: Any) -> Options:
    return {"chip": amd.chip("gcp-host", "Milan", **changes)}


def expired_vek(_: FakeMachine, amd: FakeAmd) -> Options:
    return _chip(amd, days=1)


def misnamed_vek(_: FakeMachine, amd: FakeAmd) -> Options:
    return _chip(amd, subject="SEV-VCEC")


def unsigned_vek(_: FakeMachine, amd: FakeAmd) -> Options:
    return _chip(amd, issuer_key=amd.keys["asvk"])


def long_integer(_: FakeMachine, amd: FakeAmd) -> Options:
    return _chip(amd, extensions={"3.1": b"\x02\x02\x00\x04"})


def revoked_intermediate(_: FakeMachine, amd: FakeAmd) -> Options:
    return {"endorsements": {"crl": amd.crl("Milan", [amd.serial("ask", "Milan")])}}


def stale_list(_: FakeMachine, amd: FakeAmd) -> Options:
    ended = datetime(2026, 1, 1, tzinfo=UTC)
    return {"endorsements": {"crl": amd.crl("Milan", next_update=ended)}}


def foreign_list(_: FakeMachine, amd: FakeAmd) -> Options:
    return {"endorsements": {"crl": amd.crl("Genoa")}}


def low_reported(_: FakeMachine, amd: FakeAmd) -> Options:
    low = {**snp_report.TCBS["Milan"], "microcode": 218}
    right = snp_report.raw_tcb("Milan", snp_report.TCBS["Milan"])
    made = _chip(amd, tcb=low, days=2555)
    return made | {"snp": {"current_tcb": right, "committed_tcb": right, "launch_tcb": right}}


def quote_version(machine: FakeMachine, _: FakeAmd) -> Options:
    quote = machine.evidence().parts["td_quote"]
    return {"parts": {"td_quote": b"\x06\x00" + quote[2:]}}


def quote_tee(machine: FakeMachine, _: FakeAmd) -> Options:
    quote = machine.evidence().parts["td_quote"]
    return {"parts": {"td_quote": quote[:4] + b"\x00" + quote[5:]}}


def certification_type(machine: FakeMachine, _: FakeAmd) -> Options:
    quote = machine.evidence().parts["td_quote"]
    pem = quote.index(b"-----BEGIN")
    return {"parts": {"td_quote": quote[: pem - 6] + b"\x01\x00" + quote[pem - 4 :]}}


def expired_pck(_: FakeMachine, __: FakeAmd) -> Options:
    return {"tdx": {"pck": {"days": 1}}}


def _collateral(**changes: Any) -> Options:
    return {"endorsements": {"tdx_collateral": td_machine.collateral(**changes)}}


def revoked_pck(_: FakeMachine, __: FakeAmd) -> Options:
    return _collateral(pck_crl=crl(PLATFORM_CA, td_machine.MACHINE.intel.ca_key, [4]))


def revoked_ca(_: FakeMachine, __: FakeAmd) -> Options:
    return _collateral(root_crl=crl("Intel SGX Root CA", td_machine.MACHINE.intel.root_key, [2]))


def stale_pck_list(_: FakeMachine, __: FakeAmd) -> Options:
    key, ended = td_machine.MACHINE.intel.ca_key, "2025-12-31T00:00:00Z"
    return _collateral(pck_crl=crl(PLATFORM_CA, key, this_update="2025-01-01T00:00:00Z", next_update=ended))


def tcb_info_signature(_: FakeMachine, __: FakeAmd) -> Options:
    made = td_machine.MACHINE.intel.collateral(td_machine.MACHINE.root)
    return {
        "endorsements": {
            "tdx_collateral": td_machine.MACHINE.collateral(
                {"tcb_info_signature": made["qe_identity_signature"]}
            )
        }
    }


def tcb_info_dates(_: FakeMachine, __: FakeAmd) -> Options:
    return _collateral(tcb_info=intel.tcb_info(nextUpdate="2026-01-02T00:00:00Z"))


def qe_identity_dates(_: FakeMachine, __: FakeAmd) -> Options:
    return _collateral(qe_identity=intel.qe_identity(nextUpdate="2026-01-02T00:00:00Z"))


def other_fmspc(_: FakeMachine, __: FakeAmd) -> Options:
    return _collateral(tcb_info=intel.tcb_info(fmspc="010203040506"))


def out_of_date(_: FakeMachine, __: FakeAmd) -> Options:
    return _collateral(tcb_info=intel.tcb_info(tcbLevels=[intel.platform_level("OutOfDate")]))


def revoked_tcb(_: FakeMachine, __: FakeAmd) -> Options:
    return _collateral(tcb_info=intel.tcb_info(tcbLevels=[intel.platform_level("Revoked")]))


def advisory(_: FakeMachine, __: FakeAmd) -> Options:
    level = intel.platform_level("OutOfDate", advisories=["INTEL-SA-01036"])
    return _collateral(tcb_info=intel.tcb_info(tcbLevels=[level]))


def fewer_selected(_: FakeMachine, __: FakeAmd) -> Options:
    return {"quote": {"selections": (tpm.selection(sorted(QUOTED_REGISTERS - {12})),)}}


def other_values(_: FakeMachine, __: FakeAmd) -> Options:
    return {"quote": {"digest": b"\x01" * 32}}


def unrestricted_key(_: FakeMachine, __: FakeAmd) -> Options:
    return {"area": tpm.tpm2b_public(tpm.rsa_key("ak"), attributes=tpm.AK_ATTRIBUTES & ~(1 << 16))}


def extended_twice(_: FakeMachine, __: FakeAmd) -> Options:
    once = settings.register(machines.SETTINGS, "sha256")
    twice = events.extend(events.SHA256, once, machines.SETTINGS)
    return {"registers": {14: twice}}


def other_ak_path(_: FakeMachine, __: FakeAmd) -> Options:
    return {"path": tpm_certificates.azure(tpm.rsa_key("another").public_key())}


def foreign_ak_root(_: FakeMachine, __: FakeAmd) -> Options:
    path = tpm_certificates.azure(tpm.rsa_key("ak").public_key())
    return {"path": path.but(len(path.specs) - 1, days=3651)}


def no_ak(_: FakeMachine, __: FakeAmd) -> Options:
    return {"endorsements": dict.fromkeys(machines.AK_PATH)}


def revoked_authority(_: FakeMachine, __: FakeAmd) -> Options:
    path: FakePath = tpm_certificates.google(tpm.rsa_key("ak").public_key())
    serial = x509.load_der_x509_certificate(path.ders()[1]).serial_number
    now = datetime.fromtimestamp(intel.NOW, UTC)
    entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(path.specs[2].subject)
        .last_update(now)
        .next_update(now.replace(year=2027))
        .add_revoked_certificate(entry)
        .sign(tpm.rsa_key("google root"), hashes.SHA256())
    )
    return {"endorsements": {"ak_authority_1_crl": made.public_bytes(serialization.Encoding.DER)}}


def spliced_quote(machine: FakeMachine, _: FakeAmd) -> Options:
    other = machine.evidence(snp={"report_id": b"\x01" * 32})
    return {"parts": {"snp_report": other.parts["snp_report"]}}


def spliced_document(machine: FakeMachine, amd: FakeAmd) -> Options:
    return spliced_quote(machine, amd)


def chip_elsewhere(_: FakeMachine, amd: FakeAmd) -> Options:
    region = ia5("CN=cc-us-east-2.amazonaws.com")
    return {"chip": amd.chip("elsewhere", "Milan", signer="vlek", extensions={"5": region}, days=731)}


def two_generations(machine: FakeMachine, _: FakeAmd) -> Options:
    made = machine.document()
    first, second = made["images"][0], json.loads(json.dumps(made["images"][0]))
    first["measurements"]["pcr4_sha256"] = "03" * 32
    second["measurements"]["pcr11_sha256"] = "04" * 32
    return {"fleet": made | {"images": [first, second | {"id": "next"}]}}


def old_image(machine: FakeMachine, _: FakeAmd) -> Options:
    made = machine.document()
    made["images"][0]["not_after"] = times.show(machine.now - 1)
    return {"fleet": made}
