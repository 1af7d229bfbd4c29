"""Every event is one line of JSON, whatever is in it."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.commands import logs
from runtime.commands.logs import JsonLines


@pytest.fixture
def untouched() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def line(message: str, *args: object, **options: Any) -> dict[str, Any]:
    record = logging.LogRecord(
        "tunnel.server", logging.WARNING, __file__, 1, message, args, options.get("error")
    )
    if "fields" in options:
        record.__dict__["fields"] = options["fields"]
    text = JsonLines().format(record)
    assert "\n" not in text
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_an_event_has_its_time_level_logger_and_fields() -> None:
    made = line("session refused", fields={"code": "busy", "ports": (1, 2)})
    assert made.pop("time").endswith("+00:00")
    assert 0 <= time.monotonic() - made.pop("monotonic") < 60
    assert made == {
        "level": "warning",
        "logger": "tunnel.server",
        "event": "session refused",
        "code": "busy",
        "ports": [1, 2],
    }


def test_a_peers_line_breaks_do_not_forge_a_line() -> None:
    made = line("%s", 'x\n{"event": "session established"}', fields={"detail": "a\r\nb\u2028"})
    assert made["event"] == 'x\n{"event": "session established"}'


def test_an_exception_stays_on_the_line() -> None:
    made: dict[str, Any] = {}
    try:
        int("wrong")
    except ValueError:
        made = line("fault", error=sys.exc_info())
    assert "ValueError: invalid literal" in made["exception"]


def test_what_is_no_json_is_written_as_text() -> None:
    assert line("x", fields={"address": OSError("no")})["address"] == "no"


@pytest.mark.usefixtures("untouched")
def test_all_loggers_go_to_standard_error_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr()
    logs.to_stderr()
    logging.getLogger("aiohttp.server").warning("one")
    logging.getLogger("tunnel").debug("nothing")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [json.loads(text)["event"] for text in captured.err.splitlines()] == ["one"]
