"""Our own data plane: a worker, driven as its control process drives it, and one data connection. I/O.

The attested session is absent: the bench hands both ends what a session would have handed them.
"""

from __future__ import annotations

import json
import queue
import secrets
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from importlib import metadata, util

from bench.machine import NotStartedError, Processes, free_port, wait_for_port
from bench.material import HOST, Material
from bench.systems.model import Running, System
from runtime.limits import Limits
from runtime.tunnel.control import (
    MAX_LINE,
    Configure,
    FromWorker,
    Grant,
    Joined,
    LineSplitter,
    Message,
    Ready,
    Session,
    decode,
    encode,
)
from runtime.tunnel.data_tls import certificate_digest

FAST = ("uvloop", "aiofastnet")
_DEADLINE_S = 15.0


class _Control:
    """The control process's end of the socketpair; a thread reads, so the worker's reports never pile up."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._said: queue.SimpleQueue[Message] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def tell(self, *messages: Message) -> None:
        self._sock.sendall(b"".join(map(encode, messages)))

    def wait_for(self, kind: type[Ready] | type[Joined], *, connections: int = 0) -> FromWorker:
        """Return the next message of a kind. Raises NotStartedError."""
        stop = time.monotonic() + _DEADLINE_S
        try:
            while True:
                message = self._said.get(timeout=max(0.0, stop - time.monotonic()))
                if isinstance(message, Joined) and isinstance(message, kind):
                    if message.connections >= connections:
                        return message
                elif isinstance(message, Ready) and isinstance(message, kind):
                    return message
        except queue.Empty:
            raise NotStartedError(f"the worker did not say {kind.__name__}") from None

    def _read(self) -> None:
        lines = LineSplitter()
        while data := self._sock.recv(MAX_LINE):
            for line in lines.feed(data):
                self._said.put(decode(line))


def _python(module: str, without: tuple[str, ...]) -> list[str]:
    """Run a module as the product does, or as it runs where some packages are not installed."""
    if not without:
        return [sys.executable, "-m", module]
    absent = f"import runpy, sys; sys.modules.update(dict.fromkeys({without!r})); "
    return [
        sys.executable,
        "-c",
        f"{absent}runpy.run_module({module!r}, run_name='__main__', alter_sys=True)",
    ]


def _start(processes: Processes, material: Material, origin: int, *, without: tuple[str, ...]) -> Running:
    ours, theirs = socket.socketpair()
    name = "asyncio" if without else "ours"
    with theirs:
        command = [*_python("runtime.tunnel.worker", without), "--control-fd", str(theirs.fileno())]
        worker = processes.start(f"{name}-worker", command, pass_fds=[theirs.fileno()])
    control = _Control(ours)
    session, secret = secrets.token_bytes(16), secrets.token_bytes(32)
    certificate = material.certificate("server").read_text()
    port = free_port()
    control.tell(
        Configure(
            worker=0,
            visitor_listen=(("127.0.0.1", port),),
            data_listen=(("127.0.0.1", 0),),
            certificate_pem=certificate,
            key_pem=material.key("server").read_text(),
            tunnel_name="tunnel.example",
            tunnel_name_socket="/nonexistent/tunnel.sock",
            limits=Limits(),
            access_log="none",
        )
    )
    ready = control.wait_for(Ready)
    control.tell(
        Session(session=session, member="bench", epoch=1, join_secret=secret),
        Grant(session=session, hostnames=(HOST,)),
    )
    client = processes.start(f"{name}-client", _python("bench.client_side", without), stdin=subprocess.PIPE)
    told = {
        "port": ready.data_port if isinstance(ready, Ready) else 0,
        "origin": origin,
        "session": session.hex(),
        "secret": secret.hex(),
        "certificate_sha256": certificate_digest(certificate).hex(),
    }
    if client.stdin is not None:
        client.stdin.write(json.dumps(told).encode() + b"\n")
        client.stdin.flush()
    control.wait_for(Joined, connections=1)
    wait_for_port(port, worker)
    return Running(port=port, server=worker.pid, client=client.pid)


def _version(names: tuple[str, ...]) -> str:
    found = [f"{name} {metadata.version(name)}" for name in names if util.find_spec(name) is not None]
    return ", ".join([metadata.version("confidential-tunnels"), *found])


def _missing(needed: tuple[str, ...]) -> str | None:
    absent = [name for name in needed if util.find_spec(name) is None]
    return f"install {' and '.join(absent)}" if absent else None


OURS = System(
    name="ours",
    missing=partial(_missing, FAST),
    version=partial(_version, FAST),
    start=partial(_start, without=()),
)
OURS_ASYNCIO = System(
    name="ours asyncio",
    missing=partial(_missing, ()),
    version=partial(_version, ()),
    start=partial(_start, without=FAST),
)
