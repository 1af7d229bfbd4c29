"""One address's flood costs that address, and nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.crowd import Crowd, place_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8::ffff:1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::2%eth1"),
    ],
)
def test_what_one_host_can_use_counts_as_one(one: str, other: str) -> None:
    assert place_of(one) == place_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1"), ("unknown", "192.0.2.1")],
)
def test_others_count_apart(one: str, other: str) -> None:
    assert place_of(one) != place_of(other)


def test_over_its_own_bound_an_address_loses_its_oldest() -> None:
    crowd: Crowd[str] = Crowd(most=10, most_per_place=2)
    assert crowd.add("member", "192.0.2.1") is None
    assert [crowd.add(name, "192.0.2.9") for name in "abc"] == [None, None, "a"]
    assert crowd.all() == ("member", "b", "c")


def test_over_the_whole_bound_the_fullest_address_loses_its_oldest() -> None:
    crowd: Crowd[str] = Crowd(most=4, most_per_place=3)
    crowd.add("member", "192.0.2.1")
    for name in "abc":
        crowd.add(name, "192.0.2.9")
    assert crowd.add("late", "192.0.2.2") == "a"
    assert "member" in crowd
    assert "a" not in crowd


def test_who_left_is_forgotten_and_leaving_twice_is_nothing() -> None:
    crowd: Crowd[str] = Crowd(most=1, most_per_place=1)
    crowd.add("a", "192.0.2.1")
    crowd.discard("a")
    crowd.discard("a")
    assert len(crowd) == 0
    assert crowd.add("b", "192.0.2.1") is None


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60))
def test_the_bounds_hold_whatever_comes_and_goes(moves: list[tuple[int, bool]]) -> None:
    crowd: Crowd[int] = Crowd(most=6, most_per_place=3)
    of: dict[int, int] = {}
    for number, (place, leaves) in enumerate(moves):
        if leaves and of:
            first = next(iter(of))
            del of[first]
            crowd.discard(first)
        gone = crowd.add(number, f"192.0.2.{place}")
        if gone is not None:
            del of[gone]
        of[number] = place
        counts = [list(of.values()).count(each) for each in range(5)]
        assert crowd.all() == tuple(of)
        assert len(of) <= 6
        assert max(counts) <= 3
