"""The running local fleet: DNS, publisher, origins, members; started, changed and ended as one. I/O.

Who its members are, where they listen and what they boot with is what the last `up` put out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Iterable
from dataclasses import replace
from typing import Any

from runtime.documents import strict_json
from tests.localfleet import configurations, origin, publisher, site_certificate
from tests.localfleet.dns import NameServer
from tests.localfleet.listener import Listener
from tests.localfleet.processes import MemberProcess
from tests.localfleet.provision import SITE, Provisioned
from tests.localfleet.traffic import Crowd
from tests.localfleet.ups import Up

START_DEADLINE_S = 60.0
AT_ONCE = 4  # members that are started together: each is three processes that load Python


class LocalFleet:
    """A provisioned fleet whose processes run."""

    def __init__(
        self, made: Provisioned, names: NameServer, certificate: site_certificate.SiteCertificate
    ) -> None:
        self.made, self.names, self.certificate = made, names, certificate
        self.members = {name: self._process(name, made.up) for name in made.up.members}
        self.crowd = Crowd(
            resolver=("127.0.0.1", made.ports.dns), ca=certificate.ca, port=made.ports.visitors, site=SITE
        )

    @property
    def servers(self) -> dict[str, str]:
        """Every server's address, by its name."""
        return self.made.up.servers

    @property
    def clients(self) -> tuple[str, ...]:
        """Every client's name."""
        return self.made.up.clients

    def _process(self, name: str, up: Up) -> MemberProcess:
        arguments = ["-m", "tests.localfleet", "member", "--settings", str(up.settings(name))]
        arguments += ["--simulation", str(self.made.folder / f"tee-{name}.json")]
        log = self.made.folder / "logs" / f"{name}.log"
        log.parent.mkdir(exist_ok=True)
        return MemberProcess(name, arguments, up.admin(name), log)

    async def start(self, names: Iterable[str] | None = None) -> None:
        """Start members, all unless told which, and wait until each session stands on both sides."""
        wanted = list(self.members if names is None else names)
        for first in range(0, len(wanted), AT_ONCE):
            some = wanted[first : first + AT_ONCE]
            for name in some:
                await self.members[name].start()
            await asyncio.gather(
                *(self.members[name].wait_for(bool, START_DEADLINE_S, "status") for name in some)
            )
        await self.whole()

    async def whole(self) -> None:
        """Wait until every server and every client have a session that carries visitors."""
        await asyncio.gather(
            *(self.wait_for_sessions(name, len(self.clients)) for name in self.servers),
            *(self.wait_for_sessions(name, len(self.servers)) for name in self.clients),
        )

    def enter(self, up: Up) -> list[str]:
        """Take over an `up`: who is new gets a process, not yet started, and is returned; DNS is as it says.

        Machines before names, names before machines that go: the order of the engine (decision 0090).
        """
        added = [name for name in up.members if name not in self.members]
        self.members |= {name: self._process(name, up) for name in added}
        self.names.set_records(up.records)
        self.made = replace(self.made, up=up)
        return added

    async def drain(self, names: Iterable[str], deadline_s: float) -> None:
        """End members as a machine that is deleted does: SIGTERM, and all of its drain."""
        gone = [self.members.pop(name) for name in names]
        try:
            await asyncio.gather(*(member.terminate(deadline_s) for member in gone))
        finally:
            await asyncio.gather(*(member.stop() for member in gone))

    def ask_urls(self, names: Iterable[str]) -> None:
        """Have members look for a new document now; by themselves they do every 30 s."""
        for name in names:
            os.kill(self.members[name].pid, signal.SIGHUP)

    async def wait_for_sessions(
        self, name: str, wanted: int, deadline_s: float = START_DEADLINE_S
    ) -> dict[str, Any]:
        """Wait until a member has that many sessions that can carry visitors."""
        return await self.members[name].wait_for(
            lambda status: sum(_carries(session) for session in status["sessions"]) >= wanted,
            deadline_s,
            f"{wanted} sessions",
        )

    async def sessions(self) -> list[tuple[str, str, str]]:
        """Return (server, client, grade) of every session, as the servers see them."""
        found: list[tuple[str, str, str]] = []
        for name in self.servers:
            status = await self.members[name].status()
            found += [(name, s["member"], s["grade"]) for s in (status or {"sessions": []})["sessions"]]
        return found

    async def stop(self) -> None:
        """End every process, and let others have the ports."""
        await asyncio.gather(*(member.stop() for member in self.members.values()))
        self.made.ports.close()


def _carries(session: dict[str, Any]) -> bool:
    """Tell whether a session has what a visitor needs: the grant, and a data connection (one worker each)."""
    # A server says more of the grant than a client knows, and the two call the count differently.
    return bool(
        session.get("routed", session["granted"])
        and session.get("data_connections", session.get("connections"))
    )


@contextlib.asynccontextmanager
async def neighbours(made: Provisioned) -> AsyncGenerator[LocalFleet, None]:
    """Run what a fleet stands among, and end it and every member on the way out."""
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(made.ports.close)
        certificate = site_certificate.make(made.folder / "site", [SITE])
        names = await stack.enter_async_context(NameServer(made.records, port=made.ports.dns))
        pages = publisher.application(made.folder / "publish")
        await stack.enter_async_context(Listener(pages, host="127.0.0.1", port=made.ports.publisher))
        for client in made.up.configuration["clients"]:
            await stack.enter_async_context(origin_beside(made, client["name"], certificate))
        fleet = LocalFleet(made, names, certificate)
        stack.push_async_callback(fleet.stop)
        yield fleet


@contextlib.asynccontextmanager
async def origin_beside(
    made: Provisioned, client: str, certificate: site_certificate.SiteCertificate
) -> AsyncGenerator[None, None]:
    """Run the web server that a client publishes, and write the client's routes."""
    async with origin.listener(f"origin beside {client}") as web:
        files = {"chain": str(certificate.chain), "key": str(certificate.key)}
        route = {"hostname": SITE, "service": web.url.rstrip("/"), "certificate": files}
        document = {"schema": "tunnel-routes/1", "version": 1, "routes": [route]}
        configurations.routes_file(made.folder, client).write_bytes(strict_json.canonical(document))
        yield
