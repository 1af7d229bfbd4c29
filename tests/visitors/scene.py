"""A worker, a tunnel client and origins in this process, for visitors that check certificates. I/O.

Unlike the rig's, sites have a certificate that a visitor can check: every program verifies it, by the
throw-away CA in `ca`. Only the attested session is absent (tests/tunnel/rig.py).
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from runtime.tunnel.data import DataConnection, Kind, Origin, connect
from runtime.tunnel.tls_end import visitor_context
from tests.localfleet import site_certificate
from tests.localfleet.site_certificate import SiteCertificate
from tests.tunnel.rig import Rig, ticket
from tests.visitors.programs import WAIT_S, accepting

SITE = "app.example"
LOCAL = "localhost"  # the one name of a site that a program without --resolve finds on this machine
SITES = (SITE, "shop.example", "*.dev.example", "a.dev.example", LOCAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A running tunnel; `publish` is what `routes.json` would say."""

    rig: Rig
    address: str
    certificate: SiteCertificate

    @property
    def port(self) -> int:
        """Where visitors go."""
        return self.rig.visitor_port

    @property
    def ca(self) -> str:
        """The path of the CA that visitors trust, and nothing else."""
        return str(self.certificate.ca)

    @property
    def certificate_sha256(self) -> bytes:
        """The pin of an origin that shows the site's own certificate."""
        leaf = x509.load_pem_x509_certificate(self.certificate.chain.read_bytes())
        return leaf.fingerprint(hashes.SHA256())

    @property
    def base(self) -> str:
        """The site's URL without a final slash."""
        return f"https://{SITE}:{self.port}"

    def trust(self, *protocols: str) -> ssl.SSLContext:
        """Return the TLS of a visitor in this process, who checks chain and name."""
        context = ssl.create_default_context(cafile=self.ca)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    def origin(
        self, kind: Kind, port: int, *, host: str = "127.0.0.1", pins: Iterable[bytes] = (), **more: Any
    ) -> Origin:
        """Return what `client.origins` would build for a route."""
        context = None
        if kind != "tls":
            protocols = ("h2", "http/1.1") if kind in ("h2c", "h2") else ("http/1.1",)
            chain, key = self.certificate.chain.read_bytes(), self.certificate.key.read_bytes()
            context = visitor_context(chain, key, protocols)
        return Origin(kind=kind, host=host, port=port, ssl_context=context, pins=frozenset(pins), **more)

    async def publish(self, routes: dict[str, Origin]) -> None:
        """Serve these hostnames from now on."""
        self.rig.origins.set_routes(routes)
        self.rig.origins.set_granted(frozenset(routes))
        self.rig.session(tuple(routes))
        if not self.rig.connections:
            self.rig.connections.append(await self._join())
        await accepting(self.address, self.port)  # a worker listens from the turn after the join on

    async def _join(self) -> DataConnection:
        rig = self.rig
        where = (self.address, rig.data_port)
        return await connect(
            where, ticket=ticket(), origins=rig.origins, limits=rig.limits, deadline_s=WAIT_S
        )

    def curl(self, *arguments: str, host: str = SITE) -> tuple[str, ...]:
        """Return curl's arguments, with the site's name resolved to the worker."""
        where = f"{host}:{self.port}:{f'[{self.address}]' if ':' in self.address else self.address}"
        return ("--silent", "--show-error", "--cacert", self.ca, "--resolve", where, *arguments)


@contextlib.asynccontextmanager
async def opened(folder: Path, *, address: str = "127.0.0.1", **options: Any) -> AsyncGenerator[Scene]:
    """Open a scene whose worker and data connections are on `address`."""
    certificate = site_certificate.make(folder, SITES)
    listeners: dict[str, Any] = {"visitor_listen": ((address, 0),), "data_listen": ((address, 0),)}
    async with Rig(**listeners, **options) as rig:
        yield Scene(rig=rig, address=address, certificate=certificate)
