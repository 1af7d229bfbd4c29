"""Ending a visitor's TLS between two fakes: half-close, truncation, credit, alerts. No loop, no socket."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

import pytest

from runtime.errors import UsageError
from runtime.limits import Limits
from runtime.tunnel.frames import Chunk, ResetCode
from runtime.tunnel.stream import Far, StreamSink
from runtime.tunnel.tls_end import TlsEnd, visitor_context
from tests.tunnel.memory import Loop
from tests.tunnel.rig import certificate

KIB = 1024


class FakeStream:
    """The data connection's side: what the visitor gets, and what it is told."""

    def __init__(self) -> None:
        self.to_visitor = bytearray()
        self.said: list[str] = []
        self.given_back = 0

    def write(self, data: Chunk) -> None:
        assert "end" not in self.said
        self.to_visitor += data

    def end(self) -> None:
        self.said.append("end")

    def reset(self, code: ResetCode) -> None:
        self.said.append(code.name)

    def consumed(self, size: int) -> None:
        self.given_back += size


class FakeOrigin:
    """The origin's socket."""

    def __init__(self, far: Far) -> None:
        self.far = far
        self.got = bytearray()
        self.said: list[str] = []
        self.hold = False

    def data(self, chunk: Chunk) -> None:
        self.got += chunk
        if not self.hold:
            self.far.consumed(len(chunk))

    def end(self) -> None:
        self.said.append("end")

    def reset(self, code: ResetCode) -> None:
        self.said.append(code.name)

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")


class Bench:
    """A visitor's real TLS against a `TlsEnd`, byte by byte under the test's control."""

    def __init__(self, protocols: tuple[str, ...] = ("http/1.1",), **options: object) -> None:
        self.loop = Loop()
        self.stream = FakeStream()
        self.origins: list[FakeOrigin] = []
        self.protocols: list[str | None] = []
        own = certificate()
        self.end = TlsEnd(
            context=visitor_context(own.pem, own.key, protocols),
            stream=self.stream,
            loop=cast("asyncio.AbstractEventLoop", self.loop),
            limits=Limits(),
            on_secured=self.secured,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        for name, value in options.items():
            if name == "alpn":
                context.set_alpn_protocols(cast("list[str]", value))
            else:
                setattr(context, name, value)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.visitor = context.wrap_bio(self.incoming, self.outgoing, server_hostname="shop.example")
        self.sent = 0

    def secured(self, far: Far, protocol: str | None) -> StreamSink:
        self.protocols.append(protocol)
        self.origins.append(FakeOrigin(far))
        return self.origins[0]

    @property
    def origin(self) -> FakeOrigin:
        return self.origins[0]

    def carry(self) -> None:
        data = self.outgoing.read()
        if data:
            self.sent += len(data)
            self.end.data(data)
        self.incoming.write(bytes(self.stream.to_visitor))
        self.stream.to_visitor.clear()

    def handshake(self) -> None:
        for _ in range(5):
            try:
                self.visitor.do_handshake()
            except ssl.SSLWantReadError:
                self.carry()
            else:
                self.carry()
                return

    def read(self) -> bytes:
        got = b""
        while True:
            try:
                piece = self.visitor.read(65536)
            except ssl.SSLWantReadError:
                return got
            except ssl.SSLZeroReturnError:
                return got + b"<end>"
            if not piece:
                return got + b"<end>"
            got += piece


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def bench(request: pytest.FixtureRequest) -> Bench:
    made = Bench(maximum_version=request.param, alpn=["h2", "http/1.1"])
    assert made.origins == []
    made.handshake()
    return made


def test_bytes_both_ways_and_the_origin_is_asked_only_after_the_handshake(bench: Bench) -> None:
    assert bench.visitor.selected_alpn_protocol() == "http/1.1"
    bench.visitor.write(b"question")
    bench.carry()
    assert bench.origin.got == b"question"
    bench.origin.far.write(b"answer" * 50000)
    bench.carry()
    assert bench.read() == b"answer" * 50000
    assert bench.stream.given_back == bench.sent


def test_one_byte_at_a_time(bench: Bench) -> None:
    bench.visitor.write(b"slowly")
    for byte in bench.outgoing.read():
        bench.end.data(bytes((byte,)))
    assert bench.origin.got == b"slowly"


def test_the_visitors_close_notify_is_half_close(bench: Bench) -> None:
    bench.visitor.write(b"question")
    with pytest.raises(ssl.SSLWantReadError):
        bench.visitor.unwrap()
    bench.carry()
    bench.end.end()
    assert bench.origin.got == b"question"
    assert bench.origin.said == ["end"]
    bench.origin.far.write(b"answer")
    bench.carry()
    assert bench.read() == b"answer"
    bench.origin.far.end()
    bench.carry()
    assert bench.read() == b"<end>"
    assert bench.stream.said == ["end"]


def test_the_origins_end_is_close_notify_and_the_visitor_may_go_on(bench: Bench) -> None:
    bench.origin.far.write(b"answer")
    bench.origin.far.end()
    assert bench.stream.said == ["end"]
    bench.carry()
    assert bench.read() == b"answer<end>"
    bench.visitor.write(b"more")
    bench.carry()
    assert bench.origin.got == b"more"
    assert bench.origin.said == []
    bench.visitor.unwrap()
    bench.carry()
    assert bench.origin.said == ["end"]


def test_an_end_without_close_notify_is_a_truncation(bench: Bench) -> None:
    bench.visitor.write(b"half a ques")
    bench.carry()
    bench.end.end()
    assert bench.origin.said == ["VISITOR_LOST"]
    assert bench.stream.said == ["VISITOR_LOST"]


def test_a_lost_origin_cuts_without_close_notify(bench: Bench) -> None:
    bench.origin.far.reset(ResetCode.ORIGIN_LOST)
    assert bench.stream.said == ["ORIGIN_LOST"]
    assert bench.stream.to_visitor == b""
    bench.end.data(b"late")
    bench.end.end()
    bench.origin.far.write(b"late")
    bench.origin.far.end()
    bench.origin.far.reset(ResetCode.ORIGIN_LOST)
    assert bench.stream.said == ["ORIGIN_LOST"]


def test_a_reset_stream_resets_the_origin(bench: Bench) -> None:
    bench.end.reset(ResetCode.VISITOR_LOST)
    assert bench.origin.said == ["VISITOR_LOST"]


def test_credit_comes_back_when_the_origin_has_consumed(bench: Bench) -> None:
    before = bench.stream.given_back
    bench.origin.hold = True
    bench.visitor.write(bytes(100 * KIB))
    bench.carry()
    assert len(bench.origin.got) == 100 * KIB
    assert bench.stream.given_back == before
    bench.origin.far.consumed(100 * KIB - 1)
    assert bench.stream.given_back == before
    bench.origin.far.consumed(1)
    assert bench.stream.given_back == bench.sent


def test_pause_and_resume_go_through(bench: Bench) -> None:
    bench.end.pause()
    bench.end.resume()
    assert bench.origin.said == ["pause", "resume"]


def test_a_pause_during_the_handshake_is_kept() -> None:
    bench = Bench()
    bench.end.pause()
    bench.handshake()
    assert bench.origin.said == ["pause"]


def test_bytes_behind_a_close_notify_are_dropped_not_kept(bench: Bench) -> None:
    with pytest.raises(ssl.SSLWantReadError):
        bench.visitor.unwrap()
    bench.carry()
    before = bench.stream.given_back
    bench.end.data(bytes(50000))
    assert bench.stream.given_back == before + 50000
    assert bench.end._incoming.pending == 0


def test_a_changed_byte_is_a_fatal_alert(bench: Bench) -> None:
    bench.visitor.write(b"question")
    changed = bytearray(bench.outgoing.read())
    changed[-1] ^= 1
    bench.end.data(bytes(changed))
    assert bench.origin.said == ["HANDSHAKE"]
    assert bench.origin.got == b""
    assert bench.stream.said == ["end"]
    assert bench.stream.to_visitor != b""


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", bytes(100)]
)
def test_a_broken_handshake_ends_with_an_alert_and_never_asks_the_origin(data: bytes) -> None:
    bench = Bench()
    bench.end.data(data)
    assert bench.origins == []
    assert bench.stream.said == ["end"]


