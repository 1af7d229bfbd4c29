"""An Intel of our own: quoting enclave, TCB info and quotes, really signed under a throw-away root. Pure.

Every part can be broken on its own: certificates, bodies and fields are arguments, and what is built from
them is signed after they were changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from runtime.attestation.tees.tdx.pck import IntelRoot
from tests.fakes.intel_certificates import (
    COMPONENTS,
    FMSPC,
    ISSUED,
    NEXT_UPDATE,
    PLATFORM_CA,
    Platform,
    certificate,
    crl,
)

NOW = int(datetime(2026, 1, 15, tzinfo=UTC).timestamp())
VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
QE_SIGNER = bytes.fromhex("dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5")

_TD_FIELDS = {
    "tee_tcb_svn": 16,
    "mrseam": 48,
    "mrsignerseam": 48,
    "seam_attributes": 8,
    "td_attributes": 8,
    "xfam": 8,
    "mrtd": 48,
    "mrconfigid": 48,
    "mrowner": 48,
    "mrownerconfig": 48,
    "rtmr0": 48,
    "rtmr1": 48,
    "rtmr2": 48,
    "rtmr3": 48,
    "report_data": 64,
}
_TD15_FIELDS = {"tee_tcb_svn_2": 16, "mrservicetd": 48}
_TD_VALUES = {
    "tee_tcb_svn": bytes([6, 1, 3]),
    "tee_tcb_svn_2": bytes([6, 1, 3]),
    "mrseam": b"\x11" * 48,
    "td_attributes": (1 << 28).to_bytes(8, "little"),
    "xfam": (0x602E7).to_bytes(8, "little"),
    "mrtd": b"\x22" * 48,
}


def td_report(*, td15: bool = False, **fields: bytes) -> bytes:
    """Return the body of a quote: 584 bytes, or 648 with `td15`; fields are filled up with zeros."""
    values = _TD_VALUES | fields
    layout = _TD_FIELDS | (_TD15_FIELDS if td15 else {})
    unknown = set(fields) - set(layout)
    if unknown:
        message = f"no such fields: {sorted(unknown)}"
        raise ValueError(message)
    return b"".join(values.get(field_, b"").ljust(size, b"\0") for field_, size in layout.items())


def qe_report(key: bytes, auth: bytes, **fields: Any) -> bytes:
    """Return the quoting enclave's report over an attestation key."""
    values: dict[str, Any] = {
        "cpu_svn": bytes(16),
        "miscselect": 0,
        "attributes": bytes.fromhex("15000000000000000000000000000000"),
        "mrsigner": QE_SIGNER,
        "prod_id": 2,
        "isv_svn": 4,
        "report_data": sha256(key + auth).digest() + bytes(32),
    } | fields
    report: bytes = (
        values["cpu_svn"]
        + values["miscselect"].to_bytes(4, "little")
        + bytes(28)
        + values["attributes"]
        + bytes(64)
        + values["mrsigner"]
        + bytes(96)
        + values["prod_id"].to_bytes(2, "little")
        + values["isv_svn"].to_bytes(2, "little")
        + bytes(60)
        + values["report_data"]
    )
    return report


def sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return R ‖ S, 32 bytes each."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return X ‖ Y."""
    encoded = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return encoded[1:]


def pem(*certificates: x509.Certificate) -> bytes:
    """Return PEM blocks, in order."""
    return b"".join(entry.public_bytes(serialization.Encoding.PEM) for entry in certificates)


def level(status: str, **tcb: Any) -> dict[str, Any]:
    """Return one TCB level."""
    advisories = tcb.pop("advisories", [])
    out = {"tcb": tcb, "tcbDate": "2025-11-12T00:00:00Z", "tcbStatus": status}
    return out | ({"advisoryIDs": advisories} if advisories else {})


def platform_level(
    status: str,
    sgx: Iterable[int] = COMPONENTS,
    tdx: Iterable[int] = (5, 0, 3, *[0] * 13),
    pce_svn: int = 13,
    **more: Any,
) -> dict[str, Any]:
    """Return one TCB level of a platform."""
    return level(
        status,
        sgxtcbcomponents=[{"svn": svn} for svn in sgx],
        pcesvn=pce_svn,
        tdxtcbcomponents=[{"svn": svn} for svn in tdx],
        **more,
    )


_MODULE = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}


def tcb_info(**changes: Any) -> dict[str, Any]:
    """Return the body of a TCB Info V3 for TDX."""
    return {
        "id": "TDX",
        "version": 3,
        "issueDate": ISSUED,
        "nextUpdate": NEXT_UPDATE,
        "fmspc": FMSPC.hex(),
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": 19,
        "tdxModule": _MODULE,
        "tdxModuleIdentities": [
            {"id": "TDX_03", **_MODULE, "tcbLevels": [level("UpToDate", isvsvn=3)]},
            {
                "id": "TDX_01",
                **_MODULE,
                "tcbLevels": [
                    level("UpToDate", isvsvn=6),
                    level("OutOfDate", isvsvn=4, advisories=["INTEL-SA-01036"]),
                    level("Revoked", isvsvn=2),
                ],
            },
        ],
        "tcbLevels": [
            platform_level("UpToDate"),
            platform_level("OutOfDate", [2] * 6 + [0] * 10, advisories=["INTEL-SA-01079"]),
            platform_level("Revoked", [1] * 6 + [0] * 10),
        ],
    } | changes


