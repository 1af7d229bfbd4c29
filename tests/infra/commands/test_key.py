"""`key new` prints the public half and nothing of the private one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra import cli, owner_key
from runtime.documents import dsse


def test_the_answer_is_the_public_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["key", "new", "--out", str(tmp_path / "k.pem")]) == 0
    out = capsys.readouterr().out
    assert out.strip() == owner_key.load(tmp_path / "k.pem").public_key().public_bytes_raw().hex()


def test_the_answer_in_json_names_the_key_of_envelopes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["key", "new", "--out", str(tmp_path / "k.pem"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["key_id"] == dsse.key_id(bytes.fromhex(answer["public_key"]))


def test_a_second_key_needs_another_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "k.pem")
    assert cli.main(["key", "new", "--out", path]) == 0
    assert cli.main(["key", "new", "--out", path]) == 2
    assert "hint: choose another name" in capsys.readouterr().err
