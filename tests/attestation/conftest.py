"""One throw-away AMD for all of these tests: its RSA keys take two seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.attestation.scene import Scene
from tests.fakes import machines
from tests.fakes.amd import FakeAmd
from tests.fakes.machines import FakeMachine


@pytest.fixture(scope="session")
def amd(tmp_path_factory: pytest.TempPathFactory) -> FakeAmd:
    return FakeAmd.create(tmp_path_factory.mktemp("amd"))


@pytest.fixture(scope="session")
def scene(amd: FakeAmd) -> Callable[..., Scene]:
    """Return what makes a scene: on Genoa with a VCEK, unless it is given a chip."""
    usual = amd.chip("client-1", "Genoa")

    def make(**changes: Any) -> Scene:
        right: dict[str, Any] = {"amd": amd, "chip": usual}
        return Scene(**(right | changes))

    return make


@pytest.fixture(scope="session")
def platforms(amd: FakeAmd) -> Mapping[str, FakeMachine]:
    """Return one machine of each platform, by evidence format."""
    return machines.every(amd)
