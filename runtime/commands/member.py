"""Start one member of the fleet, server or client, from its settings. I/O.

In this order, each step a precondition of the next: settings digest → keys in memory → fleet
document → our own evidence, appraised by ourselves → listeners. A member that could not convince
itself would convince nobody, so it does not serve.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime import config
from runtime.attestation import wire
from runtime.attestation.attester import Attester
from runtime.attestation.result import AttestationResult
from runtime.attestation.tees import Root
from runtime.attestation.verifier import AppraisalRequest
from runtime.channel.appraiser import ProcessAppraiser
from runtime.channel.boot_key import BootKey
from runtime.channel.hello import Side
from runtime.channel.party import Party
from runtime.clock import TrustedClock
from runtime.commands import member_status, metrics, routes
from runtime.commands.signals import until_signalled
from runtime.commands.supervision import ServiceManager
from runtime.documents.settings import ClientSettings, ServerSettings, Settings
from runtime.tunnel.client import TunnelClient
from runtime.tunnel.loop_lag import LoopLag
from runtime.tunnel.server import TunnelServer
from runtime.tunnel.worker import raise_descriptor_limit
from runtime.web import admin, listeners, tunnel_name
from runtime.web.documents import PublishedDocuments

log = logging.getLogger("tunnel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What differs between a TEE and a simulated one."""

    attester: Attester
    roots: tuple[Root, ...]


async def run(settings: Settings, parts: Parts) -> None:
    """Serve until SIGTERM or SIGINT: the first drains, a second one ends at once.

    Raises: TunnelError when the member cannot or may not serve.
    """
    raise_descriptor_limit()
    clock = TrustedClock(config.BUILD_TIME)
    documents = PublishedDocuments(settings, clock)
    appraiser = ProcessAppraiser(settings.limits)
    documents.on_change(lambda: appraiser.prepare(documents.current().payload))  # first of all listeners
    key = BootKey.create(settings.tunnel_name, clock.now())
    party = Party(
        side=Side.SERVER if isinstance(settings.role, ServerSettings) else Side.CLIENT,
        key=key,
        settings_digest=settings.digest,
        owner_keys=settings.owner_keys,
        attester=parts.attester,
        appraiser=appraiser,
        roots=parts.roots,
        documents=documents,
        clock=clock,
        limits=settings.limits,
    )
    lag = LoopLag(asyncio.get_running_loop())
    own = metrics.OwnMetrics(appraiser, lag)
    lag.start()
    try:
        async with asyncio.TaskGroup() as tasks:
            polling = tasks.create_task(documents.run())
            await appraiser.start()
            await documents.first()
            result = await appraise_self(party, settings)
            _announce(result)
            if isinstance(settings.role, ServerSettings):
                await _serve(settings, settings.role, party, documents, own)
            else:
                await _publish(settings, settings.role, party, documents, own)
            polling.cancel()
    finally:
        lag.stop()
        appraiser.close()


async def appraise_self(party: Party, settings: Settings) -> AttestationResult:
    """Collect our own evidence and hold it against the fleet document.

    Raises: EvidenceRefusedError when no peer could accept us either.
    """
    nonce = secrets.token_bytes(tunnel_name.NONCE_SIZE)
    binder = tunnel_name.endpoint_bound(
        spki=party.key.spki, nonce=nonce, settings_digest=settings.digest
    ).binder
    evidence = wire.encode(await party.attester.collect(binder))
    return await party.appraiser.appraise(
        AppraisalRequest(
            evidence=evidence,
            binder=binder,
            settings_digest=settings.digest,
            role=settings.role_name,
            document=party.documents.current().payload,
            roots=party.roots,
            now=party.clock.now(),
        ),
        source="self",
    )


async def _serve(
    settings: Settings,
    role: ServerSettings,
    party: Party,
    documents: PublishedDocuments,
    own: metrics.OwnMetrics,
) -> None:
    started = time.monotonic()
    listening = asyncio.Event()

    def status() -> Mapping[str, Any]:
        return member_status.of_server(
            settings, documents, server, started=started, listening=listening.is_set()
        )

    data_key = BootKey.create(settings.tunnel_name, party.clock.now())
    server = TunnelServer(
        settings=role,
        tunnel_name=settings.tunnel_name,
        party=party,
        data_key=data_key,
        limits=settings.limits,
        status=status,
    )
    documents.on_change(server.document_changed)
    endpoint = tunnel_name.application(
        attester=party.attester,
        spki=party.key.spki,
        settings_digest=settings.digest,
        is_ready=server.is_ready,
        most_askers=settings.limits.own_askers,
    )

    private = admin.application(
        is_ready=server.is_ready, status=status, registry=metrics.registry(server, own)
    )
    with tempfile.TemporaryDirectory(prefix="tunnel-") as folder:  # mode 0700: for our own workers only
        socket = str(Path(folder) / "endpoint")
        async with (
            listeners.on_unix_socket(endpoint, socket, tunnel_name.tls_context(party.key)),
            listeners.on_address(private, *settings.admin),
            until_signalled(
                server.drain,
                documents.from_urls,
                manager=ServiceManager(os.environ),
                ready=listening.wait,
                is_well=server.workers.answering,
            ) as until,
        ):
            await until(server.run(socket, listening))


async def _publish(
    settings: Settings,
    role: ClientSettings,
    party: Party,
    documents: PublishedDocuments,
    own: metrics.OwnMetrics,
) -> None:
    started = time.monotonic()

    def status() -> Mapping[str, Any]:
        return member_status.of_client(settings, documents, client, started=started)

    def at_boot(hostname: str) -> tuple[bytes, bytes]:
        site = party.key.for_site(hostname, party.clock.now())
        return site.certificate_pem.encode(), site.key_pem.encode()

    source = routes.RoutesSource(role, settings.owner_keys, settings.limits, at_boot)
    client = TunnelClient(
        settings=role,
        tunnel_name=settings.tunnel_name,
        resolver=settings.resolver,
        party=party,
        limits=settings.limits,
        routes=await source.read(),
        status=status,
    )
    documents.on_change(client.document_changed)

    async def reload() -> None:
        documents.refresh()
        await source.reload(client.set_routes)
        client.reconnect()

    private = admin.application(
        is_ready=client.is_ready, status=status, registry=metrics.registry(client, own)
    )
    async with (
        listeners.on_address(private, *settings.admin),
        until_signalled(
            client.drain,
            reload,
            manager=ServiceManager(os.environ),
            ready=lambda: asyncio.sleep(0),
            is_well=lambda: True,
        ) as until,
    ):
        await until(client.run())


def _announce(result: AttestationResult) -> None:
    fields = {
        "member": result.member,
        "grade": result.grade,
        "purpose": result.purpose,
        "image": result.image,
        "document": result.document_version,
    }
    log.info("attested on boot", extra={"fields": fields})
    for warning in result.warnings:
        log.warning("attestation", extra={"fields": {"detail": warning}})
