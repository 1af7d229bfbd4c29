"""The one spelling of time in documents."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.documents import times


def test_the_epoch_and_a_leap_day() -> None:
    assert times.parse("1970-01-01T00:00:00Z") == 0
    assert times.parse("2028-02-29T12:00:00Z") == 1_835_438_400
    assert times.show(1_835_438_400.9) == "2028-02-29T12:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-02-30T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00+00:00",
        "2026-01-01T00:00:00Z\n",
        "2026-01-01T00:00:61Z",
        "2026-06-30T23:59:60Z",
    ],
)
def test_what_is_no_date_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not match|unconverted|range|must be"):
        times.parse(text)


@given(st.integers(0, 253_402_300_799))
def test_reads_back_what_it_shows(seconds: int) -> None:
    assert times.parse(times.show(seconds)) == seconds
