"""The house's rules that no other tool holds: sizes, mirrors, purity, and who may make a verdict."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from tests.broken.ledger import BREAKS

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 400
PACKAGES = ("runtime", "infra", "images", "pipelines")

# Modules that decide: bytes and values in, values out. Time and randomness are their arguments.
PURE = (
    "runtime/errors.py",
    "runtime/documents/*.py",
    "runtime/attestation/*.py",
    "runtime/attestation/tees/*.py",
    "runtime/channel/bound.py",
    "runtime/channel/hello.py",
    "runtime/channel/handshake.py",
    "runtime/channel/messages.py",
    "runtime/channel/owner_proof.py",
    "runtime/channel/relay_frames.py",
    "runtime/tunnel/frames.py",
    "runtime/tunnel/client_hello.py",
    "runtime/tunnel/http1.py",
    "runtime/tunnel/routing.py",
    "runtime/tunnel/join.py",
    "runtime/tunnel/control.py",
    "runtime/limits.py",
    "runtime/crowd.py",
    "runtime/tunnel/session_messages.py",
    "runtime/tunnel/owner_messages.py",
    "images/lock.py",
    "images/contents.py",
    "images/cpio.py",
    "images/disk.py",
    "images/elf.py",
    "images/formats.py",
    "images/manifest.py",
    "images/measure/*.py",
    "images/modules.py",
    "images/sbom.py",
    "images/uki.py",
    "runtime/tunnel/websocket.py",
    "infra/config.py",
    "infra/contradictions.py",
    "infra/document.py",
    "infra/fields.py",
    "infra/fleet.py",
    "infra/members.py",
    "infra/merging.py",
    "infra/doctor/*.py",
    "infra/guardrails/images.py",
    "infra/guardrails/machines.py",
    "infra/guardrails/names.py",
    "infra/guardrails/networks.py",
    "infra/guardrails/rule.py",
    "infra/localmock/changes.py",
    "infra/records.py",
    "infra/capabilities.py",
    "infra/settings.py",
    "infra/resources.py",
    "infra/stack_names.py",
    "infra/stack_schema.py",
    "infra/zone_file.py",
    "infra/reference_values.py",
    "infra/changes.py",
    "infra/doubts.py",
    "infra/meaning.py",
)
NOT_PURE = {
    "runtime/attestation/attester/tsm.py": "asks the kernel for reports",
    "runtime/attestation/attester/gate.py": "runs what blocks in threads, under a deadline",
    "runtime/attestation/attester/machine.py": "reads event logs",
    "runtime/attestation/attester/measure.py": "extends RTMR3",
    "runtime/attestation/attester/nitro.py": "makes the authorization value of a message",
    "runtime/attestation/attester/azure.py": "waits for the paravisor",
    "runtime/attestation/attester/metadata.py": "asks Azure's metadata service",
    "runtime/attestation/attester/tpm/device.py": "opens the TPM",
    "runtime/attestation/attester/tpm/commands.py": "asks the TPM, waits for it, makes nonces",
    "runtime/attestation/endorsements/web.py": "asks endorsers",
    "runtime/attestation/endorsements/cache.py": "keeps their answers in files",
    "runtime/attestation/endorsements/published.py": "fetches the owner's bundle",
    "runtime/attestation/endorsements/endorser.py": "gets and keeps, logs what is missing",
    "runtime/attestation/__init__.py": "docstring",
}
IMPURE = frozenset(
    {"asyncio", "socket", "ssl", "os", "pathlib", "subprocess", "time", "logging", "random", "secrets"}
    | {"threading", "multiprocessing", "tempfile", "shutil", "io", "selectors", "signal", "uvloop", "OpenSSL"}
    | {"aiohttp", "runtime.clock", "pulumi", "pulumi_aws", "pulumi_azure_native", "pulumi_gcp"}
)
# A pure module may still name a hash, a certificate or a date: those read nothing.
IMPURE_CALLS = frozenset({"open", "input", "print", "breakpoint", "exec", "eval", "__import__"})

WITHOUT_MIRROR = {
    "runtime/errors.py": "held by every test that expects one of its errors",
    "runtime/config.py": "named constants only",
    "runtime/attestation/tees/tdx/reasons.py": "words only; every TDX check's test expects one of them",
    "runtime/channel/party.py": "types only",
    "runtime/channel/exchange.py": "driven by test_session.py, test_renewal.py and both files of attacks",
    "infra/__main__.py": "three lines that Pulumi runs; the preview tests run them",
}

# Everything else starts tasks in a TaskGroup, which cannot lose their exceptions.
LOOP_TASKS = {
    "runtime/tunnel/admission.py": "one per port and one per handshake, held; failures are refusals",
    "runtime/tunnel/doors.py": "one move of the listeners at a time, held; its failure goes to its owner",
    "runtime/tunnel/socket_end.py": "one per connection to an origin: held, cancelled, failing into a reset",
    "runtime/tunnel/supervisor.py": "one session at a time, waited for, its error returned",
    "runtime/tunnel/together.py": "all waited for, the first one's error raised",
    "runtime/tunnel/worker.py": "the drain and the one configuration of a worker, both held by it",
}

MAKERS = {
    "Claims": ("runtime/attestation/tees/*",),
    "MachineClaims": ("runtime/attestation/tees/composites/*",),
    "AttestationResult": ("runtime/attestation/policy.py",),
}

# Split, so that this file does not hold what it looks for. Locks and settings come from the
# machine's own configuration; a host name here would override a mirror silently.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs"),
        ("npmjs", "org"),
        ("proxy", "golang"),
        ("crates", "io"),
        ("deb", "debian"),
        ("security", "debian"),
        ("archive", "ubuntu"),
        ("registry", "yarnpkg"),
        ("rubygems", "org"),
        ("docker", "io"),
        ("get", "pulumi"),
    )
)


@cache
def files() -> tuple[str, ...]:
    """Every file git knows or would add, so that a new one is held to the rules before its commit."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return tuple(_walked())  # an archive of the sources, without git
    names = sorted({name for name in listed.decode().split("\0") if name})
    return tuple(name for name in names if (ROOT / name).is_file())


