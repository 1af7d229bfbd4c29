"""Complete evidence with the endorsements it lacks: from a bundle, from the cache, from their endorsers. I/O.

What cannot be had is told, not raised: evidence without it is shown all the same, and whoever verifies it
says what is missing. What is past its end, or does not hold together (`genuine`), is never handed on or kept:
the next place is asked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from runtime.attestation.endorsements import contents, genuine
from runtime.attestation.endorsements.bundle import EMPTY, Bundle
from runtime.attestation.endorsements.cache import Cache
from runtime.attestation.endorsements.published import PublishedBundle
from runtime.attestation.endorsements.wanted import Want, endorsements_needed
from runtime.attestation.endorsements.web import Web
from runtime.attestation.formats import FORMATS
from runtime.attestation.tees import Root
from runtime.attestation.wire import Evidence
from runtime.documents import times
from runtime.errors import MalformedError, UnreachableError

log = logging.getLogger("tunnel.endorsements")

ROUNDS = 6  # what was found may name something more
MAX_ADDRESSES = 4  # of one certificate or list; Azure names as many, and nobody is sent from door to door
DEADLINE_S = 3.0  # with 11 s for the evidence itself, under the limit `collect_s`
FIRST_DEADLINE_S = 60.0  # on boot nobody waits yet, and AMD's limits take their time

Place = Literal["bundle", "cache", "endorser"]


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
class Miss:
    """One place that had nothing, or something that does not count."""

    place: Place
    state: Literal["ended", "unusable", "unreachable"]
    why: str
    until: int | None = None  # Unix seconds, of what ended

    def __str__(self) -> str:
        whose = f"the {self.place}'s"
        said = {"ended": f"{whose} {self.why}", "unusable": f"{whose} is not usable ({self.why})"}
        return said.get(self.state, self.why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """One want that nobody could meet now, and why at each place."""

    want: Want
    misses: tuple[Miss, ...]

    @property
    def why(self) -> str:
        """Say it for people."""
        return "; ".join(map(str, self.misses))

    def __str__(self) -> str:
        return f"{', '.join(self.want.gives)}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What met a want."""

    body: bytes
    until: int  # Unix seconds: the first end of something in it


