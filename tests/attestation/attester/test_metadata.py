"""Azure's metadata service: good, overloaded, and not what it claims to be."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncGenerator, Callable

import pytest
from aiohttp import web

from runtime.attestation.attester import metadata
from runtime.errors import MalformedError, TunnelError, UnreachableError

REPORT = bytes(range(256)) * 4


@contextlib.asynccontextmanager
async def serving(
    quote: Callable[[bytes], bytes] | None = None, *answers: web.Response
) -> AsyncGenerator[str]:
    """Serve /acc/tdquote: these answers first, then quotes."""
    left = list(answers)

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Metadata"] == "true"
        if left:
            return left.pop(0)
        assert quote is not None, "asked once too often"
        text = json.loads(await request.text())["report"]
        report = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        made = base64.urlsafe_b64encode(quote(report)).rstrip(b"=").decode()
        return web.json_response({"quote": made})

    application = web.Application()
    application.router.add_post("/acc/tdquote", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_quote_of_this_report() -> None:
    async with serving(lambda report: b"quote of " + report) as base:
        assert await metadata.td_quote(base, REPORT) == b"quote of " + REPORT


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_overloaded_host_is_asked_again_but_not_for_ever(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "PAUSE_S", 0.0)
    busy = [web.Response(status=status) for _ in range(metadata.ATTEMPTS)]
    async with serving(lambda _: b"quote", *busy[1:]) as base:
        assert await metadata.td_quote(base, REPORT) == b"quote"
    busy = [web.Response(status=status) for _ in range(metadata.ATTEMPTS)]
    async with serving(None, *busy) as base:
        with pytest.raises(UnreachableError, match=f"HTTP {status}"):
            await metadata.td_quote(base, REPORT)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (web.Response(status=404), UnreachableError),
        (web.Response(status=302, headers={"Location": "http://127.0.0.1/"}), UnreachableError),
        (web.Response(text="<html>"), MalformedError),
        (web.json_response([]), MalformedError),
        (web.json_response({}), MalformedError),
        (web.json_response({"quote": 7}), MalformedError),
        (web.json_response({"quote": "a"}), MalformedError),
        (web.json_response({"quote": "!!!!"}), MalformedError),
        (web.json_response({"quote": ""}), MalformedError),
        (web.json_response({"quote": "A" * 60_000}), MalformedError),
        (web.Response(body=b" " * 70_000), MalformedError),
    ],
    ids=[
        "404",
        "redirect",
        "html",
        "list",
        "nothing",
        "number",
        "cut",
        "other letters",
        "empty",
        "large",
        "huge",
    ],
)
async def test_other_answers_are_errors_of_ours(answer: web.Response, error: type[TunnelError]) -> None:
    async with serving(None, answer) as base:
        with pytest.raises(error):
            await metadata.td_quote(base, REPORT)


async def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "PAUSE_S", 0.0)
    with pytest.raises(UnreachableError, match="confidential VM"):
        await metadata.td_quote("http://127.0.0.1:1", REPORT)
