"""The whole local fleet for browsers: three servers, two clients, DNS on port 53, an HTTP/2 site. I/O."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator
from pathlib import Path

from runtime.documents import strict_json
from tests.localfleet import configurations, provision, publisher, site_certificate
from tests.localfleet.dns import NameServer
from tests.localfleet.fleet import LocalFleet
from tests.localfleet.listener import Listener
from tests.localfleet.provision import CLIENTS, SERVERS, SITE
from tests.visitors import site
from tests.visitors.programs import absent

# resolv.conf knows no ports, so browsers' DNS has an address of its own, in every test process another.
RESOLVER = f"127.0.53.{1 + int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])}"
NAMES = {address: name for name, address in SERVERS.items()}


class FixedOrder(NameServer):
    """Round robin stands still: the first address is the same in every answer."""

    def answer(self, query: bytes, *, tcp: bool) -> bytes | None:
        """Answer as if it were the first question."""
        self._zone._turns.clear()
        return super().answer(query, tcp=tcp)

    def set_first(self, made: provision.Provisioned, server: str) -> None:
        """Put one server's address first."""
        order = sorted(SERVERS.values(), key=lambda address: address != SERVERS[server])
        self.set_records(
            [
                record | {"values": order}
                if record["type"] == "A" and SERVERS[server] in record["values"]
                else record
                for record in made.records
            ]
        )


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncGenerator[tuple[LocalFleet, FixedOrder]]:
    """Provision and start everything."""
    if os.geteuid():
        absent("root, who may answer on port 53 and give a browser a resolv.conf of its own,")
    made = await provision.provision(folder, provision.free_ports(), _quietly, _quietly)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(made.ports.close)
        certificate = site_certificate.make(folder / "site", [SITE])
        names = await stack.enter_async_context(NameServer(made.records, port=made.ports.dns))
        browsers = await stack.enter_async_context(FixedOrder(made.records, host=RESOLVER, port=53))
        pages = publisher.application(folder / "publish")
        await stack.enter_async_context(Listener(pages, host="127.0.0.1", port=made.ports.publisher))
        for client in CLIENTS:
            port = await stack.enter_async_context(site.running(site.Site(f"origin beside {client}")))
            files = {"chain": str(certificate.chain), "key": str(certificate.key)}
            route = {"hostname": SITE, "service": f"h2c://127.0.0.1:{port}", "certificate": files}
            document = {"schema": "tunnel-routes/1", "version": 1, "routes": [route]}
            configurations.routes_file(folder, client).write_bytes(strict_json.canonical(document))
        fleet = LocalFleet(made, names, certificate)
        stack.push_async_callback(fleet.stop)
        await fleet.start()
        yield fleet, browsers


def _quietly(_: str) -> None:
    return


async def bring_back(fleet: LocalFleet, server: str) -> None:
    """Start a server again and wait until both clients have found it."""
    await fleet.members[server].start()
    await fleet.wait_for_sessions(server, len(CLIENTS))


async def back_from_silence(fleet: LocalFleet, server: str) -> None:
    """Wait until a server that was frozen serves again.

    One that was away for too long ends itself (its worker has said nothing); then it is started as its
    supervisor would.
    """
    try:
        await fleet.wait_for_sessions(server, len(CLIENTS))
    except RuntimeError:
        await fleet.members[server].stop()
        await bring_back(fleet, server)


def connected(port: int) -> set[str]:
    """Return the servers that hold an established visitor's connection, as the kernel tells it."""
    found: set[str] = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        address, _, local_port = local.partition(":")
        if state == "01" and int(local_port, 16) == port:
            text = ".".join(str(byte) for byte in bytes.fromhex(address)[::-1])
            found |= {NAMES[text]} if text in NAMES else set()
    return found


def listening(group: int) -> set[tuple[str, str, int]]:
    """Return (protocol, address, port) of every IP socket on which a process group waits for strangers."""
    inodes: set[str] = set()
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if os.getpgid(int(process.name)) == group:
                links = (str(fd.readlink()) for fd in (process / "fd").iterdir())
                inodes |= {link[8:-1] for link in links if link.startswith("socket:[")}
    found: set[tuple[str, str, int]] = set()
    for protocol, waiting in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for line in Path(f"/proc/net/{protocol}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == waiting and fields[9] in inodes:
                address, _, port = fields[1].partition(":")
                text = (
                    ".".join(str(byte) for byte in bytes.fromhex(address)[::-1])
                    if len(address) == 8
                    else address
                )
                found.add((protocol, text, int(port, 16)))
    return found