def test_no_common_protocol_is_refused_or_falls_back_to_none() -> None:
    bench = Bench(alpn=["h2"])
    bench.handshake()
    assert bench.visitor.selected_alpn_protocol() is None


@pytest.mark.parametrize(
    ("offered", "got"),
    [
        (["h2", "http/1.1"], "h2"),
        (["http/1.1", "h2"], "h2"),
        (["http/1.1"], "http/1.1"),
        (["h3"], None),
        ([], None),
    ],
)
def test_where_http_2_is_on_offer_the_origin_side_learns_what_was_agreed(
    offered: list[str], got: str | None
) -> None:
    options = {"alpn": offered} if offered else {}
    bench = Bench(protocols=("h2", "http/1.1"), **options)
    bench.handshake()
    assert bench.visitor.selected_alpn_protocol() == got
    assert bench.protocols == [got]


def test_tls_11_is_not_spoken() -> None:
    own = certificate()
    assert visitor_context(own.pem, own.key).minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_slow_handshake_is_cut() -> None:
    bench = Bench()
    bench.loop.sleep(9)
    assert bench.stream.said == []
    bench.loop.sleep(2)
    assert bench.stream.said == ["TLS_DEADLINE"]


def test_a_done_handshake_is_not_cut(bench: Bench) -> None:
    bench.loop.sleep(100)
    assert bench.stream.said == []


def test_a_key_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError):
        visitor_context(certificate().pem, certificate("other.example").key)
    with pytest.raises(UsageError):
        visitor_context(b"nothing", b"nothing")


def test_answers_do_not_pile_up_for_a_visitor_who_reads_none() -> None:
    bench = Bench()
    bench.handshake()
    bench.end.pause()
    for _ in range(3):  # as after that many KeyUpdates: the standard library cannot send one
        bench.end._outgoing.write(bytes(5000))
        bench.end.data(b"")
    assert bench.stream.said == []
    bench.end.resume()
    bench.end.pause()
    for _ in range(3):
        bench.end._outgoing.write(bytes(5000))
        bench.end.data(b"")
    assert bench.stream.said == []
    bench.end._outgoing.write(bytes(5000))
    bench.end.data(b"")
    assert bench.stream.said == bench.origin.said[-1:] == ["TLS_UNREAD"]
