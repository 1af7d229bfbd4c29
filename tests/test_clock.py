"""The clock never shows a time before the trusted floor, whatever the host sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.clock import TrustedClock

BUILT = 1_800_000_000


def test_follows_the_machine_when_it_is_ahead() -> None:
    assert TrustedClock(BUILT, wall=lambda: BUILT + 7.9).now() == BUILT + 7


def test_a_clock_turned_back_stays_at_the_build_time() -> None:
    assert TrustedClock(BUILT, wall=lambda: 0.0).now() == BUILT


def test_a_verified_time_raises_the_floor_for_good() -> None:
    wall = float(BUILT + 100)
    clock = TrustedClock(BUILT, wall=lambda: wall)
    clock.raise_floor(BUILT + 50)
    wall = float(BUILT - 1000)
    assert clock.now() == BUILT + 50
    clock.raise_floor(BUILT + 10)
    assert clock.now() == BUILT + 50


@given(st.lists(st.one_of(st.integers(0, 2**33), st.floats(0, 2**33))))
def test_no_sequence_of_host_times_gets_below_a_seen_floor(times: list[float]) -> None:
    wall = 0.0
    clock = TrustedClock(BUILT, wall=lambda: wall)
    floor = BUILT
    for seconds in times:
        if isinstance(seconds, int):
            clock.raise_floor(seconds)
            floor = max(floor, seconds)
        else:
            wall = seconds
        assert clock.now() == max(int(wall), floor)


def test_durations_do_not_follow_the_wall() -> None:
    clock = TrustedClock(BUILT, wall=lambda: 0.0)
    first = clock.monotonic()
    assert clock.monotonic() >= first


def test_the_machine_s_own_clock_is_the_default() -> None:
    assert TrustedClock(0).now() > BUILT - 400_000_000


def test_time_that_really_passed_cannot_be_taken_back() -> None:
    """Learned at 1000; 1500 s later the host sets the clock back to 1200: it is 2500 all the same."""
    wall, passed = [1000.0], [0.0]
    clock = TrustedClock(0, wall=lambda: wall[0], monotonic=lambda: passed[0])
    clock.raise_floor(1000)
    wall[0], passed[0] = 2500.0, 1500.0
    assert clock.now() == 2500
    wall[0] = 1200.0
    assert clock.now() == 2500


def test_a_clock_that_was_ahead_may_be_set_right() -> None:
    wall = [9000.0]
    clock = TrustedClock(0, wall=lambda: wall[0], monotonic=lambda: 0.0)
    assert clock.now() == 9000
    wall[0] = 5000.0
    assert clock.now() == 5000
