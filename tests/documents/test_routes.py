"""Routes: an origin is loopback, and who ends TLS is said in full."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.documents import routes
from runtime.errors import DocumentError
from tests.documents.damage import accepts_or_refuses, changed, damaged, example, problems, rewritten

EXAMPLE = example("routes")
CERTIFICATE = {"chain": "/etc/c.pem", "key": "/etc/c.key"}


def _route(**parts: Any) -> bytes:
    return changed("routes", "routes", to=[{"hostname": "a.example.com", **parts}])


def test_reads_the_example() -> None:
    api, first, pinned, second = routes.read(EXAMPLE).routes
    assert (api.kind, api.proxy_protocol, api.pins) == ("h2c", True, ())
    assert (pinned.kind, pinned.host, pinned.port) == ("https", "shop.internal.example", 8443)
    assert [len(pin) for pin in pinned.pins] == [32]
    assert (first.proxy_protocol, second.proxy_protocol, first.pins, second.pins) == (False, False, (), ())
    assert (first.hostname, first.kind, first.host, first.port, first.certificate) == (
        "app.example.com", "tls", "127.0.0.1", 8443, None,
    )  # fmt: skip
    assert second.kind == "http"
    assert second.certificate == routes.Certificate(chain="/etc/tunnel/dev.pem", key="/etc/tunnel/dev.key")


def test_the_most_specific_name_comes_first() -> None:
    names = ["*.example.com", "b.example.com", "*.dev.example.com", "a.dev.example.com", "a.example.com"]
    listed = [{"hostname": name, "service": "tls://127.0.0.1:1"} for name in names]
    read = routes.read(changed("routes", "routes", to=listed))
    assert [route.hostname for route in read.routes] == [
        "a.dev.example.com", "a.example.com", "b.example.com", "*.dev.example.com", "*.example.com",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("service", "host", "port"),
    [
        ("tls://127.0.0.1:1", "127.0.0.1", 1),
        ("tls://127.9.8.7:65535", "127.9.8.7", 65535),
        ("tls://[::1]:443", "::1", 443),
        ("tls://localhost:443", "localhost", 443),
    ],
)
def test_an_origin_on_loopback_is_accepted(service: str, host: str, port: int) -> None:
    route = routes.read(_route(service=service)).routes[0]
    assert (route.host, route.port) == (host, port)


@pytest.mark.parametrize(
    "service",
    [
        "tls://10.0.0.1:443",
        "tls://0.0.0.0:443",
        "tls://[::]:443",
        "tls://example.com:443",
        "tls://localhost.example.com:443",
        "tls://127.0.0.1.example.com:443",
        "tls://2130706433:443",
        "tls://127.0.0.1@10.0.0.1:443",
        "tls://10.0.0.1#127.0.0.1:443",
        "tls://LOCALHOST:443",
        "tls://:443",
        "tls://[::1:443",
    ],
)
def test_an_origin_elsewhere_is_refused(service: str) -> None:
    assert "want a loopback address" in problems(routes.read, _route(service=service))["$.routes[0].service"]


@pytest.mark.parametrize(
    "service",
    [
        "tls://127.0.0.1",
        "tls://127.0.0.1:",
        "tls://127.0.0.1:0",
        "tls://127.0.0.1:65536",
        "tls://127.0.0.1:" + "9" * 200,
        "tls://127.0.0.1:\u0661",
        "tls://127.0.0.1:-1",
        "tls://[::1]",
        "tcp://127.0.0.1:1",
        "tls://127.0.0.1:1/",
        "tls://127.0.0.1:1\n",
        "tls:127.0.0.1:1",
        "",
    ],
)
def test_a_service_that_is_none_is_refused(service: str) -> None:
    assert "$.routes[0].service" in problems(routes.read, _route(service=service))


def test_a_certificate_is_there_exactly_where_the_client_ends_tls() -> None:
    routes.read(_route(service="http://127.0.0.1:1", certificate=CERTIFICATE))
    where = "$.routes[0].certificate"
    assert "is missing" in problems(routes.read, _route(service="http://127.0.0.1:1"))[where]
    assert (
        "is given"
        in problems(routes.read, _route(service="tls://127.0.0.1:1", certificate=CERTIFICATE))[where]
    )
    for name in CERTIFICATE:
        relative = {**CERTIFICATE, name: "c.pem"}
        assert f"{where}.{name}" in problems(
            routes.read, _route(service="http://127.0.0.1:1", certificate=relative)
        )


def test_a_client_may_make_the_certificate_itself() -> None:
    read = routes.read(_route(service="http://127.0.0.1:1", certificate="at_boot"))
    assert read.routes[0].certificate == "at_boot"
    other: object
    for other in ("", "self-signed", "/etc/x.pem", None, 1, []):
        with pytest.raises(DocumentError):
            routes.read(_route(service="http://127.0.0.1:1", certificate=other))


PIN = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"


def _pinned(service: str, *pins: str) -> bytes:
    return _route(service=service, certificate=CERTIFICATE, origin_certificate_sha256=list(pins))


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "[2001:db8::1]", "shop.internal", "shop", "127.0.0.1", "a-1.example"]
)
@pytest.mark.parametrize("kind", ["https", "h2"])
def test_an_origin_elsewhere_is_accepted_with_a_pinned_certificate(kind: str, host: str) -> None:
    route = routes.read(_pinned(f"{kind}://{host}:443", PIN)).routes[0]
    assert (route.kind, route.host, route.pins) == (kind, host.strip("[]"), (bytes.fromhex(PIN),))


@pytest.mark.parametrize("kind", ["https", "h2"])
def test_tls_to_an_origin_without_a_pin_is_refused_even_on_loopback(kind: str) -> None:
    found = problems(routes.read, _route(service=f"{kind}://127.0.0.1:443", certificate=CERTIFICATE))
    assert "is missing" in found["$.routes[0].origin_certificate_sha256"]
    assert "$.routes[0].origin_certificate_sha256" in problems(
        routes.read, _pinned(f"{kind}://127.0.0.1:443")
    )


@pytest.mark.parametrize("kind", ["tls", "http", "h2c"])
def test_a_pin_that_nothing_would_check_is_refused(kind: str) -> None:
    given = {} if kind == "tls" else {"certificate": CERTIFICATE}
    data = _route(service=f"{kind}://127.0.0.1:1", origin_certificate_sha256=[PIN], **given)
    assert "is given" in problems(routes.read, data)["$.routes[0].origin_certificate_sha256"]


@pytest.mark.parametrize("kind", ["http", "h2c"])
def test_plaintext_over_a_network_is_refused_with_or_without_a_pin(kind: str) -> None:
    found = problems(routes.read, _pinned(f"{kind}://10.0.0.1:80", PIN))
    assert "want a loopback address" in found["$.routes[0].service"]


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "[::]",
        "2130706433",
        "127.1",
        "0x7f000001",
        "a.0x1",
        "A.example",
        "a b",
        "a_b.example",
        "-a",
        "a..b",
        "user@shop",
        "a." * 130 + "b",
        "a" * 64,
        "[::1",
        "2001:db8::1",
        "[127.0.0.1]",
        "[shop.internal]",
        "",
    ],
)
def test_a_pinned_origin_still_needs_a_real_address(host: str) -> None:
    assert "$.routes[0].service" in problems(routes.read, _pinned(f"https://{host}:443", PIN))


@pytest.mark.parametrize(
    "pins", [[PIN.upper()], [PIN[:-1]], [PIN + "0"], [PIN + "\n"], [PIN, PIN], [PIN] * 3, PIN, [1]]
)
def test_a_pin_that_is_none_is_refused(pins: Any) -> None:
    data = _route(service="https://a:1", certificate=CERTIFICATE, origin_certificate_sha256=pins)
    assert any(path.startswith("$.routes[0].origin") for path in problems(routes.read, data))


def test_the_proxy_protocol_is_version_2_or_nothing() -> None:
    assert routes.read(_route(service="tls://127.0.0.1:1", proxy_protocol="v2")).routes[0].proxy_protocol
    for value in ("v1", "", True, None):
        found = problems(routes.read, _route(service="tls://127.0.0.1:1", proxy_protocol=value))
        assert "$.routes[0].proxy_protocol" in found


def test_a_hostname_has_one_route() -> None:
    entry = {"hostname": "a.example.com", "service": "tls://127.0.0.1:1"}
    found = problems(
        routes.read, changed("routes", "routes", to=[entry, {**entry, "service": "tls://127.0.0.1:2"}])
    )
    assert found == {"$.routes[1].hostname": '"a.example.com" is there twice'}


@pytest.mark.parametrize(
    "name",
    [
        "A.example.com",
        "example",
        "a..example.com",
        "a.example.com.",
        "*",
        "*.*.example.com",
        "a.*.example.com",
        "-a.example.com",
        "a_b.example.com",
        "a.example.com\n",
        "a" * 64 + ".com",
        ".".join(["a" * 60] * 5),
        "",
    ],
)
def test_a_hostname_that_is_none_is_refused(name: str) -> None:
    found = problems(
        routes.read, changed("routes", "routes", to=[{"hostname": name, "service": "tls://127.0.0.1:1"}])
    )
    assert "$.routes[0].hostname" in found


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(damaged(EXAMPLE) | rewritten(EXAMPLE) | st.binary(max_size=60))
def test_damaged_routes_are_read_or_refused(data: bytes) -> None:
    accepts_or_refuses(routes.read, data)
