"""A plan is shown in a second: no SDK is loaded for it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from infra import cli
from infra.planning import ROOT


def test_machines_images_and_records_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--stack", "local", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    machines = {machine["name"]: machine for machine in plan["machines"]}
    assert set(machines) == {"aws-1", "azure-1", "gcp-1", "client-1", "client-2"}
    assert machines["gcp-1"]["inbound"] == [8443, 7443, 7444]
    assert machines["client-1"]["inbound"] == []
    assert [image["name"].split("-")[0] for image in plan["images"]] == ["aws", "azure", "gcp"]
    assert plan["zones"][0]["records"][-1] == {
        "name": "app.demo.test",
        "type": "CNAME",
        "ttl": 60,
        "values": ["visitors.demo.test"],
    }


def test_the_text_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--stack", "local"]) == 0
    told = capsys.readouterr().out
    assert "client-1: client, serving, gcp europe-west4-a (europe-west4), c3-standard-4, tdx, grade H" in told
    assert "open to nobody" in told
    assert "  tunnel.demo.test 60 A aws-1 azure-1 gcp-1" in told


def test_no_sdk_is_loaded_for_it() -> None:
    program = (
        "import sys; from infra import cli; cli.main(['plan', '--json']);"
        "sys.exit(any(name.startswith(('pulumi_aws', 'pulumi_gcp', 'pulumi_azure')) for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
