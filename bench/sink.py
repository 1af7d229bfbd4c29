"""Swallow request bodies: `python -m bench.sink PORT`. I/O. It stands behind the origin, uncounted."""

from __future__ import annotations

import socket
import sys
import threading

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CHUNK = 256 * 1024


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _serve(sock: socket.socket) -> None:
    with sock:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = sock.recv(_CHUNK)
            if not piece:
                return
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        left, buffer = _length(head) - len(body), bytearray(_CHUNK)
        while left > 0:
            got = sock.recv_into(buffer)
            if not got:
                return
            left -= got
        sock.sendall(_ANSWER)


def main() -> None:
    """Serve until the process is ended."""
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=256) as listener:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=_serve, args=(sock,), daemon=True).start()


if __name__ == "__main__":
    main()
