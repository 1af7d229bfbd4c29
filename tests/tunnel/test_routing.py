"""Whose turn it is, under any coming and going."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import MalformedError
from runtime.tunnel.routing import (
    NoRouteError,
    Router,
    SessionId,
    normal_hostname,
    normal_pattern,
    patterns_of,
)

A, B, C, D = (SessionId(bytes((i,)) * 16) for i in range(4))


def offers(*patterns: str) -> frozenset[str]:
    return frozenset(patterns)


def test_exact_beats_wildcard_and_a_wildcard_is_one_label() -> None:
    router = Router()
    router.offer(A, offers("*.b.c"))
    router.offer(B, offers("a.b.c"))
    router.offer(C, offers("*.a.b.c"))
    assert router.pick("a.b.c") == B
    assert router.pick("x.b.c") == A
    assert router.pick("x.a.b.c") == C
    for hostname in ("b.c", "x.y.b.c", "c", "x.x.a.b.c"):
        assert router.sessions(hostname) == 0
        with pytest.raises(NoRouteError):
            router.pick(hostname)
    router.offer(B, frozenset())
    assert router.pick("a.b.c") == A


def test_offering_again_keeps_the_turn() -> None:
    router = Router()
    for session in (A, B):
        router.offer(session, offers("a.b"))
    assert router.pick("a.b") == A
    router.offer(A, offers("a.b", "c.d"))
    assert [router.pick("a.b") for _ in range(3)] == [B, A, B]
    router.offer(A, offers("c.d"))
    assert [router.pick("a.b") for _ in range(2)] == [B, B]


@given(st.lists(st.tuples(st.sampled_from("opppp-"), st.sampled_from([C, D])), max_size=80))
def test_counts_stay_even_whoever_comes_and_goes(script: list[tuple[str, SessionId]]) -> None:
    router = Router()
    router.offer(A, offers("a.b"))
    router.offer(B, offers("a.b"))
    picked = {A: 0, B: 0, C: 0, D: 0}
    present = {A, B}
    for action, session in script:
        if action == "o":
            router.offer(session, offers("a.b"))
            present.add(session)
        elif action == "-":
            router.offer(session, frozenset())
            present.discard(session)
        else:
            chosen = router.pick("a.b")
            assert chosen in present
            picked[chosen] += 1
        assert abs(picked[A] - picked[B]) <= 1
        assert router.sessions("a.b") == len(present)


@given(st.text(max_size=300))
def test_hostnames_are_normal_or_refused(text: str) -> None:
    for normal in (normal_hostname, normal_pattern):
        try:
            name = normal(text)
        except MalformedError:
            continue
        assert normal(name) == name == name.lower()
        assert name.isascii()
        assert 1 <= len(name) <= 255


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..b",
        "-a",
        "a-",
        "a b",
        "*",
        "*.",
        "*a.b",
        "1.2.3.4",
        "1",
        "a.0x7f",
        "a" * 64,
        "é.b",
        "a\n",
        "\u212a.b",
    ],
)
def test_refused_names(text: str) -> None:
    with pytest.raises(MalformedError):
        normal_pattern(text)


def test_normal_names() -> None:
    assert normal_hostname("A.B.") == "a.b"
    assert normal_pattern("*.A") == "*.a"
    assert normal_hostname("1a.b") == "1a.b"
    assert patterns_of("a.b.c") == ("a.b.c", "*.b.c")
    assert patterns_of("a") == ("a",)
    with pytest.raises(MalformedError):
        normal_hostname("*.a")


def test_a_session_that_is_gone_serves_nothing() -> None:
    table = Router()
    seen = [(table.serving, table.sessions("a.example"))]
    table.offer(A, offers("a.example"))
    seen.append((table.serving, table.sessions("a.example")))
    for _ in range(2):  # once more is no harm
        table.offer(A, offers())
        seen.append((table.serving, table.sessions("a.example")))
    assert seen == [(False, 0), (True, 1), (False, 0), (False, 0)]
