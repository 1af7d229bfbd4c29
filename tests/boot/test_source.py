"""Each cloud's metadata service, as a local double that speaks its protocol and nothing more."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runtime.boot import source
from runtime.documents.settings import MAX_SETTINGS_SIZE
from runtime.errors import UnreachableError, UsageError

SETTINGS = b'{"schema": "tunnel-settings/1"}'
TOKEN = "t0ken=="
Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def service(answer: Callable[[str, str, dict[str, str]], Answer]) -> Generator[source.Places]:
    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, body = answer(self.command, self.path, headers)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = handle_one  # noqa: N815 - the names http.server looks for

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield source.Places(metadata=("127.0.0.1", server.server_port))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def aws(data: bytes | None, *, token: str = TOKEN) -> Callable[[str, str, dict[str, str]], Answer]:
    def answer(method: str, path: str, headers: dict[str, str]) -> Answer:
        if (method, path) == ("PUT", "/latest/api/token"):
            asked = headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
            return (200, {}, token.encode()) if asked.isdigit() else (400, {}, b"")
        if headers.get("x-aws-ec2-metadata-token") != token:
            return 401, {}, b""  # IMDSv2 is required: version 1 gets nothing
        if (method, path) == ("GET", "/latest/user-data") and data is not None:
            return 200, {}, data
        return 404, {}, b"Not Found"

    return answer


def azure(text: bytes) -> Callable[[str, str, dict[str, str]], Answer]:
    def answer(method: str, path: str, headers: dict[str, str]) -> Answer:
        if headers.get("metadata") != "true":
            return 400, {}, b""
        good = path.startswith("/metadata/instance/compute/userData?api-version=") and "format=text" in path
        return (200, {}, text) if method == "GET" and good else (404, {}, b"")

    return answer


def gcp(data: bytes | None, flavor: str = "Google") -> Callable[[str, str, dict[str, str]], Answer]:
    def answer(method: str, path: str, headers: dict[str, str]) -> Answer:
        if headers.get("metadata-flavor") != "Google":
            return 403, {}, b""
        good = path == "/computeMetadata/v1/instance/attributes/user-data" and method == "GET"
        return (200, {"Metadata-Flavor": flavor}, data) if good and data is not None else (404, {}, b"")

    return answer


@pytest.mark.parametrize(
    ("where", "double"),
    [("aws", aws(SETTINGS)), ("azure", azure(base64.b64encode(SETTINGS))), ("gcp", gcp(SETTINGS))],
)
def test_settings_come_byte_for_byte(
    where: source.Platform, double: Callable[[str, str, dict[str, str]], Answer]
) -> None:
    with service(double) as places:
        assert source.fetch(where, places) == SETTINGS


@pytest.mark.parametrize(("where", "double"), [("aws", aws(None)), ("azure", azure(b"")), ("gcp", gcp(None))])
def test_no_settings_is_said_so(
    where: source.Platform, double: Callable[[str, str, dict[str, str]], Answer]
) -> None:
    with service(double) as places, pytest.raises(source.NoSettingsError) as caught:
        source.fetch(where, places)
    assert caught.value.code == "no_settings"


def test_something_else_on_googles_address_is_not_believed() -> None:
    with service(gcp(SETTINGS, flavor="")) as places, pytest.raises(UnreachableError, match="not Google"):
        source.fetch("gcp", places)


def test_azure_user_data_that_is_not_base64_is_refused() -> None:
    with service(azure(b"!!!")) as places, pytest.raises(UsageError, match="base64"):
        source.fetch("azure", places)


@pytest.mark.parametrize("token", ["", "two\nlines", "é"])
def test_a_token_that_could_inject_headers_is_refused(token: str) -> None:
    if token == "":
        with service(aws(SETTINGS, token=token)) as places:
            assert source.fetch("aws", places) == SETTINGS  # an empty header injects nothing
        return
    with service(aws(SETTINGS, token=token)) as places, pytest.raises(UnreachableError):
        source.fetch("aws", places)


def test_a_huge_answer_is_cut_one_byte_after_the_limit() -> None:
    with service(aws(b"x" * (MAX_SETTINGS_SIZE + 5000))) as places:
        assert len(source.fetch("aws", places)) == MAX_SETTINGS_SIZE + 1


def test_a_redirect_is_not_followed() -> None:
    def answer(method: str, path: str, headers: dict[str, str]) -> Answer:
        return 302, {"Location": "http://127.0.0.1:1/"}, b""

    with service(answer) as places, pytest.raises(UnreachableError, match="302"):
        source.fetch("gcp", places)


def test_silence_is_worth_asking_again() -> None:
    with service(gcp(SETTINGS)) as places:
        address = places.metadata
    with pytest.raises(UnreachableError, match="did not answer"):
        source.fetch("gcp", source.Places(metadata=address))


def test_qemu_hands_over_a_file(tmp_path: Path) -> None:
    places = source.Places(fw_cfg=tmp_path / "raw")
    with pytest.raises(source.NoSettingsError):
        source.fetch("qemu", places)
    (tmp_path / "raw").write_bytes(SETTINGS)
    assert source.fetch("qemu", places) == SETTINGS
    (tmp_path / "raw").write_bytes(b"x" * (MAX_SETTINGS_SIZE + 5000))
    assert len(source.fetch("qemu", places)) == MAX_SETTINGS_SIZE + 1


@pytest.mark.parametrize(
    ("vendor", "want"),
    [("Amazon EC2\n", "aws"), ("Microsoft Corporation\n", "azure"), ("Google\n", "gcp"), ("QEMU\n", "qemu")],
)
def test_the_platform_is_the_firmwares_vendor(tmp_path: Path, vendor: str, want: str) -> None:
    (tmp_path / "vendor").write_text(vendor)
    assert source.platform(source.Places(vendor=tmp_path / "vendor")) == want


def test_an_unknown_vendor_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vendor").write_text("Evil\x1b[2J Corp")
    with pytest.raises(UsageError, match="vendor is"):
        source.platform(source.Places(vendor=tmp_path / "vendor"))
    with pytest.raises(UsageError, match="no vendor"):
        source.platform(source.Places(vendor=tmp_path / "absent"))


def test_a_refusal_is_one_line_of_ascii() -> None:
    said = source.refusal(UsageError("two\nlines \x1b[2J \u202e right to left " + "x" * 1000))
    assert "\n" not in said
    assert said.isascii()
    assert said.isprintable()
    assert len(said) <= 400