@dataclass(slots=True, kw_only=True)
class Endorser:
    """Gets and keeps endorsements."""

    web: Web | None  # None: offline
    cache: Cache | None
    now: Callable[[], int]  # Unix seconds, the trusted clock's
    roots: tuple[Root, ...]  # what does not hold under them counts as missing, and is not kept
    sources: Sources = field(default_factory=Sources)
    bundle: Bundle = EMPTY
    monotonic: Callable[[], float] = time.monotonic
    used: dict[str, Used] = field(default_factory=dict[str, Used])  # by key: what a bundle is made of

    async def complete(
        self, evidence: Evidence, *, deadline_s: float
    ) -> tuple[Evidence, tuple[Shortfall, ...]]:
        """Return the evidence with all that could be had. Raises: MalformedError (of the evidence itself)."""
        asking = _Asking(deadline=self.monotonic() + deadline_s)
        short: dict[str, Shortfall] = {}
        for _ in range(ROUNDS):
            wants = [want for want in endorsements_needed(evidence) if want.key not in short]
            if not wants:
                break
            for want in wants:
                got, misses = await self._meet(want, evidence, asking)
                if got is None:
                    short[want.key] = Shortfall(want=want, misses=misses)
                else:
                    evidence = _with(evidence, got)
        return evidence, tuple(short.values())

    async def _meet(
        self, want: Want, evidence: Evidence, asking: _Asking
    ) -> tuple[dict[str, bytes] | None, tuple[Miss, ...]]:
        """Ask one place after the other; return what counts, or None, and what did not."""
        misses, seen = list[Miss](), set[bytes]()
        for place, offer in self._offers(want):
            try:
                body = offer if isinstance(offer, bytes) else await self._fetch(want, offer, evidence, asking)
                if body in seen:
                    continue
                seen.add(body)
                got = await self._use(want, place, body, evidence, asking)
            except _EndedError as error:
                misses.append(Miss(place=place, state="ended", why=str(error), until=error.until))
            except MalformedError as error:
                misses.append(Miss(place=place, state="unusable", why=str(error)))
            except UnreachableError as error:
                misses.append(Miss(place=place, state="unreachable", why=str(error)))
            else:
                _log(want, misses)
                return got, ()
        if self.web is None:
            misses.append(Miss(place="endorser", state="unreachable", why="no network was asked"))
        return None, tuple(misses)

    def _offers(self, want: Want) -> list[tuple[Place, bytes | tuple[str, ...]]]:
        """Return where to look, in order: bytes that are here, or addresses."""
        kept = None if self.cache is None else self.cache.get(want.key)
        here: list[tuple[Place, bytes | None]] = [
            ("bundle", self.bundle.items.get(want.key)),
            ("cache", kept),
        ]
        offers: list[tuple[Place, bytes | tuple[str, ...]]] = [
            (place, body) for place, body in here if body is not None
        ]
        if self.web is None:
            return offers
        urls = self.sources.urls(want)
        if want.source != "authority":
            return [*offers, ("endorser", urls)]
        # Addresses of one certificate or list are as good as each other.
        return [*offers, *(("endorser", (url,)) for url in urls[:MAX_ADDRESSES])]

    async def _fetch(self, want: Want, urls: tuple[str, ...], evidence: Evidence, asking: _Asking) -> bytes:
        if self.web is None:
            raise UnreachableError("no network was asked")
        if genuine.issuer_missing(want, evidence):
            raise UnreachableError("it was not asked for: its issuer's certificate is missing")
        if urls not in asking.fetched:
            answers = [await self.web.get(url, deadline=asking.deadline) for url in urls]
            asking.fetched[urls] = contents.assemble(want, answers)
        return asking.fetched[urls]

    async def _use(
        self, want: Want, place: Place, body: bytes, evidence: Evidence, asking: _Asking
    ) -> dict[str, bytes]:
        """Return what a body gives, with all above it. Raises: MalformedError, UnreachableError."""
        found = contents.read(want, body, evidence)
        if self.now() >= found.fresh_until:
            raise _EndedError(found.fresh_until)
        given = _fitting(want, evidence, found.endorsements)
        genuine.check(want, given, evidence, self.roots, self.now())
        if want.source == "authority" and want.kind == "certificate" and "ak_root" not in given:
            # Who signed an authority is known only when its own issuer is here: until then it is not kept.
            given |= await self._above(want, _with(evidence, given), asking)
        if place == "endorser" and self.cache is not None:
            self.cache.put(want.key, body)
        self.used[want.key] = Used(body=body, until=found.fresh_until)
        return given

    async def _above(self, want: Want, evidence: Evidence, asking: _Asking) -> dict[str, bytes]:
        """Return the rest of an attestation key's path, to a pinned root. Raises: as `_use`."""
        following = endorsements_needed(evidence)
        issuers = [one for one in following if one.source == "authority" and one.kind == "certificate"]
        if not issuers:
            raise MalformedError(want.key, "names no issuer, and is no root")
        got, misses = await self._meet(issuers[0], evidence, asking)
        if got is None:
            why = "; ".join(map(str, misses))
            if any(miss.state == "unusable" for miss in misses):
                raise MalformedError(want.key, f"has nobody above it who vouches for it: {why}")
            raise UnreachableError(f"its issuer could not be had: {why}")
        return got


@dataclass(slots=True, kw_only=True)
class _Asking:
    """What one completion knows."""

    deadline: float
    fetched: dict[tuple[str, ...], bytes] = field(default_factory=dict[tuple[str, ...], bytes])


class _EndedError(UnreachableError):
    """Something whose time is over, genuine or not."""

    def __init__(self, until: int) -> None:
        self.until = until
        super().__init__(f"ended at {times.show(until)}")


def _log(want: Want, misses: list[Miss]) -> None:
    """Say in one line which places held something broken, where another place had better."""
    broken = [str(miss) for miss in misses if miss.state == "unusable"]
    if broken:
        log.warning(
            "endorsement not usable",
            extra={"fields": {"endorsement": want.gives, "why": "; ".join(broken)}},
        )


def _fitting(want: Want, evidence: Evidence, got: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return what evidence of this format may carry. Raises: MalformedError."""
    known = FORMATS[evidence.format].endorsements
    for name, value in got.items():
        if len(value) > known.get(name, 0):
            raise MalformedError(want.key, f"{name} is {len(value)} bytes, want at most {known.get(name, 0)}")
    return dict(got)


def _with(evidence: Evidence, got: Mapping[str, bytes]) -> Evidence:
    return Evidence(
        format=evidence.format, parts=evidence.parts, endorsements={**evidence.endorsements, **got}
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
