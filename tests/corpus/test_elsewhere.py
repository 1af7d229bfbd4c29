"""The corpus tests hold for any folder of the layout: all cases are counted, another folder runs unchanged.

The other folder is made of real cases under new names, with other combinations of inputs. It runs in a
process of its own, since the tests collect their cases from the environment.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.corpus import azure, cases, test_azure, test_ccel, test_corpus, test_nitro, test_tdx, test_tpm
from tests.corpus.cases import Case

PROJECT = Path(__file__).resolve().parents[2]
TESTED = (test_corpus, test_tdx, test_azure, test_nitro, test_tpm, test_ccel)
CASES_OF_THE_SHARED_CORPUS = 55
_GUIDS = {"vek": "63da758d-e664-4564-adc5-f4b93be8accd"}  # of a VCEK in a certificate table


def test_every_case_is_tested() -> None:
    cases.want()
    tested = [case.path for module in TESTED for case in module.CASES]
    assert sorted(tested) == sorted(case.path for case in cases.every_case())
    assert len(set(tested)) == len(tested)
    if (folder := cases.folder()) is not None and folder.resolve() == cases.DEFAULT.resolve():
        assert len(tested) == CASES_OF_THE_SHARED_CORPUS


def find(platform: str, *roles: str) -> Case:
    """Return the first case of a platform that has all these inputs."""
    found = [case for case in cases.load(platform) if all(case.count(role) for role in roles)]
    if not found:
        pytest.skip(f"no case of {platform} has {', '.join(roles)}")
    return found[0]


Changes = dict[str, Any]


def put(folder: Path, case: Case, name: str, change: Callable[[Changes, Path], None]) -> Path:
    """Copy a case under a new name and change it."""
    path = folder / case.path.parent.name / name
    shutil.copytree(case.path, path)
    about: Changes = json.loads(json.dumps(case.about))
    change(about, path)
    (path / "case.json").write_text(json.dumps(about), "utf-8")
    return path


def without(about: Changes, inputs: Iterable[str], topics: Iterable[str] = ()) -> None:
    for role in inputs:
        about["inputs"].pop(role, None)
    for topic in topics:
        about["facts"].pop(topic, None)


def _no_endorsements(about: Changes, _: Path) -> None:
    without(about, ("vek", "certs", "cert_table", "vek_wrong"))
    names = (
        *("signature_valid", "chain_valid", "vek_product_name", "vek_tcb", "csp_id"),
        *("hwid_matches_chip_id", "endorsement_tcb_equals_reported_tcb"),
    )
    for name in names:
        about["facts"]["snp"].pop(name, None)
    about["mutations"] = ["snp-truncate", "snp-append"]


def _table(about: Changes, path: Path) -> None:
    (leaf,) = cases.certificates_of((path / about["inputs"]["vek"]).read_bytes())
    entry = struct.Struct("<16sII")
    head = entry.pack(UUID(_GUIDS["vek"]).bytes_le, 2 * entry.size, len(leaf.der)) + bytes(entry.size)
    (path / "table.bin").write_bytes(head + leaf.der)
    without(about, ("vek", "vek_wrong"))
    about["inputs"]["cert_table"] = "table.bin"


def _no_collateral(about: Changes, _: Path) -> None:
    without(about, ("td_collateral",))
    about["facts"]["tdx"].pop("collateral_verdict", None)
    about["mutations"] = ["tdx-flip-mrtd", "tdx-truncate", "tdx-other-pck"]


def _parts_of_a_report(about: Changes, path: Path) -> None:
    report = azure.report_of(Case(path, about))
    (path / "runtime.json").write_bytes(report.runtime_json)
    (path / "tee.bin").write_bytes(report.tee_report)
    without(about, ("hcl_report", "event_log", "ak_certs"), ("event_log", "ak_chain"))
    about["inputs"] |= {"runtime_json": "runtime.json", "snp_report": "tee.bin"}
    for entry in about["inputs"].get("tpm_quotes", []):
        entry["key"] = "runtime_json"
    about["mutations"] = ["az-flip-runtime", "az-other-ak"]


def _log_with_no_quote(about: Changes, _: Path) -> None:
    without(about, ("td_quote",), ("tdx",))
    about["facts"]["ccel"].pop("rtmr_match", None)
    about["mutations"] = ["ccel-flip-digest", "ccel-truncate"]


def _quotes_with_no_log(about: Changes, _: Path) -> None:
    without(about, ("event_log",), ("event_log",))
    about["mutations"] = ["tpm-flip-quote"]


def other_folder(folder: Path) -> Path:
    """Make a small corpus: new names, other inputs."""
    where = cases.folder()
    assert where is not None
    shutil.copytree(where / "roots", folder / "roots")
    shutil.copy(where / "mutations.json", folder / "mutations.json")
    put(folder, find("sev-snp", "snp_report"), "bare", _no_endorsements)
    put(folder, find("sev-snp", "snp_report", "vek"), "from-a-table", _table)
    put(folder, find("tdx", "td_quote", "td_collateral"), "quote-alone", _no_collateral)
    put(folder, find("azure-snp-vtpm", "hcl_report", "vek", "tpm_quotes"), "in-parts", _parts_of_a_report)
    put(folder, find("tpm-eventlog", "tpm_quotes"), "no-log", _quotes_with_no_log)
    put(folder, find("ccel", "ccel", "td_quote"), "log-alone", _log_with_no_quote)
    put(folder, find("nitro", "nitro_document"), "renamed", lambda _about, _path: None)
    put(folder, find("nitro-tpm", "nitro_document"), "renamed", lambda _about, _path: None)
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    files = [f"tests/corpus/{module.__name__.rpartition('.')[2]}.py" for module in TESTED]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, *arguments]
    return subprocess.run(
        command,
        cwd=PROJECT,
        env=os.environ | {cases.VARIABLE: str(folder), "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


@pytest.mark.timeout(300)
def test_another_folder_runs_unchanged(tmp_path: Path) -> None:
    cases.want()
    done = run(other_folder(tmp_path))
    assert done.returncode == 0, done.stdout[-6000:]
    assert "failed" not in done.stdout


# Name of a case, what is added to it that nobody knows, and what its failure says.
UNKNOWN: tuple[tuple[str, Callable[[Changes], object], str], ...] = (
    ("fact", lambda about: about["facts"]["snp"].update(colour="blue"), "facts that nothing here can find"),
    (
        "topic",
        lambda about: about["facts"].update(weather={"rain": True}),
        "facts of topics that nobody reads",
    ),
    ("input", lambda about: about["inputs"].update(oracle="case.json"), "inputs that nobody reads"),
    ("value", lambda about: about["facts"]["snp"].update(vmpl=3), "found and claimed differ"),
    (
        "mutation",
        lambda about: about["mutations"].append("snp-new"),
        "a mutation that nothing here implements",
    ),
)


@pytest.mark.timeout(300)
def test_what_nobody_knows_fails_and_says_so(tmp_path: Path) -> None:
    cases.want()
    case = find("sev-snp", "snp_report")
    for path in ("roots", "mutations.json"):
        (tmp_path / path).symlink_to(case.path.parents[1] / path)
    for name, change, _ in UNKNOWN:

        def both(about: Changes, path: Path, change: Callable[[Changes], object] = change) -> None:
            _no_endorsements(about, path)
            change(about)

        put(tmp_path, case, name, both)
    done = run(tmp_path, "-k", "test_facts_are_found or test_mutation_is_refused")
    assert done.returncode == 1, done.stdout[-3000:]
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    for name, _, words in UNKNOWN:
        assert [line for line in failed if f"[{name}" in line and words in line], failed
    assert len(failed) == len(UNKNOWN)
