"""The tool measures a module by its own test alone, and says what is missing."""

from __future__ import annotations

import pytest

from tests import test_architecture as architecture
from tests.coverage_alone.__main__ import measure, modules, outcome, own_tests


def test_every_pure_module_has_a_test_to_be_measured_by() -> None:
    assert len(modules("")) > 50
    assert [name for name in modules("") if not own_tests(name)] == []
    assert set(modules("tees/snp/")) < set(architecture.pure_sources())


def test_a_module_s_own_test_is_the_nearest() -> None:
    assert own_tests("runtime/attestation/tees/tdx/verify.py") == (
        "tests/attestation/tees/tdx/test_verify.py",
    )
    assert own_tests("runtime/channel/handshake.py") == (
        "tests/channel/test_handshake.py",
        "tests/channel/test_handshake_owner.py",
    )
    assert "tests/tunnel/test_client_hello.py" not in own_tests("runtime/tunnel/client.py")
    assert own_tests("infra/localmock/changes.py") == ("tests/infra/test_localmock_changes.py",)
    assert own_tests("infra/guardrails/names.py") == (
        "tests/infra/test_guardrails.py",
        "tests/infra/test_guardrails_machines.py",
        "tests/infra/test_guardrails_networks.py",
    ), "it has no file of its name"
    assert own_tests("runtime/attestation/binding.py") == ("tests/attestation/test_binding.py",)


@pytest.mark.timeout(240)
def test_a_whole_module_is_whole() -> None:
    found = measure("runtime/documents/times.py")
    assert (found.percent, found.missing, found.failed) == (100, "", "")
    assert found.whole


def test_what_is_missing_is_named() -> None:
    about = {
        "missing_lines": [7, 9],
        "missing_branches": [[6, 7], [8, -1]],
        "summary": {"percent_covered": 80.0},
    }
    found = outcome("a.py", ("test_a.py",), about, "")
    assert found.missing == "lines 7, 9; branches 6→7, 8→exit"
    assert not found.whole
    assert not outcome("a.py", (), None, "").whole
    assert not outcome("a.py", (), about | {"summary": {"percent_covered": 100}}, "1 failed").whole
