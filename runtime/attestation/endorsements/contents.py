"""What an endorser answered: is it what was asked for, and until when is it good? Pure.

The kind of an answer is told by its bytes, not by its Content-Type. A certificate has to fit the evidence it
is wanted for: a key service that mixes answers up is noticed here, before the answer is kept. Whether it is
genuine as well, `genuine` says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runtime.attestation import certificates
from runtime.attestation.endorsements.wanted import AK_ORDER, Want, launched
from runtime.attestation.tees.azure import hcl
from runtime.attestation.tees.google import launch_endorsement
from runtime.attestation.tees.snp import report as snp_report
from runtime.attestation.tees.tdx import collateral, pck
from runtime.attestation.tees.tdx.collateral import Collateral
from runtime.attestation.tees.tpm import ak
from runtime.attestation.wire import Evidence
from runtime.documents import strict_json, times
from runtime.errors import DocumentError, MalformedError

MAX_BODY_SIZE = 256 * 1024  # bytes of one answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer: its bytes and the headers that carry certificates."""

    body: bytes
    headers: Mapping[str, str]  # lower-case names


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a body gives, and the first moment at which some of it is no longer good."""

    endorsements: Mapping[str, bytes]
    fresh_until: int  # Unix seconds


def assemble(want: Want, answers: Sequence[Answer]) -> bytes:
    """Return the bytes to keep: the body itself, or Intel's four answers as one. Raises: MalformedError."""
    if want.kind != "collateral":
        return answers[0].body
    tcb, identity, pck_crl, root_crl = answers
    info, info_signature = _signed(tcb.body, "tcbInfo")
    qe, qe_signature = _signed(identity.body, "enclaveIdentity")
    parts = {
        "tcb_info": info,
        "tcb_info_signature": info_signature,
        "tcb_info_issuer_chain": _chain_header(tcb, "tcb-info-issuer-chain"),
        "qe_identity": qe,
        "qe_identity_signature": qe_signature,
        "qe_identity_issuer_chain": _chain_header(identity, "sgx-enclave-identity-issuer-chain"),
        "pck_crl": pck_crl.body.hex(),
        "pck_crl_issuer_chain": _chain_header(pck_crl, "sgx-pck-crl-issuer-chain"),
        "root_ca_crl": _hex_or_der(root_crl.body),
    }
    return json.dumps({part.name: parts[part.name] for part in fields(Collateral)}).encode()


def _signed(body: bytes, name: str) -> tuple[str, str]:
    """Cut the signed text out as it stands: the signature is over these very bytes."""
    head, middle = f'{{"{name}":'.encode(), b',"signature":"'
    at = body.rfind(middle)
    if not body.startswith(head) or at < 0 or not body.rstrip().endswith(b'"}'):
        raise MalformedError(f"Intel's {name}", f'is not {{"{name}": …, "signature": …}}', offset=0)
    try:
        return body[len(head) : at].decode(), body.rstrip()[at + len(middle) : -2].decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedError(f"Intel's {name}", "is not UTF-8") from error


def _chain_header(answer: Answer, name: str) -> str:
    text = answer.headers.get(name)
    if not text:
        raise MalformedError("Intel's answer", f"has no header {name}")
    return unquote(text)


def _hex_or_der(body: bytes) -> str:
    """Intel gives the root's list in hexadecimal unless asked otherwise."""
    return body.hex() if body[:1] == b"\x30" else body.decode("ascii", "replace").strip()


def read(want: Want, body: bytes, evidence: Evidence) -> Content:
    """Read what `want` got, or was kept under its name. Raises: MalformedError."""
    if not 0 < len(body) <= MAX_BODY_SIZE:
        raise MalformedError(want.key, f"is {len(body)} bytes, want 1 to {MAX_BODY_SIZE}")
    if want.kind == "certificate":
        return _certificate(want, body, evidence)
    if want.kind == "crl":
        found = certificates.load_crl(_der(body, b"-----BEGIN X509 CRL"))
        return Content(endorsements={want.gives[0]: body}, fresh_until=found.next_update)
    if want.kind == "chain":
        return _chain(want, body, {})
    if want.kind == "thim":
        return _thim(want, body, evidence)
    if want.kind == "collateral":
        return _collateral(body)
    until = launch_endorsement.ends_at(body, launched(evidence.parts)[0])
    return Content(endorsements={want.gives[0]: body}, fresh_until=until)


