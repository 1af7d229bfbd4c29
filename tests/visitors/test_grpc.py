"""gRPC, all four kinds of call: over the visitor's own TLS end to end, and to a plaintext h2c origin."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import pytest

from runtime.tunnel.data import Kind
from tests.visitors.programs import WAIT_S
from tests.visitors.scene import SITE, Scene

pytestmark = pytest.mark.integration
SERVICE = "tunnel.Test"


def _unary(request: bytes, _: grpc.ServicerContext) -> bytes:
    return request[::-1]


def _down(request: bytes, _: grpc.ServicerContext) -> Iterator[bytes]:
    for number in range(int(request)):
        yield b"%d" % number


def _up(requests: Iterator[bytes], _: grpc.ServicerContext) -> bytes:
    return b"%d" % sum(len(each) for each in requests)


def _both(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    for request in requests:
        if request == b"stop":
            context.set_trailing_metadata((("why", "you said so"),))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "stopped")
        yield request * 2


HANDLERS = grpc.method_handlers_generic_handler(
    SERVICE,
    {
        "Unary": grpc.unary_unary_rpc_method_handler(_unary),
        "Down": grpc.unary_stream_rpc_method_handler(_down),
        "Up": grpc.stream_unary_rpc_method_handler(_up),
        "Both": grpc.stream_stream_rpc_method_handler(_both),
    },
)


@contextlib.contextmanager
def server(scene: Scene, *, tls: bool) -> Generator[int]:
    """A gRPC origin; gives its port."""
    with ThreadPoolExecutor(4) as threads:
        made = grpc.server(threads, handlers=[HANDLERS])
        if tls:
            files = scene.certificate
            credentials = grpc.ssl_server_credentials([(files.key.read_bytes(), files.chain.read_bytes())])
            port = made.add_secure_port("127.0.0.1:0", credentials)
        else:
            port = made.add_insecure_port("127.0.0.1:0")
        made.start()
        try:
            yield port
        finally:
            made.stop(None).wait()


def calls(target: str, ca: bytes) -> dict[str, object]:
    """Make every kind of call, as a visitor in a thread of its own."""
    options = (("grpc.ssl_target_name_override", SITE),)
    with grpc.secure_channel(target, grpc.ssl_channel_credentials(ca), options) as channel:
        unary, down = channel.unary_unary(f"/{SERVICE}/Unary"), channel.unary_stream(f"/{SERVICE}/Down")
        up, both = channel.stream_unary(f"/{SERVICE}/Up"), channel.stream_stream(f"/{SERVICE}/Both")
        found: dict[str, object] = {
            "unary": unary(b"abc", timeout=WAIT_S),
            "big": len(unary(bytes(3 << 20), timeout=WAIT_S)),
            "down": list(down(b"100", timeout=WAIT_S)),
            "up": up(iter([bytes(60_000)] * 20), timeout=WAIT_S),
            "both": list(both(iter([b"a", b"b", b"c"]), timeout=WAIT_S)),
        }
        stopped = both(iter([b"a", b"stop"]), timeout=WAIT_S)
        found["before"] = next(stopped)
        with contextlib.suppress(grpc.RpcError):
            next(stopped)
        found["status"] = (stopped.code(), stopped.details(), dict(stopped.trailing_metadata()))
        return found


@pytest.mark.parametrize("kind", ["tls", "h2c", "h2"])
async def test_every_kind_of_call(scene: Scene, kind: Kind) -> None:
    with server(scene, tls=kind != "h2c") as port:
        pins = [scene.certificate_sha256] if kind == "h2" else []
        await scene.publish({SITE: scene.origin(kind, port, pins=pins)})
        target = f"ipv4:{scene.address}:{scene.port}"
        assert await asyncio.to_thread(calls, target, scene.certificate.ca.read_bytes()) == {
            "unary": b"cba",
            "big": 3 << 20,
            "down": [b"%d" % number for number in range(100)],
            "up": b"1200000",
            "both": [b"aa", b"bb", b"cc"],
            "before": b"aa",
            "status": (grpc.StatusCode.FAILED_PRECONDITION, "stopped", {"why": "you said so"}),
        }
