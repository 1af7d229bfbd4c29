"""Two nginx with `stream`: SNI preread, then mutual TLS between the two. I/O.

Not a reverse tunnel (the second nginx listens), but the fastest ordinary way to put an encrypted,
mutually authenticated hop before an origin: one TLS connection for each visitor.
"""

from __future__ import annotations

import shutil

from bench.machine import Processes, free_port, output, wait_for_port
from bench.material import CIPHER, HOST, Material
from bench.origin import nginx, stream_module
from bench.systems.model import Running, System

_COMMON = """\
load_module {module};
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 8192; }}
"""

_SERVER = (
    _COMMON
    + """\
stream {{
  tcp_nodelay on; proxy_timeout 600s;
  map $ssl_preread_server_name $next {{ {host} 127.0.0.1:{middle}; default ""; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096; ssl_preread on; proxy_pass $next;
    proxy_ssl on; proxy_ssl_protocols TLSv1.3; proxy_ssl_conf_command Ciphersuites {cipher};
    proxy_ssl_certificate {certificate}; proxy_ssl_certificate_key {key};
    proxy_ssl_trusted_certificate {trusted}; proxy_ssl_verify on; proxy_ssl_name {host};
  }}
}}
"""
)

_CLIENT = (
    _COMMON
    + """\
stream {{
  tcp_nodelay on; proxy_timeout 600s;
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096; proxy_pass 127.0.0.1:{origin};
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {cipher}; ssl_ecdh_curve prime256v1;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    ssl_client_certificate {trusted}; ssl_verify_client on; ssl_session_tickets off; ssl_session_cache off;
  }}
}}
"""
)


def _missing() -> str | None:
    if shutil.which("nginx") is None or stream_module() is None:
        return "install nginx-light and libnginx-mod-stream"
    return None


def _version() -> str:
    return output(["nginx", "-v"]).strip().rpartition("/")[2]


def _start(processes: Processes, material: Material, origin: int) -> Running:
    port, middle = free_port(), free_port()
    ids: list[int] = []
    for role, template, listen, peer in (
        ("client", _CLIENT, middle, "server"),
        ("server", _SERVER, port, "client"),
    ):
        folder = material.part(f"nginx-{role}.d")
        configuration = folder / "nginx.conf"
        configuration.write_text(
            template.format(
                module=stream_module(),
                folder=folder,
                host=HOST,
                port=listen,
                middle=middle,
                origin=origin,
                cipher=CIPHER,
                certificate=material.certificate(role),
                key=material.key(role),
                trusted=material.certificate(peer),
            )
        )
        process = processes.start(f"nginx-{role}", nginx(configuration, folder))
        wait_for_port(listen, process)
        ids.append(process.pid)
    return Running(port=port, server=ids[1], client=ids[0])


NGINX_STREAM = System(name="nginx stream", missing=_missing, version=_version, start=_start)
