"""A record is never filled from an address that a machine has not."""

from __future__ import annotations

from typing import Any, cast

import pytest

from infra.machine import LaunchedMachine

ADDRESS = cast("Any", object())  # stands for an output; nothing here resolves one


def test_the_family_chooses_the_address() -> None:
    machine = LaunchedMachine(name="aws-1", instance=ADDRESS, ipv4=ADDRESS, ipv6=None)
    assert machine.address("A") is ADDRESS
    with pytest.raises(LookupError, match="aws-1 has no address for AAAA records"):
        machine.address("AAAA")
