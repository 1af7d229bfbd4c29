"""`tunnel-fleet` in a process that stays: each verb of one fleet after the other, the SDKs loaded once. I/O.

Loading three clouds' SDKs takes most of a run. The verbs, their arguments and their answers are a person's.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import sys
import traceback
from typing import Any, Self

from tests.localfleet.processes import PROJECT, die_with_parent

_LONGEST = 1 << 26  # bytes of one answer: a tree and a fleet's outputs


class Program:
    """The process; enter it, then run verbs."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.localfleet.program",
            cwd=PROJECT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LONGEST,
            stderr=asyncio.subprocess.DEVNULL,  # what the verbs say there is in their answers
            start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # it keeps nothing, and may have started an engine
        await self._process.communicate()

    async def command(self, *arguments: str) -> str:
        """Run one verb and return its answer. Raises: RuntimeError with its story."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(arguments).encode() + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"tunnel-fleet {' '.join(arguments)} died with {await process.wait()}")
        status, answer, story = json.loads(line)
        if status:
            raise RuntimeError(f"tunnel-fleet {' '.join(arguments)} ended with {status}:\n{story}")
        return str(answer).rstrip()


def _serve() -> None:
    from infra import cli

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever writes past Python's stdout must not write into an answer
    for line in sys.stdin:
        arguments: list[str] = json.loads(line)
        answers.write(json.dumps(_run(cli.main, arguments)) + "\n")
        answers.flush()


def _run(main: Any, arguments: list[str]) -> tuple[int, str, str]:
    out, story = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(story):
        try:
            status = int(main(arguments))
        except SystemExit as error:
            status = int(error.code or 0)
        except Exception:  # noqa: BLE001 - told to whoever asked
            traceback.print_exc()
            status = 1
    return status, out.getvalue(), story.getvalue()


if __name__ == "__main__":
    _serve()
