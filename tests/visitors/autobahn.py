"""RFC 6455 conformance through the tunnel: each of Autobahn's cases ends as it does without it. I/O.

    python -m tests.visitors.autobahn            every case, direct and tunnelled; exit 1 on a difference
    python -m tests.visitors.autobahn --cases '1.*' '7.*'

The suite is a Python 2.7 program. `AUTOBAHN` names its `wstest`; else one is made, from the package index
that pip is configured for, in `~/.cache/confidential-tunnels/autobahn` with the Python 2.7 of pyenv or of the
system.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from tests.localfleet.listener import Listener
from tests.visitors.scene import LOCAL, opened

SUITE = (
    "autobahntestsuite==25.10.1",
    "typing==3.10.0.0",
)  # hyperlink forgot to ask for it
ALL = ("*",)
COUNT = 247  # of them, without the excluded; fewer, and the suite has left some out
MAX_MESSAGE = 32 << 20  # bytes; the suite sends up to 16 MiB
DEADLINE_S = 900.0
# The suite is older than SNI in its own TLS library, and a tunnel server has nothing else to route by.
NAME_IT = f"""
from OpenSSL import SSL
plain = SSL.Connection.set_connect_state
def named(self):
    self.set_tlsext_host_name(b"{LOCAL}")
    plain(self)
SSL.Connection.set_connect_state = named
"""


async def echo(request: web.Request) -> web.WebSocketResponse:
    """The origin under test: only the difference that the tunnel makes counts."""
    socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE, compress=False, autoclose=True)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


def find_wstest() -> Path:
    """Return the suite's program, made on first use. Raises: SystemExit when there is no Python 2.7."""
    if named := os.environ.get("AUTOBAHN"):
        return Path(named)
    home = Path.home() / ".cache" / "confidential-tunnels" / "autobahn"
    made = home / "v27" / "bin" / "wstest"
    if not made.exists():
        pythons = [*Path.home().glob(".pyenv/versions/2.7.*/bin/python2.7")]
        python = str(pythons[-1]) if pythons else shutil.which("python2.7")
        if python is None:
            raise SystemExit("autobahn: no Python 2.7 here; set AUTOBAHN= to a wstest")
        home.mkdir(parents=True, exist_ok=True)
        tools, environment = home / "tools", {**os.environ, "PYTHONPATH": str(home / "tools")}
        for command in (
            [python, "-m", "pip", "install", "--quiet", "--target", str(tools), "virtualenv<20.22"],
            [python, "-m", "virtualenv", "--quiet", str(home / "v27")],
            [str(home / "v27" / "bin" / "pip"), "install", "--quiet", *SUITE],
        ):
            subprocess.run(command, check=True, env=environment, stdout=sys.stderr)
    return made


async def drive(wstest: Path, folder: Path, url: str, name: str, cases: list[str]) -> dict[str, str]:
    """Run the fuzzing client against one URL; gives case → "behavior / behaviorClose"."""
    spec = {
        "outdir": str(folder / name),
        "servers": [{"agent": name, "url": url, "options": {"version": 18}}],
        "cases": cases,
        "exclude-cases": [
            "9.*",
            "12.*",
            "13.*",
        ],  # performance, and a compression that the origin does not offer
        "exclude-agent-cases": {},
    }
    written = folder / f"{name}.json"
    written.write_text(json.dumps(spec))
    (folder / "sitecustomize.py").write_text(NAME_IT)
    process = await asyncio.create_subprocess_exec(
        str(wstest),
        "-m",
        "fuzzingclient",
        "-s",
        str(written),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(DEADLINE_S):
        status = await process.wait()
    if status:
        raise SystemExit(f"autobahn: wstest ended with {status}: run {wstest} --help to see why")
    index: dict[str, dict[str, Any]] = json.loads((folder / name / "index.json").read_text())
    return {case: f"{found['behavior']} / {found['behaviorClose']}" for case, found in index[name].items()}


async def compare(wstest: Path, folder: Path, cases: list[str]) -> int:
    """Print both tallies and every difference. Returns the exit status."""
    app = web.Application()
    app.router.add_get("/", echo)
    async with opened(folder / "site") as scene, Listener(app) as origin:
        port = origin.address[1]
        await scene.publish({LOCAL: scene.origin("http", port)})
        found: dict[str, dict[str, str]] = {}
        for name, url in (("direct", f"ws://127.0.0.1:{port}/"), ("tunnel", f"wss://{LOCAL}:{scene.port}/")):
            began = time.monotonic()
            found[name] = await drive(wstest, folder, url, name, cases)
            tally = Counter(outcome.split(" / ")[0] for outcome in found[name].values())
            told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(tally.items()))
            sys.stdout.write(
                f"{name}: {len(found[name])} cases in {time.monotonic() - began:.1f} s: {told}\n"
            )
    direct, tunnel = found["direct"], found["tunnel"]
    differ = [case for case in sorted(direct | tunnel) if direct.get(case) != tunnel.get(case)]
    for case in differ:
        sys.stdout.write(f"case {case}: direct {direct.get(case)}, tunnel {tunnel.get(case)}\n")
    wanted = COUNT if cases == list(ALL) else max(1, len(direct))
    sys.stdout.write(f"{len(direct)} cases of {wanted}, {len(differ)} different\n")
    return 1 if differ or len(direct) != wanted else 0


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.visitors.autobahn", description=__doc__)
    parser.add_argument("--cases", nargs="*", default=list(ALL))
    options = parser.parse_args()
    wstest = find_wstest()
    with tempfile.TemporaryDirectory(prefix="autobahn-") as folder:
        return asyncio.run(compare(wstest, Path(folder), options.cases))


if __name__ == "__main__":
    sys.exit(main())
