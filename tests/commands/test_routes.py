"""Routes from a file or from signed URLs: what cannot be used leaves what runs as it is."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.commands.routes import RoutesSource
from runtime.documents import dsse
from runtime.errors import DocumentError, UnreachableError, UsageError
from runtime.limits import Limits
from runtime.tunnel.data import Origin
from tests.localfleet.listener import Listener
from tests.localfleet.publisher import application
from tests.web.owner import KEY, MALLORY, PUBLIC, ROLE, signed


def routes(version: int, *hostnames: str) -> bytes:
    listed = [{"hostname": name, "service": "tls://127.0.0.1:8443"} for name in hostnames]
    return json.dumps({"schema": "tunnel-routes/1", "version": version, "routes": listed}).encode()


def from_file(path: Path) -> RoutesSource:
    return RoutesSource(replace(ROLE, routes_file=str(path)), (), Limits())


class Used:
    """What was handed on."""

    def __init__(self) -> None:
        self.hostnames: list[list[str]] = []

    async def __call__(self, found: Mapping[str, Origin]) -> None:
        self.hostnames.append(sorted(found))


async def test_a_file_is_read_and_read_again(tmp_path: Path) -> None:
    path, used = tmp_path / "routes.json", Used()
    path.write_bytes(routes(1, "a.test"))
    source = from_file(path)
    assert sorted(await source.read()) == ["a.test"]
    path.write_bytes(routes(1, "a.test", "b.test"))
    await source.reload(used)
    path.write_bytes(routes(2, "b.test"))
    await source.reload(used)
    assert used.hostnames == [["a.test", "b.test"], ["b.test"]]


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"{",
        b"\xff",
        routes(4, "a.test"),
        routes(6, "a.test", "a.test"),
        routes(6, "UPPER.test"),
        b"[" * 9999,
    ],
    ids=["empty", "half", "no text", "goes back", "twice", "upper case", "deep"],
)
async def test_a_file_that_cannot_be_used_leaves_the_routes_in_force(
    tmp_path: Path, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path, used = tmp_path / "routes.json", Used()
    path.write_bytes(routes(5, "a.test"))
    source = from_file(path)
    await source.read()
    path.write_bytes(bad)
    await source.reload(used)
    path.unlink()
    await source.reload(used)
    assert used.hostnames == []
    assert [record.message for record in caplog.records] == ["routes not reloaded"] * 2
    path.write_bytes(routes(5, "c.test"))
    await source.reload(used)
    assert used.hostnames == [["c.test"]]


async def test_a_refused_certificate_does_not_use_up_the_version(tmp_path: Path) -> None:
    """Version 9 whose certificate is missing is not in force: version 8 may still come."""
    path = tmp_path / "routes.json"
    broken = json.loads(routes(9, "a.test"))
    broken["routes"][0] |= {
        "service": "http://127.0.0.1:80",
        "certificate": {"chain": str(tmp_path / "none"), "key": str(tmp_path / "none")},
    }
    path.write_text(json.dumps(broken))
    source = from_file(path)
    with pytest.raises(UsageError, match=r"certificate of a\.test"):
        await source.read()
    path.write_bytes(routes(8, "a.test"))
    assert sorted(await source.read()) == ["a.test"]


async def test_the_first_read_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read") as caught:
        await from_file(tmp_path / "none.json").read()
    assert "client.routes.file" in caught.value.hint
    (tmp_path / "bad.json").write_bytes(b"{}")
    with pytest.raises(DocumentError):
        await from_file(tmp_path / "bad.json").read()


def published(key: Ed25519PrivateKey, payload: bytes, kind: str = dsse.ROUTES_TYPE) -> bytes:
    return signed(payload, key=key, kind=kind)


async def test_urls_need_the_owners_signature_over_routes(tmp_path: Path) -> None:
    good = published(KEY, routes(1, "a.test"))
    (tmp_path / "unsigned.json").write_bytes(routes(1, "m.test"))
    (tmp_path / "mallory.json").write_bytes(published(MALLORY, routes(1, "m.test")))
    (tmp_path / "fleet.json").write_bytes(published(KEY, routes(1, "m.test"), dsse.FLEET_TYPE))
    (tmp_path / "good.json").write_bytes(good)
    async with Listener(application(tmp_path)) as listener:

        def source(*names: str) -> RoutesSource:
            urls: Any = tuple(f"{listener.url}/{name}.json" for name in names)
            return RoutesSource(replace(ROLE, routes_urls=urls), (PUBLIC,), Limits())

        assert sorted(await source("good").read()) == ["a.test"]
        assert sorted(await source("none", "unsigned", "mallory", "fleet", "good").read()) == ["a.test"]
        with pytest.raises(UnreachableError) as caught:
            await source("none", "unsigned", "mallory", "fleet").read()
        for name in ("none", "unsigned", "mallory", "fleet"):
            assert f"/{name}.json: " in str(caught.value)
