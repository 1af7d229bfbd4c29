"""Ask DNS for the addresses of the tunnel servers. I/O.

DNS says whom to dial, never whom to trust: a wrong answer leads to an address that cannot attest.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception
import dns.resolver

from runtime.errors import UnreachableError
from runtime.limits import Limits

MIN_TTL_S = 1  # a record may say 0; we still do not ask more often than this


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The addresses of a name, sorted, and for how long they hold."""

    addresses: tuple[str, ...]
    ttl_s: int
    complete: bool  # False: one of the two kinds could not be had, so what is missing says nothing
    left_out: int  # addresses beyond `max_addresses`


async def resolve(name: str, resolver: tuple[str, int] | None, limits: Limits) -> Answer:
    """Return the A and AAAA records of `name`; `resolver` is (address, port), None the machine's own.

    Raises: UnreachableError when neither kind could be had, or there is no address at all.
    """
    asker = _resolver(resolver, limits.dns_s)
    addresses: set[str] = set()
    ttls: list[int] = []
    failures: list[str] = []
    for kind in ("A", "AAAA"):
        try:
            answer = await _ask(asker, name, kind)
        except dns.resolver.NoAnswer:
            continue
        except dns.resolver.LifetimeTimeout:
            failures.append(f"{kind}: no answer within {limits.dns_s:g} s (dns_s)")
            continue
        except dns.exception.DNSException as error:
            failures.append(f"{kind}: {type(error).__name__}")
            continue
        if answer.rrset is not None:
            addresses |= {str(record) for record in answer.rrset}
            ttls.append(answer.rrset.ttl)
    if not addresses:
        reason = ", ".join(failures) or "there is no A and no AAAA record"
        message = f"{name} could not be resolved: {reason}"
        raise UnreachableError(message)
    return Answer(
        addresses=tuple(sorted(addresses)[: limits.max_addresses]),
        ttl_s=max(MIN_TTL_S, min(ttls)),
        complete=not failures,
        left_out=max(0, len(addresses) - limits.max_addresses),
    )


async def _ask(asker: dns.asyncresolver.Resolver, name: str, kind: str) -> dns.resolver.Answer:
    """Ask, and stay cancelled: before Python 3.12 the `wait_for` in dnspython can swallow a cancellation.

    A tunnel client that lost its own would never end.
    """
    try:
        return await asker.resolve(name, kind, search=False)
    finally:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError


def _resolver(where: tuple[str, int] | None, lifetime_s: float) -> dns.asyncresolver.Resolver:
    try:
        asker = dns.asyncresolver.Resolver(configure=where is None)
    except dns.exception.DNSException as error:
        message = f"this machine has no resolver configured: {error}"
        raise UnreachableError(message) from error
    if where is not None:
        asker.nameservers = [where[0]]
        asker.port = where[1]
    asker.lifetime = lifetime_s
    asker.cache = None
    return asker
