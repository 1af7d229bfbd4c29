"""Boot settings: exact bytes, exact meaning."""

from __future__ import annotations

import json
from hashlib import sha256, sha384
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from runtime.documents import settings
from runtime.errors import DocumentError
from runtime.limits import Limits
from tests.documents.damage import accepts_or_refuses, changed, damaged, example, problems, rewritten, without

SERVER, CLIENT = example("settings-server"), example("settings-client")


def test_reads_a_server() -> None:
    read = settings.read(SERVER)
    assert isinstance(read.role, settings.ServerSettings)
    assert read.role_name == "server"
    assert read.role.visitors_port != read.role.sessions_port
    assert all(len(key) == 32 for key in read.owner_keys)


def test_reads_a_client() -> None:
    read = settings.read(CLIENT)
    assert isinstance(read.role, settings.ClientSettings)
    assert read.role_name == "client"
    assert (read.resolver, read.admin) == (None, ("127.0.0.1", 9443))
    assert (read.role.routes_file, read.role.routes_urls) == (
        None,
        ("https://fleet.example.com/routes.json",),
    )
    by_file = settings.read(
        changed("settings-client", "client", "routes", to={"file": "/run/routes.json"})
    ).role
    assert isinstance(by_file, settings.ClientSettings)
    assert (by_file.routes_file, by_file.routes_urls) == ("/run/routes.json", ())


def test_the_digest_is_of_the_bytes_and_not_of_their_meaning() -> None:
    assert settings.read(CLIENT).digest == sha256(CLIENT).digest() == settings.digest(CLIENT)
    respelt = json.dumps(json.loads(CLIENT)).encode()
    assert settings.read(respelt).digest != settings.read(CLIENT).digest


@pytest.mark.parametrize("resolver", [("127.0.0.1:5353", ("127.0.0.1", 5353)), ("[::1]:53", ("::1", 53))])
def test_a_resolver_is_an_address_and_a_port(resolver: tuple[str, tuple[str, int]]) -> None:
    assert settings.read(changed("settings-client", "resolver", to=resolver[0])).resolver == resolver[1]


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:53\n",
        "1.2.3:53",
        "300.0.0.1:53",
        "[1:2]:53",
        "::1:53",
        "localhost:53",
        ":53",
        "127.0.0.1:x",
        "127.0.0.1:-1",
    ],
)
@pytest.mark.parametrize("field", ["resolver", "admin"])
def test_a_socket_that_is_none_is_refused(field: str, text: str) -> None:
    assert f"$.{field}" in problems(settings.read, changed("settings-client", field, to=text))


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"listen": ["10.0.0.1", "1.2.3"]}, "$.server.listen[1]"),
        ({"listen": []}, "$.server.listen"),
        ({"visitors_port": 7443, "sessions_port": 7443}, "$.server.sessions_port"),
        ({"data_port": 65535, "workers": 2}, "$.server.data_port"),
        ({"data_port": 7440, "workers": 8, "sessions_port": 7443}, "$.server.sessions_port"),
        ({"data_port": 440, "workers": 8, "visitors_port": 443}, "$.server.visitors_port"),
        ({"workers": 0}, "$.server.workers"),
        ({"workers": 2.0}, "$.server.workers"),
        ({"data_port": 7444.0}, "$.server.data_port"),
    ],
)
def test_ports_that_collide_or_do_not_exist_are_refused(part: dict[str, Any], path: str) -> None:
    merged = {**json.loads(SERVER)["server"], **part}
    assert path in problems(settings.read, changed("settings-server", "server", to=merged))


@pytest.mark.parametrize(
    "data",
    [
        changed("settings-client", "role", to="server"),
        changed("settings-server", "role", to="client"),
        without("settings-client", "client"),
        without("settings-server", "server"),
        changed("settings-client", "server", to=json.loads(SERVER)["server"]),
        changed("settings-client", "client", "routes", to={}),
        changed("settings-client", "client", "routes", to={"file": "/a", "urls": ["https://example.com/r"]}),
        changed("settings-client", "owner_keys", to=[]),
        changed("settings-client", "owner_keys", to=["ab" * 32, "ab" * 32]),
        changed("settings-client", "owner_keys", to=["ab" * 31]),
        changed("settings-client", "document", "urls", to=["ftp://example.com/f"]),
        changed("settings-client", "document", "min_version", to=0),
    ],
)
def test_settings_that_contradict_themselves_are_refused(data: bytes) -> None:
    assert problems(settings.read, data)


@pytest.mark.parametrize("name", ["settings-client", "settings-server"])
def test_every_top_level_field_is_required(name: str) -> None:
    for field in json.loads(example(name)):
        assert problems(settings.read, without(name, field)), field


def test_user_data_that_no_cloud_would_carry_is_refused() -> None:
    padded = CLIENT + b" " * (settings.MAX_SETTINGS_SIZE - len(CLIENT))
    assert settings.read(padded).member == "client-1"
    assert "16385 bytes" in problems(settings.read, padded + b" ")["$"]


@budget(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(damaged(SERVER) | damaged(CLIENT) | rewritten(SERVER) | rewritten(CLIENT) | st.binary(max_size=60))
def test_damaged_settings_are_read_or_refused(data: bytes) -> None:
    accepts_or_refuses(settings.read, data)


def test_the_register_holds_exactly_one_extension() -> None:
    digest = settings.digest(CLIENT)
    assert settings.extended(digest, "sha256") == digest
    assert settings.register(digest, "sha256") == sha256(bytes(32) + digest).digest()
    assert settings.extended(digest, "sha384") == sha384(digest).digest()
    assert settings.register(digest, "sha384") == sha384(bytes(48) + sha384(digest).digest()).digest()


def with_limits(value: Any) -> bytes:
    return json.dumps(json.loads(SERVER) | {"limits": value}).encode()


def test_limits_are_what_is_set_and_the_rest_their_defaults() -> None:
    assert settings.read(SERVER).limits == Limits()
    assert settings.read(with_limits({})).limits == Limits()
    read = settings.read(with_limits({"drain_s": 10, "max_visitors": 100})).limits
    assert read == Limits(drain_s=10.0, max_visitors=100)
    assert isinstance(read.drain_s, float)  # workers are told the same type


@pytest.mark.parametrize(
    ("value", "path", "says"),
    [
        ({"drian_s": 10}, "$.limits", "did you mean 'drain_s'"),
        ({"drain_s": 0.5}, "$.limits.drain_s", "is 0.5, want at least 1"),
        ({"drain_s": 301}, "$.limits.drain_s", "is 301, want at most 300"),
        ({"max_visitors": 16.5}, "$.limits.max_visitors", "want integer"),
        ({"max_visitors": True}, "$.limits.max_visitors", "want integer"),
        ({"silent_s": 15.1}, "$.limits.silent_s", "want at most 15"),
        ({"silent_s": 2.0}, "$.limits", "ping_s is more than silent_s"),
        ([], "$.limits", "want object"),
    ],
    ids=str,
)
def test_a_limit_that_is_none_or_out_of_bounds_is_refused(value: Any, path: str, says: str) -> None:
    with pytest.raises(DocumentError) as caught:
        settings.read(with_limits(value))
    [problem] = caught.value.problems
    assert problem.path == path
    assert says in problem.message
