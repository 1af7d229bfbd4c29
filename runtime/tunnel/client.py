"""The tunnel client: follows the servers' name in DNS and keeps one supervisor per address. I/O.

An address that appears is dialled; one that disappears is drained. A name that cannot be resolved
changes nothing: the addresses known last are kept, for a broken resolver must not end a service.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from runtime.channel.party import Party
from runtime.documents.routes import Certificate, Route, Routes
from runtime.documents.settings import ClientSettings
from runtime.errors import UnreachableError, UsageError
from runtime.limits import Limits
from runtime.tunnel import access_log, resolve
from runtime.tunnel.data import Carried, Origin
from runtime.tunnel.owner_desk import TellStatus
from runtime.tunnel.status import Status
from runtime.tunnel.supervisor import Supervisor
from runtime.tunnel.tls_end import visitor_context

log = logging.getLogger("tunnel.client")

RESOLVE_AT_MOST_EVERY_S = 60.0  # however long the record's TTL is
RESOLVE_AT_LEAST_EVERY_S = 1.0
RETRY_DNS_S = 2.0
MISSES_BEFORE_DRAIN = 2  # a resolver may answer with part of a large RRset once


class TunnelClient:
    """Publishes routes through every tunnel server that DNS names."""

    def __init__(
        self,
        *,
        settings: ClientSettings,
        tunnel_name: str,
        resolver: tuple[str, int] | None,
        party: Party,
        limits: Limits,
        routes: Mapping[str, Origin],
        status: TellStatus,
    ) -> None:
        """Prepare; `status` is what an owner who asks is told."""
        self._tell_status = status
        self._settings, self._tunnel_name, self._resolver = settings, tunnel_name, resolver
        self._party, self._limits, self._routes = party, limits, dict(routes)
        self._running: dict[str, tuple[Supervisor, asyncio.Task[None]]] = {}
        self._missed: dict[str, int] = {}
        self._ask_again = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled; nothing else ends it."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                pause = RETRY_DNS_S
                try:
                    answer = await resolve.resolve(self._tunnel_name, self._resolver, self._limits)
                except UnreachableError as error:
                    log.warning(
                        "resolver", extra={"fields": {"detail": str(error), "kept": len(self._running)}}
                    )
                else:
                    self._follow(answer, tasks)
                    pause = min(RESOLVE_AT_MOST_EVERY_S, max(RESOLVE_AT_LEAST_EVERY_S, float(answer.ttl_s)))
                await self._pause(pause)

    async def set_routes(self, routes: Mapping[str, Origin]) -> None:
        """Publish these routes from now on."""
        self._routes = dict(routes)
        await asyncio.gather(
            *(supervisor.set_routes(self._routes) for supervisor, _ in self._running.values())
        )

    def document_changed(self) -> None:
        """Hold every session against the document now in force; end those it no longer covers."""
        for supervisor, _ in self._running.values():
            supervisor.document_changed()

    def reconnect(self) -> None:
        """Skip every pause: ask DNS and dial now."""
        self._ask_again.set()
        for supervisor, _ in self._running.values():
            supervisor.hurry()

    async def drain(self) -> None:
        """Let all streams end, at most for the drain time."""
        await asyncio.gather(*(supervisor.drain() for supervisor, _ in self._running.values()))

    def status(self) -> list[Status]:
        """Return what each address is doing, by address."""
        return [self._running[address][0].status for address in sorted(self._running)]

    def carried(self) -> list[tuple[str, int, Carried]]:
        """Return each address with its open streams and all it has carried, by address."""
        running = sorted(self._running.items())
        return [(address, one.streams, one.carried) for address, (one, _) in running]

    @property
    def streams(self) -> int:
        """Count the visitors' streams open now, through all servers."""
        return sum(supervisor.streams for supervisor, _ in self._running.values())

    def is_ready(self) -> bool:
        """Tell whether some server can send visitors here."""
        return any(status.granted and status.connections for status in self.status())

    # -- following DNS ----------------------------------------------------------------------------

    def _follow(self, answer: resolve.Answer, tasks: asyncio.TaskGroup) -> None:
        if answer.left_out:
            fields = {"code": "too_many_addresses", "left_out": answer.left_out}
            log.warning("addresses in dns are left out", extra={"fields": fields})
        for address in answer.addresses:
            self._missed.pop(address, None)
            if address not in self._running:
                supervisor = Supervisor(
                    address=address,
                    port=self._settings.sessions_port,
                    party=self._party,
                    limits=self._limits,
                    pause_cap_s=self._settings.reconnect_cap_s,
                    routes=self._routes,
                    status=self._tell_status,
                    access=access_log.of(self._settings.access_log, time.monotonic),
                )
                self._running[address] = (supervisor, tasks.create_task(supervisor.run()))
                log.info("address appeared in dns", extra={"fields": {"address": address}})
        for address in set(self._running) - set(answer.addresses) if answer.complete else ():
            self._missed[address] = self._missed.get(address, 0) + 1
            if self._missed[address] >= MISSES_BEFORE_DRAIN:
                log.info("address left dns", extra={"fields": {"address": address}})
                del self._missed[address]
                tasks.create_task(self._retire(*self._running.pop(address)))

    async def _retire(self, supervisor: Supervisor, task: asyncio.Task[None]) -> None:
        try:
            await supervisor.drain()
        finally:
            task.cancel()

    async def _pause(self, seconds: float) -> None:
        self._ask_again.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._ask_again.wait()
        except TimeoutError:
            pass


def origins(routes: Routes, at_boot: Callable[[str], tuple[bytes, bytes]] | None = None) -> dict[str, Origin]:
    """Build the origins of `routes.json`, loading site certificates. Raises: UsageError.

    `at_boot` returns PEM certificate and key for a hostname whose certificate this process makes itself.

    A certificate that cannot be loaded refuses the whole file: what runs stays as it is.
    """
    built: dict[str, Origin] = {}
    for route in routes.routes:
        context = None
        if route.certificate is not None:
            try:
                chain, key = _chain_and_key(route, at_boot)
                protocols = ("h2", "http/1.1") if route.kind in ("h2c", "h2") else ("http/1.1",)
                context = visitor_context(chain, key, protocols)
            except (OSError, UsageError) as error:
                message = f"the certificate of {route.hostname} cannot be loaded: {error}"
                raise UsageError(
                    message, hint="check the chain and key files named in routes.json"
                ) from error
        built[route.hostname] = Origin(
            kind=route.kind,
            host=route.host,
            port=route.port,
            ssl_context=context,
            pins=frozenset(route.pins),
            proxy_protocol=route.proxy_protocol,
        )
    return built


def _chain_and_key(route: Route, at_boot: Callable[[str], tuple[bytes, bytes]] | None) -> tuple[bytes, bytes]:
    if isinstance(route.certificate, Certificate):
        return Path(route.certificate.chain).read_bytes(), Path(route.certificate.key).read_bytes()
    if at_boot is None:
        message = "this client makes no certificates"
        raise UsageError(message, hint="name chain and key files")
    return at_boot(route.hostname)
