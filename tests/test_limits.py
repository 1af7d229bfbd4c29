"""Limits that would disable a limit are refused."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from runtime.errors import MalformedError
from runtime.limits import Limits


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
@pytest.mark.parametrize("value", [0, -1])
def test_every_limit_is_positive(name: str, value: int) -> None:
    with pytest.raises(MalformedError):
        replace(Limits(), **{name: value})


def test_the_first_bytes_fit_into_the_credit() -> None:
    with pytest.raises(MalformedError):
        Limits(credit=20000)
