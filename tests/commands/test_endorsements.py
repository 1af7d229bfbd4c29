"""`tunnel endorsements`: a bundle of what machines need, and a check that fails when it is stale."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from runtime.attestation import wire
from runtime.attestation.endorsements import bundle
from runtime.attestation.endorsements.bundle import Bundle
from runtime.attestation.endorsements.contents import Answer
from runtime.attestation.endorsements.endorser import Sources
from runtime.attestation.tees import Root
from runtime.commands import endorsements, main
from runtime.commands.endorsements import StaleError
from runtime.errors import UnreachableError, UsageError
from tests.attestation.endorsements import machines
from tests.fakes import endorsers, fleets
from tests.fakes.amd import FakeAmd
from tests.fakes.endorsers import Say

NOW = fleets.NOW
Made = tuple[str, str, dict[str, Say], tuple[Root, ...]]
LONG_AFTER = NOW + 100 * 365 * 86400


class Published:
    """Endorsers without a network: a path's answer, or nobody there."""

    def __init__(self, said: dict[str, Say]) -> None:
        self.said = said

    async def get(self, url: str, *, deadline: float) -> Answer:
        assert deadline
        path = url.removeprefix("http://amd")
        if path not in self.said:
            message = f"{url} gives nothing"
            raise UnreachableError(message)
        return Answer(body=self.said[path].body, headers={})


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    endorsements.add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.fixture
def made(amd: FakeAmd, tmp_path: Path) -> Made:
    """A machine's evidence, where the bundle goes, and what is published about it, the roots."""
    chip = amd.chip("one", "Genoa")
    (tmp_path / "evidence").write_bytes(wire.encode(machines.snp(chip)))
    return str(tmp_path / "evidence"), str(tmp_path / "bundle"), endorsers.kds(chip), machines.roots(chip)


SOURCES = Sources(amd_kds="http://amd")


