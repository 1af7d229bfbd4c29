"""`tunnel-fleet merge`: one document of two, a new file or none at all."""

from __future__ import annotations

import copy
import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from infra import cli, doubts
from runtime.documents import fleet, times


@pytest.fixture
def whole() -> dict[str, Any]:
    example = Path(fleet.__file__).parent / "examples" / "fleet.json"
    found: dict[str, Any] = json.loads(example.read_text())
    now = time.time()
    for entry in (*found["images"], *found["firmware"]):
        entry["not_after"] = times.show(now + 60 * times.DAY_S)
    values = {name: found["reference_values"][name] for name in ("aws-snp-nitrotpm", "gcp-tdx")}
    found |= {"reference_values": values}
    found |= {"issued_at": times.show(now), "expires_at": times.show(now + 14 * times.DAY_S)}
    assert doubts.find(fleet.read(json.dumps(found).encode())) == []
    return found


def merge(tmp_path: Path, one: object, other: object, *more: str) -> int:
    files = [tmp_path / "one.json", tmp_path / "other.json"]
    for path, value in zip(files, (one, other), strict=True):
        path.write_text(json.dumps(value))
    return cli.main(["merge", *map(str, files), "--out", str(tmp_path / "out.json"), *more])


def parts(whole: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    one, other = copy.deepcopy(whole), copy.deepcopy(whole)
    one["members"], other["members"] = whole["members"][:1], whole["members"][1:]
    return one, other


def test_two_parts_are_the_whole_which_can_be_signed(
    tmp_path: Path, whole: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge(tmp_path, *parts(whole), "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["out"] == str(tmp_path / "out.json")
    assert "compare before you sign" in told.err
    assert json.loads((tmp_path / "out.json").read_text()) == whole
    assert cli.main(["document", "--in", str(tmp_path / "out.json"), "--check"]) == 0


def test_conflicts_are_all_named_and_nothing_is_written(
    tmp_path: Path, whole: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    other = copy.deepcopy(whole)
    other["fleet"] = "other"
    other["members"][1]["hostnames"] = ["bank.example.com"]
    assert merge(tmp_path, whole, other) == 2
    told = capsys.readouterr().err
    assert "$.fleet" in told
    assert f"$.members[{whole['members'][1]['name']}].hostnames" in told
    assert "neither is preferred" in told
    assert not (tmp_path / "out.json").exists()


def test_what_no_member_could_use_is_not_written(
    tmp_path: Path, whole: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is well-formed; together two members boot with the same settings, and nobody tells them apart."""
    one, other = parts(whole)
    other["members"][0]["settings_sha256"] = one["members"][0]["settings_sha256"]
    assert merge(tmp_path, one, other) == 2
    assert "settings" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_what_cannot_work_is_not_written(
    tmp_path: Path, whole: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = parts(whole)
    one["firmware"] = other["firmware"] = []
    assert doubts.find(fleet.read(json.dumps(whole | {"firmware": []}).encode()))
    assert merge(tmp_path, one, other) == 2
    assert "has to be whole" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_a_file_is_never_written_over(
    tmp_path: Path, whole: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.json").write_text("mine")
    assert merge(tmp_path, *parts(whole)) == 2
    assert "--out is a new file" in capsys.readouterr().err
    assert (tmp_path / "out.json").read_text() == "mine"


def test_a_full_disk_leaves_no_half_of_a_document(
    tmp_path: Path,
    whole: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert merge(tmp_path, *parts(whole)) == 2
    told = capsys.readouterr().err
    assert "No space left" in told
    assert "is a new file" not in told
    assert not (tmp_path / "out.json").exists()


def test_a_file_that_is_none_is_said(
    tmp_path: Path, whole: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge(tmp_path, whole, {"schema": "tunnel-fleet/1"}) == 2
    assert cli.main(["merge", "/nonexistent/a", "/nonexistent/b", "--out", str(tmp_path / "o")]) == 2
    assert "No such file" in capsys.readouterr().err
