"""Run the locked tools from where they were unpacked, by their own loader. I/O: processes.

So the bake needs no root, no chroot and only Python of the machine, and its tools are part of the lock.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import TunnelError

_LOADER = "usr/lib64/ld-linux-x86-64.so.2"
_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/systemd")
_LIMIT_S = 900


class ToolError(TunnelError):
    """A tool of the bake failed."""

    code = "tool"


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The unpacked room `tools`, and the one time that every tool stamps."""

    root: Path
    epoch: int  # Unix seconds

    def command(self, program: str, *arguments: str | Path, name: str | None = None) -> list[str]:
        """Return the command line that runs `program`, a path below the root, as `name`."""
        libraries = ":".join(str(self.root / folder) for folder in _LIBRARIES)
        given = ["--argv0", name or program.rsplit("/", 1)[1]]
        return [
            str(self.root / _LOADER), "--library-path", libraries, *given, str(self.root / program),
            *map(str, arguments),
        ]  # fmt: skip

    def run(
        self,
        program: str,
        *arguments: str | Path,
        name: str | None = None,
        data: bytes | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> bytes:
        """Run a tool; returns what it printed. Raises: ToolError with its last words."""
        settings = {
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "SOURCE_DATE_EPOCH": str(self.epoch),
            "PYTHONHASHSEED": "0",
            "PYTHONHOME": str(self.root / "usr"),
            **(environment or {}),
        }
        command = self.command(program, *arguments, name=name)
        try:
            done = subprocess.run(  # noqa: S603 - no shell
                command, input=data or b"", capture_output=True, env=settings, timeout=_LIMIT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            message = f"{program}: {error}"
            raise ToolError(message) from error
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()[-1500:]
            message = f"{program} ended with {done.returncode}: {said}"
            raise ToolError(message)
        return done.stdout
