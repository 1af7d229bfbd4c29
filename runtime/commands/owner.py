"""What every verb of an owner has in common: whom to ask, with which key, and how to get there. I/O.

The owner's machine trusts nothing but the signed document and the pinned roots: a server that it goes through
is appraised like the member that it asks for, and what a member says of itself is shown as that.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime import config
from runtime.attestation import verifier
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.result import AttestationResult
from runtime.attestation.tees import Root
from runtime.attestation.verifier import AppraisalRequest
from runtime.channel.boot_key import BootKey
from runtime.channel.party import CurrentDocument, OwnerParty
from runtime.clock import TrustedClock
from runtime.documents import dsse, fleet
from runtime.documents.fleet import Member
from runtime.errors import MalformedError, PeerError, TunnelError, UnreachableError, UsageError
from runtime.keys import owner_key
from runtime.limits import Limits
from runtime.tunnel import owner_reach, resolve
from runtime.tunnel.owner_reach import Use, Visit

DEFAULT_PORT = 7443


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("member", metavar="MEMBER", help="a server or a client of the fleet document")
    parser.add_argument("--document", required=True, metavar="FILE", help="the signed fleet document")
    parser.add_argument(
        "--owner-key",
        required=True,
        type=Path,
        metavar="FILE",
        help="the owner's private key, mode 0600: it signs",
    )
    parser.add_argument(
        "--signed-by",
        action="append",
        default=[],
        metavar=owner_key.PUBLIC_FORM,
        help="the owner's public key that signed the document, where it is the other one of two",
    )
    parser.add_argument(
        "--address",
        metavar="ADDRESS[:PORT]",
        help="one server's sessions port; left out: every address of the tunnel name in DNS",
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="the sessions port (default 7443)")
    parser.add_argument("--resolver", metavar="ADDRESS:PORT", help="the DNS server to ask")
    parser.add_argument("--json", action="store_true", help="answer with JSON")


def run(options: argparse.Namespace, roots: tuple[Root, ...], use: Use) -> None:
    """Reach the member and use the channel. Raises: TunnelError."""
    key = owner_key.load(options.owner_key)
    current = _document(options, key)
    member = _member(current, options.member)
    resolver = None if options.resolver is None else address(options.resolver, None, "--resolver")
    asyncio.run(_run(options, roots, key, current, member, resolver, use))


async def _run(
    options: argparse.Namespace,
    roots: tuple[Root, ...],
    key: Ed25519PrivateKey,
    current: CurrentDocument,
    member: Member,
    resolver: tuple[str, int] | None,
    use: Use,
) -> None:
    clock = TrustedClock(config.BUILD_TIME)
    clock.raise_floor(current.document.issued_at)

    async def sign(message: bytes) -> bytes:
        return key.sign(message)

    owner = OwnerParty(
        key=BootKey.create("owner", clock.now()),
        sign=sign,
        appraiser=Here(),
        roots=roots,
        document=current,
        clock=clock,
    )
    where = await _addresses(options, current.document.tunnel_name, resolver)
    await reach(member, where, lambda host, port: owner_reach.visit(owner, member, host, port, use))


class Here:
    """Appraises in this process: the command has nothing else to do meanwhile."""

    async def appraise(self, request: AppraisalRequest, *, source: str) -> AttestationResult:
        """Return the result. Raises: EvidenceRefusedError, MalformedError."""
        del source
        return verifier.appraise(request)


async def reach(
    member: Member,
    where: tuple[tuple[str, int], ...],
    visit: Callable[[str, int], Awaitable[None]],
) -> None:
    """Try each server until one is the member, or has a session with it.

    Raises: EvidenceRefusedError of the first that was refused; UnreachableError with what each one said.
    """
    problems: list[str] = []
    refused: TunnelError | None = None
    for host, port in where:
        try:
            await visit(host, port)
        except (UnreachableError, EvidenceRefusedError, MalformedError) as error:
            refused = refused or (None if isinstance(error, UnreachableError) else error)
            problems.append(f"{host}: {error}")
        except PeerError as error:
            if error.code == "owner_refused" and error.remote:
                message = f"the server or client at {host} does not know this owner's key"
                raise UsageError(message, hint="its settings name the keys that it answers to") from error
            if len(where) == 1 and error.code != "other_member":
                raise
            problems.append(f"{host}: {error}")
        else:
            return
    if refused is not None:
        raise refused
    message = f"{member.name} could not be reached:\n  " + "\n  ".join(problems)
    raise UnreachableError(message)


def says_version(visit: Visit, current_version: int) -> str:
    """Return a warning when the member follows another document than ours, else nothing."""
    theirs = visit.peer_hello.document_version
    if theirs == current_version:
        return ""
    which = "a newer" if theirs > current_version else "an older"
    return f"the member follows {which} fleet document: version {theirs}, ours is {current_version}"


def way(visit: Visit) -> str:
    """Say how the member was reached."""
    through: AttestationResult | None = visit.through
    return visit.address if through is None else f"{through.member} ({visit.address}, grade {through.grade})"


def address(text: str, default_port: int | None, option: str) -> tuple[str, int]:
    """Read ADDRESS or ADDRESS:PORT, IPv6 in brackets when a port follows. Raises: UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host and not host.startswith("[")):
        if default_port is None:
            message = f'{option} is "{text}", want ADDRESS:PORT'
            raise UsageError(message)
        return text.strip("[]"), default_port
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        message = f'{option} is "{text}", want a port from 1 to 65535'
        raise UsageError(message)
    return host.strip("[]"), int(port)


async def _addresses(
    options: argparse.Namespace, tunnel_name: str, resolver: tuple[str, int] | None
) -> tuple[tuple[str, int], ...]:
    if options.address is not None:
        return (address(options.address, options.port, "--address"),)
    answer = await resolve.resolve(tunnel_name, resolver, Limits())
    return tuple((found, options.port) for found in answer.addresses)


def _document(options: argparse.Namespace, key: Ed25519PrivateKey) -> CurrentDocument:
    try:
        envelope = Path(options.document).read_bytes()
    except OSError as error:
        message = f"the fleet document cannot be read: {error}"
        raise UsageError(message) from error
    keys = (key.public_key().public_bytes_raw(), *map(owner_key.read_public, options.signed_by))
    payload = dsse.open_envelope(envelope, dsse.FLEET_TYPE, keys)
    return CurrentDocument(envelope=envelope, payload=payload, document=fleet.read(payload))


def _member(current: CurrentDocument, name: str) -> Member:
    for member in current.document.members:
        if member.name == name:
            return member
    names = ", ".join(member.name for member in current.document.members)
    message = f'the fleet document has no member "{name}"'
    raise UsageError(message, hint=f"it has {names}")
