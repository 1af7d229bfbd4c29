"""With `--json` stdout is one JSON object, of every verb that answers, whatever comes of it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.attestation import wire
from runtime.attestation.endorsements import bundle
from runtime.attestation.endorsements.bundle import Bundle
from runtime.commands import answers, config_check, main
from runtime.commands.evidence import files
from runtime.documents import dsse, strict_json
from runtime.errors import TunnelError, UsageError
from tests.commands.evidence.conftest import collected
from tests.documents.damage import example
from tests.fakes import fleets, machines
from tests.fakes.amd import FakeAmd
from tests.web.owner import KEY, PUBLIC

Answer = dict[str, Any]


def test_an_answer_that_refuses_goes_with_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    refusal = UsageError("no", hint="so")
    with pytest.raises(UsageError):
        answers.give({"a": 1}, ["one", "two"], as_json=False, refusal=refusal)
    assert capsys.readouterr().out == "one\ntwo\n"
    assert refusal.answer is None
    with pytest.raises(UsageError):
        answers.give({"a": 1}, ["one", "two"], as_json=True, refusal=refusal)
    assert capsys.readouterr().out == ""
    assert main.report(refusal, as_json=True) == 2
    said = json.loads(capsys.readouterr().out)
    assert said == {"ok": False, "code": "usage", "error": "no", "a": 1, "hint": "so"}
    answers.give({"a": 1}, [], as_json=True)
    assert json.loads(capsys.readouterr().out) == {"ok": True, "a": 1}


@pytest.fixture
def made(amd: FakeAmd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of every kind that verbs read; the roots and the clock are those of the fake machine."""
    machine = machines.azure_snp(amd)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(main, "HARDWARE_ROOTS", machine.roots)
    monkeypatch.setattr(main, "_now", lambda: machine.now)
    good = collected(machine)
    Path("bare").write_bytes(wire.encode(good.evidence))
    Path("debug").write_bytes(
        wire.encode(collected(machine, snp={"policy": 0x30000 | 1 << 19}).evidence),
    )
    Path("unreadable").write_bytes(wire.encode(machine.evidence(parts={"tpm_pcrs": b"none"})))
    Path("evidence").write_bytes(files.write(good))
    fleet = strict_json.canonical(machine.document())
    Path("fleet").write_bytes(dsse.sign(fleet, dsse.FLEET_TYPE, KEY))
    Path("unsigned").write_bytes(fleet)
    Path("settings").write_bytes(example("settings-server"))
    Path("bundle").write_bytes(bundle.write(Bundle(made_at=fleets.NOW, items={})))
    Path("software").write_bytes(wire.encode(machines.qemu_tpm().evidence()))
    Path("nothing").write_bytes(b"{}")


_DOCUMENT = ("--document", "fleet", "--owner-key", PUBLIC.hex(), "--role", "client")
_OWNER = ("--document", "unsigned", "--owner-key", "nothing")
# Every verb that has --json: command lines by the status that they end with. Nothing asks a network.
LINES: tuple[tuple[int, str, tuple[str, ...]], ...] = (
    (0, "config check", ("--settings", "settings")),
    (2, "config check", ("--settings", "nothing")),
    (2, "config check", ()),
    (2, "config check", ("--settings", "settings", "--nonsense")),
    (0, "evidence inspect", ("bare",)),
    (10, "evidence inspect", ("unreadable",)),
    (10, "evidence inspect", ("nothing",)),
    (2, "evidence inspect", ("missing",)),
    (2, "evidence inspect", ()),
    (0, "evidence verify", ("bare",)),
    (0, "evidence verify", ("evidence", *_DOCUMENT)),
    (10, "evidence verify", ("debug",)),
    (10, "evidence verify", ("debug", *_DOCUMENT)),
    (10, "evidence verify", ("evidence", *_DOCUMENT, "--nonce", "00" * 32)),
    (10, "evidence verify", ("nothing",)),
    (2, "evidence verify", ("bare", "--role", "nobody")),
    (2, "evidence verify", ("evidence", "--document", "unsigned", *_DOCUMENT[2:])),
    (0, "endorsements check", ("bundle", "--evidence", "software")),
    (10, "endorsements check", ("bundle", "--evidence", "bare")),
    (2, "endorsements check", ("missing", "--evidence", "bare")),
    (2, "verify", ("--address", "a:b", *_DOCUMENT[:4])),
    (2, "verify", ("--address", "127.0.0.1", "--document", "missing", *_DOCUMENT[2:4])),
    (2, "status", ("server-1", *_OWNER)),
    (2, "evidence read", ("server-1", *_OWNER)),
    (2, "nothing", ()),
)


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("status", "verb", "more"), LINES, ids=lambda part: str(part) if isinstance(part, str) else ""
)
def test_stdout_is_one_json_object(
    status: int, verb: str, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([*verb.split(), *more, "--json"]) == status
    said = capsys.readouterr()
    answer: Answer = json.loads(said.out)
    assert answer["ok"] is (status == 0)
    if status:
        assert answer["code"]
        assert answer["error"]
        assert said.err.startswith("tunnel: ")


def _verbs(parser: argparse.ArgumentParser, so_far: str = "") -> Iterator[tuple[str, set[str]]]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for group in groups:
        for name, under in group.choices.items():
            yield from _verbs(under, f"{so_far} {name}".strip())
    if not groups:
        yield so_far, {option for action in parser._actions for option in action.option_strings}


def _described(parser: argparse.ArgumentParser, so_far: str = "tunnel") -> Iterator[tuple[str, str]]:
    yield so_far, parser.description or ""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, under in action.choices.items():
                yield from _described(under, f"{so_far} {name}")


def test_what_help_says_is_for_people() -> None:
    for verb, text in _described(main._parser()):
        assert not {"I/O", "Pure", "Raises:"} & set(text.replace(".", " ").split()), verb


def test_no_verb_that_has_json_is_left_out() -> None:
    having = {verb for verb, options in _verbs(main._parser()) if "--json" in options}
    assert having == {verb for _, verb, _ in LINES} - {"nothing"}


@pytest.mark.usefixtures("made")
def test_a_refusal_has_the_answer_s_members(capsys: pytest.CaptureFixture[str]) -> None:
    wanted: dict[tuple[str, ...], Callable[[Answer], bool]] = {
        ("evidence", "verify", "debug"): lambda said: "policy.debug" in {c["id"] for c in said["checks"]},
        ("evidence", "inspect", "unreadable"): lambda said: any(item["error"] for item in said["items"]),
        ("endorsements", "check", "bundle", "--evidence", "bare"): lambda said: bool(said["items"]),
    }
    for line, holds in wanted.items():
        assert main.run([*line, "--json"]) == 10
        said = json.loads(capsys.readouterr().out)
        assert holds(said), line
        assert "appraisal" not in said, line
    assert main.run(["evidence", "verify", "debug", *_DOCUMENT, "--json"]) == 10
    assert json.loads(capsys.readouterr().out)["appraisal"]["checks"]


def test_a_fault_of_ours_is_an_answer_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def faulty(_options: argparse.Namespace) -> None:
        raise KeyError("x")

    monkeypatch.setattr(config_check, "verb", faulty)
    with pytest.raises(KeyError):
        main.run(["config", "check", "--settings", "x", "--json"])
    assert json.loads(capsys.readouterr().out)["code"] == "internal"
    with pytest.raises(KeyError):
        main.run(["config", "check", "--settings", "x"])
    assert capsys.readouterr().out == ""


def test_an_error_of_ours_has_no_answer_of_its_own() -> None:
    assert TunnelError("x").answer is None
