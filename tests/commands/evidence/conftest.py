"""A machine of each platform under throw-away roots, and files of its evidence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.commands.evidence import files
from runtime.commands.evidence.files import Collected
from runtime.web.tunnel_name import endpoint_bound
from tests.fakes import machines
from tests.fakes.amd import FakeAmd
from tests.fakes.machines import SETTINGS, FakeMachine

NONCE = bytes(range(32))
SPKI = b"key of this collection"
Collect = Callable[..., Collected]


@pytest.fixture(scope="session")
def fleet(amd: FakeAmd) -> dict[str, FakeMachine]:
    return machines.every(amd)


def collected(machine: FakeMachine, **options: Any) -> Collected:
    """Return what `collect` would have written on this machine."""
    bound = endpoint_bound(spki=SPKI, nonce=NONCE, settings_digest=SETTINGS)
    return Collected(evidence=machine.evidence(bound.binder, **options), bound=bound)


def written(path: Path, one: Collected) -> str:
    """Write it, and return where."""
    path.write_bytes(files.write(one))
    return str(path)
