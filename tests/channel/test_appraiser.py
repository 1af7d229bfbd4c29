"""Appraisal in a process of its own gives the verifier's very verdict, within bounds, and survives itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.attestation import verifier, wire
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.verifier import AppraisalRequest
from runtime.channel import appraiser as module
from runtime.channel.appraiser import ProcessAppraiser
from runtime.errors import MalformedError, PeerError, TunnelError
from runtime.limits import Limits
from tests.channel import parties
from tests.channel.parties import CLIENT_DIGEST
from tests.fakes.amd import FakeAmd
from tests.fakes.fleets import NOW, fleet_payload

ROOT = Path(__file__).resolve().parents[2]
BINDER = bytes(range(64))

LIMITS = Limits(appraisals=32)
HERE = "198.51.100.1"


@pytest.fixture(scope="module")
def request_of_a_member(amd: FakeAmd) -> AppraisalRequest:
    evidence = asyncio.run(parties.attester(amd, "client-1", CLIENT_DIGEST, "Turin").collect(BINDER))
    return AppraisalRequest(
        evidence=wire.encode(evidence),
        binder=BINDER,
        settings_digest=CLIENT_DIGEST,
        role="client",
        document=fleet_payload(parties.members(amd)),
        roots=amd.roots(),
        now=NOW,
    )


@pytest.fixture
async def appraiser() -> AsyncGenerator[ProcessAppraiser, None]:
    made = ProcessAppraiser(LIMITS)
    await made.start()
    try:
        yield made
    finally:
        pids = worker_pids(made)
        made.close()
        await gone(pids)


def worker_pids(of: ProcessAppraiser) -> list[int]:
    return list(of._pool._processes)


async def gone(pids: list[int], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while any(alive(pid) for pid in pids):  # noqa: ASYNC110 - another process has no event of ours
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Tell whether the process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_it_accepts_whom_the_verifier_accepts(
    appraiser: ProcessAppraiser, request_of_a_member: AppraisalRequest
) -> None:
    assert await appraiser.appraise(request_of_a_member, source=HERE) == verifier.appraise(
        request_of_a_member
    )


async def test_it_refuses_with_every_failed_check_of_the_verifier(
    appraiser: ProcessAppraiser, request_of_a_member: AppraisalRequest
) -> None:
    wrong = replace(
        request_of_a_member, binder=bytes(64), settings_digest=parties.SERVER_DIGEST, role="server"
    )
    with pytest.raises(EvidenceRefusedError) as here:
        verifier.appraise(wrong)
    with pytest.raises(EvidenceRefusedError) as there:
        await appraiser.appraise(wrong, source=HERE)
    assert there.value.checks == here.value.checks
    assert len(there.value.reasons) >= 3  # binding, settings, instance
    assert (str(there.value), there.value.exit_status) == (str(here.value), 10)


async def test_malformed_evidence_keeps_its_error(
    appraiser: ProcessAppraiser, request_of_a_member: AppraisalRequest
) -> None:
    for evidence in (b"", b"CTE1", request_of_a_member.evidence[:-1]):
        broken = replace(request_of_a_member, evidence=evidence)
        with pytest.raises(MalformedError) as here:
            verifier.appraise(broken)
        with pytest.raises(MalformedError) as there:
            await appraiser.appraise(broken, source=HERE)
        assert str(there.value) == str(here.value)


class Stopped:
    """The appraisal process held still, so that what is asked of it queues up."""

    def __init__(self, appraiser: ProcessAppraiser) -> None:
        self._pids = worker_pids(appraiser)

    def __enter__(self) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):  # it was killed meanwhile
                os.kill(pid, signal.SIGCONT)


def outcomes(answers: list[object]) -> list[str]:
    return [answer.code if isinstance(answer, TunnelError) else type(answer).__name__ for answer in answers]


async def test_one_member_waits_with_so_many_and_keeps_nobody_else_out(
    appraiser: ProcessAppraiser, request_of_a_member: AppraisalRequest
) -> None:
    other = replace(request_of_a_member, settings_digest=parties.SERVER_DIGEST)
    with Stopped(appraiser):
        waiting = [
            asyncio.create_task(appraiser.appraise(request_of_a_member, source=HERE))
            for _ in range(LIMITS.appraisals_per_member)
        ]
        await asyncio.sleep(0)
        with pytest.raises(PeerError, match="appraisals_of_member"):
            await appraiser.appraise(request_of_a_member, source=HERE)
        # Whoever knows the member's digest takes places of his own address: the member itself is served.
        waiting.append(asyncio.create_task(appraiser.appraise(request_of_a_member, source="192.0.2.7")))
        waiting.append(asyncio.create_task(appraiser.appraise(other, source=HERE)))
        await asyncio.sleep(0)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert outcomes(list(answers)) == [
        *["AttestationResult"] * (LIMITS.appraisals_per_member + 1),
        "evidence_refused",
    ]
    assert (
        await appraiser.appraise(request_of_a_member, source=HERE)
    ).member == "client-1"  # the places are free again


async def test_all_members_together_wait_with_so_many(
    appraiser: ProcessAppraiser, request_of_a_member: AppraisalRequest
) -> None:
    with Stopped(appraiser):
        waiting = [
            asyncio.create_task(
                appraiser.appraise(
                    replace(request_of_a_member, settings_digest=n.to_bytes(32, "big")), source=f"192.0.2.{n}"
                )
            )
            for n in range(LIMITS.appraisals)
        ]
        await asyncio.sleep(0)
        with pytest.raises(PeerError, match="appraisals_full"):
            await appraiser.appraise(request_of_a_member, source=HERE)
    await asyncio.gather(*waiting, return_exceptions=True)
    assert (await appraiser.appraise(request_of_a_member, source=HERE)).member == "client-1"


async def test_one_address_waits_with_so_many_whatever_members_it_names(
    appraiser: ProcessAppraiser, request_of_a_member: AppraisalRequest
) -> None:
    with Stopped(appraiser):
        waiting = [
            asyncio.create_task(
                appraiser.appraise(
                    replace(request_of_a_member, settings_digest=n.to_bytes(32, "big")),
                    source=f"2001:db8::{n}",
                )
            )
            for n in range(LIMITS.appraisals_per_address)
        ]
        await asyncio.sleep(0)
        with pytest.raises(PeerError, match="appraisals_of_address"):
            await appraiser.appraise(request_of_a_member, source="2001:db8::ffff")
        waiting.append(asyncio.create_task(appraiser.appraise(request_of_a_member, source=HERE)))
        await asyncio.sleep(0)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert outcomes(list(answers))[-1] == "AttestationResult"


async def test_an_appraisal_that_takes_too_long_is_a_timeout(
    appraiser: ProcessAppraiser, request_of_a_member: AppraisalRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appraiser, "_limits", replace(LIMITS, appraisal_s=0.1))
    with Stopped(appraiser), pytest.raises(PeerError) as caught:
        await appraiser.appraise(request_of_a_member, source=HERE)
    assert caught.value.code == "appraisal_deadline"
    monkeypatch.undo()
    assert (await appraiser.appraise(request_of_a_member, source=HERE)).member == "client-1"


async def test_a_killed_process_is_replaced(
    appraiser: ProcessAppraiser, request_of_a_member: AppraisalRequest
) -> None:
    """Whoever was waiting is refused, never accepted; the next appraisal works, in another process."""
    [pid] = worker_pids(appraiser)
    with Stopped(appraiser):
        waiting = [
            asyncio.create_task(appraiser.appraise(request_of_a_member, source=HERE)) for _ in range(3)
        ]
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert set(outcomes(list(answers))) == {"internal"}
    assert (await appraiser.appraise(request_of_a_member, source=HERE)).member == "client-1"
    [new] = worker_pids(appraiser)
    assert new != pid


async def test_one_death_starts_one_process_however_many_wait(
    appraiser: ProcessAppraiser, request_of_a_member: AppraisalRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reads the document, and each waiter hears of the death."""
    made: list[ProcessPoolExecutor] = []
    new_pool = module._new_pool

    def counted() -> ProcessPoolExecutor:
        made.append(new_pool())
        return made[-1]

    monkeypatch.setattr(module, "_new_pool", counted)
    appraiser.prepare(request_of_a_member.document)
    [pid] = worker_pids(appraiser)
    with Stopped(appraiser):
        waiting = [
            asyncio.create_task(appraiser.appraise(request_of_a_member, source=f"192.0.2.{n}"))
            for n in range(8)
        ]
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert outcomes(list(answers)) == ["internal"] * 8
    assert len(made) == 1
    assert await kept(appraiser)