def test_a_bundle_is_made_and_is_enough(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    evidence, path, said, roots = made
    asked = options("bundle", "--evidence", evidence, "--evidence", evidence, "--out", path)
    endorsements.make(asked, Published(said), roots, NOW, SOURCES)
    assert len(bundle.read(Path(path).read_bytes()).items) == 3
    endorsements.check(options("check", path, "--evidence", evidence), roots, NOW)
    assert capsys.readouterr().out.count("  good") == 3


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_a_stale_bundle_fails_and_says_since_when(
    made: Made, json_too: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    evidence, path, said, roots = made
    endorsements.make(
        options("bundle", "--evidence", evidence, "--out", path), Published(said), roots, NOW, SOURCES
    )
    with pytest.raises(StaleError) as caught:
        endorsements.check(options("check", path, "--evidence", evidence, *json_too), roots, LONG_AFTER)
    assert caught.value.exit_status == 10
    out = capsys.readouterr().out
    if json_too:
        assert out == ""  # it is printed with the error, as one
        assert main.report(caught.value, as_json=True) == 10
        answer = json.loads(capsys.readouterr().out)
        assert answer["code"] == "stale"
        assert answer["ok"] is False
        assert {item["state"] for item in answer["items"]} == {"ended"}
        assert all(item["until"] for item in answer["items"])
    else:
        assert out.count("  ended") == 3


def test_a_bundle_that_would_lack_something_does_not_take_the_place_of_a_good_one(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence, path, said, roots = made
    asked = options("bundle", "--evidence", evidence, "--out", path)
    less = {name: answer for name, answer in said.items() if not name.endswith("/crl")}
    for published in (less, {}):
        with pytest.raises(UnreachableError, match="crl") as caught:
            endorsements.make(asked, Published(published), roots, NOW, SOURCES)
        assert not Path(path).exists()
    endorsements.make(asked, Published(said), roots, NOW, SOURCES)
    good = Path(path).read_bytes()
    for published in (less, {}):
        with pytest.raises(UnreachableError, match="is as it was") as caught:
            endorsements.make(asked, Published(published), roots, NOW + 60, SOURCES)
        assert "run it again" in str(caught.value)
        assert Path(path).read_bytes() == good
    assert sorted(one.name for one in tmp_path.iterdir()) == ["bundle", "evidence"]


def test_a_bundle_that_lacks_something_is_not_enough(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    evidence, path, said, roots = made
    endorsements.make(
        options("bundle", "--evidence", evidence, "--out", path), Published(said), roots, NOW, SOURCES
    )
    held = bundle.read(Path(path).read_bytes())
    items = {key: body for key, body in held.items.items() if "crl" not in key}
    Path(path).write_bytes(bundle.write(Bundle(made_at=NOW, items=items)))
    with pytest.raises(StaleError):
        endorsements.check(options("check", path, "--evidence", evidence), roots, NOW)
    assert "missing" in capsys.readouterr().out


def test_a_bundle_of_another_machine_is_not_enough(amd: FakeAmd, made: Made, tmp_path: Path) -> None:
    evidence, path, said, roots = made
    endorsements.make(
        options("bundle", "--evidence", evidence, "--out", path), Published(said), roots, NOW, SOURCES
    )
    other = tmp_path / "other"
    other.write_bytes(wire.encode(machines.snp(amd.chip("two", "Genoa"))))
    with pytest.raises(StaleError):
        endorsements.check(options("check", path, "--evidence", str(other)), roots, NOW)


def test_a_bare_report_is_told_what_is_wanted(made: Made, amd: FakeAmd, tmp_path: Path) -> None:
    _, path, _, roots = made
    bare = tmp_path / "report"
    bare.write_bytes(amd.chip("one", "Genoa").report())
    Path(path).write_bytes(bundle.write(Bundle(made_at=NOW, items={})))
    asked = options("check", path, "--evidence", str(bare))
    with pytest.raises(UsageError, match="report: ") as caught:
        endorsements.check(asked, roots, NOW)
    assert "tunnel evidence collect" in caught.value.hint


def test_files_that_cannot_be_used(made: Made, tmp_path: Path) -> None:
    evidence, path, said, roots = made
    asked = options("bundle", "--evidence", evidence, "--out", f"{tmp_path}/no/file")
    with pytest.raises(UsageError, match="cannot be written"):
        endorsements.make(asked, Published(said), roots, NOW, SOURCES)
    with pytest.raises(UsageError, match="cannot be read"):
        endorsements.check(options("check", path, "--evidence", evidence), roots, NOW)


def test_the_command(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    evidence, path, said, roots = made
    endorsements.make(
        options("bundle", "--evidence", evidence, "--out", path), Published(said), roots, NOW, SOURCES
    )
    assert main.run(["endorsements", "check", path, "--evidence", evidence]) in {
        0,
        10,
    }  # the clock is today's
    assert "made at" in capsys.readouterr().out


def test_junk_is_not_called_good(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    """A list that AMD did not sign and another product's chain, as any publisher could put there."""
    evidence, path, said, roots = made
    endorsements.make(
        options("bundle", "--evidence", evidence, "--out", path), Published(said), roots, NOW, SOURCES
    )
    held = bundle.read(Path(path).read_bytes())
    crl = next(key for key in held.items if "crl" in key)
    Path(path).write_bytes(
        bundle.write(Bundle(made_at=NOW, items={**held.items, crl: held.items[crl][:-3] + b"abc"}))
    )
    with pytest.raises(StaleError):
        endorsements.check(options("check", path, "--evidence", evidence), roots, NOW)
    out = capsys.readouterr().out
    assert out.count("  good") == 2
    assert "is no list of ARK-Genoa" in out
    with pytest.raises(StaleError):
        endorsements.check(options("check", path, "--evidence", evidence), (), NOW)
    assert capsys.readouterr().out.count("  unusable") == 3
