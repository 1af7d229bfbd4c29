"""The running local fleet: DNS, publisher, origins, members; started and ended as one. I/O."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from runtime.documents import strict_json
from tests.localfleet import origin, provision, publisher, site_certificate
from tests.localfleet.dns import NameServer
from tests.localfleet.listener import Listener
from tests.localfleet.processes import MemberProcess
from tests.localfleet.provision import CLIENTS, SERVERS, SITE, Provisioned
from tests.localfleet.traffic import Crowd

START_DEADLINE_S = 60.0
DATA_CONNECTIONS = 1  # one worker per server


class LocalFleet:
    """A provisioned fleet whose processes run."""

    def __init__(
        self, made: Provisioned, names: NameServer, certificate: site_certificate.SiteCertificate
    ) -> None:
        self.made, self.names, self.certificate = made, names, certificate
        self.members = {name: self._process(name) for name in [*SERVERS, *CLIENTS]}
        self.crowd = Crowd(
            resolver=("127.0.0.1", made.ports.dns), ca=certificate.ca, port=made.ports.visitors, site=SITE
        )

    def _process(self, name: str) -> MemberProcess:
        arguments = ["-m", "tests.localfleet", "member", "--settings", str(self.made.settings[name])]
        arguments += ["--simulation", str(self.made.simulations[name])]
        log = self.made.folder / "logs" / f"{name}.log"
        log.parent.mkdir(exist_ok=True)
        return MemberProcess(name, arguments, f"127.0.0.1:{self.made.ports.admin[name]}", log)

    async def start(self) -> None:
        """Start every member and wait until each session stands on both sides."""
        for member in self.members.values():
            await member.start()
        await asyncio.gather(*(self.wait_for_sessions(name, len(CLIENTS)) for name in SERVERS))
        await asyncio.gather(*(self.wait_for_sessions(name, len(SERVERS)) for name in CLIENTS))

    async def wait_for_sessions(
        self, name: str, wanted: int, deadline_s: float = START_DEADLINE_S
    ) -> dict[str, Any]:
        """Wait until a member has that many sessions that can carry visitors."""
        return await self.members[name].wait_for(
            lambda status: sum(bool(s["granted"]) for s in status["sessions"]) >= wanted,
            deadline_s,
            f"{wanted} sessions",
        )

    async def sessions(self) -> list[tuple[str, str, str]]:
        """Return (server, client, grade) of every session, as the servers see them."""
        found: list[tuple[str, str, str]] = []
        for name in SERVERS:
            status = await self.members[name].status()
            found += [(name, s["member"], s["grade"]) for s in (status or {"sessions": []})["sessions"]]
        return found

    async def stop(self) -> None:
        """End every process."""
        await asyncio.gather(*(member.stop() for member in self.members.values()))


@contextlib.asynccontextmanager
async def neighbours(made: Provisioned) -> AsyncGenerator[LocalFleet, None]:
    """Run what a fleet stands among, and end it and every member on the way out."""
    certificate = site_certificate.make(made.folder / "site", [SITE])
    async with contextlib.AsyncExitStack() as stack:
        names = await stack.enter_async_context(NameServer(made.records, port=made.ports.dns))
        pages = publisher.application(made.folder / "publish")
        await stack.enter_async_context(Listener(pages, host="127.0.0.1", port=made.ports.publisher))
        for client in CLIENTS:
            web = origin.listener(f"origin beside {client}")
            await stack.enter_async_context(web)
            _write_routes(made, client, web.url, certificate)
        fleet = LocalFleet(made, names, certificate)
        stack.push_async_callback(fleet.stop)
        yield fleet


def _write_routes(
    made: Provisioned, client: str, url: str, certificate: site_certificate.SiteCertificate
) -> None:
    files = {"chain": str(certificate.chain), "key": str(certificate.key)}
    route = {"hostname": SITE, "service": url.rstrip("/"), "certificate": files}
    document = {"schema": "tunnel-routes/1", "version": 1, "routes": [route]}
    provision.routes_file(made.folder, client).write_bytes(strict_json.canonical(document))
