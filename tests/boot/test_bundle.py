"""A bundle: exactly the bytes that the settings name, plain files only, within bounds."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from runtime.boot import bundle
from runtime.documents.settings import Bundle
from runtime.errors import MalformedError, UnreachableError


def tar(files: dict[str, bytes], *, mode: str = "w:gz", kind: bytes = tarfile.REGTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.type, entry.linkname = len(data), kind, "/etc/passwd"
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


SITE = tar({"index.html": b"hello", "a/b.css": b"b{}"})
WANTED = Bundle(urls=("http://one/", "http://two/"), sha256=sha256(SITE).digest(), port=8080)


def serving(answers: dict[str, bytes | None]) -> Callable[[str], bytes]:
    def get(url: str) -> bytes:
        data = answers[url]
        if data is None:
            message = "refused"
            raise OSError(message)
        return data

    return get


def test_the_first_url_that_serves_the_right_bytes_wins() -> None:
    assert bundle.fetch(WANTED, serving({"http://one/": b"swapped", "http://two/": SITE})) == SITE
    assert bundle.fetch(WANTED, serving({"http://one/": None, "http://two/": SITE})) == SITE


def test_a_swapped_bundle_is_refused_at_once() -> None:
    with pytest.raises(MalformedError, match="serves"):
        bundle.fetch(WANTED, serving({"http://one/": b"swapped", "http://two/": b"too"}))


def test_silence_is_waited_for_ten_minutes() -> None:
    now = 0.0

    def pause(seconds: float) -> None:
        nonlocal now
        now += seconds

    with pytest.raises(UnreachableError):
        bundle.fetch(
            WANTED, serving({"http://one/": None, "http://two/": b"x"}), pause=pause, monotonic=lambda: now
        )
    assert now > bundle.PATIENCE_S


def test_only_http_is_fetched() -> None:
    with pytest.raises(ValueError, match="neither"):
        bundle.download("file:///etc/passwd")


@pytest.mark.parametrize("mode", ["w:", "w:gz"])
def test_files_are_unpacked(tmp_path: Path, mode: str) -> None:
    assert bundle.unpack(tar({"./index.html": b"hello", "a/b.css": b"b{}"}, mode=mode), tmp_path) == 2
    assert (tmp_path / "a/b.css").read_bytes() == b"b{}"
    assert (tmp_path / "index.html").stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "a/../../x", "a/.hidden", "a\\b", "new\nline", "\u202ex", "x" * 200, "-", "."],
)
def test_a_name_that_is_more_than_a_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MalformedError):
        bundle.unpack(tar({name: b"x"}), tmp_path / "inside")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(MalformedError, match="neither a file nor a folder"):
        bundle.unpack(tar({"x": b""}, kind=kind), tmp_path)


def test_a_file_twice_an_empty_one_and_noise_are_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for data in (b"one", b"two"):
            entry = tarfile.TarInfo("x")
            entry.size = 3
            archive.addfile(entry, io.BytesIO(data))
    for number, bad in enumerate((out.getvalue(), tar({}), b"noise", SITE[:40])):
        with pytest.raises(MalformedError):
            bundle.unpack(bad, tmp_path / str(number))


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MAX_UNPACKED_SIZE", 1000)
    with pytest.raises(MalformedError, match="over"):
        bundle.unpack(tar({"x": bytes(1001)}), tmp_path)
    monkeypatch.setattr(bundle, "MAX_FILES", 2)
    with pytest.raises(MalformedError, match="over"):
        bundle.unpack(tar({str(n): b"" for n in range(3)}), tmp_path / "many")


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)
@given(data=st.binary(max_size=600))
def test_bytes_are_unpacked_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        bundle.unpack(data, tmp_path_factory.mktemp("noise"))


async def test_the_site_is_served_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    bundle.unpack(SITE, tmp_path / "site")
    (tmp_path / "site/out").symlink_to(tmp_path / "secret")
    async with TestClient(TestServer(bundle.application(tmp_path / "site"))) as client:
        answer = await client.get("/")
        assert await answer.text() == "hello"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert (await client.get("/a/b.css")).status == 200
        assert (await client.get("/a", allow_redirects=False)).status == 301
        for path in ("/a/", "/none", "/out", "/%2e%2e/secret", "/..%2fsecret"):
            assert (await client.get(path)).status == 404, path
