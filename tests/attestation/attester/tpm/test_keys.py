"""Templates as they lie in NV indices, and public areas that are no keys (a real TPM: test_commands.py)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.attester.tpm import keys
from runtime.attestation.attester.tpm.wire import sized
from runtime.errors import MalformedError

EK = keys.EK_RSA[:-256]  # its modulus is the last field


@pytest.mark.parametrize("template", [keys.AK_ECC, keys.AK_RSA, keys.EK_RSA], ids=["ecc", "rsa", "ek"])
def test_a_template_is_read_whole_and_zeros_behind_it_are_cut(template: bytes) -> None:
    assert keys.template_in_nv(template) == template
    assert keys.template_in_nv(template + bytes(100)) == template


@pytest.mark.parametrize(
    "data",
    [b"", keys.AK_ECC[:-1], keys.AK_ECC + b"\1", b"\x00\x08" + keys.AK_ECC[2:], b"\xff" * 100],
    ids=["empty", "short", "more behind", "another type", "ones"],
)
def test_what_is_no_template_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        keys.template_in_nv(data)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_template_or_our_error(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        keys.template_in_nv(data)
    with contextlib.suppress(MalformedError):
        keys.rsa_of(data)


def test_an_rsa_key_is_found_in_its_public_area() -> None:
    modulus = (1 << 2047) + 1
    found = keys.rsa_of(sized(EK + modulus.to_bytes(256, "big"))).public_numbers()
    assert (found.n, found.e) == (modulus, 65537)


@pytest.mark.parametrize(
    "public",
    [sized(keys.AK_ECC), sized(keys.EK_RSA), sized(EK + bytes(255)), sized(EK + bytes([255]) * 256 + b"\0")],
    ids=["ecc", "no modulus", "short", "trailing"],
)
def test_what_is_no_rsa_key_is_malformed(public: bytes) -> None:
    with pytest.raises(MalformedError):
        keys.rsa_of(public)
