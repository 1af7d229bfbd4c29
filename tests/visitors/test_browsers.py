"""Chromium and Firefox on the whole fleet: HTTP/2 through three addresses, and how they bear lost servers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import ssl
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.localfleet.fleet import LocalFleet
from tests.localfleet.provision import SERVERS, SITE
from tests.visitors import browsers, whole
from tests.visitors.browsers import Browser
from tests.visitors.programs import WAIT_S, find, state
from tests.visitors.whole import FixedOrder

pytestmark = [
    pytest.mark.integration, pytest.mark.timeout(480), pytest.mark.asyncio(loop_scope="session"),
]  # fmt: skip
SILENT_S = float(os.environ.get("VISITORS_SILENT_S", "4"))  # how long a silent server is watched
# What takes longer was not failed over but waited for: a silent address costs a browser 30 s and more.
SILENT_MS = 15_000
_profiles = itertools.count()

# Asks again and again for some seconds; [status or 0, milliseconds, error] each.
ASK = """(async () => {
  const out = [], end = performance.now() + %d;
  while (performance.now() < end) {
    const began = performance.now();
    try {
      const answer = await fetch('/version', {cache: 'no-store'});
      await answer.text();
      out.push([answer.status, performance.now() - began, '']);
    } catch (error) { out.push([0, performance.now() - began, String(error)]); }
    await new Promise(done => setTimeout(done, 20));
  }
  return JSON.stringify(out);
})()"""
PROTOCOL = "JSON.stringify(performance.getEntriesByType('navigation')[0].nextHopProtocol)"


@pytest_asyncio.fixture(params=["chromium", "firefox"], loop_scope="session")
async def kind(request: pytest.FixtureRequest) -> str:
    find(
        *{"chromium": ("chromium", "chromium-browser"), "firefox": ("firefox-esr", "firefox")}[request.param]
    )
    find("certutil")
    return str(request.param)


def opened(kind: str, fleet: LocalFleet, folder: Path) -> contextlib.AbstractAsyncContextManager[Browser]:
    return browsers.opened(kind, folder / f"{next(_profiles)}", fleet.certificate.ca, whole.RESOLVER)


def url(fleet: LocalFleet) -> str:
    return f"https://{SITE}:{fleet.made.ports.visitors}/"


async def test_the_site_comes_over_http_2_through_each_of_three_addresses(
    fleet: tuple[LocalFleet, FixedOrder], kind: str, tmp_path: Path
) -> None:
    running, names = fleet
    port = running.made.ports.visitors
    for server in SERVERS:
        names.set_first(running.made, server)
        async with opened(kind, running, tmp_path) as browser:
            await browser.load(url(running))
            assert await browser.evaluate(PROTOCOL) == "h2"
            assert await browser.evaluate(
                "JSON.stringify(document.getElementById('said').textContent.trim())"
            ) == ("a private web server")
            assert whole.connected(port) == {server}


def failures(asked: list[list[Any]]) -> list[str]:
    """What failed; the one request that was under way when its connection was cut may, nothing after it."""
    assert asked[-1][0] == 200
    failed = [one[2] for one in asked if one[0] != 200]
    assert len(failed) <= 1, failed
    return failed


async def test_a_killed_server_is_invisible(
    fleet: tuple[LocalFleet, FixedOrder], kind: str, tmp_path: Path
) -> None:
    running, names = fleet
    names.set_first(running.made, "aws-1")
    async with opened(kind, running, tmp_path) as browser:
        await browser.load(url(running))
        asking = asyncio.create_task(browser.evaluate(ASK % 4000))
        await asyncio.sleep(1.5)
        assert whole.connected(running.made.ports.visitors) == {"aws-1"}
        await running.members["aws-1"].kill()
        try:
            asked = await asking
            worst, failed = max(one[1] for one in asked), len(failures(asked))
            state(f"{kind}: kill -9 under load: {len(asked)} asked, {failed} failed, slowest {worst:.0f} ms")
            assert worst < SILENT_MS
            # And with the server gone, its address first: a refused connection.
            async with opened(kind, running, tmp_path) as newcomer:
                began = time.monotonic()
                await newcomer.load(url(running))
                state(f"{kind}: first address refuses: loaded in {time.monotonic() - began:.2f} s")
                assert time.monotonic() - began < SILENT_MS / 1000
                assert "aws-1" not in whole.connected(running.made.ports.visitors)
        finally:
            await whole.bring_back(running, "aws-1")


async def test_a_draining_server_is_invisible(
    fleet: tuple[LocalFleet, FixedOrder], kind: str, tmp_path: Path
) -> None:
    running, names = fleet
    names.set_first(running.made, "azure-1")
    async with opened(kind, running, tmp_path) as browser, opened(kind, running, tmp_path) as newcomer:
        await browser.load(url(running))
        asking = asyncio.create_task(browser.evaluate(ASK % 3000))
        await asyncio.sleep(0.5)
        os.kill(running.members["azure-1"].pid, signal.SIGTERM)  # what is open may go on
        try:
            await refusing(SERVERS["azure-1"], running.made.ports.visitors)
            await newcomer.load(url(running))
            asked = await asking
            assert {one[0] for one in asked} == {200}, "nothing that is open is touched before the deadline"
            assert "azure-1" in whole.connected(running.made.ports.visitors)
            asking = asyncio.create_task(browser.evaluate(ASK % 3000))
            await asyncio.sleep(0.5)
            await running.members["azure-1"].stop()  # as at the deadline: what is still open is cut
            cut = await asking
        finally:
            await whole.bring_back(running, "azure-1")
    state(
        f"{kind}: drain: {len(asked)} asked, 0 failed; its end: {len(cut)} asked, {len(failures(cut))} failed"
    )


async def test_a_drain_lets_open_connections_finish(fleet: tuple[LocalFleet, FixedOrder]) -> None:
    running, _ = fleet
    context = ssl.create_default_context(cafile=str(running.certificate.ca))
    reader, writer = await asyncio.open_connection(
        SERVERS["azure-1"], running.made.ports.visitors, ssl=context, server_hostname=SITE
    )
    os.kill(running.members["azure-1"].pid, signal.SIGTERM)
    try:
        await refusing(SERVERS["azure-1"], running.made.ports.visitors)
        writer.write(f"GET / HTTP/1.1\r\nHost: {SITE}\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    finally:
        writer.close()
        await running.members["azure-1"].stop()
        await whole.bring_back(running, "azure-1")


async def test_a_frozen_server_is_not_and_the_time_is_stated(
    fleet: tuple[LocalFleet, FixedOrder], kind: str, tmp_path: Path
) -> None:
    """No browser leaves a silent server: what helps is the watchdog, and DNS that withdraws the address."""
    running, names = fleet
    names.set_first(running.made, "gcp-1")
    group = running.members["gcp-1"].pid
    async with opened(kind, running, tmp_path) as browser:
        await browser.load(url(running))
        assert whole.connected(running.made.ports.visitors) == {"gcp-1"}
        os.killpg(group, signal.SIGSTOP)
        try:
            began = time.monotonic()
            asking = asyncio.create_task(browser.evaluate(ASK % 1))
            done, _ = await asyncio.wait([asking], timeout=SILENT_S)
            waited = time.monotonic() - began
        finally:
            os.killpg(group, signal.SIGCONT)
        asked = await asyncio.wait_for(asking, 120)
    left = "gave an answer" if done else "still waited"
    state(f"{kind}: server frozen under an open connection: {left} after {waited:.1f} s, then {asked}")
    if not done:
        assert asked[-1][0] == 200, "thawed, the server answers what has waited"
    await whole.back_from_silence(running, "gcp-1")


@pytest.mark.parametrize("fault", ["black hole", "accepts and is silent"])
async def test_a_silent_first_address_and_the_time_is_stated(
    fleet: tuple[LocalFleet, FixedOrder], kind: str, fault: str, tmp_path: Path
) -> None:
    """A new visitor whose first address drops SYNs, or belongs to a frozen server."""
    running, names = fleet
    names.set_first(running.made, "gcp-1")
    group, port = running.members["gcp-1"].pid, running.made.ports.visitors
    with contextlib.ExitStack() as stack:
        if fault == "black hole":
            await running.members["gcp-1"].stop()
            stack.enter_context(black_hole(SERVERS["gcp-1"], port))
        else:
            os.killpg(group, signal.SIGSTOP)
            stack.callback(os.killpg, group, signal.SIGCONT)
        async with opened(kind, running, tmp_path) as browser:
            began = time.monotonic()
            loading = asyncio.create_task(browser.load(url(running)))
            done, _ = await asyncio.wait([loading], timeout=SILENT_S)
            waited = time.monotonic() - began
            loading.cancel()
            [outcome] = await asyncio.gather(loading, return_exceptions=True)
    if fault == "black hole":
        await running.members["gcp-1"].start()
    await whole.back_from_silence(running, "gcp-1")
    ended = "still waiting" if not done else "loaded" if outcome is None else f"gave up ({outcome})"
    state(f"{kind}: first address {fault}: {ended} after {waited:.2f} s")
    if (kind, fault) == ("chromium", "black hole"):
        assert ended == "loaded", "Chromium is known to try the next address after 0.3 s"


async def refusing(address: str, port: int) -> None:
    """Wait until nobody listens there any more."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(address, port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.02)


@contextlib.contextmanager
def black_hole(address: str, port: int) -> Generator[None]:
    """Drop every SYN to an address, without a packet filter: a listener whose queue is full says nothing."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((address, port))
        yield
