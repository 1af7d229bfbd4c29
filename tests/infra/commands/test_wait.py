"""Until every name server answers the records, against a DNS server that really answers."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from infra import cli, seen
from infra.commands import wait
from infra.seen import NameServer
from runtime import documents
from runtime.errors import UnreachableError, UsageError
from runtime.limits import Limits
from tests.localfleet import dns as local_dns

EXAMPLES = Path(documents.__file__).parent / "examples"
NAMES = ("tunnel.demo.test", "visitors.demo.test")


def outputs(*addresses: str, ttl: int = 1) -> dict[str, Any]:
    records: list[dict[str, Any]] = [
        {"name": name, "type": "A", "ttl": ttl, "values": list(addresses)} for name in NAMES
    ]
    records.append({"name": "app.demo.test", "type": "CNAME", "ttl": ttl, "values": ["visitors.demo.test."]})
    return {"records": records, "fleetDocument": {"tunnel_name": NAMES[0]}, "nameServers": {}}


def until_seen(stack: dict[str, Any], port: int, timeout_s: float = 30) -> None:
    server = NameServer(address="127.0.0.1", port=port)
    wait.until_seen(
        seen.wanted(stack),
        [server],
        timeout_s=timeout_s,
        sleep=lambda _: time.sleep(0.05),
        clock=time.monotonic,
    )


async def test_it_ends_when_the_new_address_is_seen_and_the_old_one_is_not() -> None:
    async with local_dns.NameServer(outputs("192.0.2.1")["records"], host="127.0.0.1") as server:
        port = server.address[1]
        await asyncio.to_thread(until_seen, outputs("192.0.2.1"), port)
        with pytest.raises(UnreachableError, match=r"still answers 192\.0\.2\.1 for tunnel\.demo\.test"):
            await asyncio.to_thread(until_seen, outputs("192.0.2.2"), port, 0)
        asked = server.queries
        waiting = asyncio.create_task(asyncio.to_thread(until_seen, outputs("192.0.2.2"), port))
        deadline = time.monotonic() + 30
        while server.queries < asked + 2 and time.monotonic() < deadline:  # noqa: ASYNC110 - another thread's
            await asyncio.sleep(0.02)
        assert not waiting.done()
        server.set_records(outputs("192.0.2.2")["records"])
        await asyncio.wait_for(waiting, 30)


async def test_a_visitors_name_may_leave_out_the_unhealthy_and_the_tunnel_name_may_not() -> None:
    both, one = outputs("192.0.2.1", "192.0.2.2"), outputs("192.0.2.1")
    partial = [both["records"][0], one["records"][1]]
    async with local_dns.NameServer(partial, host="127.0.0.1") as server:
        await asyncio.to_thread(until_seen, both, server.address[1])
        server.set_records([one["records"][0], both["records"][1]])
        with pytest.raises(UnreachableError, match=r"not yet answer 192\.0\.2\.2 for tunnel\.demo\.test"):
            await asyncio.to_thread(until_seen, both, server.address[1], 0)


async def test_the_command_waits_for_ttl_and_drain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "outputs.json"
    source.write_text(json.dumps(outputs("192.0.2.1")))
    async with local_dns.NameServer(outputs("192.0.2.1")["records"], host="127.0.0.1") as server:
        resolver = f"127.0.0.1:{server.address[1]}"
        began = time.monotonic()
        arguments = ["wait", "--in", str(source), "--resolver", resolver, "--drain", "0.5", "--json"]
        assert await asyncio.to_thread(cli.main, arguments) == 0
    assert time.monotonic() - began >= 1.5, "a TTL of 1 s and a drain of 0.5 s"
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"names": list(NAMES), "name_servers": [resolver], "ttl_s": 1, "drain_s": 0.5}


def test_the_drain_is_the_longest_that_a_member_grants() -> None:
    """`--drain` left out: the outputs hold every member's settings, the plan's own limits among them."""
    told = {name: (EXAMPLES / f"settings-{name}.json").read_text() for name in ("server", "client")}
    assert wait.longest_drain(outputs("192.0.2.1")) == Limits().drain_s  # a cloud's stack tells of none
    assert wait.longest_drain(outputs("192.0.2.1") | {"settings": told}) == Limits().drain_s
    longer = json.loads(told["client"])
    longer["limits"] = {"drain_s": 240}
    told["client"] = json.dumps(longer)
    assert wait.longest_drain(outputs("192.0.2.1") | {"settings": told}) == 240


def test_outputs_without_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="have no records"):
        seen.wanted({"endpoints": []})
    (tmp_path / "o").write_text("[]")
    with pytest.raises(UsageError, match="it is no object"):
        wait.read_outputs(tmp_path / "o")
    with pytest.raises(UsageError, match="holds no outputs"):
        wait.read_outputs(tmp_path / "none")
