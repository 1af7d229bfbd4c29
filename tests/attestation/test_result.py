"""A result crosses from the appraisal's process to the one that asked, whole, and nobody writes in it."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Mapping

import pytest

from tests.attestation.platforms import appraise
from tests.fakes.machines import FakeMachine


def test_a_result_pickles_and_stays_as_it_is(platforms: Mapping[str, FakeMachine]) -> None:
    for machine in platforms.values():
        result = appraise(machine)
        assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 - our own object
        for field in dataclasses.fields(result):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(result, field.name, None)
