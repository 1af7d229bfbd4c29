"""The origin behind every tunnel: nginx ends visitors' TLS, answers 100 bytes, moves bulk. I/O.

It also counts requests, so that CPU and requests are read at the same two moments of a load.
"""

from __future__ import annotations

import http.client
import os
import sys
from pathlib import Path

from bench.machine import Processes, free_port, wait_for_port
from bench.material import CIPHER, Material

_MODULES = Path("/usr/lib/nginx/modules")
_BODY = "x" * 99 + "\\n"

_CONFIGURATION = """\
{user}daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 8192; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 600s;
  send_timeout 600s; client_max_body_size 0; default_type text/plain;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {cipher}; ssl_ecdh_curve prime256v1;
    ssl_session_tickets off; ssl_session_cache off;
    location / {{ return 200 "{body}"; }}
    location = /bulk {{ root {web}; }}
    location = /sink {{
      proxy_pass http://127.0.0.1:{sink}; proxy_http_version 1.1; proxy_request_buffering off;
    }}
  }}
  server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }}
}}
"""


class Origin:
    """The running origin."""

    def __init__(self, *, processes: Processes, material: Material) -> None:
        self.port, self._status_port, sink = free_port(), free_port(), free_port()
        folder = material.part("origin.d")
        sinking = processes.start("sink", [sys.executable, "-m", "bench.sink", str(sink)])
        configuration = folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                user="user root;\n" if os.geteuid() == 0 else "",  # the files are only ours to read
                folder=folder,
                port=self.port,
                status=self._status_port,
                sink=sink,
                web=material.web,
                certificate=material.certificate("origin"),
                key=material.key("origin"),
                cipher=CIPHER,
                body=_BODY,
            )
        )
        process = processes.start("origin", nginx(configuration, folder))
        wait_for_port(self.port, process)
        wait_for_port(sink, sinking)

    def requests(self) -> int:
        """Return how many requests the origin has answered since it started."""
        connection = http.client.HTTPConnection("127.0.0.1", self._status_port, timeout=10)
        try:
            connection.request("GET", "/")
            # The tenth word: after "Active connections: N server accepts handled requests N N".
            return int(connection.getresponse().read().split()[9])
        finally:
            connection.close()


def nginx(configuration: Path, folder: Path) -> list[str]:
    """Return the command that runs one nginx configuration in the foreground."""
    return ["nginx", "-p", str(folder), "-c", str(configuration), "-e", "stderr"]


def stream_module() -> Path | None:
    """Return Debian's stream module, which is a package of its own, or None."""
    module = _MODULES / "ngx_stream_module.so"
    return module if module.exists() else None
