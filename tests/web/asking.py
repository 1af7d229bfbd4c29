"""Ask one of our HTTP listeners one question. I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.localfleet.listener import Listener


@dataclass(frozen=True)
class Reply:
    """One whole answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.text)


async def ask(listener: Listener, path: str, *, method: str = "GET", **options: Any) -> Reply:
    """Send one request on a connection of its own."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, listener.url + path, **options) as answer,
    ):
        return Reply(answer.status, dict(answer.headers), await answer.text())
