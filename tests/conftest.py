"""What every test of this house shares: how long hypothesis may look, and one simulated vendor per run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings

if TYPE_CHECKING:
    from tests.fakes.amd import FakeAmd

# No deadlines: the machines are shared. Under CI the same examples each time, so that red means a change.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("house"), derandomize=True, print_blob=True)
# A mutant either fails or not: nobody reads with which smallest example.
settings.register_profile(
    "mutants", parent=settings.get_profile("ci"), phases=(Phase.explicit, Phase.generate), max_examples=50
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") == "true" else "house")
)


@pytest.fixture(scope="session")
def amd(tmp_path_factory: pytest.TempPathFactory) -> FakeAmd:
    """A simulated AMD with every product line; its RSA keys take seconds, so one per run."""
    from tests.fakes.amd import FakeAmd  # only tests that ask for it pay for the import

    return FakeAmd.create(tmp_path_factory.mktemp("amd"))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name what is signed at import by its argument: it differs in each process, even in its length."""
    small = isinstance(val, int) and abs(val) < 256  # a greater one may be such a length
    return None if small or isinstance(val, str | float | type | None) else argname
