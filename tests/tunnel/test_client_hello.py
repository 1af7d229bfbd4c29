"""Reading real ClientHellos in every split, and refusing what is none."""

from __future__ import annotations

import ssl
import struct
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.errors import MalformedError
from runtime.tunnel.client_hello import ClientHello, HelloReader, NotTls, Reading, alert

MOST = 16384


def openssl_hello(name: str | None, *alpn: str, maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.maximum_version = maximum
    if alpn:
        context.set_alpn_protocols(list(alpn))
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


REAL = openssl_hello("shop.example", "h2", "http/1.1")


def read(pieces: list[bytes], most: int = MOST) -> Reading:
    reader = HelloReader(max_bytes=most)
    for piece in pieces:
        reading = reader.feed(piece)
        if reading is not None:
            return reading
    return None


def outcome(pieces: list[bytes]) -> object:
    try:
        reading = read(pieces)
    except MalformedError as error:
        return type(error)
    return (reading.sni, reading.alpn, reading.ech) if isinstance(reading, ClientHello) else type(reading)


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack(">H", kind) + vector(2, data)


def sni(name: bytes) -> bytes:
    return extension(0, vector(2, b"\0" + vector(2, name)))


def message(extensions: bytes | None, *, version: bytes = b"\3\3", ciphers: bytes = b"\x13\x01") -> bytes:
    body = version + bytes(32) + vector(1, b"") + vector(2, ciphers) + vector(1, b"\0")
    if extensions is not None:
        body += vector(2, extensions)
    return b"\1" + vector(3, body)


def records(data: bytes, size: int = 16384) -> bytes:
    return b"".join(b"\x16\3\1" + vector(2, data[at : at + size]) for at in range(0, len(data), size))


def hello(extensions: bytes | None) -> bytes:
    return records(message(extensions))


def test_what_openssl_sends() -> None:
    assert read([REAL]) == ClientHello(sni="shop.example", alpn=(b"h2", b"http/1.1"), ech=False, raw=REAL)
    bare = openssl_hello(None, maximum=ssl.TLSVersion.TLSv1_2)
    assert read([bare]) == ClientHello(sni=None, alpn=(), ech=False, raw=bare)


def test_one_byte_per_segment_and_one_byte_per_record() -> None:
    assert outcome([bytes((byte,)) for byte in REAL]) == ("shop.example", (b"h2", b"http/1.1"), False)
    tiny = records(REAL[5:], 1)
    reading = read([bytes((byte,)) for byte in tiny])
    assert isinstance(reading, ClientHello)
    assert (reading.sni, reading.raw) == ("shop.example", tiny)


def test_bytes_behind_the_hello_are_kept_untouched() -> None:
    reading = read([REAL + b"\x17\3\3\0\5early"])
    assert isinstance(reading, ClientHello)
    assert reading.raw == REAL + b"\x17\3\3\0\5early"


@given(st.lists(st.integers(0, len(REAL)), max_size=10), st.integers(1, 300))
def test_same_reading_however_split(cuts: list[int], size: int) -> None:
    data = records(REAL[5:], size)
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    assert outcome(pieces) == ("shop.example", (b"h2", b"http/1.1"), False)


@given(st.integers(0, len(REAL) - 1), st.integers(1, 255))
def test_a_changed_byte_is_read_or_refused(position: int, mask: int) -> None:
    changed = bytearray(REAL)
    changed[position] ^= mask
    assert outcome([bytes(changed)]) == outcome([bytes((byte,)) for byte in changed])


@given(st.binary(max_size=300))
@example(b"\x16")
def test_anything_is_read_or_refused(data: bytes) -> None:
    outcome([data])
    outcome([b"\x16\x03\x01" + data])
    outcome([records(b"\x01\0" + data) if data else b""])
    outcome([hello(data)])
    outcome([hello(extension(0, data) + extension(16, data))])


GREASE_ALPN = extension(16, vector(2, b"\2\x0a\x0a\2h2"))
GREASE = extension(0x0A0A, b"") + extension(0x1A1A, b"\0")


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (hello(GREASE + sni(b"A.Example") + GREASE_ALPN), ("a.example", (b"\x0a\x0a", b"h2"), False)),
        (hello(sni(b"outer.example") + extension(0xFE0D, b"\0" * 40)), ("outer.example", (), True)),
        (hello(None), (None, (), False)),
        (hello(b""), (None, (), False)),
        (hello(sni(b"xn--bcher-kva.example")), ("xn--bcher-kva.example", (), False)),
        (hello(sni(b"_acme.a_b.example")), ("_acme.a_b.example", (), False)),
        (b"", type(None)),
        (REAL[:-1], type(None)),
        (b"\x80\x2e", type(None)),
        (b"GET / HTTP/1.1\r\n", NotTls),
        (b"ssh", NotTls),
    ],
)  # fmt: skip
def test_legal_forms(data: bytes, want: object) -> None:
    assert outcome([data]) == want


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x2e\x01\x03\x01",  # SSLv2
        b"\x80\x2e\x02",
        b"\x16\3\1\0\1\1\x17",  # another record type inside the hello
        b"\x00",
        b"\x17\3\3\0\1x",
        b"\x16\2\0",
        b"\x16\3\1\0\0",  # empty record
        b"\x16\3\1\x40\x01",  # record above 16 KiB
        records(b"\x02\0\0\0"),  # a ServerHello
        records(message(None) + b"\0"),  # something behind it
        records(message(None, version=b"\2\0")),
        records(message(None, ciphers=b"")),
        records(message(None, ciphers=b"\0\1\2")),
        records(b"\1\0\x50\0" + bytes(100)),  # claims 20 KiB
        records(message(None))[:20] + b"",  # completed below by another record type
        hello(sni(b"a.example") * 2),
        hello(sni(b"")),
        hello(sni(b"192.0.2.1")),
        hello(sni(b"[::1]")),
        hello(sni(b"a..example")),
        hello(sni(b"-a.example")),
        hello(sni(b"a.example.")),
        hello(sni(b"a\0.example")),
        hello(sni("bücher.example".encode())),
        hello(sni(b"a" * 64)),
        hello(sni(b".".join([b"a" * 60] * 5))),
        hello(extension(0, vector(2, b"\1" + vector(2, b"a.example")))),
        hello(extension(0, vector(2, (b"\0" + vector(2, b"a.example")) * 2))),
        hello(extension(0, vector(2, b"\0" + vector(2, b"a.example")) + b"x")),
        hello(extension(16, vector(2, b"\0"))),
        hello(extension(16, vector(2, b"\2h2") + b"x")),
        hello(extension(16, vector(2, b"\3h2"))),
        records(message(b"") [:1] + vector(3, message(b"")[4:] + b"x")),
        hello(b"".join(extension(kind, b"") for kind in range(100, 230))),
    ],
)  # fmt: skip
def test_illegal_forms(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read([data, b"\x17" * 40])


def test_the_bound_holds_however_it_comes() -> None:
    for piece in (bytes(1), bytes(1000), bytes(16000)):
        endless = records(b"\1\0\x3f\xff" + bytes(16379), len(piece))
        with pytest.raises(MalformedError):
            read([endless[at : at + 1400] for at in range(0, len(endless) + 1, 1400)])


def test_a_hello_of_exactly_the_bound_is_read() -> None:
    padding = 2000 - len(hello(sni(b"a.example") + extension(21, b"")))
    data = hello(sni(b"a.example") + extension(21, bytes(padding)))
    assert len(data) == 2000
    assert isinstance(read([data], most=2000), ClientHello)
    with pytest.raises(MalformedError):
        read([data], most=1999)


def test_openssl_understands_our_alert() -> None:
    incoming = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls = context.wrap_bio(incoming, ssl.MemoryBIO(), server_hostname="a.example")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    incoming.write(alert(112))
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        tls.do_handshake()


def test_nothing_is_no_reason_to_decide() -> None:
    reader = HelloReader(max_bytes=MOST)
    assert reader.feed(b"") is None
    assert isinstance(reader.feed(openssl_hello("a.example")), ClientHello)


def test_a_record_that_begins_behind_the_bound_is_refused_at_its_first_byte() -> None:
    reader = HelloReader(max_bytes=2000)
    full = records(b"\1\0\x07\xcf" + bytes(1991))
    assert len(full) == 2000
    assert reader.feed(full) is None
    with pytest.raises(MalformedError, match="longer than 2000"):
        reader.feed(b"\x16")
