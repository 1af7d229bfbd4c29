"""The boot step: find the settings, hold them against the schema, measure them, hand them on. I/O.

In this order, once: nothing of the settings has an effect before their digest is in PCR14, where it can only
be added to. Whatever is wrong ends the boot: the unit powers the machine off. Only silence is waited for.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runtime.boot import source
from runtime.documents import settings as settings_document
from runtime.documents.settings import ServerSettings, Settings
from runtime.errors import TunnelError, UnreachableError

FOLDER = Path("/run/tunnel")
PATIENCE_S = 600.0
_FIRST_PAUSE_S, _PAUSE_CAP_S = 0.5, 10.0
_NFT = "/usr/sbin/nft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What the step does to the machine; tests put doubles in their place."""

    measure: Callable[[bytes], None]  # takes the settings digest, extends once
    open_ports: Callable[[tuple[int, ...]], None]
    say: Callable[[str], None]  # one line on the console
    pause: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic


def run(places: source.Places, steps: Steps, folder: Path) -> Settings:
    """Run the step; returns the settings that are now in force.

    Raises: DocumentError and NoSettingsError for what is wrong with the settings, UnreachableError after ten
    minutes of silence, and whatever measuring raises.
    """
    where = source.platform(places)
    data = _fetch(where, places, steps)
    found = settings_document.read(data)
    steps.measure(found.digest)
    if isinstance(found.role, ServerSettings):
        role = found.role
        last = role.data_port + role.workers
        steps.open_ports((role.visitors_port, role.sessions_port, *range(role.data_port, last)))
    hand_on(data, found, where, folder)
    steps.say(f"{found.member} of {found.fleet}, {found.role_name}, settings {found.digest.hex()} measured")
    return found


def _fetch(where: source.Platform, places: source.Places, steps: Steps) -> bytes:
    began, pause, said = steps.monotonic(), _FIRST_PAUSE_S, ""
    while True:
        try:
            return source.fetch(where, places)
        except UnreachableError as error:
            if steps.monotonic() - began > PATIENCE_S:
                raise
            if str(error) != said:
                steps.say(f"waiting for the settings: {source.refusal(error)}")
            said = str(error)
        steps.pause(pause)
        pause = min(2 * pause, _PAUSE_CAP_S)


def hand_on(data: bytes, found: Settings, where: source.Platform, folder: Path) -> None:
    """Write what the tunnel and the bundle read; the settings hold no secret, so everybody may read them."""
    _write(folder / "platform", where.encode())
    if not isinstance(found.role, ServerSettings) and found.role.bundle is not None:
        bundle = found.role.bundle
        body = {"urls": list(bundle.urls), "sha256": bundle.sha256.hex(), "port": bundle.port}
        _write(folder / "bundle.json", json.dumps(body).encode())
    _write(folder / "settings.json", data)  # last: its presence says that all of it is there


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o444)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def open_ports(ports: tuple[int, ...]) -> None:
    """Let these TCP ports through the firewall. Raises: UnreachableError."""
    listed = ", ".join(str(int(port)) for port in sorted(set(ports)))
    command = [_NFT, "add", "element", "inet", "tunnel", "ports", f"{{ {listed} }}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - no shell
    if done.returncode != 0:
        message = f"the firewall refuses: {done.stderr.strip()[:200]}"
        raise UnreachableError(message)


def refused(error: TunnelError) -> str:
    """Return the one line that says why this VM will not serve."""
    return f"refused: {error.code}: {source.refusal(error)}"
