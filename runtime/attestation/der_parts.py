"""Where the parts of a certificate or revocation list lie in its DER: cut out, not written anew. Pure.

For what `cryptography` has loaded before, so that every element is where it belongs and every length is right
and DER. Two things are looked at here all the same: the frame around what is signed, which no signature
covers and which has one spelling; and what a name's values are, which it reads only when it is asked for
them. Asked for a name or for what is signed, it would build an object of every part and encode those, in two
to ten times the time.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from functools import lru_cache

_PEM, _PEM_END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"  # RFC 7468, section 5.1
_EXPLICIT_0 = 0xA0  # the tag of a version: RFC 5280, section 4.1
_INTEGER, _BIT_STRING, _SEQUENCE = 0x02, 0x03, 0x30
_TEXTS = {0x0C: "utf-8", 0x13: "ascii", 0x16: "ascii"}  # UTF8String, PrintableString, IA5String


def in_der(data: bytes) -> bytes:
    """Return what one PEM block of a certificate holds, and anything else as it is. Raises: ValueError."""
    text = data.strip()
    if not text.startswith(_PEM):
        return data
    if text.count(_PEM) != 1 or not text.endswith(_PEM_END):
        message = "is not one PEM block and nothing else"
        raise ValueError(message)
    inner = text[len(_PEM) : -len(_PEM_END)].translate(None, b"\r\n")
    der = binascii.a2b_base64(inner)
    if binascii.b2a_base64(der, newline=False) != inner:
        message = "is not in base64's one spelling (RFC 4648, sections 3.5 and 4)"
        raise ValueError(message)
    return der


@dataclass(frozen=True, slots=True)
class Parts:
    """What a certificate is made of (RFC 5280, section 4.1), but for what `cryptography` is asked for."""

    tbs: bytes
    serial: int
    algorithm: bytes  # AlgorithmIdentifier: the same inside of what is signed and behind it
    issuer: bytes
    subject: bytes
    signature: bytes


def parts(der: bytes) -> Parts:
    """Cut up a certificate that was read. Raises: ValueError for another spelling of the frame."""
    start, _ = _content(der, 0)
    at, tbs_end = _content(der, start)
    if der[at] == _EXPLICIT_0:  # version
        at = _behind(der, at)
    serial_at, serial_end = _content(der, at)
    issuer_at = _behind(der, serial_end)
    issuer_end = _behind(der, issuer_at)
    subject_at = _behind(der, issuer_end)  # behind the validity
    tbs, algorithm = der[start:tbs_end], der[serial_end:issuer_at]
    return Parts(
        tbs,
        int.from_bytes(der[serial_at:serial_end], "big", signed=True),
        algorithm,
        der[issuer_at:issuer_end],
        der[subject_at : _behind(der, subject_at)],
        _signature(der, tbs, algorithm),
    )


def list_parts(der: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the signed part, algorithm, issuer and signature of a revocation list that was read.

    RFC 5280, section 5.1. Raises: ValueError as `parts` does.
    """
    start, _ = _content(der, 0)
    at, tbs_end = _content(der, start)
    if der[at] == _INTEGER:  # version
        at = _behind(der, at)
    issuer_at = _behind(der, at)
    tbs, algorithm = der[start:tbs_end], der[at:issuer_at]
    return tbs, algorithm, der[issuer_at : _behind(der, issuer_at)], _signature(der, tbs, algorithm)


def _signature(der: bytes, tbs: bytes, algorithm: bytes) -> bytes:
    """Return the signature behind what it signs; the frame around both has one spelling."""
    frame = _content(der, 0)[0] + len(tbs)
    at = frame + len(algorithm)
    # The two algorithms are compared before the outer one is stepped over by the inner one's length.
    signature = der[_content(der, at)[0] + 1 :] if der[frame:at] == algorithm else b""
    if der != _element(_SEQUENCE, tbs + algorithm + _element(_BIT_STRING, b"\0" + signature)):
        message = "is not in DER, or names another algorithm inside of what is signed than behind it"
        raise ValueError(message)
    return signature


def _element(tag: int, content: bytes) -> bytes:
    """Return an element of at most 65535 bytes: what `cryptography` is given here is shorter."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes(1 if size < 0x100 else 2, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def attributes(name: bytes) -> list[tuple[str, str]]:
    """Return what a name that was read says: dotted OID and text (RFC 5280, section 4.1.2.4).

    Raises: ValueError for text that is none, and for a value of a kind that no vendor uses.
    """
    found: list[tuple[str, str]] = []
    at, end = _content(name, 0)
    while at < end:
        pair_at, at = _content(name, at)  # a set, of one pair as a rule
        while pair_at < at:
            oid_tag_at, pair_at = _content(name, pair_at)
            oid_at, oid_end = _content(name, oid_tag_at)
            value_at, _ = _content(name, oid_end)
            coding = _TEXTS.get(name[oid_end])
            if coding is None:
                raise ValueError(f"a name has a value of the kind {name[oid_end]:#04x}")
            found.append((dotted(name[oid_at:oid_end]), name[value_at:pair_at].decode(coding)))
    return found


def algorithm_name(algorithm: bytes) -> str:
    """Return the dotted OID of an AlgorithmIdentifier that was read."""
    start, end = _content(algorithm, _content(algorithm, 0)[0])
    return dotted(algorithm[start:end])


@lru_cache(maxsize=64)
def dotted(oid: bytes) -> str:
    """Return the usual spelling of an object identifier (X.690, section 8.19)."""
    numbers, number = list[int](), 0
    for byte in oid:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _content(der: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the element at `at` begins and ends."""
    size = der[at + 1]
    if size < 0x80:
        return at + 2, at + 2 + size
    start = at + 2 + (size & 0x7F)
    return start, start + int.from_bytes(der[at + 2 : start], "big")


def _behind(der: bytes, at: int) -> int:
    """Return where the element at `at` ends."""
    return _content(der, at)[1]
