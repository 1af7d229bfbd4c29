"""Keys reach OpenSSL through memory, and what does not fit is said."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from runtime.channel.boot_key import BootKey
from runtime.errors import UsageError
from runtime.memory_chain import load_chain

KEY = BootKey.create("a.test", 1_800_000_000)
OTHER = BootKey.create("b.test", 1_800_000_000)


def context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def test_a_pair_loads_and_leaves_no_descriptor() -> None:
    before = {path.name for path in Path("/proc/self/fd").iterdir()}
    load_chain(context(), KEY.certificate_pem.encode(), KEY.key_pem.encode())
    assert {path.name for path in Path("/proc/self/fd").iterdir()} == before


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        (KEY.certificate_pem, OTHER.key_pem),
        (KEY.certificate_pem, ""),
        ("", KEY.key_pem),
        (KEY.certificate_pem[:200], KEY.key_pem),
        ("rubbish", "rubbish"),
    ],
)
def test_what_does_not_load_or_fit_is_our_error(certificate: str, key: str) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(UsageError, match="do not load or do not fit"):
        load_chain(context(), certificate.encode(), key.encode())
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_encrypted_key_is_refused_instead_of_asking_for_its_password() -> None:
    encrypted = KEY.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    with pytest.raises(UsageError, match="do not load"):
        load_chain(context(), KEY.certificate_pem.encode(), encrypted)
