"""Key usages flag by flag: what no certificate of a vendor's shape would say. Pure."""

from __future__ import annotations

from cryptography import x509

FLAGS = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def usage(*said: str) -> x509.KeyUsage:
    """Return a key usage with these flags and no other."""
    return x509.KeyUsage(**{name: name in said for name in FLAGS})
