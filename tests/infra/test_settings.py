"""What infra writes is what a VM reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from infra import config, fleet, planning, settings, stacks
from infra.config import FleetConfig
from runtime.documents import settings as boot
from runtime.errors import DocumentError

_LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
_URL = st.from_regex(r"https://[a-z]{1,20}\.test/[a-z]{1,20}", fullmatch=True)
_PORT = st.integers(min_value=1, max_value=65535)


def parsed(raw: Any) -> FleetConfig:
    return config.parse(raw)


def test_a_server_reads_what_was_written(raw: dict[str, Any]) -> None:
    fleet = parsed(raw)
    data = settings.write(fleet, fleet.servers[0])
    read = boot.read(data)
    assert read.member == "aws-1"
    assert read.digest == boot.digest(data)
    assert read.resolver == ("127.0.0.1", 5353)
    assert read.role == boot.ServerSettings(
        listen=("127.0.0.11",),
        visitors_port=8443,
        sessions_port=7443,
        data_port=7444,
        workers=1,
        access_log="none",
    )


def test_a_client_reads_what_was_written(raw: dict[str, Any]) -> None:
    raw["clients"][0]["routes"] = {"urls": ["https://fleet.demo.test/routes.json"]}
    raw["resolver"] = "system"
    fleet = parsed(raw)
    read = boot.read(settings.write(fleet, fleet.clients[0]))
    assert read.resolver is None
    assert read.role == boot.ClientSettings(
        sessions_port=7443,
        reconnect_cap_s=5.0,
        routes_file=None,
        routes_urls=("https://fleet.demo.test/routes.json",),
        bundle=None,
        access_log="none",
    )


def test_what_an_owner_may_leave_out_is_left_out_and_what_was_said_is_there(raw: dict[str, Any]) -> None:
    sparse = json.loads(settings.write(parsed(raw), parsed(raw).clients[0]))
    assert "limits" not in sparse
    assert "endorsements" not in sparse["document"]
    assert set(sparse["client"]) == {"sessions_port", "reconnect_cap_s", "routes"}
    bundle = {"urls": ["https://x.test/site.tar"], "sha256": "ab" * 32, "port": 8080}
    raw["document"]["endorsements"] = ["https://x.test/endorsements.json"]
    raw["limits"] = {"drain_s": 5, "ping_s": 2.5}
    raw["access_log"] = "streams"
    raw["clients"][0]["bundle"] = bundle
    full = json.loads(settings.write(parsed(raw), parsed(raw).clients[0]))
    assert full["limits"] == {"drain_s": 5, "ping_s": 2.5}
    assert full["document"]["endorsements"] == ["https://x.test/endorsements.json"]
    assert (full["client"]["bundle"], full["client"]["access_log"]) == (bundle, "streams")


@pytest.mark.parametrize("access", ["streams", "addresses"])
def test_a_client_never_gets_a_log_with_addresses(raw: dict[str, Any], access: str) -> None:
    fleet = parsed(raw | {"access_log": access})
    server, client = (
        boot.read(settings.write(fleet, one)).role for one in (fleet.servers[0], fleet.clients[0])
    )
    assert (server.access_log, client.access_log) == (access, "streams")


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    name=_LABEL,
    member=_LABEL,
    ports=st.lists(_PORT, min_size=3, max_size=3, unique=True),
    cap=st.floats(min_value=0.1, max_value=300) | st.integers(min_value=1, max_value=300),
    version=st.integers(min_value=1, max_value=2**53 - 1),
    drain=st.none() | st.integers(min_value=1, max_value=300),
    bundle=st.none() | st.tuples(st.binary(min_size=32, max_size=32), st.integers(1024, 65535)),
    urls=st.lists(_URL, min_size=1, max_size=8, unique=True),
    beside=st.lists(_URL, max_size=8, unique=True),
    generation=st.integers(1, 9999),
)
def test_whatever_is_configured_reads_back_equal(
    name: str,
    member: str,
    ports: list[int],
    cap: float,
    version: int,
    drain: int | None,
    bundle: tuple[bytes, int] | None,
    urls: list[str],
    beside: list[str],
    generation: int,
) -> None:
    raw: Any = {**_local(), "name": name, "workers": 1}
    raw["ports"] = dict(zip(("visitors", "sessions", "data"), ports, strict=True))
    raw["document"] = {"min_version": version, "life_days": 14, "urls": urls}
    raw["document"] |= {"endorsements": beside} if beside else {}
    raw["limits"] = {} if drain is None else {"drain_s": drain}
    raw["clients"] = [{**raw["clients"][0], "name": member, "reconnect_cap_s": cap}]
    if bundle is not None:
        sha256, port = bundle
        raw["clients"][0]["bundle"] = {"urls": urls, "sha256": sha256.hex(), "port": port}
    raw["servers"] = [{**raw["servers"][0], "name": f"server-{member}"[:56].rstrip("-")}]
    raw["images"] = [{**raw["images"][0], "generation": generation}]
    plan = planning.load(raw, "local")
    server, client = (boot.read(spec.settings) for spec in plan.machines)
    assert server.member == fleet.member_name(raw["servers"][0]["name"], generation)
    assert (server.fleet, client.document_min_version) == (name, version)
    assert (server.document_urls, server.endorsements_urls) == (tuple(urls), tuple(beside))
    assert isinstance(server.role, boot.ServerSettings)
    assert [server.role.visitors_port, server.role.sessions_port, server.role.data_port] == ports
    assert server.role.listen == plan.machines[0].listen
    assert isinstance(client.role, boot.ClientSettings)
    assert client.role.reconnect_cap_s == cap
    assert client.role.bundle == (
        None if bundle is None else boot.Bundle(urls=tuple(urls), sha256=bundle[0], port=bundle[1])
    )
    assert tuple(key.hex() for key in client.owner_keys) == plan.config.owner_keys
    for spec in plan.machines:
        assert len(spec.settings) <= min(CLOUD_LIMITS.values())
        assert _texts(json.loads(spec.settings)) <= _texts(raw) | _texts(plan.config.tags) | {
            *("tunnel-settings/1", "server", "client", spec.name, *spec.listen),
            *(str(plan.machines[0].listen), member_admin(spec.settings)),
        }, "nothing is in the settings but what the owner wrote, and the owner wrote no secret"


# What a cloud hands to a machine, in bytes before base64: EC2 user data, Azure user data, Google metadata.
CLOUD_LIMITS = {"aws": 16_384, "azure": 49_152, "gcp": 262_144}


def member_admin(settings_bytes: bytes) -> str:
    return str(json.loads(settings_bytes)["admin"])


def _texts(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {text for member in value.values() for text in _texts(member)}
    if isinstance(value, list):
        return {text for member in value for text in _texts(member)}
    return {value} if isinstance(value, str) else set()


def _local() -> dict[str, Any]:
    fleet = stacks.read("local", None).fleet
    assert isinstance(fleet, dict)
    return fleet


def test_five_and_five_point_zero_are_one_spelling(raw: dict[str, Any]) -> None:
    before = settings.write(parsed(raw), parsed(raw).clients[0])
    raw["clients"][0]["reconnect_cap_s"] = 5.0  # as protocol buffers carry it
    assert settings.write(parsed(raw), parsed(raw).clients[0]) == before


def test_settings_that_a_vm_would_refuse_are_refused_here(raw: dict[str, Any]) -> None:
    raw["servers"][0]["listen"] = ["999.0.0.1"]  # the form of an address, and none
    fleet = parsed(raw)
    with pytest.raises(DocumentError, match="want an IPv4 or IPv6 literal"):
        settings.write(fleet, fleet.servers[0])
