"""Appraisal in a process of its own: chain crypto in a thread would stall the event loop. I/O.

Bounded three ways: one appraisal at a time per CPU given to it, so many waiting at most, and so
many of one member's at once, so that a member that reconnects in a storm keeps nobody else out.
Who shows no digest that the owner signed never gets here.
"""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import signal
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from runtime.attestation import verifier
from runtime.attestation.model import AttestationResult
from runtime.attestation.verifier import AppraisalRequest
from runtime.errors import PeerError

MAX_WAITING = 64  # appraisals queued or running; each holds up to 256 KiB of evidence
MAX_PER_MEMBER = 4  # a restart storm of one member: its other sessions come back one by one
DEADLINE_S = 10.0  # an appraisal takes milliseconds; ten seconds is a machine that is overloaded
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Appraiser(Protocol):
    """Whatever appraises evidence for the channel."""

    async def appraise(self, request: AppraisalRequest) -> AttestationResult:
        """Return the result. Raises: EvidenceRefusedError, MalformedError, PeerError."""
        ...


class ProcessAppraiser:
    """Runs `verifier.appraise` in a worker process."""

    def __init__(self) -> None:
        self._pool = _new_pool()
        self._waiting: Counter[bytes] = Counter()

    async def start(self) -> None:
        """Start the process now, so that the first session does not pay for it."""
        await asyncio.get_running_loop().run_in_executor(self._pool, os.getpid)

    async def appraise(self, request: AppraisalRequest) -> AttestationResult:
        """Return the result. Raises: EvidenceRefusedError, MalformedError, PeerError("busy", "timeout")."""
        member = request.settings_digest
        if self._waiting.total() >= MAX_WAITING or self._waiting[member] >= MAX_PER_MEMBER:
            raise PeerError("busy", "too many appraisals are waiting")
        self._waiting[member] += 1
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await asyncio.get_running_loop().run_in_executor(
                    self._pool, verifier.appraise, request
                )
        except TimeoutError as error:
            raise PeerError("timeout", f"appraisal took over {DEADLINE_S:g} s") from error
        except BrokenProcessPool as error:
            self._pool.shutdown(wait=False)
            self._pool = _new_pool()
            raise PeerError("internal", "the appraisal process died and was started again") from error
        finally:
            self._waiting[member] -= 1
            if not self._waiting[member]:
                del self._waiting[member]

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