def qe_identity(**changes: Any) -> dict[str, Any]:
    """Return the body of an Enclave Identity V2 for the TD quoting enclave."""
    return {
        "id": "TD_QE",
        "version": 2,
        "issueDate": ISSUED,
        "nextUpdate": NEXT_UPDATE,
        "tcbEvaluationDataNumber": 20,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11000000000000000000000000000000",
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": QE_SIGNER.hex().upper(),
        "isvprodid": 2,
        "tcbLevels": [
            level("UpToDate", isvsvn=4),
            level("OutOfDate", isvsvn=3, advisories=["INTEL-SA-00615"]),
            level("Revoked", isvsvn=1),
        ],
    } | changes


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(slots=True)
class FakeIntel:
    """Keys and certificates; what they sign is made to order."""

    root_key: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    ca_key: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    signer_key: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    pck_key: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    attestation_key: ec.EllipticCurvePrivateKey = field(default_factory=_key)

    def root(self, **changes: Any) -> x509.Certificate:
        """Return the root certificate; the same at every call only in its meaning (ECDSA is randomised)."""
        options: dict[str, Any] = {"ca": True, "path_length": 1, "days": 25 * 365} | changes
        return certificate(
            "Intel SGX Root CA", self.root_key.public_key(), "Intel SGX Root CA", self.root_key, 1, **options
        )

    def ca(self, subject: str = PLATFORM_CA, **changes: Any) -> x509.Certificate:
        """Return the CA that issues PCK certificates."""
        options: dict[str, Any] = {"ca": True, "path_length": 0} | changes
        issuer, issuer_key = options.pop("issuer", "Intel SGX Root CA"), options.pop("issuer_key", None)
        key = options.pop("key", self.ca_key.public_key())
        return certificate(subject, key, issuer, issuer_key or self.root_key, 2, **options)

    def signer(self, subject: str = "Intel SGX TCB Signing", **changes: Any) -> x509.Certificate:
        """Return the certificate that signs TCB info and QE identity."""
        options: dict[str, Any] = {"ca": False} | changes
        issuer, issuer_key = options.pop("issuer", "Intel SGX Root CA"), options.pop("issuer_key", None)
        key = options.pop("key", self.signer_key.public_key())
        return certificate(subject, key, issuer, issuer_key or self.root_key, 3, **options)

    def pck(self, platform: Platform | None = None, **changes: Any) -> x509.Certificate:
        """Return a machine's certificate."""
        options: dict[str, Any] = {"ca": False, "sgx": (platform or Platform()).extension()} | changes
        subject, issuer = (
            options.pop("subject", "Intel SGX PCK Certificate"),
            options.pop("issuer", PLATFORM_CA),
        )
        issuer_key, key = options.pop("issuer_key", self.ca_key), options.pop("key", None)
        return certificate(subject, key or self.pck_key.public_key(), issuer, issuer_key, 4, **options)

    def collateral(self, root: x509.Certificate, **changes: Any) -> dict[str, str]:
        """Return the nine parts; bodies (dicts or raw bytes) are signed here, other parts can be replaced."""
        options: dict[str, Any] = {
            "tcb_info": tcb_info(),
            "qe_identity": qe_identity(),
            "signer": self.signer(),
            "ca": self.ca(),
            "root_crl": crl("Intel SGX Root CA", self.root_key),
            "pck_crl": crl(PLATFORM_CA, self.ca_key),
            "body_key": self.signer_key,
        } | changes
        bodies = {part: body_of(options[part]) for part in ("tcb_info", "qe_identity")}
        chain = pem(options["signer"], root).decode()
        return {
            "pck_crl_issuer_chain": pem(options["ca"], root).decode(),
            "root_ca_crl": options["root_crl"].hex(),
            "pck_crl": options["pck_crl"].hex(),
            **{part: body.decode() for part, body in bodies.items()},
            **{f"{part}_issuer_chain": chain for part in bodies},
            **{f"{part}_signature": sign(options["body_key"], body).hex() for part, body in bodies.items()},
        }

    def quote(self, chain: bytes, **changes: Any) -> bytes:
        """Return a quote of a TD on the machine whose chain (PEM) is given."""
        options: dict[str, Any] = {
            "version": 4,
            "td": {},
            "vendor": VENDOR,
            "auth": bytes(range(32)),
            "qe": {},
            "pck_key": self.pck_key,
            "signing_key": self.attestation_key,
            "trailing": b"",
        } | changes
        newer = options["version"] == 5
        td15 = newer and options.get("td15", True)
        body = td_report(td15=td15, **options["td"])
        header = options["version"].to_bytes(2, "little") + b"\2\0\x81\0\0\0" + bytes(4) + options["vendor"]
        signed = header + bytes(20)
        if newer:
            signed += (3 if td15 else 2).to_bytes(2, "little") + len(body).to_bytes(4, "little")
        signed += body
        key, auth = point(self.attestation_key), options["auth"]
        report = qe_report(key, auth, **options["qe"])
        inner = report + sign(options["pck_key"], report) + len(auth).to_bytes(2, "little") + auth
        inner += b"\5\0" + len(chain).to_bytes(4, "little") + chain
        outer = (
            sign(options["signing_key"], signed) + key + b"\6\0" + len(inner).to_bytes(4, "little") + inner
        )
        result: bytes = signed + len(outer).to_bytes(4, "little") + outer + options["trailing"]
        return result


def body_of(value: Mapping[str, Any] | bytes) -> bytes:
    """Return the bytes that are signed."""
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


def pin(root: x509.Certificate) -> IntelRoot:
    """Return the pin of a throw-away root: of kind `test`."""
    return IntelRoot(kind="test", sha256=sha256(root.public_bytes(serialization.Encoding.DER)).digest())