def _walked() -> Iterator[str]:
    hidden = (".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".local")
    for path in sorted(ROOT.rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        if path.is_file() and not name.startswith(hidden) and "__pycache__" not in name:
            yield name


@cache
def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(), name)


def sources(*packages: str) -> list[str]:
    return [
        name for name in files() if name.endswith(".py") and name.startswith(tuple(p + "/" for p in packages))
    ]


def pure_sources() -> list[str]:
    return [
        name
        for name in sources(*PACKAGES)
        if any(fnmatch(name, pattern) for pattern in PURE) and name not in NOT_PURE
    ]


def imported(name: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def called(name: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name):
                yield node.lineno, function.id
            elif isinstance(function, ast.Attribute):
                yield node.lineno, function.attr


def test_there_is_something_to_check() -> None:
    assert len(sources("runtime")) > 10
    assert len(pure_sources()) > 10
    assert [pattern for pattern in PURE if pattern.startswith("runtime/documents")]


def test_no_file_grows_past_what_one_sitting_reads() -> None:
    sizes = {name: (ROOT / name).read_text().count("\n") for name in files() if name.endswith(".py")}
    too_long = {name: lines for name, lines in sizes.items() if lines > MAX_LINES}
    assert not too_long, f"split by stage, want at most {MAX_LINES} lines: {too_long}"


def mirror(name: str) -> list[str]:
    """Return where the test of a source may be: its twin (or twins), or that of the inner room it is in."""
    path = Path(name)
    parts = path.with_suffix("").parts[1 if path.parts[0] == "runtime" else 0 :]
    places = [(Path("tests", *parts[:depth]), parts[depth].strip("_")) for depth in range(1, len(parts))]
    if len(parts) == 1:  # runtime/clock.py
        places = [(Path("tests"), parts[0])]
    return [f"{folder}/test_{stem}{end}" for folder, stem in places for end in (".py", "_*.py")]


def test_every_source_has_its_test() -> None:
    tests = sources("tests")
    missing = [
        name
        for name in sources(*PACKAGES)
        if not name.endswith("__init__.py")
        and name not in WITHOUT_MIRROR
        and not any(fnmatch(test, pattern) for test in tests for pattern in mirror(name))
    ]
    assert not missing, f"no test file of their own: {missing}"


@pytest.mark.parametrize("table", [WITHOUT_MIRROR, NOT_PURE, LOOP_TASKS], ids=["mirror", "pure", "tasks"])
def test_exceptions_say_why(table: dict[str, str]) -> None:
    assert all(table.values())
    assert all(name.split("/")[0] in PACKAGES for name in table)


def test_what_decides_touches_no_socket_file_clock_or_chance() -> None:
    found = [
        f"{name}:{line} imports {module}"
        for name in pure_sources()
        for line, module in imported(name)
        if module in IMPURE or module.partition(".")[0] in IMPURE
    ]
    found += [
        f"{name}:{line} calls {function}"
        for name in pure_sources()
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS
        for line, function in [(node.lineno, node.func.id)]
    ]
    assert not found, "\n".join(found)


def test_what_decides_asks_no_clock_by_another_name() -> None:
    clocks = {"now", "utcnow", "today", "monotonic", "time_ns", "urandom", "token_bytes"}
    found = [
        f"{name}:{line} {call}()" for name in pure_sources() for line, call in called(name) if call in clocks
    ]
    assert not found, "\n".join(found)


def test_no_task_is_started_where_its_exception_could_be_lost() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name in sources(*PACKAGES)
        if name not in LOOP_TASKS
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "create_task"
        and "loop" in ast.unparse(node.func.value)
    ]
    assert not found, found


@pytest.mark.parametrize("made", sorted(MAKERS))
def test_only_the_verifier_s_own_stage_makes_a_verdict(made: str) -> None:
    found = [
        f"{name}:{line} makes {made}"
        for name in sources(*PACKAGES)
        if not any(fnmatch(name, pattern) for pattern in MAKERS[made])
        for line, call in called(name)
        if call == made
    ]
    assert not found, "\n".join(found)


def test_no_verdict_is_copied_with_other_words_in_it() -> None:
    found = [
        f"{name}:{line} calls dataclasses.replace"
        for name in sources("runtime")
        if name.startswith("runtime/attestation/")
        for line, module in imported(name)
        if module == "dataclasses.replace"
    ]
    assert not found, "\n".join(found)


def test_nothing_outside_the_tests_asserts() -> None:
    # `python -O` drops assertions: a check that matters is an `if` and an error.
    found = [
        f"{name}:{node.lineno}"
        for name in sources(*PACKAGES)
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Assert)
    ]
    assert not found, found


