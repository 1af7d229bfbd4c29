"""What infra writes is what a VM reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from infra import config, settings, stacks
from infra.config import FleetConfig
from runtime.documents import settings as boot
from runtime.errors import DocumentError

_LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
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
        listen=("127.0.0.11",), visitors_port=8443, sessions_port=7443, data_port=7444, workers=1
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
    )


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    name=_LABEL,
    member=_LABEL,
    ports=st.lists(_PORT, min_size=3, max_size=3, unique=True),
    cap=st.floats(min_value=0.1, max_value=300) | st.integers(min_value=1, max_value=300),
    version=st.integers(min_value=1, max_value=2**53 - 1),
)
def test_whatever_is_configured_reads_back_equal(
    name: str, member: str, ports: list[int], cap: float, version: int
) -> None:
    raw: Any = {**_local(), "name": name, "workers": 1}
    raw["ports"] = dict(zip(("visitors", "sessions", "data"), ports, strict=True))
    raw["document"] = {**raw["document"], "min_version": version}
    raw["clients"] = [{**raw["clients"][0], "name": member, "reconnect_cap_s": cap}]
    raw["servers"] = [{**raw["servers"][0], "name": f"server-{member}"[:60].rstrip("-")}]
    fleet = parsed(raw)
    server = boot.read(settings.write(fleet, fleet.servers[0]))
    client = boot.read(settings.write(fleet, fleet.clients[0]))
    assert (server.fleet, client.member, client.document_min_version) == (name, member, version)
    assert isinstance(server.role, boot.ServerSettings)
    assert [server.role.visitors_port, server.role.sessions_port, server.role.data_port] == ports
    assert isinstance(client.role, boot.ClientSettings)
    assert client.role.reconnect_cap_s == cap
    assert tuple(key.hex() for key in client.owner_keys) == fleet.owner_keys


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
