"""Where a WebSocket's frames end, so that a draining client can say 1001 between two of them. Pure.

Looks at one plaintext HTTP/1.1 connection: whether its first request asks for a WebSocket, whether the answer
is 101, and from then on at the headers of the origin's frames (RFC 6455 §5.2; the origin does not mask).
"""

from __future__ import annotations

from runtime.tunnel.frames import Chunk

MAX_HEAD = 16 * 1024  # bytes of a request or response head; beyond it this is no WebSocket of ours
GOING_AWAY = b"\x88\x02\x03\xe9"  # CLOSE with 1001: RFC 6455 §7.4.1
_END = b"\r\n\r\n"
_CLOSE = 8


class WebSocketWatch:
    """Follows one connection; `over` once it is known to be something else."""

    __slots__ = ("_accepted", "_asked", "_closed", "_head", "_header", "_left", "over")

    def __init__(self) -> None:
        self.over = False  # no WebSocket: nothing more to look at
        self._asked = self._accepted = False
        self._closed = False  # the origin has sent its own CLOSE
        self._head = b""
        self._header = b""  # of the frame under way, not complete
        self._left = 0  # payload bytes of the frame under way

    @property
    def may_close(self) -> bool:
        """Whether a frame of ours may go to the visitor now."""
        return self._accepted and not self._closed and not self._left and not self._header

    def request(self, data: Chunk) -> None:
        """Take what the visitor sent."""
        if self._asked or self.over:
            return
        head = self._take_head(data)
        if head is not None:
            self._asked = b"upgrade: websocket" in head.lower().replace(b":websocket", b": websocket")
            self.over = not self._asked

    def response(self, data: Chunk) -> int:
        """Take what the origin sent; returns how many bytes of it end with the last whole frame, or 0."""
        if self.over or not self._asked:
            return 0
        position = 0
        if not self._accepted:
            held = len(self._head)
            head = self._take_head(data)
            if head is None:
                return 0
            if not head.startswith(b"HTTP/1.1 101 "):
                self.over = True
                return 0
            self._accepted = True
            position = len(head) - held
        return self._frames(bytes(data), position)

    def _take_head(self, data: Chunk) -> bytes | None:
        self._head += data
        end = self._head.find(_END)
        if end < 0:
            self.over = len(self._head) > MAX_HEAD
            return None
        head, self._head = self._head[: end + len(_END)], b""
        return head

    def _frames(self, data: bytes, position: int) -> int:
        last = position
        while position < len(data):
            if self._left:
                step = min(self._left, len(data) - position)
                self._left -= step
                position += step
            else:
                self._header += data[position : position + 1]
                position += 1
                self._read_header()
            if not self._left and not self._header:
                last = position
        return last

    def _read_header(self) -> None:
        header = self._header
        if len(header) < 2:
            return
        short = header[1] & 0x7F
        extra = {126: 2, 127: 8}.get(short, 0)
        if len(header) < 2 + extra:
            return
        self._closed = self._closed or header[0] & 0x0F == _CLOSE
        self._left = int.from_bytes(header[2:], "big") if extra else short
        self._header = b""
