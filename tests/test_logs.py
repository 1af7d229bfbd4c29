"""Every event is one line of JSON, whatever is in it."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime import logs
from runtime.logs import ACCESS, Aside, JsonLines

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture
def untouched() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
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


class Slow(io.StringIO):
    """A standard error that takes nothing until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()
        self.asked = threading.Event()

    def write(self, text: str) -> int:
        self.asked.set()
        assert self.may.wait(20)
        return super().write(text)


def access(handler: Aside, **fields: object) -> None:
    record = logging.LogRecord(ACCESS, logging.INFO, __file__, 1, "stream", (), None)
    record.__dict__["fields"] = fields
    handler.handle(record)


def test_a_reader_that_stands_still_stops_nobody_and_what_it_missed_is_counted() -> None:
    stream = Slow()
    handler = Aside(stream.write, most=6)
    access(handler, n=0)
    assert stream.asked.wait(20)  # the thread stands in the middle of the first line
    for n in range(1, 10):
        access(handler, n=n)  # three wait, six are dropped; none of these calls waits
    stream.may.set()
    deadline = time.monotonic() + 20
    while stream.getvalue().count("\n") < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    access(handler, n=10)
    handler.close()
    lines = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert [line["n"] for line in lines] == [0, 1, 2, 3, 10]
    assert lines[-1]["dropped_before"] == 6
    assert all("dropped_before" not in line for line in lines[:-1])
    assert [line["monotonic"] for line in lines] == sorted(line["monotonic"] for line in lines)


def test_visitors_cannot_push_out_what_else_is_logged() -> None:
    stream = Slow()
    handler = Aside(stream.write, most=6)
    access(handler, n=0)
    assert stream.asked.wait(20)
    for n in range(1, 100):
        access(handler, n=n)
    handler.handle(logging.LogRecord("tunnel.server", logging.WARNING, __file__, 1, "refused", (), None))
    stream.may.set()
    handler.close()
    lines = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["stream"] * 4 + ["refused"]
    assert lines[-1]["dropped_before"] == 96


def test_a_full_pipe_stops_no_loop() -> None:
    """A process whose standard error nobody reads logs thousands of lines of both kinds, and ends."""
    program = (
        "import logging\n"
        "from runtime import logs\n"
        "logs.to_stderr()\n"
        "for n in range(3000):\n"
        "    logging.getLogger(logs.ACCESS).info('stream', extra={'fields': {'pad': 'x' * 100}})\n"
        "    logging.getLogger('tunnel.server').warning('refused')\n"
        "print('done', flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=PROJECT
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        assert process.wait(40) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_reader_that_never_comes_back_holds_up_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_END_S", 0.05)
    stream = Slow()
    handler = Aside(stream.write, most=2)
    access(handler, n=0)
    assert stream.asked.wait(20)
    access(handler, n=1)
    handler.close()  # returns
    stream.may.set()


def test_a_closed_standard_error_is_no_fault() -> None:
    stream = io.StringIO()
    stream.close()
    handler = Aside(stream.write)
    access(handler, n=0)
    handler.close()


@pytest.mark.usefixtures("untouched")
def test_the_access_log_goes_there_too_and_once(capfd: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr()
    logging.getLogger(ACCESS).info("stream", extra={"fields": {"id": "00"}})
    logging.getLogger().handlers[0].close()
    assert [json.loads(text)["id"] for text in capfd.readouterr().err.splitlines()] == ["00"]


@pytest.mark.usefixtures("untouched")
def test_all_loggers_go_to_standard_error_once(capfd: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr()
    logs.to_stderr()
    logging.getLogger("aiohttp.server").warning("one")
    logging.getLogger("tunnel").debug("nothing")
    logging.getLogger().handlers[0].close()
    captured = capfd.readouterr()
    assert captured.out == ""
    assert [json.loads(text)["event"] for text in captured.err.splitlines()] == ["one"]
