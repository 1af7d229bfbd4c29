"""What a tunnel server answers under the tunnel name itself: /readyz and evidence, nothing else. I/O.

Anyone may ask for evidence with a nonce of their own. It is bound to this server's endpoint key and
labelled apart from the channel's, so it can never be replayed into a session (docs/protocol.md §9).
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable

from aiohttp import web

from runtime.attestation import binding, wire
from runtime.attestation.attester import Attester
from runtime.channel.boot_key import BootKey
from runtime.channel.bound import Bound
from runtime.config import EVIDENCE_PATH
from runtime.errors import TunnelError
from runtime.memory_chain import load_chain

NONCE_SIZE = 32  # bytes


def endpoint_bound(*, spki: bytes, nonce: bytes, settings_digest: bytes) -> Bound:
    """Return what endpoint evidence is bound to: the server's key and the asker's nonce, no session."""
    return Bound(
        label=binding.Label.ENDPOINT,
        direction=binding.Direction.SERVER_TO_CLIENT,
        epoch=0,
        transcript=bytes(32),
        exporter=bytes(32),
        spki_attester=spki,
        spki_verifier=spki,  # the asker has no key: the server's stands in both places
        verifier_nonce=nonce,
        settings_digest=settings_digest,
    )


def application(
    *,
    attester: Attester,
    spki: bytes,
    settings_digest: bytes,
    is_ready: Callable[[], bool],
    most_askers: int,
) -> web.Application:
    """Build the application."""
    gate = asyncio.Semaphore(1)  # configfs answers EBUSY to two at once
    asking = 0

    async def readyz(_request: web.Request) -> web.Response:
        ready = is_ready()
        return web.Response(text="ready\n" if ready else "not ready\n", status=200 if ready else 503)

    async def evidence(request: web.Request) -> web.Response:
        nonlocal asking
        nonce = _nonce(request.query.get("nonce", ""))
        if nonce is None:
            return web.json_response(
                {"error": "want ?nonce= with 64 hexadecimal digits of your own"}, status=400
            )
        if asking >= most_askers:
            return web.json_response({"error": "evidence_busy"}, status=503, headers={"Retry-After": "2"})
        asking += 1
        try:
            async with gate:
                collected = await attester.collect(
                    endpoint_bound(spki=spki, nonce=nonce, settings_digest=settings_digest).binder
                )
        except TunnelError as error:
            return web.json_response({"error": error.code}, status=503)
        finally:
            asking -= 1
        return web.json_response(
            {
                "evidence": base64.b64encode(wire.encode(collected)).decode(),
                "settings_sha256": settings_digest.hex(),
                "nonce": nonce.hex(),
            }
        )

    app = web.Application(client_max_size=0)
    app.router.add_get("/readyz", readyz)
    app.router.add_get(EVIDENCE_PATH, evidence)
    return app


def tls_context(key: BootKey) -> ssl.SSLContext:
    """Return the server context of the endpoint key; the key reaches OpenSSL through memory only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    load_chain(context, key.certificate_pem.encode(), key.key_pem.encode())
    return context


def _nonce(text: str) -> bytes | None:
    try:
        nonce = bytes.fromhex(text)
    except ValueError:
        return None
    return nonce if len(nonce) == NONCE_SIZE else None
