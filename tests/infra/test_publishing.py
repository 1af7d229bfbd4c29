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


SIGNATURE = "sig=NOTFORLOGS"


@dataclass(slots=True)
class Store:
    """An object store: PUT for who has the token, GET for everybody unless it is private."""

    url: str = ""
    token: str = TOKEN
    private: bool = False
    refuses: int = 404  # what it says of what is not there, or not to be read
    fixed: bytes | None = None  # what a cache in front of it goes on giving
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # method, authorization
    queries: set[str] = field(default_factory=set[str])
    types: list[list[str]] = field(default_factory=list[list[str]])  # of what was PUT

    @property
    def server(self) -> str:
        return self.url.split("/")[2]

    async def serve(self, request: web.Request) -> web.Response:
        self.queries.add(request.query_string)
        self.asked.append((request.method, request.headers.get("Authorization", "")))
        if request.path == "/moved":
            raise web.HTTPFound("/fleet.json")
        if request.method == "PUT":
            if request.headers.get("Authorization") != self.token:
                raise web.HTTPForbidden
            self.types.append(request.headers.getall("Content-Type"))
            self.objects[request.path] = await request.read()
            return web.Response(status=201)
        found = self.fixed or self.objects.get(request.path)
        if self.private or found is None:
            return web.Response(status=self.refuses)
        return web.Response(body=found)


@contextlib.asynccontextmanager
async def running(folder: Path, names: tuple[str, ...] = ("localhost",)) -> AsyncGenerator[Store, None]:
    async with stores(site_certificate.make(folder / "site", names), Store()) as store:
        yield store


@contextlib.asynccontextmanager
async def stores(certificate: site_certificate.SiteCertificate, store: Store) -> AsyncGenerator[Store, None]:
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
    return secret(tmp_path / "headers", f"Authorization: {TOKEN}\nx-ms-blob-type: BlockBlob\n")


def secret(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def place(url: str, headers: Path | None = None) -> publishing.Target:
    server = url.split("/")[2]
    given = {server: publishing.read_headers(headers)} if headers is not None else {}
    return publishing.targets([url], "fleet.json", given, first=False)[0]


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
        more: list[object] = ["--publish", store.url, "--publish", web_root]
        more += ["--header-file", f"{store.server}={headers}"]
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
        assert (
            "answered 302 to GET, want 200, or 404" in capsys.readouterr().err
        )  # a member follows none either


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ({"private": True}, "answers 404 to whoever asks"),
        ({"private": True, "refuses": 403}, "answers 403 to whoever asks"),
        ({"fixed": b"{}"}, "gives other bytes"),
    ],
)
async def test_what_nobody_else_can_read_is_not_published(
    tmp_path: Path, headers: Path, what: dict[str, Any], told: str
) -> None:
    async with running(tmp_path) as store:
        for name, value in what.items():
            setattr(store, name, value)
        with pytest.raises(UnreachableError, match=told):
            await asyncio.to_thread(place(store.url, headers).put, b"envelope")


async def test_a_server_with_another_certificate_is_not_given_the_token(
    tmp_path: Path, headers: Path
) -> None:
    async with running(tmp_path, names=("elsewhere.test",)) as store:
        with pytest.raises(UnreachableError, match=r"did not answer PUT: .*CERTIFICATE_VERIFY_FAILED"):
            await asyncio.to_thread(place(store.url, headers).put, b"envelope")
        assert store.asked == []


