"""What relay workers read of strangers and of peers: ClientHellos, frames, joins, control lines."""

from __future__ import annotations

from collections.abc import Callable

from runtime.errors import TunnelError
from runtime.limits import Limits
from runtime.tunnel import control, http1, join, proxy_protocol
from runtime.tunnel.client_hello import ClientHello, HelloReader
from runtime.tunnel.control import Configure, End, Grant, Joined, LineSplitter, Ready, Session
from runtime.tunnel.frames import (
    MAX_FIRST,
    Chunk,
    CloseCode,
    Decoder,
    Endpoint,
    FrameType,
    OpenRequest,
    ResetCode,
    frame,
    goaway,
    read_close,
    read_credit,
    read_reset,
    reset,
    window,
)
from runtime.tunnel.routing import SessionId
from tests.fuzz.pieces import cut, outcome, same
from tests.fuzz.target import Target
from tests.tunnel.memory import Pair
from tests.tunnel.rig import client_hello

_HERE, _THERE = Endpoint.of("192.0.2.1", 40000), Endpoint.of("2001:db8::2", 443)
_ID = bytes(range(16))  # of a request
_LIMITS = Limits(credit=16384, hello_bytes=1024, max_streams=8)


# -- ClientHello ----------------------------------------------------------------------------------------


def _hello(data: bytes) -> None:
    same(_reads_hello, data)


def _reads_hello() -> Callable[[bytes], list[object]]:
    reader, done = HelloReader(max_bytes=MAX_FIRST), False

    def feed(part: bytes) -> list[object]:
        nonlocal done
        found = None if done else reader.feed(part)
        done = done or found is not None
        if isinstance(found, ClientHello):
            return [(found.sni, found.alpn, found.ech)]
        return [] if found is None else [type(found)]

    return feed


def _http(data: bytes) -> None:
    for end in range(0, len(data), 7):
        if http1.is_http(data[:end]):
            assert http1.is_http(data)
            assert http1.may_be_http(data)
        if not http1.may_be_http(data[:end]):
            assert not http1.is_http(data)


# -- frames ---------------------------------------------------------------------------------------------

Event = tuple[int, int, bytes]


def _frames(data: bytes) -> None:
    whole, pieces = cut(data)
    events, error = _events([whole])
    again, other = _events(pieces)
    assert events == again
    assert (error and error.code) == (other and other.code)
    for kind, _, payload in events:
        match kind:
            case FrameType.WINDOW:
                read_credit(payload)
            case FrameType.RST:
                read_reset(payload)
            case FrameType.GOAWAY:
                read_close(payload)
            case FrameType.OPEN:
                assert OpenRequest.decode(payload).encode() == payload
            case _:
                pass
    if error is not None:
        raise error


def _events(parts: list[bytes]) -> tuple[list[Event], TunnelError | None]:
    """A stream's bytes count, not the pieces in which they were forwarded."""
    decoder, events = Decoder(), list[Event]()

    def on_frame(kind: int, stream: int, payload: Chunk) -> None:
        kinds = (FrameType.DATA,) if kind == FrameType.END else ()
        for each in (*kinds, kind):
            body = b"" if each == FrameType.END else bytes(payload)
            if each == FrameType.DATA and events and events[-1][:2] == (each, stream):
                events[-1] = (each, stream, events[-1][2] + body)
            elif each != FrameType.DATA or body:
                events.append((each, stream, body))

    def feed(part: bytes) -> list[None]:
        decoder.feed(part, on_frame)
        return []

    return events, outcome(feed, parts)[1]


def _frame_seeds() -> list[bytes]:
    opened = OpenRequest(
        request_id=_ID, hostname="a.example", visitor=_HERE, server=_THERE, first=client_hello("a.example")
    )
    frames = (
        frame(FrameType.OPEN, 1, opened.encode()),
        frame(FrameType.DATA, 1, b"some bytes"),
        frame(FrameType.END, 1, b"the last"),
        frame(FrameType.END, 2, b""),
        window(1, 4096),
        reset(1, ResetCode.IDLE),
        frame(FrameType.PING, 0, bytes(8)),
        frame(FrameType.PONG, 0, bytes(8)),
        goaway(CloseCode.DRAIN),
        goaway(CloseCode.STALLED),
    )
    return [b"\x05" + each for each in (*frames, b"".join(frames))]


