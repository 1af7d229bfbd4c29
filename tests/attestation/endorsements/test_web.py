"""Endorsers that misbehave: busy, slow, cut, huge, gone; and how often they are asked all the same."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

import pytest

from runtime.attestation.endorsements import web as subject
from runtime.attestation.endorsements.contents import MAX_BODY_SIZE
from runtime.attestation.endorsements.web import HttpWeb
from runtime.errors import UnreachableError
from tests.fakes.endorsers import Endorsers, Say

LONG_S = 30.0


def asking() -> HttpWeb:
    return HttpWeb(wall=time.time, first_pause_s=0.0)


def soon() -> float:
    return time.monotonic() + LONG_S


async def test_an_answer_with_its_headers() -> None:
    one = Endorsers({"/a?b=c": Say(body=b"body", headers={"TCB-Info-Issuer-Chain": "x"})})
    async with one.running() as base:
        answer = await asking().get(f"{base}/a?b=c", deadline=soon())
    assert answer.body == b"body"
    assert answer.headers["tcb-info-issuer-chain"] == "x"


async def test_what_may_pass_is_asked_again_but_not_for_ever() -> None:
    one = Endorsers(
        {"/a": [Say(status=500), Say(body=b"short", cut=9), Say(body=b"body")], "/b": Say(status=502)}
    )
    async with one.running() as base:
        assert (await asking().get(f"{base}/a", deadline=soon())).body == b"body"
        with pytest.raises(UnreachableError, match="HTTP 502"):
            await asking().get(f"{base}/b", deadline=soon())
    assert one.asked.count("/b") == subject.ATTEMPTS


@pytest.mark.parametrize("status", [301, 400, 403, 404])
async def test_a_no_is_not_asked_again(status: int) -> None:
    one = Endorsers({"/a": Say(status=status, headers={"Location": "/b"}), "/b": Say(body=b"elsewhere")})
    async with one.running() as base:
        with pytest.raises(UnreachableError, match=f"HTTP {status}"):
            await asking().get(f"{base}/a", deadline=soon())
    assert one.asked == ["/a"]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("said", ["0", "seconds", "date"])
async def test_a_busy_host_is_asked_when_it_says(status: int, said: str) -> None:
    words = {"0": "0", "seconds": "1", "date": formatdate(time.time() + 1, usegmt=True)}
    busy = Say(status=status, headers={"Retry-After": words[said]})
    one = Endorsers({"/a": [busy, Say(body=b"body")]})
    async with one.running() as base:
        began = time.monotonic()
        assert (await asking().get(f"{base}/a", deadline=soon())).body == b"body"
    if said == "seconds":
        assert time.monotonic() - began >= 1.0


async def test_a_host_that_wants_no_more_is_left_alone_by_everybody() -> None:
    one = Endorsers({"/a": Say(status=429, headers={"Retry-After": "3600"}), "/b": Say(body=b"body")})
    async with one.running() as base:
        web = asking()
        for path in ("/a", "/b", "/b"):
            with pytest.raises(UnreachableError, match=r"another 3[56]\d\d s"):
                await web.get(f"{base}{path}", deadline=soon())
    assert one.asked == ["/a"]


@pytest.mark.parametrize("told", [None, "soon", "-5", "99999999999", "Fri, 99 Xxx"])
def test_a_wait_that_is_not_told_or_makes_no_sense(told: str | None) -> None:
    pause = asking()._told(told)
    assert 0 <= pause <= 3600


async def test_one_request_at_a_time_per_host() -> None:
    one = Endorsers({f"/{n}": Say(body=b"x", late_s=0.01) for n in range(6)})
    async with one.running() as base:
        web = asking()
        async with asyncio.TaskGroup() as tasks:
            for n in range(6):
                tasks.create_task(web.get(f"{base}/{n}", deadline=soon()))
    assert one.most_at_once == 1
    assert len(one.asked) == 6


async def test_a_slow_host_ends_at_the_deadline() -> None:
    one = Endorsers({"/a": Say(body=b"x", late_s=60.0)})
    async with one.running() as base:
        with pytest.raises(UnreachableError, match="in time"):
            await asking().get(f"{base}/a", deadline=time.monotonic() + 0.1)


async def test_a_huge_answer_is_not_read_to_its_end() -> None:
    one = Endorsers({"/a": Say(body=bytes(MAX_BODY_SIZE + 1)), "/b": Say(body=bytes(MAX_BODY_SIZE))})
    async with one.running() as base:
        with pytest.raises(UnreachableError, match="more than"):
            await asking().get(f"{base}/a", deadline=soon())
        assert len((await asking().get(f"{base}/b", deadline=soon())).body) == MAX_BODY_SIZE


async def test_nobody_there() -> None:
    with pytest.raises(UnreachableError, match="gives nothing"):
        await asking().get("http://127.0.0.1:1/", deadline=soon())


def test_azure_wants_its_header() -> None:
    assert subject._headers("http://169.254.169.254/metadata/THIM/amd/certification") == {"Metadata": "true"}
    assert subject._headers("https://example/other") == {}
