"""What an owner signs, and whose signature counts."""

from __future__ import annotations

import pytest

from runtime.channel import owner_proof
from runtime.documents import dsse
from runtime.errors import MalformedError, PeerError
from tests.web.owner import KEY, MALLORY, PUBLIC

BINDER = bytes(range(64))
OTHER = MALLORY.public_key().public_bytes_raw()


def test_the_message_is_the_prefix_and_the_binder() -> None:
    assert owner_proof.message(BINDER) == b"tunnel-owner-v1\x00" + BINDER
    for size in (0, 32, 63, 65):
        with pytest.raises(MalformedError, match=f"is {size} bytes, want 64"):
            owner_proof.message(bytes(size))


def test_any_of_the_settings_keys_counts_and_says_which() -> None:
    signature = KEY.sign(owner_proof.message(BINDER))
    assert owner_proof.check(signature, BINDER, (PUBLIC,)) == PUBLIC
    assert owner_proof.check(signature, BINDER, (OTHER, PUBLIC)) == PUBLIC


@pytest.mark.parametrize(
    "signature",
    [
        MALLORY.sign(owner_proof.message(BINDER)),
        KEY.sign(BINDER),  # without the prefix: what something else might be made to sign
        KEY.sign(b"tunnel-owner-v2\0" + BINDER),
        KEY.sign(owner_proof.message(BINDER[::-1])),
        KEY.sign(dsse.pae(dsse.FLEET_TYPE, BINDER)),
        b"",
        bytes(64),
        bytes(63),
    ],
)
def test_nothing_else_does(signature: bytes) -> None:
    with pytest.raises(PeerError, match="owner_refused"):
        owner_proof.check(signature, BINDER, (PUBLIC,))


def test_no_key_and_a_key_that_is_none_accept_nobody() -> None:
    signature = KEY.sign(owner_proof.message(BINDER))
    for keys in ((), (b"",), (bytes(32),), (b"\xff" * 32,)):
        with pytest.raises(PeerError, match="owner_refused"):
            owner_proof.check(signature, BINDER, keys)


def test_one_flipped_bit_of_the_signature_refuses() -> None:
    signature = KEY.sign(owner_proof.message(BINDER))
    for position in range(0, 64, 7):
        changed = bytearray(signature)
        changed[position] ^= 1
        with pytest.raises(PeerError, match="owner_refused"):
            owner_proof.check(bytes(changed), BINDER, (PUBLIC,))


def test_a_documents_signature_is_no_owners_and_an_owners_no_documents() -> None:
    assert not owner_proof.message(BINDER).startswith(b"DSSEv1")
    assert not dsse.pae(dsse.FLEET_TYPE, BINDER).startswith(owner_proof.PREFIX)
