"""Figures of known samples, by hand."""

from __future__ import annotations

import pytest

from bench.cases import CASES, QUICK, TARGETS, Case, Target
from bench.figures import absolute, row, rows_table, table, verdict
from bench.load import HEADS, Latency, LoadError, Sample, read_wrk

CASE = Case(mode="keep-alive", connections=64, head="browser")
BULK = Case(mode="bulk up", connections=16, head="tiny")


def sample(cpu: float | None, p99: float = 1.0) -> Sample:
    return Sample(cpu=cpu, rate=1000.0, p50_ms=0.5, p99_ms=p99)


def target(peer: str = "peer", case: Case = CASE) -> Target:
    return Target(what="it", peer=peer, metric="cpu", case=case, must=1.0, aim=0.5)


def test_a_ratio_is_the_median_of_the_rounds_own() -> None:
    samples = {
        ("ours", CASE): [sample(10), sample(80), sample(30)],
        ("peer", CASE): [sample(40), sample(100), sample(40)],  # the machine was busy in round 2
    }
    one = verdict(target(), "ours", samples)
    assert one is not None
    assert (one.value, one.low, one.high, one.word) == (0.75, 0.25, 0.8, "must")


@pytest.mark.parametrize(("value", "word"), [(0.5, "aim"), (1.0, "must"), (1.01, "SHORT")])
def test_words(value: float, word: str) -> None:
    assert absolute(target(), value).word == word


def test_what_was_not_measured_has_no_verdict() -> None:
    assert verdict(target("absent"), "ours", {("ours", CASE): [sample(1)]}) is None
    assert verdict(target(), "ours", {("ours", CASE): [sample(1)], ("peer", CASE): [sample(None)]}) is None


def test_rows_keep_cpu_of_requests_and_of_bytes_apart() -> None:
    small = row("ours", "1", CASE, [sample(10), sample(12), sample(11)])
    assert (small.cpu_us_per_request, small.cpu_s_per_gib, small.rps, small.spread) == (11, None, 1000, 0.182)
    bulk = row("ours", "1", BULK, [sample(1.5)])
    assert (bulk.cpu_us_per_request, bulk.cpu_s_per_gib, bulk.gbit_per_s, bulk.rps) == (None, 1.5, 1000, None)
    direct = row("direct", "", CASE, [sample(None)])
    assert (direct.cpu_us_per_request, direct.spread) == (None, None)
    assert "bulk up, 16" in rows_table([small, bulk, direct])


def test_every_relative_target_is_among_the_cases() -> None:
    for one in TARGETS:
        assert (one.case is None) is (one.peer is None)
        assert one.case is None or one.case in CASES
    assert set(QUICK) <= set(CASES)
    assert "SHORT" in table([absolute(one, 1e9) for one in TARGETS if one.peer is None])


def test_the_browsers_head_is_of_a_browsers_size() -> None:
    head = "".join(
        f"{line}\r\n" for line in ("GET / HTTP/1.1", "Host: localhost:12345", *HEADS["browser"], "")
    )
    assert 640 <= len(head) <= 700


REPORT = """Running 2s test @ https://localhost:45535/
  Latency Distribution
     50%  443.00us
     75%    1.30ms
     90%    3.35ms
     99%    1.01s
  28561 requests in 2.00s, 6.67MB read
{}
Requests/sec:  14273.11
"""


def test_wrk_is_read() -> None:
    assert read_wrk(REPORT.format("")) == Latency(p50_ms=0.443, p99_ms=1010)


@pytest.mark.parametrize(
    "report",
    [
        "",
        REPORT.format("  Socket errors: connect 1, read 0, write 0, timeout 0"),
        REPORT.format("  Socket errors: connect 0, read 0, write 0, timeout 2"),
        REPORT.format("  Non-2xx or 3xx responses: 7"),
    ],
)
def test_a_load_that_failed_gives_no_figure(report: str) -> None:
    with pytest.raises(LoadError):
        read_wrk(report)


def test_a_connection_closed_as_asked_is_no_failure() -> None:
    """wrk counts the end of a `Connection: close` answer as a read error now and then."""
    read_wrk(REPORT.format("  Socket errors: connect 0, read 14, write 0, timeout 0"))
