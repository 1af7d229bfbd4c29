"""The command line: what it answers, where, and with which exit status."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from runtime.attestation.attester.machine import Machine
from runtime.attestation.attester.tpm.device import FileDevice
from runtime.attestation.attester.tsm import ConfigFs, Tsm
from runtime.commands import main
from runtime.documents.settings import MAX_SETTINGS_SIZE
from runtime.errors import DocumentError, PeerError, Problem, TunnelError, UnsupportedTeeError

EXAMPLES = Path(main.__file__).parents[1] / "documents" / "examples"
CLIENT, SERVER = EXAMPLES / "settings-client.json", EXAMPLES / "settings-server.json"


def run(*arguments: str) -> int:
    return main.run(list(arguments))


def test_settings_with_problems_list_them_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw: dict[str, Any] = json.loads(SERVER.read_text())
    raw["owner_keys"] = ["short"]
    raw["server"] |= {"workers": 0, "listen": []}
    raw["more"] = 1
    (tmp_path / "settings.json").write_text(json.dumps(raw))
    assert run("server", "--settings", str(tmp_path / "settings.json")) == 2
    out, err = capsys.readouterr()
    assert out == ""
    for path in ("$.owner_keys[0]", "$.server.workers", "$.server.listen", "more"):
        assert path in err


def test_problems_as_json_have_their_paths(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem("$.a", "is 1"), Problem("$.b", "is 2")]
    assert main.report(DocumentError("settings", problems, hint="look there"), as_json=True) == 2
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert (answer["ok"], answer["code"], answer["hint"]) == (False, "document", "look there")
    assert answer["problems"] == [{"path": "$.a", "message": "is 1"}, {"path": "$.b", "message": "is 2"}]
    assert err.endswith("hint: look there\n")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnsupportedTeeError("x"), 20, "unsupported_tee"),
        (PeerError("busy", "x"), 10, "busy"),
        (TunnelError("x"), 1, "internal"),
        (ValueError("x"), 1, "internal"),
    ],
)
def test_every_error_has_its_status(
    error: BaseException, status: int, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.report(error, as_json=True) == status
    assert json.loads(capsys.readouterr().out)["code"] == code


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[" * 5000, b" " * (MAX_SETTINGS_SIZE + 1)])
def test_a_file_that_is_no_settings_is_a_usage_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "settings.json").write_bytes(content)
    assert run("client", "--settings", str(tmp_path / "settings.json")) == 2


def test_settings_that_cannot_be_read_say_what_belongs_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("server", "--settings", "/nonexistent/settings.json") == 2
    assert "hint: --settings takes the very file the VM boots with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "file", "right"), [("server", CLIENT, "client"), ("client", SERVER, "server")]
)
def test_the_wrong_role_is_told_the_right_command(
    verb: str, file: Path, right: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(verb, "--settings", str(file)) == 2
    err = capsys.readouterr().err
    assert f"these are a {right}'s settings" in err
    assert f"hint: run: tunnel {right} --settings {file}" in err


@pytest.mark.parametrize(("verb", "file"), [("server", SERVER), ("client", CLIENT)])
def test_without_a_tee_nothing_starts(
    verb: str,
    file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare = Machine(tsm=Tsm(ConfigFs(tmp_path / "no")), device=FileDevice(tmp_path / "no"))
    monkeypatch.setattr(main, "Machine", lambda: bare)
    assert run(verb, "--settings", str(file)) == 20
    assert "nothing to attest with" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["server"], ["server", "--simulation", "x"]])
def test_usage_errors_are_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "--help says what it takes" in said.err


@pytest.mark.parametrize("verb", ["server", "client", "verify"])
def test_no_option_weakens_anything(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(verb, "--help")
    text = capsys.readouterr().out.lower()
    assert not {"insecure", "simulat", "skip", "dummy", "no-verify", "root"} & set(
        text.replace("-", " ").split()
    )


def test_the_first_error_of_ours_in_a_group_is_the_one_that_counts() -> None:
    async def fail() -> None:
        inner = ExceptionGroup("inner", [KeyError("not ours"), PeerError("busy", "ours")])
        raise ExceptionGroup("outer", [OSError("not ours"), inner])

    with pytest.raises(PeerError, match="busy"):
        main.run_until_done(fail())

    async def fault() -> None:
        raise ExceptionGroup("outer", [KeyError("not ours")])

    with pytest.raises(ExceptionGroup):
        main.run_until_done(fault())

    async def drained() -> None:
        raise asyncio.CancelledError

    main.run_until_done(drained())
