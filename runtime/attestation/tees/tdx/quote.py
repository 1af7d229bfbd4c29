"""The TDX quote, versions 4 and 5: every length is accounted for. Pure.

Intel TDX DCAP Quoting Library API, appendix A.3 (version 4) and A.4 (version 5). Integers are little-endian,
ECDSA coordinates big-endian. Bytes behind the quote are kept apart: a kernel's or a cloud's buffer ends in
zeros. What the fields say is not judged here.

Two header fields of 2 bytes each are reserved in the present text and were SVNs in drafts; they are signed,
kept nowhere and read by no rule.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from runtime.errors import MalformedError

MAX_QUOTE_SIZE = 32 * 1024  # bytes; quotes are under 5 KiB, in buffers of up to 8,000 bytes
HEADER_BYTES = 48
VERSIONS = frozenset({4, 5})
INTEL_QE_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")  # A.3.1, QE Vendor ID
TD10_BYTES, TD15_BYTES = 584, 648
QE_REPORT_BYTES = 384
SIGNATURE_BYTES = 64  # R ‖ S of P-256
KEY_BYTES = 64  # X ‖ Y of P-256

_ECDSA = ec.ECDSA(hashes.SHA256())
_ECDSA_P256 = 2  # attestation key type
_TDX = 0x81  # TEE type
_BODY_TYPES = {2: TD10_BYTES, 3: TD15_BYTES}  # A.4.2; 1 is an SGX enclave report
_QE_REPORT_DATA, _PCK_CHAIN = 6, 5  # certification data types, A.3.9
_WHAT = "TDX quote"


@dataclass(frozen=True, slots=True, kw_only=True)
class TdReport:
    """What the CPU measured and the TDX module wrote (A.3.2, A.4.3), as it stands."""

    tee_tcb_svn: bytes  # 16
    mrseam: bytes  # 48
    mrsignerseam: bytes  # 48
    seam_attributes: bytes  # 8
    td_attributes: int  # 64 bits
    xfam: int  # 64 bits
    mrtd: bytes  # 48
    mrconfigid: bytes  # 48
    mrowner: bytes  # 48
    mrownerconfig: bytes  # 48
    rtmrs: tuple[bytes, bytes, bytes, bytes]  # 48 each
    report_data: bytes  # 64
    tee_tcb_svn_2: bytes | None  # 16; TD 1.5 bodies only
    mrservicetd: bytes | None  # 48; TD 1.5 bodies only

    @property
    def debug(self) -> bool:
        """Whether the host may read the guest's memory (TDATTRIBUTES bit 0)."""
        return bool(self.td_attributes & 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The fields of one quote as they stand: nothing about them is verified."""

    version: int
    body_type: int | None  # None for version 4, which has one kind of body
    qe_vendor: bytes  # 16
    user_data: bytes  # 20
    report: TdReport
    signed: bytes  # header and body
    signature: bytes  # 64
    attestation_key: bytes  # 64
    qe_report: bytes  # 384
    qe_signature: bytes  # 64
    qe_auth_data: bytes
    pck_chain: bytes  # PEM, leaf first
    trailing: bytes  # behind the quote; nothing signs it


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    def take(self, size: int, field: str) -> bytes:
        start, end = self.offset, self.offset + size
        if end > len(self.data):
            raise MalformedError(
                _WHAT, f"{field} needs {size} bytes, {len(self.data) - start} are left", offset=start
            )
        self.offset = end
        return self.data[start:end]

    def number(self, size: int, field: str) -> int:
        return int.from_bytes(self.take(size, field), "little")

    def want(self, size: int, field: str, *accepted: int) -> int:
        start = self.offset
        value = self.number(size, field)
        if value not in accepted:
            wanted = " or ".join(map(str, accepted))
            raise MalformedError(_WHAT, f"{field} is {value}, want {wanted}", offset=start)
        return value

    def ends(self, end: int, field: str) -> None:
        if self.offset != end:
            raise MalformedError(
                _WHAT, f"{field} ends at byte {end}, its content at {self.offset}", offset=self.offset
            )


def parse(data: bytes) -> Quote:
    """Read a quote. Raises: MalformedError."""
    if len(data) > MAX_QUOTE_SIZE:
        raise MalformedError(_WHAT, f"is {len(data)} bytes, want at most {MAX_QUOTE_SIZE}")
    reader = _Reader(data)
    version = reader.want(2, "version", *sorted(VERSIONS))
    reader.want(2, "attestation key type", _ECDSA_P256)
    reader.want(4, "TEE type", _TDX)
    reader.take(4, "reserved")
    vendor, user_data = reader.take(16, "QE vendor id"), reader.take(20, "user data")
    body_type = None
    size = TD10_BYTES
    if version == 5:
        body_type = reader.want(2, "body type", *_BODY_TYPES)
        size = reader.want(4, "body size", _BODY_TYPES[body_type])
    report = _report(reader.take(size, "TD report"))
    signed = data[: reader.offset]
    length = reader.number(4, "signature data length")
    end = reader.offset + length
    if end > len(data):
        raise MalformedError(
            _WHAT,
            f"signature data length is {length}, {len(data) - reader.offset} bytes are left",
            offset=reader.offset - 4,
        )
    inner = _Reader(data[:end])
    inner.offset = reader.offset
    return _signature_data(inner, version, body_type, vendor, user_data, report, signed, data[end:])


def _signature_data(
    reader: _Reader,
    version: int,
    body_type: int | None,
    vendor: bytes,
    user_data: bytes,
    report: TdReport,
    signed: bytes,
    trailing: bytes,
) -> Quote:
    """ECDSA 256-bit quote signature data, A.3.8: the QE's report inside, and the PCK chain inside that."""
    signature = reader.take(SIGNATURE_BYTES, "quote signature")
    key = reader.take(KEY_BYTES, "attestation key")
    reader.want(2, "certification data type", _QE_REPORT_DATA)
    size = reader.number(4, "certification data size")
    reader.ends(len(reader.data) - size, "certification data")
    qe_report = reader.take(QE_REPORT_BYTES, "QE report")
    qe_signature = reader.take(SIGNATURE_BYTES, "QE report signature")
    auth_data = reader.take(reader.number(2, "QE authentication data size"), "QE authentication data")
    reader.want(2, "QE certification data type", _PCK_CHAIN)
    chain = reader.take(reader.number(4, "PCK certificate chain size"), "PCK certificate chain")
    reader.ends(len(reader.data), "signature data")
    return Quote(
        version=version,
        body_type=body_type,
        qe_vendor=vendor,
        user_data=user_data,
        report=report,
        signed=signed,
        signature=signature,
        attestation_key=key,
        qe_report=qe_report,
        qe_signature=qe_signature,
        qe_auth_data=auth_data,
        pck_chain=chain,
        trailing=trailing,
    )


def _report(data: bytes) -> TdReport:
    newer = len(data) == TD15_BYTES
    return TdReport(
        tee_tcb_svn=data[0:16],
        mrseam=data[16:64],
        mrsignerseam=data[64:112],
        seam_attributes=data[112:120],
        td_attributes=int.from_bytes(data[120:128], "little"),
        xfam=int.from_bytes(data[128:136], "little"),
        mrtd=data[136:184],
        mrconfigid=data[184:232],
        mrowner=data[232:280],
        mrownerconfig=data[280:328],
        rtmrs=(data[328:376], data[376:424], data[424:472], data[472:520]),
        report_data=data[520:584],
        tee_tcb_svn_2=data[584:600] if newer else None,
        mrservicetd=data[600:648] if newer else None,
    )


def attestation_key(quote: Quote) -> ec.EllipticCurvePublicKey | None:
    """Return the quote's key; None if the bytes are no point of P-256."""
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + quote.attestation_key)
    except ValueError:
        return None


def verifies(key: object, signature: bytes, message: bytes) -> bool:
    """Tell whether a P-256 key made this signature (R ‖ S, 32 bytes each) with SHA-256; others did not."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key.verify(encode_dss_signature(r, s), message, _ECDSA)
    except InvalidSignature:
        return False
    return True
