"""A document is published where its URLs point: in a folder, or over HTTPS to a server that takes PUT."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from infra import cli, owner_key, publishing
from runtime.documents import fleet, times
from runtime.errors import UnreachableError, UsageError
from tests.localfleet import site_certificate
from tests.localfleet.listener import Listener

pytestmark = pytest.mark.integration
TOKEN = "Bearer not-for-logs"


@dataclass(slots=True)
class Store:
    """An object store: PUT for who has the token, GET for everybody unless it is private."""

    url: str = ""
    private: bool = False
    fixed: bytes | None = None  # what a cache in front of it goes on giving
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # method, authorization

    async def serve(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.headers.get("Authorization", "")))
        if request.path == "/moved":
            raise web.HTTPFound("/fleet.json")
        if request.method == "PUT":
            if request.headers.get("Authorization") != TOKEN:
                raise web.HTTPForbidden
            self.objects[request.path] = await request.read()
            return web.Response(status=201)
        found = self.fixed or self.objects.get(request.path)
        if self.private or found is None:
            raise web.HTTPNotFound
        return web.Response(body=found)


@contextlib.asynccontextmanager
async def running(folder: Path, names: tuple[str, ...] = ("localhost",)) -> AsyncGenerator[Store, None]:
    certificate, store = site_certificate.make(folder / "site", names), Store()
    app = web.Application()
    app.router.add_route("*", "/{name}", store.serve)
    async with Listener(app, tls=certificate.server_context()) as listener:
        store.url = f"https://localhost:{listener.address[1]}/fleet.json"
        yield store


@pytest.fixture(autouse=True)
def trusts_the_local_ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "site" / "ca.pem"))


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    path = tmp_path / "headers"
    path.touch(mode=0o600)
    path.write_text(f"Authorization: {TOKEN}\nx-ms-blob-type: BlockBlob\n")
    return path


def draft(folder: Path, version: int) -> Path:
    example: dict[str, Any] = json.loads(
        (Path(fleet.__file__).parent / "examples" / "fleet.json").read_text("utf-8")
    )
    now = time.time()
    dates = {"issued_at": times.show(now), "expires_at": times.show(now + times.DAY_S)}
    path = folder / "in.json"
    path.write_text(json.dumps(example | dates | {"version": version}))
    return path


async def publish(folder: Path, version: int, *more: object) -> int:
    key = folder / "owner.pem"
    if not key.exists():
        owner_key.create(key)
    arguments = ["document", "--sign", "--key", key, "--in", draft(folder, version)]
    arguments += ["--out", folder / "out.json", *more]
    return await asyncio.to_thread(cli.main, list(map(str, arguments)))


async def test_a_document_is_put_at_its_urls_and_into_a_folder_and_only_rises(
    tmp_path: Path, headers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    web_root = tmp_path / "web"
    async with running(tmp_path) as store:
        more = ("--publish", store.url, "--publish", web_root, "--header-file", headers)
        assert await publish(tmp_path, 2, *more) == 0
        signed = (tmp_path / "out.json").read_bytes()
        assert store.objects == {"/fleet.json": signed}
        assert (web_root / "fleet.json").read_bytes() == signed
        # What is published is what anybody gets: neither look carries the token.
        assert store.asked == [("GET", ""), ("PUT", TOKEN), ("GET", "")]
        assert await publish(tmp_path, 1, *more) == 2
        told = capsys.readouterr().err
        assert "$.version: is 1, want more than the published 2" in told
        assert "not-for-logs" not in told
        assert store.objects == {"/fleet.json": signed}
        assert await publish(tmp_path, 3, *more) == 0
        assert store.objects["/fleet.json"] != signed


async def test_a_url_that_refuses_stops_the_folder_too_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path) as store:
        assert await publish(tmp_path, 1, "--publish", store.url, "--publish", tmp_path / "web") == 30
        assert f"{store.url} answered 403 to PUT, want 200, 201, 204" in capsys.readouterr().err
        assert not (tmp_path / "web").exists()
        moved = store.url.replace("fleet.json", "moved")
        assert await publish(tmp_path, 1, "--publish", moved) == 30
        assert "answered 302 to GET, want 200" in capsys.readouterr().err  # a member follows none either


@pytest.mark.parametrize(
    ("what", "told"), [({"private": True}, "gives nothing"), ({"fixed": b"{}"}, "gives other bytes")]
)
async def test_what_nobody_else_can_read_is_not_published(
    tmp_path: Path, headers: Path, what: dict[str, Any], told: str
) -> None:
    async with running(tmp_path) as store:
        for name, value in what.items():
            setattr(store, name, value)
        place = publishing.target(store.url, "fleet.json", publishing.read_headers(headers))
        with pytest.raises(UnreachableError, match=told):
            await asyncio.to_thread(place.put, b"envelope")


async def test_a_server_with_another_certificate_is_not_given_the_token(
    tmp_path: Path, headers: Path
) -> None:
    async with running(tmp_path, names=("elsewhere.test",)) as store:
        place = publishing.target(store.url, "fleet.json", publishing.read_headers(headers))
        with pytest.raises(UnreachableError, match=r"did not answer PUT: .*CERTIFICATE_VERIFY_FAILED"):
            await asyncio.to_thread(place.put, b"envelope")
        assert store.asked == []


@pytest.mark.parametrize("url", ["http://store.test/fleet.json", "https:///fleet.json", "ftp://a/b"])
def test_headers_go_over_https_only(url: str) -> None:
    with pytest.raises(UsageError, match="want a folder or an https:// URL"):
        publishing.target(url, "fleet.json", {})


def test_a_header_file_is_for_its_owner_s_eyes_and_never_quoted(headers: Path) -> None:
    assert publishing.read_headers(headers) == {"Authorization": TOKEN, "x-ms-blob-type": "BlockBlob"}
    headers.write_text("Authorization: a\nBearer secret\n")
    with pytest.raises(UsageError, match=r"line 2 is no header") as caught:
        publishing.read_headers(headers)
    assert "secret" not in str(caught.value)
    headers.chmod(0o640)
    with pytest.raises(UsageError, match=r"has mode 0640, want 0600"):
        publishing.read_headers(headers)
    with pytest.raises(UsageError, match="No such file"):
        publishing.read_headers(headers.with_name("none"))


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = publishing.Folder(path=tmp_path / "file" / "fleet.json")
    with pytest.raises(UsageError):
        place.put(b"")
    with pytest.raises(UsageError):
        place.published()
