"""Everything wrong at once, each with its file and path, and exit 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.commands import main
from tests.documents.damage import example


def files(tmp_path: Path, **contents: bytes) -> list[str]:
    arguments: list[str] = []
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
        arguments += [f"--{name}", str(tmp_path / name)]
    return arguments


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main.run(["config", "check", "--json", *arguments])
    return status, json.loads(capsys.readouterr().out)


def test_what_is_valid_says_whose_settings_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer = checked(capsys, *files(tmp_path, settings=example("settings-server")))
    assert status == 0
    assert (answer["ok"], answer["role"]) == (True, "server")
    assert len(answer["settings_sha256"]) == 64
    assert main.run(["config", "check", *files(tmp_path, settings=example("settings-client"))]) == 0
    assert capsys.readouterr().out.startswith("valid: client ")


def test_a_certificate_that_is_made_at_boot_needs_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    route = {"hostname": "app.example.com", "service": "http://127.0.0.1:8080", "certificate": "at_boot"}
    routes = json.dumps({"schema": "tunnel-routes/1", "version": 1, "routes": [route]}).encode()
    status, answer = checked(capsys, *files(tmp_path, settings=example("settings-client"), routes=routes))
    assert (status, answer["ok"]) == (0, True)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = json.loads(example("settings-client"))
    settings |= {"limits": {"drian_s": 1, "hello_s": 1000}, "nonsense": 1}
    settings["client"]["sessions_port"] = 0
    arguments = files(tmp_path, settings=json.dumps(settings).encode(), routes=b'{"schema": "x"}')
    status, answer = checked(capsys, *arguments)
    assert status == 2
    said = {problem["path"]: problem["message"] for problem in answer["problems"]}
    assert {"settings", "settings.limits", "settings.limits.hello_s", "settings.client.sessions_port"} <= set(
        said
    )
    assert "did you mean 'drain_s'" in said["settings.limits"]
    assert any(path.startswith("routes") for path in said)
    assert answer["code"] == "document"


def test_a_file_that_is_not_there_and_a_document_of_another_owner_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = files(tmp_path, settings=example("settings-server"), document=b"{}")
    status, answer = checked(capsys, *arguments, "--routes", str(tmp_path / "none"))
    assert status == 2
    paths = [problem["path"] for problem in answer["problems"]]
    assert "routes" in paths
    assert any(path.startswith("document") for path in paths)