def _mux(data: bytes) -> None:
    """Both ends of a data connection take any bytes: they go on, or close with a reason."""
    whole, pieces = cut(data)
    for end in ("server", "client"):
        pair = Pair(_LIMITS, hold=True)
        sinks = [pair.open(b"first")[1] for _ in range(2)]
        pair.run()
        mux, wire = (pair.server, pair.up) if end == "server" else (pair.client, pair.down)
        for piece in pieces if end == "client" else [whole]:
            mux.data_received(piece)
            pair.loop.turn()
        pair.loop.settle()
        for sink in [*sinks, *pair.accepted]:
            assert len(sink.got) <= _LIMITS.credit, "more than the credit that was given"
        assert mux.streams <= _LIMITS.max_streams
        assert wire.get_write_buffer_size() <= _LIMITS.high_water + _LIMITS.stalled_bytes
        mux.connection_lost(None)
        assert mux.streams == 0


def _join(data: bytes) -> None:
    if len(data) == join.JOINED_FRAME_BYTES:
        assert join.encode_joined(*join.decode_joined(data)) == data
    else:
        assert join.Join.decode(data).encode() == data


def _join_seeds() -> list[bytes]:
    terms = join.Terms(credit=65536, streams=7)
    made = join.Join(
        session=SessionId(bytes(16)), epoch=1, worker=2, counter=3, terms=terms, proof=bytes(range(32))
    )
    return [made.encode(), join.encode_joined(terms, bytes(32))]


def _proxy(data: bytes) -> None:
    """An origin's parser finds the length right and the hostname in its place, whatever a peer opened."""
    request = OpenRequest.decode(data)
    made = proxy_protocol.header(request)
    start = len(proxy_protocol.SIGNATURE)
    assert made[:start] == proxy_protocol.SIGNATURE
    assert int.from_bytes(made[start + 2 : start + 4], "big") == len(made) - start - 4
    assert made.endswith(len(request.hostname).to_bytes(2, "big") + request.hostname.encode())
    assert len(made) <= 308


def _open_seeds() -> list[bytes]:
    made = [
        OpenRequest(request_id=_ID, hostname=name, visitor=visitor, server=_HERE, first=b"first")
        for name in ("a.example", "b" * 253)
        for visitor in (_HERE, _THERE, Endpoint(address=bytes(16), port=0))
    ]
    return [each.encode() for each in made]


# -- what control process and workers tell each other ---------------------------------------------------


def _control(data: bytes) -> None:
    message = control.decode(data)
    assert control.decode(control.encode(message)) == message


def _control_seeds() -> list[bytes]:
    session = bytes(range(16))
    configured = Configure(
        worker=0,
        visitor_listen=(("127.0.0.1", 443), ("::1", 443)),
        data_listen=(("127.0.0.1", 7444), ("::1", 7444)),
        certificate_pem="certificate",
        key_pem="key",
        tunnel_name="tunnel.example",
        tunnel_name_socket="/run/tunnel.sock",
        limits=Limits(),
        access_log="addresses",
    )
    messages = (
        configured,
        Session(session=session, member="client-1", epoch=2, join_secret=bytes(32)),
        Grant(session=session, hostnames=("a.example", "*.b.example")),
        End(session=session, reason="over"),
        Ready(visitor_ports=(443,), data_port=7444),
        Joined(session=session, connections=1),
    )
    return [control.encode(message) for message in messages]


def _lines(data: bytes) -> None:
    same(lambda: LineSplitter().feed, data)


TARGETS = (
    Target(
        name="client_hello",
        read=_hello,
        seeds=lambda: (
            [b"\x05" + client_hello(name) for name in ("a.example", None)] + [b"\x07GET / HTTP/1.1\r\n"]
        ),
        max_size=MAX_FIRST + 64,
    ),
    Target(
        name="http1",
        read=_http,
        seeds=lambda: [b"GET / HTTP/1.1\r\n", b"OPTIONS * HTTP/1.0\n", b"SSH-2.0-x\r\n"],
    ),
    Target(name="frames", read=_frames, seeds=_frame_seeds),
    Target(name="mux", read=_mux, seeds=_frame_seeds),
    Target(name="join", read=_join, seeds=_join_seeds),
    Target(name="proxy_protocol", read=_proxy, seeds=_open_seeds),
    Target(name="control", read=_control, seeds=_control_seeds),
    Target(name="control_lines", read=_lines, seeds=lambda: [b"\x03" + b"".join(_control_seeds()[1:])]),
)
