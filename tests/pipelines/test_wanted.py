"""The image files of a stack are those of its cloud, with the digests of the manifest."""

from __future__ import annotations

from typing import Any

import pytest

from infra import stacks
from infra.stacks import StackSettings
from pipelines import wanted
from tests.infra.release import release_fleet


@pytest.fixture
def a_release(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    fleet = release_fleet()

    def read(stack: str, overlay: object) -> StackSettings:
        assert overlay is None
        return StackSettings(stack=stack, role=stack.partition("-")[0], fleet=fleet, protect=None)

    monkeypatch.setattr(stacks, "read", read)
    return fleet


@pytest.mark.usefixtures("a_release")
@pytest.mark.parametrize(("cloud", "ending"), [("aws", ".raw"), ("azure", ".vhd"), ("gcp", ".tar.gz")])
def test_each_cloud_wants_its_own_format(cloud: str, ending: str) -> None:
    (line,) = wanted.lines(f"{cloud}-prod")
    digest, gap, path = line.partition("  ")
    assert gap
    assert len(bytes.fromhex(digest)) == 32
    assert path.startswith("images/out/")
    assert path.endswith(ending)


@pytest.mark.usefixtures("a_release")
def test_names_need_no_image() -> None:
    assert wanted.lines("dns-prod") == []


def test_the_local_stack_has_no_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert wanted.main(["local"]) == 0
    assert capsys.readouterr().out == ""


def test_a_stack_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert wanted.main(["aws-nowhere"]) == 2
    assert "Pulumi.aws-nowhere.yaml" in capsys.readouterr().err
    assert wanted.main([]) == 2
