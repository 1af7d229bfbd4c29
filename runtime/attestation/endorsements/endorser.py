"""Complete evidence with the endorsements it lacks: from a bundle, from the cache, from their endorsers. I/O.

What cannot be had is told, not raised: evidence without it is shown all the same, and whoever verifies it
says what is missing. What is past its end is never handed on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from runtime.attestation.endorsements import contents
from runtime.attestation.endorsements.bundle import EMPTY, Bundle
from runtime.attestation.endorsements.cache import Cache
from runtime.attestation.endorsements.published import PublishedBundle
from runtime.attestation.endorsements.wanted import Want, endorsements_needed
from runtime.attestation.endorsements.web import Web
from runtime.attestation.formats import FORMATS
from runtime.attestation.wire import Evidence
from runtime.documents import times
from runtime.errors import MalformedError, UnreachableError

log = logging.getLogger("tunnel.endorsements")

ROUNDS = 6  # an attestation key's path has four certificates: each round finds the next
DEADLINE_S = 3.0  # with 11 s for the evidence itself, under the limit `collect_s`
FIRST_DEADLINE_S = 60.0  # on boot nobody waits yet, and AMD's limits take their time


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where endorsers publish; tests and mirrors put other addresses in."""

    amd_kds: str = "https://kdsintf.amd.com"
    azure_thim: str = "http://169.254.169.254"
    intel_pcs: str = "https://api.trustedservices.intel.com"
    google_launch: str = "https://storage.googleapis.com/gce_tcb_integrity/ovmf_x64_csm"
    authority: str = ""  # whole URLs; another value goes in front of them

    def urls(self, want: Want) -> tuple[str, ...]:
        """Return the addresses of a want's paths."""
        return tuple(getattr(self, want.source) + path for path in want.paths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """One want that nobody could meet now, and why."""

    want: Want
    why: str

    def __str__(self) -> str:
        return f"{', '.join(self.want.gives)}: {self.why}"


@dataclass(slots=True, kw_only=True)
class Endorser:
    """Gets and keeps endorsements."""

    web: Web | None  # None: offline
    cache: Cache | None
    now: Callable[[], int]  # Unix seconds, the trusted clock's
    sources: Sources = field(default_factory=Sources)
    bundle: Bundle = EMPTY
    monotonic: Callable[[], float] = time.monotonic
    used: dict[str, bytes] = field(default_factory=dict)  # what met a want, by key: what a bundle is made of

    async def complete(
        self, evidence: Evidence, *, deadline_s: float
    ) -> tuple[Evidence, tuple[Shortfall, ...]]:
        """Return the evidence with all that could be had. Raises: MalformedError (of the evidence itself)."""
        deadline = self.monotonic() + deadline_s
        short: dict[str, Shortfall] = {}
        for _ in range(ROUNDS):
            wants = [want for want in endorsements_needed(evidence) if want.key not in short]
            if not wants:
                break
            for want in wants:
                got = await self._meet(want, evidence, deadline, short)
                evidence = _with(evidence, got)
        return evidence, tuple(short.values())

    async def _meet(
        self, want: Want, evidence: Evidence, deadline: float, short: dict[str, Shortfall]
    ) -> dict[str, bytes]:
        stale = ""
        for place, body in (("bundle", self.bundle.items.get(want.key)), ("cache", self._kept(want))):
            if body is None:
                continue
            try:
                found = contents.read(want, body, evidence)
            except MalformedError as error:
                stale = f"the {place}'s is not usable ({error})"
                continue
            if found.fresh_until is None or self.now() < found.fresh_until:
                self.used[want.key] = body
                return dict(found.endorsements)
            stale = f"the {place}'s ended at {times.show(found.fresh_until)}"
        try:
            return await self._fetch(want, evidence, deadline)
        except (UnreachableError, MalformedError) as error:
            short[want.key] = Shortfall(want=want, why=f"{error}" + (f"; {stale}" if stale else ""))
            return {}

    def _kept(self, want: Want) -> bytes | None:
        return None if self.cache is None else self.cache.get(want.key)

    async def _fetch(self, want: Want, evidence: Evidence, deadline: float) -> dict[str, bytes]:
        if self.web is None:
            raise UnreachableError("no network was asked")
        urls = self.sources.urls(want)
        if want.source == "authority":
            body = await self._first_of(urls, deadline)
        else:
            answers = [await self.web.get(url, deadline=deadline) for url in urls]
            body = contents.assemble(want, answers)
        found = contents.read(want, body, evidence)
        if found.fresh_until is not None and self.now() >= found.fresh_until:
            message = f"{urls[0]} gives what ended at {times.show(found.fresh_until)}"
            raise UnreachableError(message)
        if self.cache is not None:
            self.cache.put(want.key, body)
        self.used[want.key] = body
        return dict(found.endorsements)

    async def _first_of(self, urls: tuple[str, ...], deadline: float) -> bytes:
        """Addresses of one certificate or list are as good as each other: take the first that answers."""
        last = UnreachableError("it has no address")
        for url in urls:
            try:
                if self.web is not None:
                    return (await self.web.get(url, deadline=deadline)).body
            except UnreachableError as error:
                last = error
        raise last


def _with(evidence: Evidence, got: dict[str, bytes]) -> Evidence:
    known = FORMATS[evidence.format].endorsements
    fits = {name: value for name, value in got.items() if 0 < len(value) <= known.get(name, 0)}
    return Evidence(
        format=evidence.format, parts=evidence.parts, endorsements={**evidence.endorsements, **fits}
    )


class _Attester(Protocol):
    def available(self) -> bool: ...

    async def collect(self, report_data: bytes) -> Evidence: ...


class EndorsedAttester:
    """An attester whose evidence brings its endorsements along."""

    def __init__(self, attester: _Attester, endorser: Endorser, published: PublishedBundle) -> None:
        self.attester, self.endorser, self.published = attester, endorser, published
        self._first = True

    def available(self) -> bool:
        """Tell whether the machine can attest."""
        return self.attester.available()

    async def collect(self, report_data: bytes) -> Evidence:
        """Return evidence with all endorsements that could be had; what could not is logged."""
        evidence = await self.attester.collect(report_data)
        self.endorser.bundle = await self.published.refresh()
        deadline_s = FIRST_DEADLINE_S if self._first else DEADLINE_S
        evidence, short = await self.endorser.complete(evidence, deadline_s=deadline_s)
        self._first = False
        for one in short:
            log.warning(
                "endorsement missing", extra={"fields": {"endorsement": one.want.gives, "why": one.why}}
            )
        return evidence