async def kept(appraiser: ProcessAppraiser) -> bool:
    """Whether the process has read the document before any appraisal."""
    info = await asyncio.get_running_loop().run_in_executor(appraiser._pool, documents_read)
    return info == 1


def documents_read() -> int:
    return verifier._document.cache_info().currsize


async def test_a_document_is_read_when_it_comes_into_force_and_by_each_process(
    appraiser: ProcessAppraiser, request_of_a_member: AppraisalRequest
) -> None:
    """One of 1,024 members takes hundreds of milliseconds: no peer's appraisal is to take them."""
    assert not await kept(appraiser)
    appraiser.prepare(request_of_a_member.document)
    assert await kept(appraiser)
    [pid] = worker_pids(appraiser)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(PeerError, match="internal"):
        await appraiser.appraise(request_of_a_member, source=HERE)
    assert await kept(appraiser)


async def test_a_document_for_a_process_that_has_died_is_the_next_one_s_to_read(
    appraiser: ProcessAppraiser, request_of_a_member: AppraisalRequest
) -> None:
    [pid] = worker_pids(appraiser)
    os.kill(pid, signal.SIGKILL)
    await gone([pid])
    appraiser.prepare(request_of_a_member.document)
    with pytest.raises(PeerError, match="internal"):
        await appraiser.appraise(request_of_a_member, source=HERE)
    assert await kept(appraiser)


async def test_signals_to_the_group_leave_it_alone(
    appraiser: ProcessAppraiser, request_of_a_member: AppraisalRequest
) -> None:
    """Ctrl-C reaches the whole group: the member drains, and needs appraisals while it does."""
    [pid] = worker_pids(appraiser)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    assert (await appraiser.appraise(request_of_a_member, source=HERE)).member == "client-1"
    assert worker_pids(appraiser) == [pid]


_PARENT = """
import asyncio, os, signal
from runtime.channel.appraiser import ProcessAppraiser
from runtime.limits import Limits

async def main():
    appraiser = ProcessAppraiser(Limits())
    await appraiser.start()
    print(*appraiser._pool._processes, flush=True)
    await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.integration
def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 1
        assert alive(pids[0])
        parent.kill()
        parent.wait()
        end = time.monotonic() + 20
        while alive(pids[0]) and time.monotonic() < end:
            time.sleep(0.01)
        assert not alive(pids[0])
