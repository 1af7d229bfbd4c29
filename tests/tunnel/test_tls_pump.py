"""The pump against itself and against OpenSSL: order of flights, half-close, failures, the deadline."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

import pytest

from runtime.limits import Limits
from runtime.tunnel.tls_end import visitor_context
from runtime.tunnel.tls_pump import TlsPump
from tests.tunnel.memory import Loop
from tests.tunnel.rig import certificate, visitor_tls


class Recorded(TlsPump):
    """Says what it is told, and keeps what is to go to the peer."""

    def __init__(self, *, server: bool, loop: Loop) -> None:
        own = certificate("origin.example")
        self.out = bytearray()
        self.plain = bytearray()
        self.said: list[str] = []
        super().__init__(
            visitor_context(own.pem, own.key) if server else visitor_tls(),
            server_side=server,
            hostname=None if server else "origin.example",
            put=self.out.extend,
            loop=cast("asyncio.AbstractEventLoop", loop),
            limits=Limits(tls_s=10),
        )

    def feed(self, data: bytes) -> None:
        self._incoming.write(data)
        self._pump()

    def start(self) -> None:
        self._pump()

    def write(self, data: bytes) -> None:
        self._encrypt(data)

    def end(self) -> None:
        self._close_notify()

    def stop(self) -> None:
        self._close()

    def _secured(self) -> None:
        self.said.append(f"secured, {len(self.out)} out")
        self._send()

    def _plain(self, data: bytes) -> None:
        self.plain += data

    def _ended(self) -> None:
        self.said.append("ended")

    def _answer(self) -> None:
        self._send()

    def _failed(self, error: ssl.SSLError) -> None:
        self.said.append("failed")

    def _unwritable(self) -> None:
        self.said.append("unwritable")

    def _slow(self) -> None:
        self.said.append("slow")


class Pair:
    def __init__(self) -> None:
        self.loop = Loop()
        self.client, self.server = (Recorded(server=server, loop=self.loop) for server in (False, True))

    def carry(self, step: int = 1 << 20) -> None:
        """Carry until nothing moves, `step` bytes at a time."""
        while self.client.out or self.server.out:
            for one, other in ((self.client, self.server), (self.server, self.client)):
                data = bytes(one.out)
                one.out.clear()
                for start in range(0, len(data), step):
                    other.feed(data[start : start + step])

    def secure(self) -> None:
        self.client.start()
        self.carry()


@pytest.mark.parametrize("step", [1, 1000, 1 << 20])
def test_bytes_go_both_ways_however_they_are_cut(step: int) -> None:
    pair = Pair()
    pair.client.start()
    pair.carry(step)
    assert pair.server.said[0].startswith("secured")
    up, down = b"up" * 30_000, b"down" * 20_000
    pair.client.write(up)
    pair.server.write(memoryview(down).toreadonly().tobytes())
    pair.carry(step)
    assert (bytes(pair.server.plain), bytes(pair.client.plain)) == (up, down)
    assert len(pair.loop.timers) == 0  # the handshake's deadline is gone


def test_a_clients_finished_waits_until_it_is_told_to_go() -> None:
    """On that the pin rests: nothing of ours has left when the deriving class looks at the certificate."""
    pair = Pair()
    pair.secure()
    assert pair.client.said == ["secured, 0 out"]


@pytest.mark.parametrize("first", ["client", "server"])
def test_close_notify_is_half_close(first: str) -> None:
    pair = Pair()
    pair.secure()
    one, other = (pair.client, pair.server) if first == "client" else (pair.server, pair.client)
    one.end()
    pair.carry()
    assert other.said[-1] == "ended"
    other.write(b"still here")
    other.end()
    pair.carry()
    assert bytes(one.plain) == b"still here"
    assert one.said[-1] == "ended"
    other.feed(b"")  # nothing more is read behind it
    assert other.said.count("ended") == one.said.count("ended") == 1


@pytest.mark.parametrize("shaken", [False, True])
def test_what_is_no_tls_fails_once_and_leaves_an_alert(shaken: bool) -> None:
    pair = Pair()
    if shaken:
        pair.secure()
    pair.server.feed(b"\x17\x03\x03\x00\x20" + bytes(32) if shaken else b"\x16\x03\x01\x00\x05" + bytes(5))
    assert pair.server.said[-1] == "failed"
    assert shaken is (pair.server.said[0] != "failed")
    assert pair.server.out  # the alert
    pair.server.out.clear()
    pair.server.stop()
    pair.server.write(b"too late")
    assert not pair.server.out


def test_a_silent_peer_is_given_up_at_the_deadline() -> None:
    pair = Pair()
    pair.client.start()
    pair.loop.sleep(9.9)
    assert pair.client.said == []
    pair.loop.sleep(0.2)
    assert pair.client.said == ["slow"]


def test_after_the_stop_the_deadline_says_nothing() -> None:
    pair = Pair()
    pair.client.start()
    pair.client.stop()
    pair.loop.sleep(20)
    assert pair.client.said == []


def test_what_cannot_be_written_is_told() -> None:
    pair = Pair()
    pair.client.write(b"before any handshake")
    assert pair.client.said == ["unwritable"]