def _der(body: bytes, pem: bytes) -> bytes:
    if body.lstrip().startswith(pem):
        raise MalformedError("revocation list", "is in PEM, want DER", offset=0)
    return body


def _certificate(want: Want, body: bytes, evidence: Evidence) -> Content:
    if want.source != "authority":
        found = certificates.load(body, "VEK certificate")
        _check_fits(found, evidence)
        return Content(endorsements={"vek": found.der}, fresh_until=found.not_after)
    issuer = certificates.load(body, "authority's certificate")
    have = evidence.endorsements
    below = next(certificates.load(have[name], name) for name in reversed(AK_ORDER) if name in have)
    if below.issuer != issuer.subject or not ak.signed_by(below, issuer.public_key):
        raise MalformedError("authority's certificate", "did not issue the certificate below it")
    name = "ak_root" if issuer.subject == issuer.issuer else want.gives[0]
    if name not in want.gives:
        raise MalformedError("authority's certificate", "makes the path longer than any that is known")
    return Content(endorsements={name: issuer.der}, fresh_until=issuer.not_after)


def _check_fits(found: certificates.Certificate, evidence: Evidence) -> None:
    """A VEK is wanted for one report, and its key has to have signed that report."""
    raw = evidence.parts.get("snp_report") or hcl.parse(evidence.parts["hcl_report"]).tee_report
    key = found.public_key
    if not isinstance(key, ec.EllipticCurvePublicKey) or not snp_report.signed_by(snp_report.parse(raw), key):
        raise MalformedError(
            "VEK certificate", "is of another chip or firmware: its key did not sign the report"
        )


def _chain(want: Want, body: bytes, more: Mapping[str, bytes]) -> Content:
    """AMD's cert_chain: PEM, the intermediate first and the root last."""
    try:
        ders = [
            found.public_bytes(serialization.Encoding.DER) for found in x509.load_pem_x509_certificates(body)
        ]
    except certificates.READ_ERRORS as error:
        raise MalformedError(want.key, "is no chain of certificates in PEM") from error
    if len(ders) != 2:
        raise MalformedError(want.key, f"holds {len(ders)} certificates, want 2")
    pair = [certificates.load(der, want.key) for der in ders]
    if pair[0].issuer != pair[1].subject or pair[1].issuer != pair[1].subject:
        raise MalformedError(want.key, "is not an intermediate and its root")
    der = {name: found.der for name, found in zip(("intermediate", "root"), pair, strict=True)}
    given = {name: value for name, value in (der | dict(more)).items() if name in want.gives}
    return Content(endorsements=given, fresh_until=min(found.not_after for found in pair))


def _thim(want: Want, body: bytes, evidence: Evidence) -> Content:
    try:
        value = strict_json.parse(body, want.key, max_size=MAX_BODY_SIZE)
        vcek, chain = value["vcekCert"].encode(), value["certificateChain"].encode()
    except (DocumentError, KeyError, TypeError, AttributeError) as error:
        raise MalformedError(want.key, "is no object of vcekCert and certificateChain") from error
    found = certificates.load(vcek, "VEK certificate")
    _check_fits(found, evidence)
    content = _chain(want, chain, {"vek": found.der})
    until = min(found.not_after, content.fresh_until)
    return Content(endorsements=content.endorsements, fresh_until=until)


def _collateral(body: bytes) -> Content:
    found = collateral.parse(body)
    ends = [
        certificates.load_crl(found.pck_crl).next_update,
        certificates.load_crl(found.root_ca_crl).next_update,
    ]
    loaded = dict[bytes, certificates.Certificate]()
    for chain in (found.tcb_info_issuer_chain, found.qe_identity_issuer_chain, found.pck_crl_issuer_chain):
        ends += [one.not_after for one in pck.load_chain(chain, 2, "Intel's issuer chain", loaded)]
    for name, text in (("TCB info", found.tcb_info), ("QE identity", found.qe_identity)):
        try:
            ends.append(times.parse(json.loads(text)["nextUpdate"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise MalformedError(name, "does not say when the next one comes") from error
    return Content(endorsements={"tdx_collateral": body}, fresh_until=min(ends))
