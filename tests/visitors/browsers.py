"""Drive Chromium (DevTools protocol) and Firefox (WebDriver BiDi), with fresh profiles and own DNS. I/O.

A browser runs in a mount namespace where resolv.conf names the fleet's DNS server, so it is the browser's own
resolver, cache and failover that are seen. It trusts one throw-away CA, in its own certificate store.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from tests.visitors.programs import find, run, started

_IN_NAMESPACE = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
_STARTS = 3  # a browser that does not come up is no finding about the tunnel
_START_S = 60.0
_FIREFOX_SETTINGS = {
    "app.normandy.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0,
    "network.trr.mode": 5,
    "remote.active-protocols": 1,
    "security.sandbox.content.level": 0,
    "toolkit.telemetry.enabled": False,
}


_LOADED = """new Promise(done => {
  const look = () => document.readyState == 'complete' ? done('"complete"') : setTimeout(look, 10);
  look();
})"""


class Browser(Protocol):
    """What the tests ask of a browser."""

    async def load(self, url: str) -> None:
        """Navigate and wait for the load. Raises: AssertionError with the browser's own error."""
        ...

    async def evaluate(self, script: str) -> Any:
        """Evaluate an expression (or the promise it gives) to a JSON text, and parse that."""
        ...


class _Wire:
    """Numbered JSON commands over one WebSocket; both protocols are like that."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def read(self) -> None:
        async for message in self._socket:
            found = json.loads(message.data)
            waiting = self._waiting.pop(found.get("id"), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(found)

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        waiting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        await self._socket.send_json({"id": number, "method": method, "params": params})
        return await waiting


class _Chromium:
    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    async def load(self, url: str) -> None:
        answer = await self._wire.ask("Page.navigate", url=url)
        assert "errorText" not in answer["result"], answer["result"]["errorText"]
        assert await self.evaluate(_LOADED) == "complete"

    async def evaluate(self, script: str) -> Any:
        answer = await self._wire.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer["result"], answer
        return json.loads(answer["result"]["result"]["value"])


class _Firefox:
    def __init__(self, wire: _Wire, context: str) -> None:
        self._wire, self._context = wire, context

    async def load(self, url: str) -> None:
        answer = await self._wire.ask(
            "browsingContext.navigate", context=self._context, url=url, wait="complete"
        )
        assert answer["type"] == "success", answer

    async def evaluate(self, script: str) -> Any:
        answer = await self._wire.ask(
            "script.evaluate", expression=script, target={"context": self._context}, awaitPromise=True
        )
        assert answer["type"] == "success", answer
        assert answer["result"]["type"] == "success", answer
        return json.loads(answer["result"]["result"]["value"])


@contextlib.asynccontextmanager
async def opened(name: str, folder: Path, ca: Path, resolver: str) -> AsyncGenerator[Browser]:
    """Open `chromium` or `firefox` with a profile in `folder`."""
    names = folder / "resolv.conf"
    await asyncio.to_thread(_write, names, f"nameserver {resolver}\noptions attempts:2 timeout:2\n")
    own_mounts = (find("unshare"), "--mount", "--propagation", "private")
    prefix = (*own_mounts, "sh", "-c", _IN_NAMESPACE, "sh", str(names))
    program = _chromium if name == "chromium" else _firefox
    async with contextlib.AsyncExitStack() as stack:
        for attempt in range(_STARTS):
            try:
                browser = await stack.enter_async_context(program(prefix, folder / f"start-{attempt}", ca))
            except (TimeoutError, aiohttp.ClientError, AssertionError):
                if attempt + 1 == _STARTS:
                    raise
            else:
                yield browser
                return


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


async def _trust(store: Path, ca: Path) -> None:
    await asyncio.to_thread(_write, store / "fleet.txt", "a throw-away store\n")
    certutil = find("certutil")
    await run(certutil, "-d", f"sql:{store}", "-N", "--empty-password")
    await run(certutil, "-d", f"sql:{store}", "-A", "-t", "C,,", "-n", "fleet", "-i", str(ca))


@contextlib.asynccontextmanager
async def _chromium(prefix: tuple[str, ...], folder: Path, ca: Path) -> AsyncGenerator[Browser]:
    await _trust(folder / ".pki" / "nssdb", ca)
    profile = folder / "profile"
    flags = (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-quic",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--no-proxy-server",
        "--disable-extensions", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
    )  # fmt: skip
    command = (*prefix, find("chromium", "chromium-browser"), *flags)
    async with started(*command, environment={"HOME": str(folder)}) as process:
        said = profile / "DevToolsActivePort"
        async with aiohttp.ClientSession() as session:
            async with asyncio.timeout(_START_S):
                while not (said.exists() and "\n" in said.read_text()):
                    assert process.returncode is None, "chromium ended"
                    await asyncio.sleep(0.05)
                page = await _first_page(session, said.read_text().split()[0])
            async with _wire(session, page, process) as wire:
                yield _Chromium(wire)


async def _first_page(session: aiohttp.ClientSession, port: str) -> str:
    """Return the DevTools URL of Chromium's first page, which comes after the port does."""
    while True:
        async with session.get(f"http://127.0.0.1:{port}/json") as answer:
            for page in await answer.json(content_type=None):
                if page["type"] == "page":
                    return str(page["webSocketDebuggerUrl"])
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def _firefox(prefix: tuple[str, ...], folder: Path, ca: Path) -> AsyncGenerator[Browser]:
    profile = folder / "profile"
    await _trust(profile, ca)
    lines = (f'user_pref("{key}", {json.dumps(value)});\n' for key, value in _FIREFOX_SETTINGS.items())
    await asyncio.to_thread(_write, profile / "user.js", "".join(lines))
    flags = ("--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0")
    environment = {"HOME": str(folder), "MOZ_CRASHREPORTER_DISABLE": "1", "MOZ_DISABLE_CONTENT_SANDBOX": "1"}
    async with started(*prefix, find("firefox-esr", "firefox"), *flags, environment=environment) as process:
        assert process.stderr is not None
        async with asyncio.timeout(_START_S):
            while not (
                match := re.search(rb"BiDi listening on (ws://\S+)", line := await process.stderr.readline())
            ):
                assert line, "firefox ended"
        url = f"{match[1].decode()}/session"
        async with aiohttp.ClientSession() as session, _wire(session, url, process) as wire:
            await wire.ask("session.new", capabilities={})
            tree = await wire.ask("browsingContext.getTree")
            yield _Firefox(wire, tree["result"]["contexts"][0]["context"])


@contextlib.asynccontextmanager
async def _wire(
    session: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process
) -> AsyncGenerator[_Wire]:
    async with session.ws_connect(url, max_msg_size=0) as socket:
        wire = _Wire(socket)
        reading = [asyncio.create_task(wire.read())]
        for pipe in (process.stdout, process.stderr):  # a full pipe would stop the browser
            if pipe is not None:
                reading.append(asyncio.create_task(_drop(pipe)))
        try:
            yield wire
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)


async def _drop(pipe: asyncio.StreamReader) -> None:
    while await pipe.read(65536):
        pass