async def test_each_host_gets_its_own_headers_and_no_other_s(
    tmp_path: Path, headers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate = site_certificate.make(tmp_path / "site", ["localhost"])
    own = secret(tmp_path / "own", "Authorization: Bearer of-the-other\n")
    async with (
        stores(certificate, Store()) as one,
        stores(certificate, Store(token="Bearer of-the-other")) as other,
    ):
        urls = ("--publish", one.url, "--publish", other.url)
        for_one = ("--header-file", f"{one.server.upper()}={headers}")
        assert await publish(tmp_path, 1, *urls, *for_one) == 30
        assert f"published {one.url}" in capsys.readouterr().err
        assert other.asked == [("GET", ""), ("PUT", "")]
        # What is published somewhere, the owner has.
        assert one.objects == {"/fleet.json": (tmp_path / "out.json").read_bytes()}
        assert await publish(tmp_path, 2, *urls, *for_one, "--header-file", f"{other.server}={own}") == 0
        assert one.objects == other.objects
        assert {token for _, token in one.asked} == {"", TOKEN}
        assert {token for _, token in other.asked} == {"", "Bearer of-the-other"}


async def test_the_other_of_two_owner_keys_goes_on_where_the_first_one_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rotation: what is published is signed with the old key, the next one with the new."""
    web_root = tmp_path / "web"
    assert await publish(tmp_path, 2, "--publish", web_root) == 0
    old = owner_key.load(tmp_path / "owner.pem").public_key().public_bytes_raw().hex()
    (tmp_path / "owner.pem").rename(tmp_path / "old.pem")
    capsys.readouterr()
    assert await publish(tmp_path, 3, "--publish", web_root) == 2
    assert "signed with your other key? --signed-by HEX" in capsys.readouterr().err
    assert await publish(tmp_path, 1, "--publish", web_root, "--signed-by", old) == 2
    assert "is 1, want more than the published 2" in capsys.readouterr().err
    assert await publish(tmp_path, 3, "--publish", web_root, "--signed-by", old) == 0
    assert await publish(tmp_path, 4, "--publish", web_root) == 0
    assert await publish(tmp_path, 5, "--signed-by", old) == 2


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["FILE"], r"wants HOST\[:PORT\]=FILE"),
        (["=FILE"], r"wants HOST\[:PORT\]=FILE"),
        (["https://store.test=FILE"], r"wants HOST\[:PORT\]=FILE"),
        (["store.test=FILE", "STORE.test:443=FILE"], "names 'store.test' twice"),
        (["store.test:444=FILE"], "is for 'store.test:444', want the .* of a --publish URL: store.test$"),
    ],
)
def test_headers_that_no_url_or_more_than_one_file_would_give_are_refused(
    headers: Path, files: list[str], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        publishing.targets(
            ["https://store.test/fleet.json"],
            "fleet.json",
            publishing.header_files([text.replace("FILE", str(headers)) for text in files]),
            first=False,
        )


@pytest.mark.parametrize("status", [401, 403])
async def test_what_may_not_be_read_is_not_taken_for_nothing(
    tmp_path: Path, headers: Path, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path) as store:
        store.objects["/fleet.json"], store.private, store.refuses = b"version 5", True, status
        more = ("--publish", store.url, "--header-file", f"{store.server}={headers}")
        assert await publish(tmp_path, 1, *more) == 2
        told = capsys.readouterr().err
        assert f"answered {status} to GET, so what is published there cannot be compared with" in told
        assert "hint: let everybody read it; if nothing is there yet, say --first" in told
        assert store.objects == {"/fleet.json": b"version 5"}
        assert store.asked == [("GET", "")]
        assert not (tmp_path / "out.json").exists()


async def test_an_owner_who_knows_says_that_nothing_is_there_and_what_is_is_still_compared(
    tmp_path: Path, headers: Path
) -> None:
    async with running(tmp_path) as store:
        store.refuses = 403
        more = ("--publish", store.url, "--header-file", f"{store.server}={headers}")
        assert await publish(tmp_path, 2, *more) == 2
        assert await publish(tmp_path, 2, *more, "--first") == 0
        assert await publish(tmp_path, 1, *more, "--first") == 2
        assert store.objects == {"/fleet.json": await asyncio.to_thread((tmp_path / "out.json").read_bytes)}


async def test_another_answer_is_not_taken_for_nothing_whatever_is_said(
    tmp_path: Path, headers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path) as store:
        store.refuses = 503
        more = ("--publish", store.url, "--header-file", f"{store.server}={headers}", "--first")
        assert await publish(tmp_path, 1, *more) == 30
        assert "answered 503 to GET, want 200, or 404" in capsys.readouterr().err
        assert store.objects == {}


async def test_a_document_that_cannot_be_kept_is_not_published(tmp_path: Path) -> None:
    (tmp_path / "out.json").mkdir()
    assert await publish(tmp_path, 1, "--publish", tmp_path / "web") == 2
    assert not (tmp_path / "web").exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://store.test/fleet.json",
        "https:///fleet.json",
        "https:/store.test/fleet.json",
        "ftp://a/b",
        "https://[x/fleet.json",
        "https://store.test:port/fleet.json",
        "https://store.test:65536/fleet.json",
        "https://store.test/a b",
        "https://store.test/a\n",
        "https://store.test/\xe9",
        "https://owner:NOTFORLOGS@store.test/fleet.json",
        "https:/owner:NOTFORLOGS@store.test/fleet.json",
        "https://owner:NOT/FORLOGS@store.test/fleet.json",
    ],
)
def test_headers_go_over_https_only_and_a_url_that_is_none_is_told(url: str) -> None:
    for text in (url, f"{url}?{SIGNATURE}", f"{url}#{SIGNATURE}"):
        with pytest.raises(
            UsageError, match=r"want a folder or an https:// URL|want no user in it"
        ) as caught:
            publishing.targets([text], "fleet.json", {}, first=False)
        assert "FORLOGS" not in str(caught.value)


def test_a_command_line_that_names_no_url_is_an_error_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--in", str(draft(tmp_path, 1)), "--sign", "--key", "k", "--out", "o"]
    for more in (["--first"], ["--header-file", "store.test=f"]):
        assert cli.main(["document", *arguments, *more]) == 2
        assert "--header-file, --first and --signed-by are about --publish" in capsys.readouterr().err


async def test_a_signature_in_a_query_is_sent_and_never_shown(
    tmp_path: Path, headers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path) as store:
        signed = f"{store.url}?{SIGNATURE}"
        given = ("--header-file", f"{store.server}={headers}")
        assert await publish(tmp_path, 1, "--publish", signed, *given) == 0
        assert f"published {store.url}?…\n" in capsys.readouterr().err
        assert store.queries == {SIGNATURE}
        store.objects, store.refuses = {}, 403
        assert await publish(tmp_path, 2, "--publish", signed, *given) == 2
        store.refuses = 404
        assert await publish(tmp_path, 2, "--publish", signed) == 30  # without what authorises
        told = capsys.readouterr()
        assert f"{store.url}?… answered 403 to PUT" in told.err
        assert "NOTFORLOGS" not in told.err + told.out
        with pytest.raises(UnreachableError) as caught:
            await asyncio.to_thread(place(f"https://localhost:1/fleet.json?{SIGNATURE}").published)
        assert "https://localhost:1/fleet.json?… did not answer GET" in str(caught.value)
    shown = repr(place(signed, headers))
    assert "NOTFORLOGS" not in shown
    assert "not-for-logs" not in shown


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("https://Store.test:443/a", "store.test"),
        ("https://store.test:8443", "store.test:8443"),
        ("https://[::1]:8443/a", "[::1]:8443"),
        ("https://[::1]/a", "[::1]"),
    ],
)
def test_a_server_is_its_host_and_a_port_that_is_not_the_usual(url: str, server: str) -> None:
    (found,) = publishing.targets([url], "fleet.json", {server: {"A": "b"}}, first=False)
    assert isinstance(found, publishing.Url)
    assert (found.server, found.headers) == (server, {"A": "b"})


async def test_the_file_s_content_type_is_sent_once(tmp_path: Path) -> None:
    own = secret(tmp_path / "own", f"Authorization: {TOKEN}\ncontent-type: application/jose+json\n")
    async with running(tmp_path) as store:
        await asyncio.to_thread(place(store.url, own).put, b"envelope")
        assert store.types == [["application/jose+json"]]


def test_a_header_file_is_for_its_owner_s_eyes_and_never_quoted(headers: Path) -> None:
    assert publishing.read_headers(headers) == {"Authorization": TOKEN, "x-ms-blob-type": "BlockBlob"}
    headers.write_text("Authorization: a\nBearer secret\n")
    with pytest.raises(UsageError, match=r"line 2 is no header") as caught:
        publishing.read_headers(headers)
    assert "secret" not in str(caught.value)
    headers.write_text("Authorization: secret\n\nauthorization: another\n")
    with pytest.raises(
        UsageError, match=r"line 3 has the header authorization again, .* see line 1"
    ) as caught:
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
