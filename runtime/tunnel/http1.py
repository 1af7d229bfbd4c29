"""Recognise plain HTTP on a TLS port and answer it readably. Pure."""

from __future__ import annotations

import re

_MOST = 4096  # bytes of a request line that we look at before answering anyway
_METHOD = re.compile(rb"[A-Z]{3,16} ")
_PARTIAL = re.compile(rb"[A-Z]{0,16}\Z")

_BODY = b"This is a TLS port, and the request was plain HTTP. Use https:// instead.\n"
BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: " + str(len(_BODY)).encode() + b"\r\n"
    b"Connection: close\r\n"
    b"\r\n" + _BODY
)  # the same for everybody: nothing of the request is echoed


def may_be_http(start: bytes) -> bool:
    """Tell whether more bytes could still make this an HTTP/1 request line."""
    return bool(_METHOD.match(start) or _PARTIAL.match(start))


def is_http(start: bytes) -> bool:
    """Tell whether this is the start of an HTTP/1 request: a method and a line end, or enough of a line."""
    return bool(_METHOD.match(start)) and (b"\n" in start or len(start) >= _MOST)
