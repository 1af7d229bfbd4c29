"""Every address that DNS publishes is attested on its own, and one refusal is the whole's."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from infra import cli
from tests.localfleet import dns as local_dns

KEY = "ab" * 32
# Stands for `tunnel`: attests every address but one, and says what it was asked.
STAND_IN = """
import json, sys
arguments = sys.argv[1:]
address = arguments[arguments.index("--address") + 1]
good = not address.startswith("192.0.2.2")
print("tunnel: asked about " + address, file=sys.stderr)
print(json.dumps({"ok": good, "address": address, "arguments": arguments}))
sys.exit(0 if good else 10)
"""


def records(*addresses: str) -> list[dict[str, Any]]:
    found = [
        {"name": name, "type": "A", "ttl": 5, "values": list(addresses)}
        for name in ("tunnel.demo.test", "visitors.demo.test")
    ]
    return [*found, {"name": "tunnel.demo.test", "type": "AAAA", "ttl": 5, "values": ["2001:db8::1"]}]


async def verify(folder: Path, published: list[dict[str, Any]], *more: str) -> int:
    program = folder / "tunnel.py"
    program.write_text(STAND_IN)
    source = folder / "outputs.json"
    known = {"records": records("192.0.2.1"), "fleetDocument": {"tunnel_name": "tunnel.demo.test"}}
    source.write_text(json.dumps(known))
    async with local_dns.NameServer(published, host="127.0.0.1") as server:
        arguments = ["verify", "--in", str(source), "--document", "fleet.signed.json", "--owner-key", KEY]
        arguments += [
            "--resolver",
            f"127.0.0.1:{server.address[1]}",
            "--tunnel",
            f"{sys.executable} {program}",
        ]
        return await asyncio.to_thread(cli.main, [*arguments, *more])


async def test_all_are_asked_and_all_are_attested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await verify(tmp_path, records("192.0.2.1"), "--port", "8443", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is True
    assert [entry["address"] for entry in answer["addresses"]] == ["192.0.2.1:8443", "[2001:db8::1]:8443"]
    assert answer["addresses"][0]["names"] == ["tunnel.demo.test", "visitors.demo.test"]
    asked = answer["addresses"][0]["answer"]["arguments"]
    assert asked[:6] == ["verify", "--json", "--document", "fleet.signed.json", "--owner-key", KEY]


async def test_an_address_that_nobody_planned_is_asked_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await verify(tmp_path, records("192.0.2.1", "192.0.2.2")) == 10
    told = capsys.readouterr()
    assert "192.0.2.1:443 attested for" in told.out
    assert (
        "192.0.2.2:443 refused (10) for tunnel.demo.test, visitors.demo.test: tunnel: asked about" in told.out
    )
    assert "1 of 3 published addresses are not attested" in told.err


async def test_a_name_without_addresses_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = [{"name": "other.demo.test", "type": "A", "ttl": 5, "values": ["192.0.2.9"]}]
    assert await verify(tmp_path, other) == 30
    assert "publishes no address" in capsys.readouterr().err
