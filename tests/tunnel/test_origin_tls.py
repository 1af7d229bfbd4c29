"""TLS to a pinned origin between two fakes: the pin, the protocol, half-close, truncation, credit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from hashlib import sha256
from typing import cast

import pytest

from runtime.limits import Limits
from runtime.memory_chain import load_chain
from runtime.tunnel.frames import Chunk, ResetCode
from runtime.tunnel.origin_tls import OriginTls, Protocol
from tests.tunnel.memory import Loop
from tests.tunnel.rig import certificate

KIB = 1024
PIN = certificate("origin.example").sha256


class Visitor:
    """The plaintext side: the `Far` of the origin."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.said: list[str] = []
        self.given_back = 0

    def write(self, data: Chunk) -> None:
        assert self.said == []
        self.got += data

    def end(self) -> None:
        self.said.append("end")

    def reset(self, code: ResetCode) -> None:
        self.said.append(code.name)

    def consumed(self, size: int) -> None:
        self.given_back += size


class Socket:
    """The origin's socket: keeps what is written until the test lets it through."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.said: list[str] = []

    def data(self, chunk: Chunk) -> None:
        assert self.said in ([], ["pause"])
        self.written += chunk

    def end(self) -> None:
        self.said.append("end")

    def reset(self, code: ResetCode) -> None:
        self.said.append(code.name)

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")


class Bench:
    """An origin's real TLS against an `OriginTls`, byte by byte under the test's control."""

    def __init__(
        self,
        *,
        pins: frozenset[bytes] = frozenset({PIN}),
        protocol: Protocol = "http/1.1",
        speaks: tuple[str, ...] = ("h2", "http/1.1"),
        limits: Limits | None = None,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> None:
        self.loop, self.visitor, self.socket = Loop(), Visitor(), Socket()
        self.names: list[str | None] = []
        own = certificate("origin.example")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load_chain(context, own.pem, own.key)
        context.maximum_version = version
        if speaks:
            context.set_alpn_protocols(list(speaks))
        context.sni_callback = lambda _, name, __: self.names.append(name)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.origin = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.end = OriginTls(
            pins=pins,
            protocol=protocol,
            hostname="shop.example",
            far=self.visitor,
            socket=self.socket,
            loop=cast("asyncio.AbstractEventLoop", self.loop),
            limits=limits or Limits(),
        )

    def carry(self, *, consume: bool = True) -> None:
        data = bytes(self.socket.written)
        self.socket.written.clear()
        self.incoming.write(data)
        if consume and data:
            self.end.socket_side.consumed(len(data))
        answer = self.outgoing.read()
        if answer:
            self.end.socket_side.write(answer)

    def handshake(self) -> None:
        for _ in range(5):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.origin.do_handshake()
            self.carry()

    def read(self) -> bytes:
        got = b""
        while True:
            try:
                piece = self.origin.read(65536)
            except ssl.SSLWantReadError:
                return got
            except ssl.SSLZeroReturnError:
                return got + b"<end>"
            if not piece:
                return got + b"<end>"
            got += piece


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def bench(request: pytest.FixtureRequest) -> Bench:
    made = Bench(version=request.param)
    made.handshake()
    return made


def test_bytes_both_ways_and_the_visitors_name_as_sni(bench: Bench) -> None:
    bench.end.data(b"question")
    bench.carry()
    assert bench.read() == b"question"
    assert bench.names == ["shop.example"]
    assert bench.origin.selected_alpn_protocol() == "http/1.1"
    bench.origin.write(b"answer" * 20000)
    bench.carry()
    assert bench.visitor.got == b"answer" * 20000


def test_what_the_visitor_sends_early_waits_for_the_handshake() -> None:
    bench = Bench()
    bench.end.data(b"ques")
    bench.end.data(b"tion")
    assert b"question" not in bench.socket.written
    assert bench.visitor.given_back == 0
    bench.handshake()
    assert bench.read() == b"question"
    assert bench.visitor.given_back == 8


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_with_another_certificate_not_one_byte_of_the_visitor_leaves(
    version: ssl.TLSVersion, caplog: pytest.LogCaptureFixture
) -> None:
    other = sha256(b"another").digest()
    bench = Bench(pins=frozenset({other}), version=version)
    bench.end.data(b"secret")
    with caplog.at_level(logging.WARNING, "tunnel.origin"):
        bench.handshake()
    assert bench.visitor.said == ["ORIGIN_TLS"]
    assert bench.socket.said == ["ORIGIN_TLS"]
    with pytest.raises(ssl.SSLError):
        bench.origin.read()
    [record] = caplog.records
    detail = record.__dict__["fields"]["detail"]
    assert PIN.hex() in detail
    assert other.hex() in detail
    bench.end.data(b"late")
    bench.end.end()
    assert bench.socket.written == b""


def test_either_of_two_pins_will_do() -> None:
    bench = Bench(pins=frozenset({sha256(b"the next one").digest(), PIN}))
    bench.handshake()
    assert bench.visitor.said == []
    bench.end.data(b"question")
    bench.carry()
    assert bench.read() == b"question"


@pytest.mark.parametrize(
    ("protocol", "speaks", "served"),
    [
        ("h2", ("h2", "http/1.1"), True),
        ("h2", (), False),
        ("h2", ("http/1.1",), False),
        ("http/1.1", (), True),
        ("http/1.1", ("http/1.1",), True),
    ],
)
def test_the_origin_has_to_speak_what_the_visitor_speaks(
    protocol: Protocol, speaks: tuple[str, ...], served: bool
) -> None:
    bench = Bench(protocol=protocol, speaks=speaks)
    bench.handshake()
    assert bench.visitor.said == ([] if served else ["ORIGIN_TLS"])


def test_an_origin_that_speaks_no_tls_is_refused() -> None:
    bench = Bench()
    bench.end.socket_side.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert bench.visitor.said == bench.socket.said == ["ORIGIN_TLS"]


def test_a_silent_origin_is_given_up() -> None:
    bench = Bench()
    bench.loop.sleep(Limits().tls_s + 1)
    assert bench.visitor.said == bench.socket.said == ["ORIGIN_TLS"]


def test_a_done_handshake_is_not_cut(bench: Bench) -> None:
    bench.loop.sleep(100)
    assert bench.visitor.said == []


def test_the_visitors_end_is_close_notify_and_fin_and_the_answer_still_comes() -> None:
    bench = Bench()
    bench.end.data(b"question")
    bench.end.end()
    assert bench.socket.said == []
    bench.handshake()
    assert bench.socket.said == ["end"]
    assert bench.read() == b"question<end>"
    bench.origin.write(b"answer")
    bench.carry()
    assert bench.visitor.got == b"answer"
    bench.origin.unwrap()  # ours is there already
    bench.carry()
    assert bench.visitor.said == ["end"]


def test_the_origins_close_notify_is_half_close(bench: Bench) -> None:
    bench.origin.write(b"answer")
    with contextlib.suppress(ssl.SSLWantReadError):
        bench.origin.unwrap()
    bench.carry()
    bench.end.socket_side.end()
    assert bench.visitor.got == b"answer"
    assert (bench.visitor.said, bench.socket.said) == (["end"], [])
    bench.end.socket_side.write(b"bytes behind it are nobody's")
    assert bench.visitor.said == ["end"]


def test_a_socket_that_ends_without_close_notify_is_a_truncation(bench: Bench) -> None:
    bench.origin.write(b"half an ans")
    bench.carry()
    bench.end.socket_side.end()
    assert bench.visitor.got == b"half an ans"
    assert bench.visitor.said == bench.socket.said == ["ORIGIN_LOST"]


def test_a_changed_byte_is_not_passed_on(bench: Bench) -> None:
    bench.origin.write(b"answer")
    changed = bytearray(bench.outgoing.read())
    changed[-1] ^= 1
    bench.end.socket_side.write(bytes(changed))
    assert bench.visitor.got == b""
    assert bench.visitor.said == ["ORIGIN_LOST"]


def test_resets_go_through_once(bench: Bench) -> None:
    bench.end.reset(ResetCode.VISITOR_LOST)
    assert bench.socket.said == ["VISITOR_LOST"]
    bench.end.reset(ResetCode.VISITOR_LOST)
    bench.end.socket_side.reset(ResetCode.ORIGIN_LOST)
    bench.end.socket_side.write(b"late")
    bench.end.socket_side.end()
    assert bench.socket.said == ["VISITOR_LOST"]
    assert bench.visitor.said == []


def test_a_lost_socket_resets_the_visitor(bench: Bench) -> None:
    bench.end.socket_side.reset(ResetCode.ORIGIN_UNREACHABLE)
    assert bench.visitor.said == ["ORIGIN_UNREACHABLE"]


def test_credit_comes_back_when_the_socket_has_consumed(bench: Bench) -> None:
    bench.end.data(bytes(100 * KIB))
    assert bench.visitor.given_back == 0
    encrypted = len(bench.socket.written)
    bench.end.socket_side.consumed(encrypted - 1)
    assert bench.visitor.given_back == 0
    bench.end.socket_side.consumed(1)
    assert bench.visitor.given_back == 100 * KIB


def test_pause_and_resume_go_through(bench: Bench) -> None:
    bench.end.pause()
    bench.end.resume()
    assert bench.socket.said == ["pause", "resume"]


def test_answers_do_not_pile_up_for_an_origin_that_reads_none() -> None:
    bench = Bench(limits=Limits(stalled_bytes=50_000))
    bench.handshake()
    for count in range(20):  # as after that many KeyUpdates: the standard library cannot send one
        bench.end._outgoing.write(bytes(5000))
        bench.end.socket_side.write(b"")
        if bench.visitor.said:
            assert (count, bench.visitor.said) == (10, ["ORIGIN_LOST"])
            return
    pytest.fail("they did")
