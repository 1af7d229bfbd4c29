"""Where the parts of a certificate lie in its DER: cut out, not written anew. Pure.

For certificates that `cryptography` has read and encoded again, so that every length is right and DER. Asked
for a name, it would build an object of every part of it and encode those, in ten times the time.
"""

from __future__ import annotations

_EXPLICIT_0 = 0xA0  # the tag of a version: RFC 5280, section 4.1


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


def _inside(der: bytes, at: int) -> int:
    """Return where the content of the element at `at` begins."""
    size = der[at + 1]
    return at + 2 + (size & 0x7F if size & 0x80 else 0)


def _behind(der: bytes, at: int) -> int:
    """Return where the element at `at` ends."""
    start = _inside(der, at)
    return start + (int.from_bytes(der[at + 2 : start], "big") if der[at + 1] & 0x80 else der[at + 1])
