"""Ports that were claimed for a fleet are let go, however far it came."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.localfleet import change, fleet, ports, provision
from tests.localfleet.ports import Ports
from tests.localfleet.program import Program


def _quietly(_text: str) -> None: ...


def let_go(claimed: Ports) -> bool:
    assert claimed.claims
    return all(claim.fileno() == -1 for claim in claimed.claims)


class Broken(Program):
    """A program none of whose verbs work."""

    async def command(self, *arguments: str) -> str:
        raise RuntimeError(arguments[0])


async def no_program(_self: Program) -> Program:
    raise RuntimeError("no program")


async def test_a_fleet_that_is_not_provisioned_keeps_no_port(tmp_path: Path) -> None:
    claimed = ports.claim(["one"])
    with pytest.raises(RuntimeError, match="key"):
        await provision.provision(tmp_path, claimed, _quietly, _quietly, program=Broken())
    assert let_go(claimed)


async def a_fleet(folder: Path, claimed: Ports) -> None:
    await provision.provision(folder, claimed, _quietly, _quietly)


async def a_fleet_to_be_changed(folder: Path, claimed: Ports) -> None:
    async with change.running(folder, claimed, _quietly, dict):
        pass


@pytest.mark.parametrize("start", [a_fleet, a_fleet_to_be_changed])
async def test_nor_does_one_whose_program_does_not_start(
    tmp_path: Path, start: Callable[[Path, Ports], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Program, "__aenter__", no_program)
    claimed = ports.claim(["one"])
    with pytest.raises(RuntimeError, match="no program"):
        await start(tmp_path, claimed)
    assert let_go(claimed)


async def test_nor_does_one_whose_neighbours_do_not_start(tmp_path: Path) -> None:
    claimed = ports.claim(["one"])
    (tmp_path / "file").touch()
    made: Any = type("Made", (), {"ports": claimed, "folder": tmp_path / "file"})
    with pytest.raises(OSError, match="Not a directory"):
        async with fleet.neighbours(made):
            pass
    assert let_go(claimed)


def test_nor_do_claims_that_are_not_all_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []

    def noted() -> socket.socket:
        made.append(socket.socket())
        return made[-1]

    free = iter([True] * (4 * len(ports.HOSTS)))  # for some of them, then for none
    monkeypatch.setattr("tests.localfleet.ports.socket", SimpleNamespace(socket=noted))
    monkeypatch.setattr(ports, "_is_free", lambda *_: next(free, False))
    with pytest.raises(RuntimeError, match="no port is free"):
        ports.claim(["one"])
    assert made
    assert all(one.fileno() == -1 for one in made)
