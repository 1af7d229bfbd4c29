"""`python -m runtime.boot STEP`: what the image's units run. I/O.

Each step says one line on the console and ends with the exit status of the error, if there is one; the unit
decides what that means (images/units).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from runtime.boot import azure_ready, bundle, inventory, settings, source
from runtime.documents.settings import Bundle
from runtime.errors import TunnelError

BUNDLE_FOLDER = Path("/run/tunnel-bundle/site")
_LOOPBACK = "127.0.0.1"


def main(step: str) -> int:
    """Run one step; returns the exit status."""
    try:
        STEPS[step]()
    except TunnelError as error:
        say(settings.refused(error))
        return error.exit_status
    return 0


def say(line: str) -> None:
    """Say one line; the unit sends it to the console."""
    print(f"tunnel: {line}", flush=True)  # noqa: T201 - the console is where this step talks


def measure(digest: bytes) -> None:
    """Record the settings digest, once. Raises: UnsupportedTeeError without a register for it."""
    # Imported where they are used: each step is a process of its own, and most have no TPM.
    from runtime.attestation.attester.machine import Machine
    from runtime.attestation.attester.measure import measure_settings

    measure_settings(Machine(), digest)


def _settings() -> None:
    steps = settings.Steps(measure=measure, open_ports=settings.open_ports, say=say)
    settings.run(source.Places(), steps, settings.FOLDER)


def _bundle() -> Bundle:
    raw = json.loads((settings.FOLDER / "bundle.json").read_bytes())
    return Bundle(urls=tuple(raw["urls"]), sha256=bytes.fromhex(raw["sha256"]), port=raw["port"])


def _fetch_bundle() -> None:
    wanted = _bundle()
    BUNDLE_FOLDER.mkdir(mode=0o750)
    count = bundle.unpack(bundle.fetch(wanted, bundle.download), BUNDLE_FOLDER)
    say(f"bundle {wanted.sha256.hex()}, {count} files")


def _serve_bundle() -> None:
    from aiohttp import web

    async def run() -> None:
        runner = web.AppRunner(bundle.application(BUNDLE_FOLDER), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, _LOOPBACK, _bundle().port).start()
        await asyncio.Event().wait()

    asyncio.run(run())


def _azure_ready() -> None:
    if (settings.FOLDER / "platform").read_text() == "azure":
        azure_ready.report()


def _inventory() -> None:
    for line in inventory.lines(Path("/")):
        say(f"inventory {line}")


STEPS: Mapping[str, Callable[[], None]] = {
    "settings": _settings,
    "bundle-fetch": _fetch_bundle,
    "bundle": _serve_bundle,
    "azure-ready": _azure_ready,
    "inventory": _inventory,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
