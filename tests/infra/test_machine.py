"""A record is never filled from an address that a machine has not."""

from __future__ import annotations

import pulumi
import pytest

from infra.machine import LaunchedMachine


def known(value: str) -> pulumi.Output[str]:
    return pulumi.Output.from_input(value)


async def later(value: str) -> str:
    return value


async def no() -> bool:
    return False


async def test_the_family_chooses_the_address() -> None:
    machine = LaunchedMachine(name="aws-1", instance=known("i-1"), ipv4=known("192.0.2.1"), ipv6=None)
    assert await machine.address("A").future() == "192.0.2.1"
    with pytest.raises(LookupError, match="aws-1 has no address for AAAA records"):
        machine.address("AAAA")


async def test_an_address_is_known_only_when_its_machine_is() -> None:
    unknown: pulumi.Output[str] = pulumi.Output(set(), later("i-1"), no())
    machine = LaunchedMachine(name="aws-1", instance=unknown, ipv4=known("192.0.2.1"), ipv6=None)
    assert not await machine.address("A").is_known()
