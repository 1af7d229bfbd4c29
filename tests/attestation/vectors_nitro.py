"""What is wrong with a NitroTPM document, and what is wrong whatever the platform. Pure."""

from __future__ import annotations

from typing import Any

from runtime.attestation.model import Reason
from runtime.documents import times
from tests.attestation import vector_parts as parts
from tests.attestation.vector import Vector, vector
from tests.fakes import fleets, nitro


def _nitro(what: str, check: str, reason: str, form: str = "aws-nitrotpm", **more: Any) -> Vector:
    return vector("NitroTPM", what, form, check, reason, **more)


NITRO: tuple[Vector, ...] = (
    _nitro("bytes behind the document", "malformed", Reason.MALFORMED, lazy=parts.trailing_document),
    _nitro("another algorithm than ES384", "malformed", Reason.MALFORMED, lazy=parts.other_algorithm),
    _nitro(
        "another digest than SHA384", "malformed", Reason.MALFORMED, options={"nitro": {"digest": "SHA512"}}
    ),
    _nitro("another root", "nitro.chain.root", Reason.CHAIN, lazy=parts.foreign_nitro),
    _nitro("a leaf that has expired", "nitro.chain.dates.leaf", Reason.EXPIRED, lazy=parts.expired_leaf),
    _nitro(
        "another key signed", "nitro.document.signature", Reason.SIGNATURE, lazy=parts.signed_by_another_leaf
    ),
    _nitro(
        "registers of zeros: nothing was measured",
        "nitro.document.measured",
        Reason.MEASUREMENT,
        options={"registers": {0: bytes(48)}},
    ),
    _nitro(
        "a document that is too old",
        "nitro.document.timestamp",
        Reason.EXPIRED,
        options={"nitro": {"timestamp": (nitro.NOW - 301) * 1000}},
    ),
    _nitro(
        "a document of the future",
        "nitro.document.timestamp",
        Reason.EXPIRED,
        options={"nitro": {"timestamp": (nitro.NOW + 6) * 1000}},
    ),
    _nitro(
        "another connection's binder",
        "binding.nitro_user_data",
        Reason.BINDING,
        options={"nitro": {"user_data": b"\x01" * 64}},
    ),
    _nitro(
        "a nonce where none belongs",
        "nitro.document.nonce",
        Reason.BINDING,
        options={"nitro": {"nonce": b"\x01" * 32}},
    ),
    _nitro(
        "a public key where none belongs",
        "nitro.document.public_key",
        Reason.BINDING,
        options={"nitro": {"public_key": b"\x01" * 32}},
    ),
    _nitro(
        "another machine's document beside the report",
        "nitro.document.nonce",
        Reason.BINDING,
        "aws-snp-nitrotpm",
        lazy=parts.spliced_document,
    ),
    _nitro(
        "a chip in another region than the hypervisor",
        "aws.region",
        Reason.REGION,
        "aws-snp-nitrotpm",
        lazy=parts.chip_elsewhere,
        fleet={"values": {"snp": {"csp_ids": ["CN=cc-us-east-2.amazonaws.com"]}}},
    ),
    _nitro(
        "PCR4 of another image",
        "image.pcr4",
        Reason.MEASUREMENT,
        fleet={"measurements": {"pcr4_sha384": "01" * 48}},
    ),
    _nitro(
        "PCR7 that nobody listed",
        "firmware.pcr7",
        Reason.MEASUREMENT,
        fleet={"firmware": {"pcr7_sha384": b"\x01" * 48}},
    ),
    _nitro(
        "PCR12: a command line from outside",
        "image.pcr12",
        Reason.IMAGE,
        options={"registers": {12: b"\x01" * 48}},
    ),
    _nitro(
        "PCR14 of other settings",
        "settings.register",
        Reason.SETTINGS,
        options={"registers": {14: b"\x01" * 48}},
    ),
    _nitro(
        "another instance",
        "member.instance",
        Reason.INSTANCE,
        fleet={"member": {"instance": {"kind": "aws_instance_id", "value": "i-0000000000000001"}}},
    ),
    _nitro(
        "another region",
        "nitro.region",
        Reason.REGION,
        fleet={"values": {"nitrotpm": {"regions": ["us-east-2"]}}},
    ),
)

CROSS: tuple[Vector, ...] = (
    vector(
        "Cross-cutting",
        "a format without Reference Values",
        "gcp-tdx",
        "gcp-tdx.accepted",
        Reason.DOCUMENT,
        fleet={"reference_values": {}},
    ),
    vector(
        "Cross-cutting",
        "a document of the future",
        "qemu-tpm",
        "document.issued_at",
        Reason.DOCUMENT,
        how={"now": fleets.NOW - 3601},
    ),
    vector(
        "Cross-cutting",
        "a document past its life",
        "qemu-tpm",
        "document.expires_at",
        Reason.EXPIRED,
        how={"now": fleets.NOW + 14 * times.DAY_S},
    ),
    vector(
        "Cross-cutting",
        "settings that no member has",
        "qemu-tpm",
        "member.known",
        Reason.MEMBER,
        how={"settings_digest": bytes(32)},
    ),
    vector("Cross-cutting", "another role", "qemu-tpm", "member.role", Reason.ROLE, how={"role": "server"}),
    vector(
        "Cross-cutting",
        "a grade below the role's least",
        "gcp-snp",
        "grade.least",
        Reason.GRADE,
        fleet={"least_grade": {"server": "P", "client": "P", "key_receiver": "P"}},
        how={"roots": "hardware"},
    ),
    vector(
        "Cross-cutting",
        "an item larger than its bound",
        "gcp-tdx",
        "malformed",
        Reason.MALFORMED,
        how={"evidence": parts.oversized()},
    ),
)
