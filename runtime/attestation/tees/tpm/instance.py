"""Which machine Google's certificate of an attestation key is about: its instance extension. Pure.

OID 1.3.6.1.4.1.11129.2.1.21 (google/go-tpm-tools, `server/instance_info.go`, names the fields):

    SEQUENCE { zone UTF8String, projectNumber INTEGER, projectId UTF8String, instanceId INTEGER,
               instanceName UTF8String, [0] EXPLICIT SEQUENCE { [0] version, [1] isProduction, ... } }

Google's word, on Google's root: the hypervisor runs this TPM.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptography.x509.oid import NameOID

from runtime.attestation.certificates import Certificate
from runtime.attestation.findings import Findings, Reason
from runtime.errors import MalformedError

OID = "1.3.6.1.4.1.11129.2.1.21"
_INTEGER, _UTF8, _SEQUENCE = 0x02, 0x0C, 0x30
_CONTEXT = 0xA0  # constructed, context-specific; the number is added
_MAX_SIZE = 1024  # bytes
_MAX_TEXT = 255
_TRUE, _FALSE = b"\x01\x01\xff", b"\x01\x01\x00"
_TEXT = re.compile(r"[\x21-\x7e]+")  # zones, project ids and names have no spaces
_WHAT = "GCE instance extension"


@dataclass(frozen=True, slots=True, kw_only=True)
class GceInstance:
    """The machine as Google names it."""

    zone: str
    project_number: int
    project_id: str
    instance_id: int
    instance_name: str
    production: bool  # Google's own flag: the certificate is from its production service


class _Der:
    """Takes elements off DER, definite and shortest lengths only."""

    def __init__(self, data: bytes, base: int) -> None:
        self.data, self.base, self.offset = data, base, 0

    def fail(self, message: str) -> MalformedError:
        return MalformedError(_WHAT, message, offset=self.base + self.offset)

    def take(self, tag: int, field: str) -> bytes:
        head = self.data[self.offset : self.offset + 2]
        if len(head) < 2 or head[0] != tag:
            raise self.fail(f"{field} has not the tag {tag:#04x}")
        start, size = self.offset + 2, head[1]
        if size > 0x80:
            count = size - 0x80
            raw = self.data[start : start + count]
            size = int.from_bytes(raw, "big")
            # A length that is cut off is too small for its form.
            if count > 2 or size < (0x80 if count == 1 else 0x100):
                raise self.fail(f"{field} has a length that is not DER")
            start += count
        elif size == 0x80:
            raise self.fail(f"{field} has an indefinite length")
        if start + size > len(self.data):
            raise self.fail(f"{field} needs {size} bytes, {len(self.data) - start} are left")
        self.offset = start + size
        return self.data[start : start + size]

    def inside(self, tag: int, field: str) -> _Der:
        value = self.take(tag, field)
        return _Der(value, self.base + self.offset - len(value))

    def unsigned(self, field: str) -> int:
        """INTEGER of 64 bits at most, not negative, shortest form."""
        raw = self.take(_INTEGER, field)
        number = int.from_bytes(raw, "big")
        if number >= 1 << 64 or raw != number.to_bytes(
            number.bit_length() // 8 + 1, "big"
        ):  # a bit for the sign
            raise self.fail(f"{field} is no unsigned INTEGER of 64 bits")
        return number

    def text(self, field: str) -> str:
        raw = self.take(_UTF8, field)
        found = raw.decode("ascii", "replace")
        if len(raw) > _MAX_TEXT or not _TEXT.fullmatch(found):
            raise self.fail(f"{field} is no text of 1 to {_MAX_TEXT} printable characters")
        return found

    def end(self) -> None:
        if self.offset != len(self.data):
            raise self.fail("has bytes behind its last field")


def read(certificate: Certificate) -> GceInstance:
    """Read the extension. Raises: MalformedError."""
    data = certificate.unrecognised.get(OID)
    if data is None:
        raise MalformedError(_WHAT, "is missing")
    return parse(data)


def parse(data: bytes) -> GceInstance:
    """Read the extension's value. Raises: MalformedError."""
    if len(data) > _MAX_SIZE:
        raise MalformedError(_WHAT, f"is {len(data)} bytes, want at most {_MAX_SIZE}")
    outer = _Der(data, 0)
    fields = outer.inside(_SEQUENCE, "the extension")
    outer.end()
    zone, project_number = fields.text("zone"), fields.unsigned("projectNumber")
    project_id, instance_id = fields.text("projectId"), fields.unsigned("instanceId")
    instance_name = fields.text("instanceName")
    production = _security(fields.inside(_CONTEXT, "securityProperties"))
    fields.end()
    return GceInstance(
        zone=zone,
        project_number=project_number,
        project_id=project_id,
        instance_id=instance_id,
        instance_name=instance_name,
        production=production,
    )


def _security(wrapper: _Der) -> bool:
    """Return isProduction; the later flags are about features of Google's that no rule here reads."""
    flags = wrapper.inside(_SEQUENCE, "securityProperties")
    wrapper.end()
    version = flags.inside(_CONTEXT, "securityVersion")
    version.unsigned("securityVersion")
    version.end()
    production = _boolean(flags, 1, "isProduction")
    number = 2
    while flags.offset != len(flags.data):
        _boolean(flags, number, f"flag {number}")
        number += 1
    return production


def _boolean(flags: _Der, number: int, field: str) -> bool:
    value = flags.take(_CONTEXT + number, field)
    if value not in {_TRUE, _FALSE}:
        raise flags.fail(f"{field} is no BOOLEAN")
    return value == _TRUE


def check(findings: Findings, certificate: Certificate, found: GceInstance) -> None:
    """Note whether the subject's name and the extension agree, and whether Google made it in earnest."""
    wanted = {
        NameOID.COMMON_NAME.dotted_string: str(found.instance_id),
        NameOID.ORGANIZATIONAL_UNIT_NAME.dotted_string: found.project_id,
        NameOID.LOCALITY_NAME.dotted_string: found.zone,
    }
    subject = {oid: text for oid, text in certificate.attributes if oid in wanted}
    findings.require(
        subject == wanted,
        "ak.instance",
        Reason.CHAIN,
        expected=f"the instance {found.instance_id} of {found.project_id} in {found.zone}",
        actual=", ".join(sorted(subject.values())) or "no name",
        source="the subject of the attestation key's certificate",
        remedy="a certificate that contradicts itself was not issued by Google: find out who made it",
    )
    findings.require(
        found.production,
        "ak.production",
        Reason.CHAIN,
        expected="a certificate of Google's production service",
        actual="isProduction is false",
        source="the instance extension of the attestation key's certificate",
        remedy="use a machine of the public Compute Engine",
    )
