"""Kinds of route through the whole path: what reaches the origin, and what an origin has to be."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncGenerator
from ipaddress import ip_address
from pathlib import Path

import pytest
from proxyprotocol.reader import ProxyProtocolReader
from proxyprotocol.result import ProxyResult
from proxyprotocol.v2 import ProxyProtocolV2

from runtime.tunnel.data import Kind
from tests.tunnel.rig import client_hello, listening
from tests.visitors.programs import WAIT_S, accepting, find, free_port, run, started
from tests.visitors.scene import SITE, Scene, opened
from tests.visitors.site import PAGE, Site, running

pytestmark = pytest.mark.integration


async def asked(scene: Scene, *options: str, host: str = SITE) -> dict[str, object]:
    """What curl learns from `/version`."""
    url = f"https://{host}:{scene.port}/version"
    answer = await run(find("curl"), *scene.curl(*options, url, host=host))
    assert answer.stdout, answer.stderr
    return dict(json.loads(answer.stdout))


# -- h2c: one origin, both versions ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "version"),
    [
        (("--http2",), "2"),
        (("--http1.1",), "1.1"),
        (("--no-alpn",), "1.1"),
        (("--http1.1", "--tls-max", "1.2"), "1.1"),
    ],
)
async def test_an_h2c_origin_gets_the_version_that_the_visitor_negotiated(
    scene: Scene, options: tuple[str, ...], version: str
) -> None:
    async with running(Site()) as port:
        await scene.publish({SITE: scene.origin("h2c", port)})
        assert (await asked(scene, *options))["http"] == version


async def test_an_http_route_never_offers_http_2(scene: Scene) -> None:
    async with running(Site()) as port:
        await scene.publish({SITE: scene.origin("http", port)})
        assert (await asked(scene, "--http2"))["http"] == "1.1"


# -- pinned origins -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "version"), [("https", "1.1"), ("h2", "2")])
async def test_a_pinned_origin_is_served_and_another_certificate_is_not(
    scene: Scene, kind: Kind, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site()
    async with running(site, certificate=scene.certificate) as port:
        await scene.publish({SITE: scene.origin(kind, port, pins=[bytes(32), scene.certificate_sha256])})
        assert (await asked(scene, "--http2"))["http"] == version
        await scene.publish({SITE: scene.origin(kind, port, pins=[bytes(32)])})
        before = list(site.asked)
        refused = await run(find("curl"), *scene.curl("--http2", f"{scene.base}/secret"))
    assert refused.status in (16, 52, 55, 56)  # HTTP/2 framing, nothing, send and receive failures
    assert site.asked == before
    assert caplog.records[-1].__dict__["fields"]["detail"].startswith("certificate is ")


async def test_a_pinned_origin_may_be_on_another_host(tmp_path: Path) -> None:
    """Anything but 127.0.0.1 stands for it: traffic of tests stays on loopback."""
    async with opened(tmp_path) as scene, running(Site(), host="::1", certificate=scene.certificate) as port:
        pins = [scene.certificate_sha256]
        await scene.publish({SITE: scene.origin("h2", port, host="::1", pins=pins)})
        assert (await asked(scene, "--http2"))["http"] == "2"


async def test_an_origin_that_speaks_http_1_only_cannot_be_h2(scene: Scene) -> None:
    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        writer.close()

    async with listening(origin, ssl=scene.certificate.server_context()) as port:
        await scene.publish({SITE: scene.origin("h2", port, pins=[scene.certificate_sha256])})
        one = await run(find("curl"), *scene.curl("--http1.1", f"{scene.base}/"))
        two = await run(find("curl"), *scene.curl("--http2", f"{scene.base}/"))
    assert (one.stdout, two.stdout) == (b"ok", b"")
    assert two.status != 0


async def test_nginx_as_a_pinned_http_2_origin(scene: Scene, tmp_path: Path) -> None:
    async with nginx(tmp_path, scene, "listen 127.0.0.1:{port} ssl http2") as port:
        await scene.publish({SITE: scene.origin("h2", port, pins=[scene.certificate_sha256])})
        answer = await run(find("curl"), *scene.curl("--http2", f"{scene.base}/"))
        assert answer.stdout.split()[0] == b"HTTP/2.0"


# -- PROXY protocol -------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_the_reference_parser_reads_who_the_visitor_is(tmp_path: Path, address: str) -> None:
    heard: asyncio.Future[tuple[ProxyResult, bytes]] = asyncio.get_running_loop().create_future()

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        result = await ProxyProtocolReader(ProxyProtocolV2()).read(reader)
        heard.set_result((result, await reader.read(-1)))
        writer.close()

    async with opened(tmp_path, address=address) as scene, listening(origin) as port:
        await scene.publish({SITE: scene.origin("tls", port, proxy_protocol=True)})
        _, writer = await asyncio.open_connection(scene.address, scene.port)
        own, hello = writer.get_extra_info("sockname"), client_hello(SITE)
        writer.write(hello)
        writer.write_eof()
        async with asyncio.timeout(WAIT_S):
            result, rest = await heard
        writer.close()
    assert result.source == (ip_address(address), own[1])
    assert result.dest == (ip_address(address), scene.port)
    assert result.tlv.authority == SITE
    assert rest == hello


@pytest.mark.parametrize("kind", ["tls", "http", "https"])
async def test_nginx_learns_the_visitors_address(scene: Scene, tmp_path: Path, kind: Kind) -> None:
    tls = "" if kind == "http" else " ssl"
    async with nginx(tmp_path, scene, f"listen 127.0.0.1:{{port}}{tls} proxy_protocol") as port:
        pins = [scene.certificate_sha256] if kind == "https" else []
        await scene.publish({SITE: scene.origin(kind, port, pins=pins, proxy_protocol=True)})
        answer = await run(find("curl"), *scene.curl("--local-port", "40000-60000", f"{scene.base}/"))
    version, visitor, visitor_port, server, server_port = answer.stdout.decode().split()
    assert (version, visitor, server, server_port) == ("HTTP/1.1", "127.0.0.1", "127.0.0.1", str(scene.port))
    assert 40000 <= int(visitor_port) <= 60000


@contextlib.asynccontextmanager
async def nginx(folder: Path, scene: Scene, listen: str) -> AsyncGenerator[int]:
    """A web server of another maker that says what it knows of its visitor; gives the port."""
    program = find("nginx")
    port = free_port()
    certificate = scene.certificate
    said = " ".join(f"$proxy_protocol_{what}" for what in ("addr", "port", "server_addr", "server_port"))
    files = f"ssl_certificate {certificate.chain}; ssl_certificate_key {certificate.key};"
    temporary = "\n".join(
        f"{name}_temp_path {folder};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"""daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
        events {{}}
        http {{ access_log off; {temporary}
          server {{ {listen.format(port=port)}; {files}
            location / {{ return 200 "$server_protocol {said}"; }} }} }}"""
    )
    async with started(program, "-p", str(folder), "-c", str(config), "-e", "stderr") as process:
        await accepting("127.0.0.1", port, ended=lambda: process.returncode is not None)
        yield port


# -- IPv6, several sites --------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["127.0.0.1", "::1"])
async def test_visitors_and_data_connections_over_ipv6(tmp_path: Path, origin: str) -> None:
    async with opened(tmp_path, address="::1") as scene, running(Site(), host=origin) as port:
        await scene.publish({SITE: scene.origin("h2c", port, host=origin)})
        for version in ("--http1.1", "--http2"):
            page = await run(find("curl"), *scene.curl(version, f"{scene.base}/"))
            assert page.stdout == PAGE


async def test_several_sites_and_the_most_specific_match(scene: Scene) -> None:
    names = ("app.example", "shop.example", "*.dev.example", "a.dev.example")
    async with contextlib.AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(running(Site(name))) for name in names]
        kinds: list[Kind] = ["http", "h2c", "h2c", "http"]
        await scene.publish(
            {name: scene.origin(kind, port) for name, kind, port in zip(names, kinds, ports, strict=True)}
        )
        for host, served in (
            ("app.example", "app.example"),
            ("shop.example", "shop.example"),
            ("a.dev.example", "a.dev.example"),
            ("b.dev.example", "*.dev.example"),
            ("xn--bcher-kva.dev.example", "*.dev.example"),
        ):
            assert (await asked(scene, "--http2", host=host))["name"] == served
        for host in ("dev.example", "x.b.dev.example", "x.app.example", "other.example"):
            with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
                await asyncio.open_connection(
                    scene.address, scene.port, ssl=scene.trust(), server_hostname=host
                )
        await scene.publish({"*.dev.example": scene.origin("http", ports[2])})
        assert (await asked(scene, host="a.dev.example"))["name"] == "*.dev.example"
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            await asyncio.open_connection(scene.address, scene.port, ssl=scene.trust(), server_hostname=SITE)
