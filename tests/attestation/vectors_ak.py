"""What is wrong with the certificates of an attestation key, and with Google's endorsement. Pure."""

from __future__ import annotations

from typing import Any

from runtime.attestation.findings import Reason
from runtime.documents import times
from tests.attestation import parts_tpm as parts
from tests.attestation.vector import Vector, vector
from tests.fakes import tpm

# Azure's longer path, leaf first, as a sentence says it.
_PLACES = ("Azure's leaf", "Azure's first authority", "Azure's second authority", "Azure's root")


def _ak(what: str, check: str, reason: str, form: str = "azure-snp", **more: Any) -> Vector:
    return vector("Attestation key", what, form, check, reason, **more)


def _list(depth: int, check: str) -> str:
    name = "ak.crl" if depth == 0 else f"ak.authority_{depth}_crl"
    return f"{name}.{check}"


AK: tuple[Vector, ...] = (
    *(
        _ak(f"{place} has another name", "ak.names", Reason.CHAIN, lazy=parts.renamed(depth, name))
        for depth, (place, name) in enumerate(
            zip(
                _PLACES[:3],
                (
                    "f7bb127cbe44.ConfidentialVM.Azure.example",
                    "Azure Cloud Virtual TPM CA - 1",
                    "Azure Cloud Virtual TPM CA",
                ),
                strict=True,
            )
        )
    ),
    *(
        _ak(
            f"{place} was signed by another key",
            f"ak.signature.{depth}",
            Reason.CHAIN,
            lazy=parts.changed("azure", depth, issuer_key=tpm.rsa_key("another")),
        )
        for depth, place in enumerate(_PLACES[:3])
    ),
    _ak(
        "Azure's leaf may certify",
        "ak.authority.0",
        Reason.CHAIN,
        lazy=parts.changed("azure", 0, cert_sign=True),
    ),
    _ak(
        "Azure's leaf is not for attestation keys",
        "ak.authority.0",
        Reason.CHAIN,
        lazy=parts.changed("azure", 0, usages=()),
    ),
    *(
        _ak(
            f"{place} is no authority",
            f"ak.authority.{depth}",
            Reason.CHAIN,
            lazy=parts.changed("azure", depth, ca=False, path_length=None),
        )
        for depth, place in enumerate(_PLACES)
        if depth
    ),
    *(
        _ak(
            f"{place} has expired",
            f"ak.dates.{depth}",
            Reason.EXPIRED,
            lazy=parts.changed("azure", depth, days=1),
        )
        for depth, place in enumerate(_PLACES)
    ),
    *(
        _ak(f"the list about {place} {what}", _list(depth, check), reason, lazy=lazy)
        for depth, place in enumerate(_PLACES[:3])
        for what, check, reason, lazy in (
            (
                "was signed by another key",
                "signature",
                Reason.REVOCATION_UNKNOWN,
                parts.revocation_list(depth, signed_by="another"),
            ),
            (
                "has ended",
                "dates",
                Reason.REVOCATION_UNKNOWN,
                parts.revocation_list(depth, this_update=-2 * times.DAY_S, next_update=-times.DAY_S),
            ),
            (
                "is of the future",
                "dates",
                Reason.REVOCATION_UNKNOWN,
                parts.revocation_list(depth, this_update=3600),
            ),
            ("names it", "revoked", Reason.REVOKED, parts.revocation_list(depth, revoked=True)),
        )
    ),
    _ak(
        "Google's certificate contradicts itself about the zone",
        "ak.instance",
        Reason.CHAIN,
        "gcp-tdx",
        lazy=parts.instance(zone="us-east1-b"),
    ),
    _ak(
        "a certificate of no production service of Google's",
        "ak.production",
        Reason.CHAIN,
        "gcp-tdx",
        lazy=parts.instance(flags=(False, True, False, False, False)),
    ),
    *(
        _ak(f"Google's launch endorsement: {what}", f"launch.{check}", reason, "gcp-tdx", lazy=lazy)
        for what, check, reason, lazy in (
            (
                "a root that did not sign itself",
                "issuer.0",
                Reason.CHAIN,
                parts.launch(root={"issuer_key": tpm.rsa_key("another")}),
            ),
            (
                "a signer that the root did not sign",
                "issuer.1",
                Reason.CHAIN,
                parts.launch(signer={"issuer_key": tpm.rsa_key("another")}),
            ),
            ("a root that is no authority", "authority.0", Reason.CHAIN, parts.launch(root={"ca": False})),
            ("a signer that is an authority", "authority.1", Reason.CHAIN, parts.launch(signer={"ca": True})),
            ("a root that has expired", "dates.0", Reason.EXPIRED, parts.launch(root={"days": 1})),
            ("a signer that has expired", "dates.1", Reason.EXPIRED, parts.launch(signer={"days": 1})),
        )
    ),
)
