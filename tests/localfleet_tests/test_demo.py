"""What the demo leaves behind: nothing, or the logs of a run that failed or was broken off before its end."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from tests.localfleet import demo, provision


class Stage:
    """The demo without its processes: what it made in its folder, and how far it came."""

    def __init__(self, complaints: list[str]) -> None:
        self.complaints, self.stuck = complaints, False
        self.telling, self.staying = asyncio.Event(), asyncio.Event()
        self.ended = 0  # fleets

    async def provision(self, folder: Path, *_: object) -> Path:
        (folder / "logs").mkdir()
        (folder / "owner.key").write_text("a throw-away key")
        return folder

    @contextlib.asynccontextmanager
    async def neighbours(self, made: Path) -> AsyncGenerator[Path, None]:
        try:
            yield made
        finally:
            self.ended += 1

    async def tell(self, *_: object) -> tuple[dict[str, Any], list[str]]:
        self.telling.set()
        if self.stuck:
            await asyncio.Event().wait()
        return {}, self.complaints

    async def stay(self, *_: object) -> None:
        self.staying.set()
        await asyncio.Event().wait()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage([])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(provision, "free_ports", lambda **_: None)
    monkeypatch.setattr(provision, "provision", made.provision)
    monkeypatch.setattr(demo, "neighbours", made.neighbours)
    monkeypatch.setattr(demo, "_tell", made.tell)
    monkeypatch.setattr(demo, "_stay", made.stay)
    return made


def left_in(folder: Path) -> list[str]:
    """What is left in the demo's folder, if there is one."""
    assert all(path.name.startswith("tunnel-demo-") for path in folder.iterdir())
    return sorted(path.name for path in folder.glob("*/*"))


async def break_off(when: asyncio.Event) -> None:
    """Run `make demo KEEP=1` until then, and do what ctrl-c does: asyncio cancels the run."""
    running = asyncio.create_task(demo.run(keep=True, as_json=False))
    async with asyncio.timeout(30):
        await when.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_demo_that_stayed_up_and_is_ended_by_ctrl_c_leaves_nothing(
    stage: Stage, tmp_path: Path
) -> None:
    await break_off(stage.staying)
    assert stage.ended == 1
    assert left_in(tmp_path) == []


async def test_one_that_is_broken_off_before_its_end_leaves_its_logs(stage: Stage, tmp_path: Path) -> None:
    stage.stuck = True
    await break_off(stage.telling)
    assert stage.ended == 1
    assert left_in(tmp_path) == ["logs", "owner.key"]


@pytest.mark.parametrize(("complaints", "status", "left"), [([], 0, []), (["no"], 1, ["logs", "owner.key"])])
async def test_one_that_ends_by_itself_leaves_its_logs_only_if_it_failed(
    stage: Stage, tmp_path: Path, complaints: list[str], status: int, left: list[str]
) -> None:
    stage.complaints = complaints
    assert await demo.run(keep=False, as_json=True) == status
    assert left_in(tmp_path) == left
