"""Visitors that stay: `python -m bench.hold PORT COUNT idle|stalled`. I/O.

Each opens a TLS connection and asks once. An idle one reads its 100 bytes; a stalled one asks for the
bulk file and reads nothing. Says "held" when all are there, and leaves when stdin ends.
"""

from __future__ import annotations

import resource
import socket
import ssl
import sys

from bench.material import HOST

_SMALL_BUFFER = 16 * 1024  # of a stalled visitor: what the kernel hides is not the tunnel's merit


def _open(context: ssl.SSLContext, port: int, *, stalled: bool) -> ssl.SSLSocket:
    sock = socket.socket()
    sock.settimeout(30)
    if stalled:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
    sock.connect(("127.0.0.1", port))
    visitor = context.wrap_socket(sock, server_hostname=HOST)
    path = "/bulk" if stalled else "/"
    visitor.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    if not stalled and not visitor.recv(4096).startswith(b"HTTP/1.1 200"):
        raise SystemExit(1)
    return visitor


def main() -> None:
    """Hold them until stdin ends."""
    port, count, stalled = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "stalled"
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # what is measured is the path; its bytes are compared by the tests
    held = [_open(context, port, stalled=stalled) for _ in range(count)]
    print("held", flush=True)
    sys.stdin.read()
    for visitor in held:
        visitor.close()


if __name__ == "__main__":
    main()
