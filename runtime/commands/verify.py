"""Attest one tunnel server from outside: fetch its endpoint evidence and appraise it. I/O.

What this proves: the key that ends TLS under the tunnel name on this address is held by a member of
the owner's fleet, on the platform and with the image stated, now. What it does not: it says nothing
about another address of the same name; ask each. And a visitor's own TLS ends at the client, not here.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import binascii
import secrets
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from runtime import config
from runtime.attestation import explanation, verifier
from runtime.attestation.result import AttestationResult
from runtime.attestation.tees import Root
from runtime.attestation.verifier import AppraisalRequest
from runtime.channel.boot_key import spki_of
from runtime.clock import TrustedClock
from runtime.commands import answers
from runtime.documents import dsse, fleet, strict_json
from runtime.errors import MalformedError, PeerError, UnreachableError, UsageError
from runtime.keys import owner_key
from runtime.web.tunnel_name import NONCE_SIZE, endpoint_bound

DEADLINE_S = 20.0
MAX_ANSWER = 512 * 1024  # bytes; evidence is at most 256 KiB before base64


ABOUT = """
Attests one tunnel server from outside: fetches its endpoint evidence and appraises it. What this proves:
the key that ends TLS under the tunnel name on this address is held by a member of the owner's fleet, on the
platform and with the image stated, now. It says nothing about another address of the same name: ask each.
And a visitor's own TLS ends at the client, not here.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one server showed: its evidence, and the key it showed it on."""

    evidence: bytes
    settings_digest: bytes
    spki: bytes
    nonce: bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "--address", required=True, metavar="ADDRESS[:PORT]", help="one server; port 443 if left out"
    )
    parser.add_argument("--document", required=True, metavar="FILE", help="the signed fleet document")
    parser.add_argument(
        "--owner-key",
        required=True,
        action="append",
        metavar=owner_key.PUBLIC_FORM,
        help=owner_key.PUBLIC_HELP,
    )
    parser.add_argument("--json", action="store_true", help="answer with JSON")


def verb(options: argparse.Namespace, roots: tuple[Root, ...]) -> None:
    """Run the verb. Raises: TunnelError."""
    keys = tuple(map(owner_key.read_public, options.owner_key))
    try:
        envelope = Path(options.document).read_bytes()
    except OSError as error:
        message = f"the fleet document cannot be read: {error}"
        raise UsageError(message) from error
    host, port = address(options.address)
    result = asyncio.run(attest(host, port, envelope, keys, roots))
    answers.give(
        {"address": options.address, **explanation.accepted(result)},
        [f"{options.address} is " + "\n".join(explanation.sentences(result))],
        as_json=options.json,
    )
    print(f"tunnel: {result.member} at {options.address} is attested, grade {result.grade}", file=sys.stderr)


async def attest(
    host: str, port: int, envelope: bytes, owner_keys: tuple[bytes, ...], roots: tuple[Root, ...]
) -> AttestationResult:
    """Attest the server at one address. Raises: TunnelError."""
    payload = dsse.open_envelope(envelope, dsse.FLEET_TYPE, owner_keys)
    document = fleet.read(payload)
    clock = TrustedClock(config.BUILD_TIME)
    clock.raise_floor(document.issued_at)
    answer = await ask(host, port, document.tunnel_name)
    bound = endpoint_bound(spki=answer.spki, nonce=answer.nonce, settings_digest=answer.settings_digest)
    return verifier.appraise(
        AppraisalRequest(
            evidence=answer.evidence,
            binder=bound.binder,
            settings_digest=answer.settings_digest,
            role="server",
            document=payload,
            roots=roots,
            now=clock.now(),
        )
    )


async def ask(host: str, port: int, tunnel_name: str) -> Answer:
    """Fetch endpoint evidence over a nonce of ours. Raises: UnreachableError, MalformedError, PeerError."""
    nonce = secrets.token_bytes(NONCE_SIZE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # self-signed: the evidence, not a CA, vouches for this key
    try:
        async with asyncio.timeout(DEADLINE_S):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=context, server_hostname=tunnel_name
            )
            try:
                certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
                target = f"{config.EVIDENCE_PATH}?nonce={nonce.hex()}"
                # HTTP/1.0, so that the body ends with the connection: one request on the very key we saw.
                writer.write(f"GET {target} HTTP/1.0\r\nHost: {tunnel_name}\r\n\r\n".encode())
                raw = await reader.read(MAX_ANSWER)
                while chunk := await reader.read(MAX_ANSWER):
                    raw += chunk
                    if len(raw) > MAX_ANSWER:
                        raise PeerError("too_large", f"the server answered more than {MAX_ANSWER} bytes")
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        message = f"{host} port {port} did not answer under {tunnel_name}: {str(error) or 'deadline'}"
        raise UnreachableError(message) from error
    return _answer(raw, nonce, certificate)


def _answer(raw: bytes, nonce: bytes, certificate: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0].split(b" ")
    if len(status) < 2 or status[1] != b"200":
        raise PeerError(
            "evidence_unavailable", f"the server answered {b' '.join(status[1:]).decode('ascii', 'replace')}"
        )
    value = strict_json.parse(body, "evidence answer")
    try:
        evidence = base64.b64decode(value["evidence"], validate=True)
        settings_digest = bytes.fromhex(value["settings_sha256"])
        spki = spki_of(x509.load_der_x509_certificate(certificate))
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise MalformedError("evidence answer", f"{type(error).__name__}: {error}") from error
    return Answer(evidence=evidence, settings_digest=settings_digest, spki=spki, nonce=nonce)


def address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host and not host.startswith("[")):
        return text.strip("[]"), 443
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        message = f'--address is "{text}", want ADDRESS or ADDRESS:PORT'
        raise UsageError(message)
    return host.strip("[]"), int(port)
