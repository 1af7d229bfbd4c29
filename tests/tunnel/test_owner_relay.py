"""The server between an owner and a client: it passes on, counts credit, and believes neither."""

from __future__ import annotations

from typing import cast

import pytest

from runtime.channel import relay_frames
from runtime.channel.control_channel import ControlChannel
from runtime.channel.relay_frames import CREDIT, MAX_DATA, Frame, Reason, What
from runtime.errors import PeerError
from runtime.tunnel.owner_relay import OwnerRelay

MOST = 2


class Wire:
    """Stands for a channel: keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Frame] = []
        self.over = False

    def send_frame(self, frame: Frame) -> None:
        if self.over:
            raise PeerError("closed", "gone")
        self.sent.append(frame)

    @property
    def channel(self) -> ControlChannel:
        return cast("ControlChannel", self)


class Scene:
    def __init__(self) -> None:
        self.owner, self.client = Wire(), Wire()
        self.counted: list[str] = []
        self.relay = OwnerRelay(
            lambda name: self.client.channel if name == "client-1" else None,
            most_streams=MOST,
            count=self.counted.append,
        )

    def owner_says(self, frame: Frame) -> None:
        self.relay.from_owner(self.owner.channel, frame)

    def client_says(self, frame: Frame) -> None:
        self.relay.from_client(self.client.channel, frame)

    def open(self, stream: int = 1, name: bytes = b"client-1") -> None:
        self.owner_says(Frame(What.OPEN, stream, name))


def data(stream: int, size: int = 1) -> Frame:
    return Frame(What.DATA, stream, bytes(size))


def test_bytes_and_credit_go_both_ways_under_each_sides_own_numbers() -> None:
    scene = Scene()
    scene.open(5)
    assert scene.client.sent == [Frame(What.OPEN, 1)]  # the client learns no name and no owner's number
    scene.owner_says(Frame(What.DATA, 5, b"to the client"))
    scene.client_says(Frame(What.DATA, 1, b"to the owner"))
    scene.client_says(relay_frames.window(1, 13))
    scene.owner_says(relay_frames.window(5, 12))
    assert scene.client.sent[1:] == [Frame(What.DATA, 1, b"to the client"), relay_frames.window(1, 12)]
    assert scene.owner.sent == [Frame(What.DATA, 5, b"to the owner"), relay_frames.window(5, 13)]
    scene.owner_says(relay_frames.close(5, Reason.DONE))
    assert scene.client.sent[-1] == relay_frames.close(1, Reason.DONE)
    assert scene.relay.streams == 0
    scene.client_says(data(1))  # it was on its way
    assert scene.owner.sent[-1] == relay_frames.window(5, 13)


def test_a_client_that_is_not_here_and_too_many_streams_are_answered() -> None:
    scene = Scene()
    scene.open(1, b"client-9")
    scene.open(2, b"\xff\xfe")
    assert scene.owner.sent == [relay_frames.close(n, Reason.NO_SESSION) for n in (1, 2)]
    for stream in range(3, 3 + MOST + 1):
        scene.open(stream)
    assert scene.owner.sent[-1] == relay_frames.close(3 + MOST, Reason.BUSY)
    assert scene.relay.streams == MOST
    assert scene.counted == ["owner_relay_busy"]


@pytest.mark.parametrize("who", ["owner", "client"])
def test_who_sends_over_its_credit_is_refused_whatever_the_other_side_says(who: str) -> None:
    scene = Scene()
    scene.open()
    says = scene.owner_says if who == "owner" else scene.client_says
    for _ in range(CREDIT // MAX_DATA):
        says(data(1, MAX_DATA))
    with pytest.raises(PeerError, match="too_large"):
        says(data(1))


@pytest.mark.parametrize("who", ["owner", "client"])
def test_who_gives_back_more_than_was_spent_is_refused(who: str) -> None:
    scene = Scene()
    scene.open()
    says, other = (
        (scene.owner_says, scene.client_says) if who == "owner" else (scene.client_says, scene.owner_says)
    )
    other(data(1, 100))
    says(relay_frames.window(1, 100))
    with pytest.raises(PeerError, match="malformed"):
        says(relay_frames.window(1, 1))


def test_a_stream_that_never_was_a_number_used_twice_and_a_client_that_opens_are_refused() -> None:
    scene = Scene()
    for says in (scene.owner_says, scene.client_says):
        with pytest.raises(PeerError, match="never opened"):
            says(data(1))
    scene.open(3)
    for stream in (1, 3):
        with pytest.raises(PeerError, match="used before"):
            scene.open(stream)
    with pytest.raises(PeerError, match="opens no relayed stream"):
        scene.client_says(Frame(What.OPEN, 2))


def test_when_one_side_is_gone_the_other_is_told_and_nothing_is_kept() -> None:
    scene = Scene()
    scene.open(1)
    scene.open(2)
    scene.relay.gone(scene.client.channel)
    assert scene.owner.sent == [relay_frames.close(n, Reason.GONE) for n in (1, 2)]
    scene.open(3)
    scene.relay.gone(scene.owner.channel)
    assert scene.client.sent[-1].what is What.CLOSE
    assert (scene.relay.streams, scene.relay._across) == (0, {})
    scene.open(4)
    scene.client.over = True  # its session has not noticed yet
    scene.owner_says(data(4))
    assert scene.owner.sent[-1] == relay_frames.close(4, Reason.GONE)
    assert scene.relay.streams == 0


def test_another_owner_cannot_touch_a_stream() -> None:
    scene, mallory = Scene(), Wire()
    scene.open(1)
    with pytest.raises(PeerError, match="never opened"):
        scene.relay.from_owner(mallory.channel, data(1))
    assert scene.client.sent == [Frame(What.OPEN, 1)]
