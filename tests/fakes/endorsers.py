"""Endorsers on loopback that answer as told: well, late, too often, half, or with something else.

`Published` maps a path with its query to what is answered, one answer after another, the last for ever.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from aiohttp import web

from tests.fakes.amd import Chip


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """One answer."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    late_s: float = 0.0
    cut: int = 0  # bytes that Content-Length promises and nobody sends


class Endorsers:
    """A server; `asked` holds every path in order."""

    def __init__(self, published: Mapping[str, Say | list[Say]]) -> None:
        self.published = {
            path: list(said) if isinstance(said, list) else [said] for path, said in published.items()
        }
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path_qs
        self.asked.append(path)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            left = self.published.get(path, [Say(status=404)])
            said = left.pop(0) if len(left) > 1 else left[0]
            if said.late_s:
                await asyncio.sleep(said.late_s)
            return await _send(request, said)
        finally:
            self.at_once -= 1

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[str]:
        """Yield the base URL."""
        application = web.Application()
        application.router.add_get("/{path:.*}", self.answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


async def _send(request: web.Request, said: Say) -> web.StreamResponse:
    if not said.cut:
        return web.Response(body=said.body, status=said.status, headers=dict(said.headers))
    response = web.StreamResponse(headers={"Content-Length": str(len(said.body) + said.cut)})
    await response.prepare(request)
    await response.write(said.body)
    assert request.transport is not None
    request.transport.close()
    return response


def pem(*ders: bytes) -> bytes:
    """Return certificates in PEM."""
    lines = [base64.encodebytes(der) for der in ders]
    return b"".join(
        b"-----BEGIN CERTIFICATE-----\n" + text + b"-----END CERTIFICATE-----\n" for text in lines
    )


def kds(chip: Chip) -> dict[str, Say]:
    """Return what AMD publishes about a chip, by the paths of its own evidence."""
    from runtime.attestation.endorsements.wanted import endorsements_needed

    bare = chip.evidence(report_data=bytes(64))
    have = bare.endorsements
    bodies = {
        "certificate": have["vek"],
        "crl": have["crl"],
        "chain": pem(have["intermediate"], have["root"]),
    }
    wants = endorsements_needed(type(bare)(format=bare.format, parts=bare.parts, endorsements={}))
    return {want.paths[0]: Say(body=bodies[want.kind]) for want in wants}


def pcs(collateral: bytes, paths: tuple[str, ...]) -> dict[str, Say]:
    """Return what Intel publishes, from nine parts in one object."""
    parts: dict[str, Any] = json.loads(collateral)

    def signed(name: str, part: str) -> bytes:
        return f'{{"{name}":{parts[part]},"signature":"{parts[part + "_signature"]}"}}'.encode()

    def chain(header: str, part: str) -> dict[str, str]:
        return {header: quote(parts[part])}

    tcb, identity, pck_crl, root_crl = paths
    return {
        tcb: Say(
            body=signed("tcbInfo", "tcb_info"),
            headers=chain("TCB-Info-Issuer-Chain", "tcb_info_issuer_chain"),
        ),
        identity: Say(
            body=signed("enclaveIdentity", "qe_identity"),
            headers=chain("SGX-Enclave-Identity-Issuer-Chain", "qe_identity_issuer_chain"),
        ),
        pck_crl: Say(
            body=bytes.fromhex(parts["pck_crl"]),
            headers=chain("SGX-PCK-CRL-Issuer-Chain", "pck_crl_issuer_chain"),
        ),
        root_crl: Say(body=parts["root_ca_crl"].encode()),
    }
