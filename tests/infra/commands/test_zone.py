"""A zone as a master file, from a stack's outputs; test_zone_file.py loads one into Knot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra import cli


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "outputs.json"
    record = {"name": "tunnel.demo.test", "type": "A", "ttl": 60, "values": ["192.0.2.1"]}
    path.write_text(json.dumps({"records": [record], "nameServers": {"demo.test": ["ns1.example"]}}))
    return str(path)


def test_a_zone_is_written(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["zone", "--in", source, "--zone", "demo.test", "--contact", "dns@demo.test"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "$ORIGIN demo.test."
    assert lines[1].startswith("@ 300 IN SOA ns1.example. dns.demo.test. ")
    assert lines[2:] == ["@ 300 IN NS ns1.example.", "tunnel.demo.test. 60 IN A 192.0.2.1"]


def test_other_zones_and_contacts_are_refused(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["zone", "--in", source, "--zone", "x.test", "--contact", "dns@demo.test"]) == 2
    assert "zone is 'x.test', want one of demo.test" in capsys.readouterr().err
    assert cli.main(["zone", "--in", source, "--zone", "demo.test", "--contact", "dns"]) == 2
    assert "want a mail address" in capsys.readouterr().err
