"""Telling a plain HTTP request from other letters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.tunnel.http1 import BAD_REQUEST, is_http, may_be_http


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\n", b"OPTIONS * HTTP/1.0\n", b"GET /" + b"x" * 5000])
def test_requests(start: bytes) -> None:
    assert is_http(start)
    assert all(may_be_http(start[:end]) for end in range(len(start)))


@pytest.mark.parametrize("start", [b"SSH-2.0", b"get / ", b"GET\t", b"A /", b"VERYLONGMETHODNAME"])
def test_others(start: bytes) -> None:
    assert not is_http(start + b"\n")
    assert not may_be_http(start)


@given(st.binary(max_size=50))
def test_what_is_http_may_be_http(start: bytes) -> None:
    assert may_be_http(start) or not is_http(start)


def test_the_answer_is_whole() -> None:
    head, _, body = BAD_REQUEST.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
