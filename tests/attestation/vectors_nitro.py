"""What is wrong with a NitroTPM document, or with what it hangs on. Pure."""

from __future__ import annotations

from typing import Any

from runtime.attestation.findings import Reason
from tests.attestation import parts_nitro as aws
from tests.attestation import vector_parts as parts
from tests.attestation.vector import Vector, vector
from tests.fakes import nitro

_AUTHORITIES = {
    "root": "a root",
    "intermediate1": "a region's authority",
    "intermediate2": "a zone's authority",
    "intermediate3": "an instance's authority",
}


def _nitro(what: str, check: str, reason: str, form: str = "aws-nitrotpm", **more: Any) -> Vector:
    return vector("NitroTPM", what, form, check, reason, **more)


NITRO: tuple[Vector, ...] = (
    _nitro(
        "bytes behind the document",
        "nitro.malformed",
        Reason.MALFORMED,
        says="has 1 bytes behind its end",
        lazy=aws.trailing_document,
    ),
    _nitro(
        "another algorithm than ES384",
        "nitro.malformed",
        Reason.MALFORMED,
        says="alg is not ES384",
        lazy=aws.other_algorithm,
    ),
    _nitro(
        "another digest than SHA384",
        "nitro.malformed",
        Reason.MALFORMED,
        says="digest is not SHA384",
        options={"nitro": {"digest": "SHA512"}},
    ),
    _nitro(
        "a critical header, of which none is known",
        "nitro.malformed",
        Reason.MALFORMED,
        says="has critical headers, and none is known",
        lazy=aws.critical_header,
    ),
    _nitro(
        "an envelope of five parts",
        "nitro.malformed",
        Reason.MALFORMED,
        says="COSE_Sign1 has 5 parts, want 4",
        lazy=aws.five_parts,
    ),
    _nitro(
        "a header that no signature covers",
        "nitro.malformed",
        Reason.MALFORMED,
        says="unprotected header is not empty",
        lazy=aws.unprotected_header,
    ),
    _nitro(
        "a register shorter than its digest",
        "nitro.malformed",
        Reason.MALFORMED,
        says="nitrotpm_pcrs[4] is 32 bytes, want 48",
        options={"registers": {4: b"\x01" * 32}},
    ),
    *(
        _nitro(f"{thing} {what}", f"nitro.chain.{check}.{role}", reason, lazy=lazy)
        for place, (role, thing) in enumerate(_AUTHORITIES.items())
        for what, check, reason, lazy in (
            (
                "that may not certify",
                "authority",
                Reason.CHAIN,
                aws.authority(nitro.AUTHORITIES[place], ca=False),
            ),
            (
                "that has expired",
                "dates",
                Reason.EXPIRED,
                aws.authority(nitro.AUTHORITIES[place], not_after=nitro.NOW - 1),
            ),
        )
    ),
    *(
        _nitro(f"{thing} {what}", f"nitro.chain.{check}.{role}", Reason.CHAIN, lazy=lazy)
        for place, (role, thing) in enumerate(_AUTHORITIES.items())
        if place
        for what, check, lazy in (
            ("issued by another name", "names", aws.authority(nitro.AUTHORITIES[place], issuer_name="aws")),
            (
                "signed by another key",
                "signature",
                aws.authority(nitro.AUTHORITIES[place], issuer_key=aws.OTHER_KEY),
            ),
        )
    ),
    *(
        _nitro(f"a leaf {what}", check, reason, lazy=lazy)
        for what, check, reason, lazy in (
            ("that may certify", "nitro.chain.authority.leaf", Reason.CHAIN, aws.leaf(ca=True)),
            ("issued by another name", "nitro.chain.names.leaf", Reason.CHAIN, aws.leaf(issuer_name="aws")),
            (
                "signed by another key",
                "nitro.chain.signature.leaf",
                Reason.CHAIN,
                aws.leaf(issuer_key=aws.OTHER_KEY),
            ),
            (
                "of another module than the document's",
                "nitro.leaf.name",
                Reason.INSTANCE,
                aws.leaf(common_name=aws.OTHER_MODULE),
            ),
            (
                "that is younger than the document",
                "nitro.document.timestamp.leaf",
                Reason.EXPIRED,
                aws.leaf(not_before=nitro.NOW),
            ),
        )
    ),
    _nitro("another root", "nitro.chain.root", Reason.CHAIN, lazy=aws.foreign),
    _nitro(
        "a leaf that has expired",
        "nitro.chain.dates.leaf",
        Reason.EXPIRED,
        lazy=aws.leaf(not_after=nitro.NOW - 1),
    ),
    _nitro(
        "another key signed", "nitro.document.signature", Reason.SIGNATURE, lazy=aws.signed_by_another_leaf
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
