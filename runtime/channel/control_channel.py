"""Messages of an established channel, whoever is at its other end: control messages and relay frames. I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime.channel import relay_frames
from runtime.channel.messages import Kind, Message, public_code
from runtime.channel.relay_frames import Frame
from runtime.channel.transport import ChannelTransport
from runtime.documents import strict_json
from runtime.errors import MalformedError, PeerError

MayRelay = Callable[[Frame], None]  # raises PeerError for a frame that ends the channel


class ControlChannel:
    """One end of a channel on which both sides have confirmed."""

    def __init__(self, transport: ChannelTransport) -> None:
        self.transport = transport
        transport.confirmed()
        self.peer_address = transport.peer_address
        self.on_frame: MayRelay | None = None  # who takes relay frames; without one they are out of turn

    async def send(self, message: dict[str, Any]) -> None:
        """Send a control message. Raises: PeerError when the channel is over."""
        await self.transport.send(Message(Kind.CONTROL, strict_json.canonical(message)))

    def send_frame(self, frame: Frame) -> None:
        """Send a relay frame now, without waiting: credit bounds what can pile up. Raises: PeerError."""
        self.transport.send_now(Message(Kind.RELAY, relay_frames.encode(frame)))

    async def receive(self) -> dict[str, Any]:
        """Return the peer's next control message; relay frames that come before go to `on_frame`.

        Raises: PeerError, MalformedError.
        """
        while True:
            message = await self.transport.receive()
            match message.kind:
                case Kind.CONTROL:
                    return _object(message.payload)
                case Kind.RELAY if self.on_frame is not None:
                    self.on_frame(relay_frames.decode(message.payload))
                case Kind.REFUSED:
                    code = public_code(message.payload.decode("ascii", "replace"))
                    raise PeerError(code, "the peer ended the session", remote=True)
                case _:
                    self._hand_over(message)

    def _hand_over(self, message: Message) -> None:
        """Take a message of a handshake; a channel that never attests again takes none. Raises: PeerError."""
        raise PeerError("out_of_turn", f"{message.kind.name} in an established session")


def _object(payload: bytes) -> dict[str, Any]:
    value = strict_json.parse(payload, "control message")
    if not isinstance(value, dict):
        raise MalformedError("control message", "is not an object")
    return value
