"""Where the parts of a certificate or revocation list lie in its DER: cut out, not written anew. Pure.

For what `cryptography` has loaded before, so that every element is where it belongs and every length is right
and DER; what a name's values are it reads when it is asked for them, so that is looked at here. Asked for a
name or for what is signed, it would build an object of every part and encode those, in two to ten times the
time.
"""

from __future__ import annotations

from functools import lru_cache

_EXPLICIT_0 = 0xA0  # the tag of a version: RFC 5280, section 4.1
_INTEGER = 0x02
_TEXTS = {0x0C: "utf-8", 0x13: "ascii", 0x16: "ascii"}  # UTF8String, PrintableString, IA5String


def parts(der: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the signed part, issuer and subject of a certificate that was read (RFC 5280, section 4.1)."""
    start = _inside(der, 0)
    tbs_end = _behind(der, start)
    at = _inside(der, start)
    for _ in range(2 + (der[at] == _EXPLICIT_0)):  # version, serial number, algorithm
        at = _behind(der, at)
    issuer_end = _behind(der, at)
    subject_at = _behind(der, issuer_end)  # behind the validity
    return der[start:tbs_end], der[at:issuer_end], der[subject_at : _behind(der, subject_at)]


def list_parts(der: bytes) -> tuple[bytes, bytes]:
    """Return the signed part and the issuer of a revocation list that was read (RFC 5280, section 5.1)."""
    start = _inside(der, 0)
    tbs_end = _behind(der, start)
    at = _inside(der, start)
    for _ in range(1 + (der[at] == _INTEGER)):  # version, algorithm
        at = _behind(der, at)
    return der[start:tbs_end], der[at : _behind(der, at)]


def attributes(name: bytes) -> list[tuple[str, str]]:
    """Return what a name that was read says: dotted OID and text (RFC 5280, section 4.1.2.4).

    Raises: ValueError for text that is none, and for a value of a kind that no vendor uses.
    """
    found: list[tuple[str, str]] = []
    at = _inside(name, 0)
    while at < len(name):
        pair_at, at = _inside(name, at), _behind(name, at)  # a set, of one pair as a rule
        while pair_at < at:
            oid_at, pair_at = _inside(name, pair_at), _behind(name, pair_at)
            value_at = _behind(name, oid_at)
            value = name[_inside(name, value_at) : pair_at]
            coding = _TEXTS.get(name[value_at])
            if coding is None:
                raise ValueError(f"a name has a value of the kind {name[value_at]:#04x}")
            found.append((_dotted(name[_inside(name, oid_at) : value_at]), value.decode(coding)))
    return found


@lru_cache(maxsize=64)
def _dotted(oid: bytes) -> str:
    """Return the usual spelling of an object identifier (X.690, section 8.19)."""
    numbers, number = list[int](), 0
    for byte in oid:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _inside(der: bytes, at: int) -> int:
    """Return where the content of the element at `at` begins."""
    size = der[at + 1]
    return at + 2 + (size & 0x7F if size & 0x80 else 0)


def _behind(der: bytes, at: int) -> int:
    """Return where the element at `at` ends."""
    start = _inside(der, at)
    return start + (int.from_bytes(der[at + 2 : start], "big") if der[at + 1] & 0x80 else der[at + 1])
