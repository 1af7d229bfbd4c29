"""What vectors about a TPM, its key's path and Google's endorsement are made of. Pure, but for keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from runtime.attestation.eventlog import events
from runtime.attestation.formats import QUOTED_REGISTERS
from runtime.attestation.tees.google.launch_endorsement import GoogleRoot
from runtime.documents import times
from tests.attestation import platforms
from tests.attestation.vector import Make
from tests.fakes import event_log, google, machines, measured_boot, tpm, tpm_certificates
from tests.fakes.amd import FakeAmd
from tests.fakes.machines import FakeMachine
from tests.fakes.tpm_certificates import FakePath

Options = dict[str, Any]
BANKS = (events.SHA256, events.SHA384)
LISTS = ("ak_crl", "ak_authority_1_crl", "ak_authority_2_crl")


def path(vendor: Literal["azure", "google"]) -> FakePath:
    """Return the usual path of an attestation key: Azure's longer one, or Google's."""
    key = measured_boot.AK.public_key()
    return tpm_certificates.azure(key) if vendor == "azure" else tpm_certificates.google(key)


def changed(vendor: Literal["azure", "google"], depth: int, **changes: Any) -> Make:
    """Return what makes a path with fields of one certificate changed; a changed root is pinned."""

    def make(_: FakeMachine, __: FakeAmd) -> Options:
        made = path(vendor).but(depth, **changes)
        return {"path": made, "pins": (made.root(),)}

    return make


def renamed(depth: int, common_name: str) -> Make:
    """Return what makes Azure's path with another name of one certificate, which what is below it follows."""

    def make(_: FakeMachine, __: FakeAmd) -> Options:
        name = tpm_certificates.name(common_name)
        made = path("azure").but(depth, subject=name)
        if depth:
            made = made.but(depth - 1, issuer=name)
        return {"path": made}

    return make


def revocation_list(
    depth: int,
    *,
    revoked: bool = False,
    signed_by: str | None = None,
    this_update: int | None = None,
    next_update: int | None = None,
) -> Make:
    """Return what makes the list about one certificate of Azure's path (leaf 0); seconds from now."""

    def make(machine: FakeMachine, _: FakeAmd) -> Options:
        usual = path("azure")
        below, issuer = usual.specs[depth], usual.specs[depth + 1]
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.subject)
            .last_update(datetime.fromtimestamp(machine.now + (this_update or -times.DAY_S), UTC))
            .next_update(datetime.fromtimestamp(machine.now + (next_update or times.DAY_S), UTC))
        )
        if revoked:
            serial = x509.load_der_x509_certificate(below.der()).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(serial)
            builder = builder.add_revoked_certificate(
                entry.revocation_date(tpm_certificates.NOT_BEFORE).build()
            )
        key = below.issuer_key if signed_by is None else tpm.rsa_key(signed_by)
        made = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        return {"endorsements": {LISTS[depth]: made}}

    return make


def instance(**extension: Any) -> Make:
    """Return what makes Google's certificate with another instance extension."""

    def make(_: FakeMachine, __: FakeAmd) -> Options:
        value = tpm_certificates.instance_extension(**extension)
        return {"path": tpm_certificates.google(measured_boot.AK.public_key(), value)}

    return make


def launch(root: Mapping[str, Any] | None = None, signer: Mapping[str, Any] | None = None) -> Make:
    """Return what makes Google's launch endorsement with changed certificates; a changed root is pinned."""

    def make(_: FakeMachine, __: FakeAmd) -> Options:
        top = google.root(**dict(root or {}))
        body = google.golden(
            tdx=[machines.MRTD], field4=google.signer(**dict(signer or {})), field6=google.pem(top)
        )
        return {
            "endorsements": {"launch_endorsement": google.endorsement(body)},
            "pins": (GoogleRoot(kind="test", sha256=sha256(top).digest()),),
        }

    return make


def renumbered_values(machine: FakeMachine, _: FakeAmd) -> Options:
    """Return the very values that were quoted, the last of them as another register's."""
    measured = measured_boot.registers(measured_boot.SHA256_PCRS, "sha256", machines.SETTINGS, {})
    last = max(QUOTED_REGISTERS)
    shown = {index: measured[index] for index in sorted(QUOTED_REGISTERS - {last})}
    return {"shown": shown | {last + 1: measured[last]}}


def _log(*records: bytes) -> dict[str, bytes]:
    return {"event_log": event_log.log(*records, banks=BANKS, register=0)}


def _records() -> list[bytes]:
    return [event_log.record(*entry, banks=BANKS) for entry in measured_boot.LOG_RECORDS]


def log_without(register: int) -> Make:
    """Return what makes a boot log that lacks the last event of one register."""

    def make(_: FakeMachine, __: FakeAmd) -> Options:
        entries = list(measured_boot.LOG_RECORDS)
        gone = max(index for index, entry in enumerate(entries) if entry[0] == register)
        kept = [event_log.record(*entry, banks=BANKS) for entry in entries[:gone] + entries[gone + 1 :]]
        return {"endorsements": _log(*kept)}

    return make


def altered_event(_: FakeMachine, __: FakeAmd) -> Options:
    """Return a log whose digests are right, with another text for one event."""
    told = [entry.replace(b"secure boot variable", b"another boot variabl") for entry in _records()]
    return {"endorsements": _log(*told)}


def second_separator(machine: FakeMachine, _: FakeAmd) -> Options:
    """Return a firmware that handed over twice in PCR7, as register, log and document say."""
    entry = (7, 0x00000004, bytes(4))
    value = events.extend(
        events.SHA256, measured_boot.SHA256_PCRS[7], events.hash_of(events.SHA256, entry[2])
    )
    return {
        "registers": {7: value},
        "endorsements": _log(*_records(), event_log.record(*entry, banks=BANKS)),
        "fleet": platforms.document(machine, firmware={"pcr7_sha256": value}),
    }
