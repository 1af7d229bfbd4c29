"""The hello's bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.formats import FORMATS
from runtime.channel import hello
from runtime.channel.hello import Format, Hello, Side
from runtime.errors import MalformedError

HELLOS = st.builds(
    Hello,
    side=st.sampled_from(Side),
    epoch=st.integers(0, 2**32 - 1),
    nonce=st.binary(min_size=32, max_size=32),
    time=st.integers(0, 2**64 - 1),
    document_version=st.integers(0, 2**64 - 1),
    document_digest=st.binary(min_size=32, max_size=32),
    settings_digest=st.binary(min_size=32, max_size=32),
    formats=st.just((Format.SEV_SNP,)),
)


@given(HELLOS)
def test_round_trip(one: Hello) -> None:
    raw = hello.encode(one)
    assert hello.decode(raw) == one
    assert len(raw) == 123


@given(st.binary(max_size=200))
def test_any_bytes_are_a_hello_or_our_error(data: bytes) -> None:
    try:
        decoded = hello.decode(data)
    except MalformedError:
        return
    assert decoded.side in Side


def layout(**at: bytes) -> bytes:
    raw = bytearray(
        b"CTH1" + b"\x01" + bytes(4) + b"n" * 32 + bytes(16) + b"d" * 32 + b"s" * 32 + b"\x01\x01"
    )
    for offset, value in at.items():
        start = int(offset[1:])
        raw[start : start + len(value)] = value
    return bytes(raw)


def test_the_documented_offsets() -> None:
    one = hello.decode(layout(_5=b"\0\0\0\x02", _41=(7).to_bytes(8, "big"), _49=(9).to_bytes(8, "big")))
    assert (one.side, one.epoch, one.time, one.document_version) == (Side.CLIENT, 2, 7, 9)
    assert (one.nonce, one.document_digest, one.settings_digest) == (b"n" * 32, b"d" * 32, b"s" * 32)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is 0 bytes"),
        (layout(_0=b"CTH2"), "starts with"),
        (layout(_4=b"\x04"), "role is 4"),
        (layout(_121=b"\x00"), "has 0 evidence formats"),
        (layout(_121=b"\x11"), "has 17 evidence formats"),
        (layout() + b"\0", "is 124 bytes, want 123"),
        (layout()[:-1], "is 122 bytes, want 123"),
    ],
)
def test_what_is_wrong_is_said(raw: bytes, words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        hello.decode(raw)


def test_a_newer_peers_formats_are_skipped() -> None:
    raw = bytearray(layout())
    raw[121:] = b"\x03\x63\x01\xfe"
    assert hello.decode(bytes(raw)).formats == (Format.SEV_SNP,)


def test_sides_are_each_others_other() -> None:
    assert (Side.CLIENT.other, Side.SERVER.other) == (Side.SERVER, Side.CLIENT)


def test_formats_are_those_of_the_verifier() -> None:
    assert {kind.name.lower().replace("_", "-"): kind.value for kind in Format} == {
        name: known.code for name, known in FORMATS.items()
    }


def test_sides_in_a_sentence() -> None:
    assert [side.article for side in Side] == ["a client", "a server", "an owner"]
