"""Appraisal in a process of its own: chain crypto in a thread would stall the event loop. I/O.

Bounded: one appraisal at a time, so many waiting at most, so many of one address, and so many of one
member from one address. Digests are no secret: whoever shows one takes places of his own address only, and
a member that reconnects in a storm keeps nobody else out. Who shows no digest that the owner signed never
gets here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import signal
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from runtime.attestation import verifier
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.result import AttestationResult
from runtime.attestation.verifier import AppraisalRequest
from runtime.channel.deadline import deadline
from runtime.crowd import place_of
from runtime.errors import PeerError, TunnelError
from runtime.limits import Limits

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Appraiser(Protocol):
    """Whatever appraises evidence for the channel."""

    async def appraise(self, request: AppraisalRequest, *, source: str) -> AttestationResult:
        """Return the result; `source` is the peer's address.

        Raises: EvidenceRefusedError, MalformedError, PeerError.
        """
        ...


class ProcessAppraiser:
    """Runs `verifier.appraise` in a worker process."""

    def __init__(self, limits: Limits) -> None:
        self._pool = _new_pool()
        self._limits = limits
        self._document = b""  # the payload in force, which every process of ours reads beforehand
        self._waiting: Counter[tuple[bytes, str]] = Counter()  # by member and address
        self.seconds = 0.0  # that all appraisals took, waiting included
        self.outcomes: Counter[str] = Counter()  # "accepted", the reasons of a refusal, or its code

    async def start(self) -> None:
        """Start the process now, so that the first session does not pay for it."""
        await asyncio.get_running_loop().run_in_executor(self._pool, os.getpid)

    def prepare(self, document: bytes) -> None:
        """Have the process read the payload that came into force, before the next appraisal.

        One of 1,024 members takes it hundreds of milliseconds, which no peer's appraisal is to take.
        """
        self._document = document
        with contextlib.suppress(BrokenProcessPool):  # the next appraisal starts another, which reads it too
            self._pool.submit(verifier.prepare, document)

    async def appraise(self, request: AppraisalRequest, *, source: str) -> AttestationResult:
        """Return the result; `source` is the peer's address.

        Raises: EvidenceRefusedError, MalformedError, PeerError (one of the limits, or `internal`).
        """
        started = time.monotonic()
        try:
            result = await self._in_turn(request, (request.settings_digest, place_of(source)))
        except EvidenceRefusedError as error:
            self.outcomes.update(reason.value for reason in error.reasons)
            raise
        except TunnelError as error:
            self.outcomes[error.code] += 1
            raise
        finally:
            self.seconds += time.monotonic() - started
        self.outcomes["accepted"] += 1
        return result

    async def _in_turn(self, request: AppraisalRequest, who: tuple[bytes, str]) -> AttestationResult:
        self._check_room(who)
        self._waiting[who] += 1
        pool = self._pool
        try:
            async with deadline(self._limits, "appraisal_s", "no appraisal"):
                return await asyncio.get_running_loop().run_in_executor(pool, verifier.appraise, request)
        except BrokenProcessPool as error:
            if self._pool is pool:  # the first of those who waited; each of them gets here
                self._renew()
            raise PeerError("internal", "the appraisal process died and was started again") from error
        finally:
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]

    def _renew(self) -> None:
        self._pool.shutdown(wait=False)
        self._pool = _new_pool()
        if self._document:
            self.prepare(self._document)

    def _check_room(self, who: tuple[bytes, str]) -> None:
        limits = self._limits
        of_address = sum(count for (_, source), count in self._waiting.items() if source == who[1])
        for count, most, code, what in (
            (self._waiting.total(), limits.appraisals, "appraisals_full", "wait"),
            (of_address, limits.appraisals_per_address, "appraisals_of_address", "wait of this address"),
            (
                self._waiting[who],
                limits.appraisals_per_member,
                "appraisals_of_member",
                "wait of this member and address",
            ),
        ):
            if count >= most:
                raise PeerError(code, f"{count} appraisals {what}, want at most {most}")

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _new_pool() -> ProcessPoolExecutor:
    # spawn: a fork would carry the boot keys and every open socket into the appraisal process.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        max_workers=1, mp_context=context, initializer=_follow_parent, initargs=(os.getpid(),)
    )


def _follow_parent(parent: int) -> None:
    """Die with the parent, even when it is killed, and leave signals to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os.kill(os.getpid(), signal.SIGKILL)
