"""What leaves in one turn of the loop: joined, in turn, and never without bound."""

from __future__ import annotations

import asyncio
from typing import cast

from runtime.limits import Limits
from runtime.tunnel.frames import FrameType, frame
from runtime.tunnel.turn import Turn
from tests.tunnel.memory import KIB, Loop, Pair, Wire


def test_everything_of_one_turn_leaves_in_one_write() -> None:
    pair = Pair()
    streams = [pair.open()[0] for _ in range(50)]
    pair.run()
    before = pair.down.writes
    for stream in streams:
        stream.write(b"x" * 100)
    pair.loop.settle()
    assert pair.down.writes == before + 1
    assert len(pair.down.written) == 1


def test_a_large_payload_is_written_unjoined() -> None:
    pair = Pair()
    stream, _ = pair.open()
    pair.run()
    stream.write(bytes(20 * KIB))
    pair.loop.turn()
    assert [len(part) for part in pair.down.written] == [8, 20 * KIB]


def test_a_stream_sends_64_kib_a_turn_and_waits_for_the_others() -> None:
    pair = Pair()
    bulk, _ = pair.open()
    small, _ = pair.open()
    pair.run()
    bulk.write(bytes(200 * KIB))
    small.write(bytes(17 * KIB))
    pair.loop.turn()
    assert sum(map(len, pair.down.written)) == 8 + 64 * KIB + 8 + 17 * KIB
    pair.loop.turn()
    assert sum(map(len, pair.down.written)) == 8 + 64 * KIB + 8 + 17 * KIB + 8 + 64 * KIB


def test_a_full_transport_pauses_the_sources_and_resumes_them_in_turn() -> None:
    pair = Pair(Limits(high_water=100 * KIB))
    opened = [pair.open() for _ in range(4)]
    pair.run()
    for _ in range(2):
        for stream, _ in opened:
            stream.write(bytes(60 * KIB))
        pair.loop.settle()
    assert pair.down.blocked
    assert pair.down.get_write_buffer_size() < 300 * KIB
    assert all("pause" in sink.said for _, sink in opened)
    pair.run()
    assert all(sink.said == ["pause", "resume"] for _, sink in opened) or all(
        sink.said[-1] == "resume" for _, sink in opened
    )
    assert [len(sink.got) for sink in pair.accepted] == [120 * KIB] * 4


def test_a_peer_that_makes_us_answer_and_does_not_read_is_closed() -> None:
    pair = Pair(Limits(stalled_bytes=64 * KIB, high_water=64 * KIB))
    ping = frame(FrameType.PING, 0, b"12345678")
    for _ in range(50):
        pair.server.data_received(ping * 1000)
        pair.loop.settle()
        if pair.down.aborted:
            break
    assert pair.down.get_write_buffer_size() < 300 * KIB
    pair.lose()
    error = pair.closed["server"]
    assert error is not None
    assert error.code == "stalled"


def test_nothing_is_taken_after_the_end() -> None:
    """Frames of streams that are being cut have no place after the last frame of the connection."""
    loop, wire = Loop(), Wire()
    turn = Turn(
        loop=cast("asyncio.AbstractEventLoop", loop),
        limits=Limits(),
        on_forget=lambda _: None,
        on_stalled=lambda _: None,
    )
    turn.begin(cast("asyncio.Transport", wire))
    turn.send_control(b"first")
    turn.write_out()
    turn.end()
    turn.send_control(b"late")
    loop.settle()
    assert wire.take() == b"first"
    turn.lost()
    turn.send_control(b"later")
    loop.settle()
    assert wire.take() == b""
