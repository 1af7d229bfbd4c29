"""A member from its settings file to its end: it serves when its own evidence is accepted, and only then."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.result import AttestationResult
from runtime.channel.appraiser import ProcessAppraiser
from runtime.commands import member, verify
from runtime.commands.member import Parts
from runtime.documents import settings as settings_document
from runtime.documents.settings import Settings
from tests.channel import parties
from tests.fakes.amd import FakeAmd
from tests.fakes.fleets import MEASUREMENT, FleetMember, fleet_payload
from tests.localfleet.listener import Listener
from tests.localfleet.member import Simulation
from tests.localfleet.publisher import application
from tests.tunnel.small_fleet import free_port
from tests.web.owner import PUBLIC, signed

OF_SERVER = ("visitors_port", "sessions_port", "data_port")
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Booted:
    """One member's settings, as bytes on disk, and the folder that its fleet document is published in."""

    amd: FakeAmd
    folder: Path
    publisher: Listener
    role: str
    content: bytes
    settings: Settings

    def publish(self, *, measurement: bytes = MEASUREMENT, chip: str = "") -> None:
        """Publish a document that lists the member."""
        listed = FleetMember(
            name=self.settings.member,
            role="server" if self.role == "server" else "client",
            settings_digest=self.settings.digest,
            chip_id=self.amd.chip(chip or self.settings.member).chip_id,
            hostnames=() if self.role == "server" else ("app.test",),
        )
        envelope = signed(fleet_payload([listed], measurement=measurement, now=int(time.time())))
        (self.folder / "fleet.json").write_bytes(envelope)

    def parts(self) -> Parts:
        tee = parties.attester(self.amd, self.settings.member, self.settings.digest)
        return Parts(attester=tee, roots=self.amd.roots())

    def ports(self) -> list[int]:
        raw = json.loads(self.content)
        own: dict[str, int] = raw.get("server", {})
        return [self.settings.admin[1], *(own[key] for key in OF_SERVER if key in own)]

    def listens(self) -> list[int]:
        return [port for port in self.ports() if accepts(port)]


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


Boot = Callable[[str], contextlib.AbstractAsyncContextManager[Booted]]


@pytest.fixture
def boot(amd: FakeAmd, tmp_path: Path) -> Boot:
    @contextlib.asynccontextmanager
    async def booted(role: str) -> AsyncGenerator[Booted, None]:
        async with Listener(application(tmp_path)) as publisher:
            raw: dict[str, Any] = {
                "schema": "tunnel-settings/1",
                "fleet": "test",
                "member": f"{role}-1",
                "role": role,
                "owner_keys": [PUBLIC.hex()],
                "document": {"urls": [f"{publisher.url}/fleet.json"], "min_version": 1},
                "tunnel_name": "tunnel.test",
                "resolver": "127.0.0.1:9",
                "admin": f"127.0.0.1:{free_port()}",
            }
            if role == "server":
                raw["server"] = {
                    "listen": ["127.0.0.1"],
                    "visitors_port": free_port(),
                    "sessions_port": free_port(),
                    "data_port": free_port(),
                    "workers": 1,
                }
            else:
                routes = {
                    "schema": "tunnel-routes/1",
                    "version": 1,
                    "routes": [{"hostname": "app.test", "service": "tls://127.0.0.1:9"}],
                }
                (tmp_path / "routes.json").write_text(json.dumps(routes))
                raw["client"] = {
                    "sessions_port": 7443,
                    "reconnect_cap_s": 1,
                    "routes": {"file": str(tmp_path / "routes.json")},
                }
            data = json.dumps(raw).encode()
            yield Booted(amd, tmp_path, publisher, role, data, settings_document.read(data))

    return booted


async def get(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


async def up(of: Booted, running: asyncio.Task[None]) -> dict[str, Any]:
    """Wait until the member's own status says that it listens."""
    async with asyncio.timeout(20):
        while True:
            assert not running.done(), running
            with contextlib.suppress(aiohttp.ClientError):
                status: dict[str, Any] = json.loads((await get(of.settings.admin[1], "/status"))[1])
                if status.get("listening", True):
                    return status
            await asyncio.sleep(0.05)


async def test_a_server_serves_proves_itself_and_drains(boot: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    read_before: list[int] = []  # documents that the appraisal process had, at each appraisal
    prepare, appraise = ProcessAppraiser.prepare, ProcessAppraiser.appraise
    prepared: list[bytes] = []

    def noted(self: ProcessAppraiser, document: bytes) -> None:
        prepared.append(document)
        prepare(self, document)

    async def counted(self: ProcessAppraiser, *args: Any, **named: Any) -> AttestationResult:
        read_before.append(len(prepared))
        return await appraise(self, *args, **named)

    monkeypatch.setattr(ProcessAppraiser, "prepare", noted)
    monkeypatch.setattr(ProcessAppraiser, "appraise", counted)
    async with boot("server") as booted:
        running = asyncio.create_task(member.run(booted.settings, booted.parts()))
        await asyncio.sleep(0.3)
        assert booted.listens() == []  # no document yet: nothing is served
        booted.publish()
        status = await up(booted, running)
        assert status["settings_sha256"] == booted.settings.digest.hex()
        assert (status["role"], status["fleet_document"]["version"]) == ("server", 1)
        assert read_before == [1]  # its own appraisal found the document read
        admin, sessions = booted.settings.admin[1], booted.ports()[2]
        assert accepts(sessions)
        assert (await get(admin, "/healthz"))[0] == 200
        assert (await get(admin, "/readyz"))[0] == 503  # nobody publishes anything
        assert "tunnel_sessions" in (await get(admin, "/metrics"))[1]
        assert "PRIVATE" not in (await get(admin, "/status"))[1]
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await asyncio.gather(running, return_exceptions=True)
        assert booted.listens() == []


async def test_a_client_serves_and_ends_when_asked(boot: Boot) -> None:
    async with boot("client") as booted:
        booted.publish()
        running = asyncio.create_task(member.run(booted.settings, booted.parts()))
        status = await up(booted, running)
        assert (status["role"], status["sessions"]) == ("client", [])
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(20):
            await asyncio.gather(running, return_exceptions=True)
        assert booted.listens() == []


@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize(
    "wrong", [{"measurement": b"\x99" * 48}, {"chip": "another machine"}], ids=["image", "instance"]
)
async def test_whoever_cannot_convince_itself_does_not_serve(
    boot: Boot, role: str, wrong: dict[str, Any]
) -> None:
    async with boot(role) as booted:
        booted.publish(**wrong)
        with pytest.raises(BaseExceptionGroup) as caught:
            async with asyncio.timeout(20):
                await member.run(booted.settings, booted.parts())
        assert caught.group_contains(EvidenceRefusedError)
        assert booted.listens() == []


@pytest.mark.integration
async def test_the_refused_members_process_ends_with_status_10_and_says_why(boot: Boot) -> None:
    async with boot("server") as booted:
        booted.publish(measurement=b"\x99" * 48)
        (booted.folder / "settings").write_bytes(booted.content)
        chip = booted.amd.chip("server-1").path
        Simulation(chip=chip, measurement=MEASUREMENT, roots=booted.amd.roots()).write(booted.folder / "tee")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.localfleet", "member",
            "--settings", str(booted.folder / "settings"), "--simulation", str(booted.folder / "tee"),
            cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(30):
            _, err = await process.communicate()
        assert process.returncode == 10
        assert "image.measured" in err.decode()
        assert booted.listens() == []


def test_the_command_that_people_run_uses_the_hardware_roots() -> None:
    assert verify.attest.__defaults__ is None
    assert member.run.__defaults__ is None
