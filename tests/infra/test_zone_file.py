"""The zone that a fleet produces, loaded into Knot and asked by a real resolver."""

from __future__ import annotations

import copy
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import pytest

from infra import planning
from infra.records import Family, Record, fill
from infra.zone_file import belongs, render

PATIENCE_S = 30.0
NAME_SERVERS = {"demo.test": ["ns1.example.", "ns2.example."], "t.demo.test": ["ns1.other.example."]}


def records(fleet: dict[str, Any]) -> list[Record]:
    """What `up` would answer for this fleet: addresses made of the servers' places."""
    plan = planning.load(fleet, "dns-prod")
    addresses: dict[tuple[str, Family], str] = {}
    for number, spec in enumerate(spec for spec in plan.machines if spec.role == "server"):
        addresses[spec.name, "A"] = f"198.51.100.{number + 1}"
        addresses[spec.name, "AAAA"] = f"2001:db8::{number + 1}"
    return fill(plan.records, addresses, NAME_SERVERS)


@pytest.fixture
def fleet(release: dict[str, Any]) -> dict[str, Any]:
    copied = copy.deepcopy(release)
    copied["sites"] = ["app.demo.test", "demo.test"]
    for client in copied["clients"]:
        client["hostnames"] = ["app.demo.test", "demo.test"]
    copied["dns"] |= {"caa": ["letsencrypt.org"]}
    copied["dns"]["zones"].append({"name": "t.demo.test", "providers": ["cloud_dns"]})
    for server in copied["servers"]:
        server["listen"] = ["0.0.0.0", "::"]
    return copied


class Knot:
    """An authoritative server on loopback, with one zone."""

    def __init__(self, folder: Path, program: str) -> None:
        self._folder, self._program = folder, program
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def serve(self, zone: str, text: str) -> None:
        """Start it, on another port while the chosen one is somebody else's, and wait for the zone."""
        (self._folder / f"{zone}.zone").write_text(text)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self._start(zone)
            if self._answers(zone, deadline):
                return
            self.stop()
        log = (self._folder / "log").read_text()
        pytest.fail(f"knot never answered: {log[-2000:]}")

    def reload(self, zone: str, text: str) -> None:
        self.stop()
        self.serve(zone, text)

    def _start(self, zone: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        config = self._folder / "knot.conf"
        config.write_text(
            f"server:\n  rundir: {self._folder}\n  listen: 127.0.0.1@{self.port}\n  user: {_user()}\n"
            f"database:\n  storage: {self._folder}\n"
            f"zone:\n  - domain: {zone}\n    storage: {self._folder}\n    file: {zone}.zone\n"
            "    zonefile-load: whole\n    journal-content: none\n"
        )
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([self._program, "-c", str(config)], stdout=log, stderr=log)

    def _answers(self, zone: str, deadline: float) -> bool:
        assert self._process is not None
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                answer = dns.query.tcp(dns.message.make_query(zone, "SOA"), "127.0.0.1", 1, self.port)
            except (OSError, dns.exception.DNSException):
                time.sleep(0.05)
                continue
            if answer.rcode() == dns.rcode.NOERROR and answer.answer:
                return True
            time.sleep(0.05)
        return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def resolver(self) -> dns.resolver.Resolver:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self.port
        resolver.lifetime = PATIENCE_S
        return resolver


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def knot(tmp_path: Path) -> Iterator[Knot]:
    program = shutil.which("knotd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("knotd is missing: apt-get install knot")
        pytest.skip("knotd is not installed (Debian: knot)")
    server = Knot(tmp_path, program)
    yield server
    server.stop()


def texts(answer: dns.resolver.Answer) -> list[str]:
    return sorted(item.to_text() for item in answer)


def zone_text(fleet: dict[str, Any], zone: str, serial: int = 1) -> str:
    return render(zone, records(fleet), NAME_SERVERS[zone], contact="dns.admin@demo.test", serial=serial)


@pytest.mark.integration
def test_a_resolver_sees_every_server_and_a_removed_one_is_gone(knot: Knot, fleet: dict[str, Any]) -> None:
    knot.serve("demo.test", zone_text(fleet, "demo.test"))
    ask = knot.resolver()
    ipv4 = ["198.51.100.1", "198.51.100.2", "198.51.100.3"]
    ipv6 = ["2001:db8::1", "2001:db8::2", "2001:db8::3"]
    for name in ("tunnel.demo.test", "visitors.demo.test", "app.demo.test", "demo.test"):
        assert (texts(ask.resolve(name, "A")), texts(ask.resolve(name, "AAAA"))) == (ipv4, ipv6), name
    assert ask.resolve("app.demo.test", "A").canonical_name.to_text() == "visitors.demo.test."
    assert texts(ask.resolve("demo.test", "CAA")) == ['0 issue "letsencrypt.org"']
    assert ask.resolve("tunnel.demo.test", "A").rrset.ttl <= 60  # type: ignore[union-attr]
    fleet["servers"] = fleet["servers"][:2]
    knot.reload("demo.test", zone_text(fleet, "demo.test", 2))
    assert texts(knot.resolver().resolve("app.demo.test", "A")) == ipv4[:2]
    assert texts(knot.resolver().resolve("tunnel.demo.test", "AAAA")) == ipv6[:2]


@pytest.mark.integration
def test_a_sub_zone_is_delegated(knot: Knot, fleet: dict[str, Any]) -> None:
    fleet["tunnel_name"] = "all.t.demo.test"
    knot.serve("demo.test", zone_text(fleet, "demo.test"))
    query = dns.message.make_query("all.t.demo.test", "A")
    referral = dns.query.tcp(query, "127.0.0.1", PATIENCE_S, knot.port)
    assert not referral.answer
    assert [rrset.to_text() for rrset in referral.authority] == ["t.demo.test. 300 IN NS ns1.other.example."]
    knot.reload("t.demo.test", zone_text(fleet, "t.demo.test"))
    assert len(knot.resolver().resolve("all.t.demo.test", "A")) == 3


def test_a_zone_holds_its_own_records_and_no_other(fleet: dict[str, Any]) -> None:
    fleet["tunnel_name"] = "all.t.demo.test"
    found = records(fleet)
    delegated = [record["name"] for record in found if record["type"] == "NS"]
    parent = {f"{r['name']} {r['type']}" for r in found if belongs(r, "demo.test", delegated)}
    child = {f"{r['name']} {r['type']}" for r in found if belongs(r, "t.demo.test", delegated)}
    assert "t.demo.test NS" in parent
    assert child == {"all.t.demo.test A", "all.t.demo.test AAAA", "t.demo.test CAA"}
    assert not parent & child
    assert len(parent) + len(child) == len(found)


def test_the_contact_s_dots_are_escaped(fleet: dict[str, Any]) -> None:
    assert r" dns\.admin.demo.test. 1 3600 " in zone_text(fleet, "demo.test")
