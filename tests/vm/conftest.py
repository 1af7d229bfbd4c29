"""The image, baked once; two machines, booted once; everything else asks them. I/O."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import pytest

from images import bake
from runtime.commands import verify
from runtime.errors import TunnelError
from tests.localfleet.dns import NameServer
from tests.vm import fleet as fleets
from tests.vm.machine import FIRMWARE, PROGRAMS, Vm, make_tpm, running

SOURCE = Path(__file__).resolve().parents[2]
BOOTED = r'tunnel: inventory \{"kind": "memory"'


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """Skip where there is no emulator; under CI that is a failure."""
    missing = [name for name in PROGRAMS if which(name) is None]
    if not FIRMWARE.exists():
        missing.append(str(FIRMWARE))
    if missing:
        message = f"not on this machine: {', '.join(missing)}; run images/install as root"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture(scope="session")
def image(programs: None) -> Path:
    """The folder of the test image's artefacts."""
    return bake.bake(
        bake.Order(variant="test", out=SOURCE / "build/image-test", cache=SOURCE / ".cache/images")
    )


class Resolver:
    """The fleet's zone, in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        record = {"name": fleets.TUNNEL, "type": "A", "ttl": 5, "values": [fleets.HOST]}
        self.server = NameServer([record])
        _, self.port = asyncio.run_coroutine_threadsafe(self.server.start(), self.loop).result(30)

    def close(self) -> None:
        """End it."""
        asyncio.run_coroutine_threadsafe(self.server.close(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@dataclass(frozen=True, kw_only=True)
class Booted:
    """The two machines with their fleet."""

    server: Vm
    client: Vm
    fleet: fleets.Fleet
    publisher: fleets.Publisher
    document: dict[str, object]
    image: Path
    names: dict[str, str]  # member -> name of its TPM's key
    evidence: verify.Answer  # of the server, over a nonce of ours
    page: bytes
    certificate: bytes  # DER, that the visitor saw
    seconds: dict[str, float]


TIMES: dict[str, float] = {}  # seconds, of this run's two machines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how long booting took: figures of an emulated machine, for comparison with themselves."""
    for name, seconds in TIMES.items():
        terminalreporter.write_line(f"{name:<24} {seconds:6.1f} s")


@pytest.fixture(scope="session")
def booted(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """Both machines: booted, given the plan's document with their enrolment, and visited."""
    home = tmp_path_factory.mktemp("vm")
    with contextlib.ExitStack() as stack:
        publisher = fleets.Publisher()
        stack.callback(publisher.close)
        resolver = Resolver()
        stack.callback(resolver.close)
        fleet = fleets.make(publisher, resolver.port, image, home / "infra")
        folders = {name: home / name for name in ("server-1", "client-1")}
        names = {name: make_tpm(folder) for name, folder in folders.items()}
        disk = image / "disk.raw"
        server = stack.enter_context(
            running(
                folders["server-1"],
                disk,
                settings=fleet.server,
                forward=[(port, port) for port in fleet.ports],
            )
        )
        client = stack.enter_context(
            running(folders["client-1"], disk, settings=fleet.client, memory_mib=512)
        )
        at = {"server measured": server.wait_for("settings [0-9a-f]{64} measured")[0]}
        server.wait_for(BOOTED)
        client.wait_for(BOOTED)
        pcr7 = next(
            str(e["value"]) for e in server.inventory("pcr") if (e["bank"], e["index"]) == ("sha256", 7)
        )
        document = fleets.enrol(fleet, pcr7, names)
        began = time.monotonic()
        fleets.publish(publisher, fleet, document)
        at["server attested"] = server.wait_for("attested on boot")[0]
        at["client attested"] = client.wait_for("attested on boot")[0]
        page, certificate = visit(fleet.ports[0], client)
        at["document to first byte"] = time.monotonic() - began
        at["boot to first byte"] = time.monotonic() - client.began
        evidence = ask(fleet.ports[0])
        TIMES.update(at)
        yield Booted(
            server=server,
            client=client,
            fleet=fleet,
            publisher=publisher,
            document=document,
            image=image,
            names=names,
            evidence=evidence,
            page=page,
            certificate=certificate,
            seconds=at,
        )


def ask(port: int, deadline_s: float = 240) -> verify.Answer:
    """Ask the server for evidence until it answers: an emulated machine may take longer than `ask` waits."""
    end = time.monotonic() + deadline_s
    while True:
        try:
            return asyncio.run(verify.ask("127.0.0.1", port, fleets.TUNNEL))
        except TunnelError:
            if time.monotonic() > end:
                raise
        time.sleep(1)


def visit(port: int, client: Vm, deadline_s: float = 240) -> tuple[bytes, bytes]:
    """Ask for the page until somebody serves it; returns body and certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # self-signed at boot: its hash is compared by the caller
    end, last = time.monotonic() + deadline_s, ""
    while time.monotonic() < end:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=_sni(context))
        try:
            connection.request("GET", "/", headers={"Host": fleets.SITE})
            answer = connection.getresponse()
            certificate = bytes(connection.sock.getpeercert(binary_form=True) or b"")
            body = answer.read()
            if answer.status == 200:
                return body, certificate
            last = f"{answer.status} {body[:200]!r}"
        except (OSError, http.client.HTTPException) as error:
            last = repr(error)
        finally:
            connection.close()
        time.sleep(1)
    pytest.fail(f"nobody served the page: {last}\n{client.text()[-3000:]}")


class _Named(ssl.SSLContext):
    def wrap_socket(self, *arguments: object, **named: object) -> ssl.SSLSocket:
        return super().wrap_socket(*arguments, **(named | {"server_hostname": fleets.SITE}))  # type: ignore[arg-type]


def _sni(context: ssl.SSLContext) -> ssl.SSLContext:
    named = _Named(ssl.PROTOCOL_TLS_CLIENT)
    named.check_hostname, named.verify_mode = False, context.verify_mode
    return named
