"""A publisher that is there, down, late to change, or has something else under the URL."""

from __future__ import annotations

import pytest

from runtime.attestation.endorsements import bundle as bundles
from runtime.attestation.endorsements import published as subject
from runtime.attestation.endorsements.bundle import EMPTY, Bundle
from runtime.attestation.endorsements.published import PublishedBundle
from tests.fakes.endorsers import Endorsers, Say


def made(at: int) -> Bundle:
    return Bundle(made_at=at, items={"key": b"body"})


def said(at: int) -> Say:
    return Say(body=bundles.write(made(at)))


async def test_the_first_url_that_answers_well() -> None:
    one = Endorsers({"/a": Say(status=503), "/b": Say(body=b"<html>"), "/c": said(5)})
    async with one.running() as base:
        found = await PublishedBundle((f"{base}/a", f"{base}/b", f"{base}/c")).refresh()
    assert found == made(5)


async def test_it_is_asked_for_hourly_and_never_goes_back() -> None:
    now = [0.0]
    one = Endorsers({"/a": [said(5), said(4), Say(status=404), said(6)]})
    async with one.running() as base:
        published = PublishedBundle((f"{base}/a",), monotonic=lambda: now[0])
        assert (await published.refresh()).made_at == 5
        assert (await published.refresh()).made_at == 5
        assert len(one.asked) == 1
        now[0] += subject.EVERY_S
        assert (await published.refresh()).made_at == 5
        now[0] += subject.EVERY_S
        assert (await published.refresh()).made_at == 5
        now[0] += subject.AGAIN_S
        assert (await published.refresh()).made_at == 6


async def test_without_a_url_or_a_publisher_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await PublishedBundle(()).refresh() == EMPTY
    assert await PublishedBundle(("http://127.0.0.1:1/",)).refresh() == EMPTY
    monkeypatch.setattr(bundles, "MAX_BUNDLE_SIZE", 10)
    monkeypatch.setattr(subject, "MAX_BUNDLE_SIZE", 10)
    async with Endorsers({"/a": said(5)}).running() as base:
        assert await PublishedBundle((f"{base}/a",)).refresh() == EMPTY