def test_no_file_names_a_registry() -> None:
    wanted = re.compile("|".join(re.escape(host) for host in REGISTRY_HOSTS), re.IGNORECASE)
    found: list[str] = []
    for name in files():
        data = (ROOT / name).read_bytes()
        if b"\0" in data[:8192]:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            if wanted.search(line):
                found.append(f"{name}:{number} {line.strip()[:100]}")
    assert not found, "\n".join(found)


def test_no_module_is_called_after_what_nobody_can_say() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base", "core", "shared"}
    assert not [
        name for name in files() if name.endswith(".py") and set(Path(name).with_suffix("").parts) & vague
    ]


def test_every_module_says_its_rule_first() -> None:
    silent = [
        name
        for name in sources(*PACKAGES, "tests")
        if (ROOT / name).stat().st_size and not ast.get_docstring(tree(name))
    ]
    assert not silent, f"no module docstring: {silent}"


@pytest.mark.skipif(
    not (ROOT / "docs/architecture.md").exists(), reason="docs/architecture.md is not written yet"
)
def test_the_architecture_page_names_every_room() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    # Two levels: what lies deeper (a cloud, a TEE) is named by the room it is in.
    rooms = {"/".join(Path(name).parent.parts[:2]) for name in sources(*PACKAGES)} | {
        str(Path(name).parts[0]) for name in files() if "/" in name and not name.startswith(".")
    }
    missing = sorted(
        room for room in rooms if not re.search(rf"\b{re.escape(room.rpartition('/')[2])}\b", text)
    )
    assert not missing, f"docs/architecture.md does not speak of {missing}"


def test_every_defence_that_is_broken_on_purpose_is_still_there() -> None:
    """`python -m tests.broken` runs them, which takes long; that each stands where it says costs nothing."""
    texts = {name: (ROOT / name).read_text("utf-8") for name in {broken.file for broken in BREAKS}}
    assert {b.name: texts[b.file].count(b.old) for b in BREAKS if texts[b.file].count(b.old) != 1} == {}
    missing = {
        test for broken in BREAKS for test in broken.tests if not (ROOT / test.split("::")[0]).exists()
    }
    assert missing == set()
