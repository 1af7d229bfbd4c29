"""`tunnel evidence collect` over a real software TPM, and what `verify` and `inspect` say of its file."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import pytest

from runtime.attestation.attester.choice import choose
from runtime.attestation.attester.machine import Machine
from runtime.commands.evidence import collect, files, inspect, verify
from runtime.commands.evidence.files import Collected
from runtime.errors import UsageError
from tests.fakes import fleets, swtpm
from tests.fakes.tsm import FakeTsm


def options(add: Any, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add(parser)
    return parser.parse_args(arguments)


@swtpm.NEEDED
def test_what_was_collected_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "settings").write_bytes(b"{}")
    out, nonce = str(tmp_path / "evidence"), "ab" * 32
    with swtpm.running() as device:
        machine = Machine(tsm=FakeTsm(provider="none").asked(), device=device, event_log=tmp_path / "none")
        asked = options(
            collect.add_arguments, "--nonce", nonce, "--out", out, "--settings", f"{tmp_path}/settings"
        )
        collect.verb(asked, choose(machine), fleets.NOW)
        collect.verb(options(collect.add_arguments), choose(machine), fleets.NOW)
    said = capsys.readouterr()
    assert "hint: without --settings" in said.err
    other = files.read(said.out.encode())
    found = files.read(Path(out).read_bytes())
    assert isinstance(found, Collected)
    assert isinstance(other, Collected)
    assert (found.bound.verifier_nonce.hex(), found.bound.settings_digest) == (
        nonce,
        hashlib.sha256(b"{}").digest(),
    )
    assert other.bound.verifier_nonce != found.bound.verifier_nonce
    verify.verb(options(verify.add_arguments, out, "--nonce", nonce), (), fleets.NOW)
    text = capsys.readouterr().out
    assert "best grade: T: a TPM that nobody vouches for" in text
    assert "fresh" not in text
    assert any("qualifying data" in line for line in inspect.render(inspect.look(Path(out).read_bytes())))


@swtpm.NEEDED
def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with swtpm.running() as device:
        machine = Machine(tsm=FakeTsm(provider="none").asked(), device=device, event_log=tmp_path / "none")
        with pytest.raises(UsageError, match="cannot be written"):
            collect.verb(
                options(collect.add_arguments, "--out", f"{tmp_path}/no/file"), choose(machine), fleets.NOW
            )


@pytest.mark.parametrize("nonce", ["", "00", "zz" * 32])
def test_a_nonce_has_32_bytes(nonce: str, tmp_path: Path) -> None:
    from runtime.attestation.attester.software_tpm import SoftwareTpmAttester

    machine = Machine(tsm=FakeTsm(provider="none").asked())
    with pytest.raises(UsageError):
        collect.verb(
            options(collect.add_arguments, "--nonce", nonce), SoftwareTpmAttester(machine), fleets.NOW
        )
