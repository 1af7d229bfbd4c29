"""Evidence completed from bundle, cache and endorsers; and what is told when it cannot be."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from runtime.attestation import wire
from runtime.attestation.attester import gate
from runtime.attestation.endorsements import endorser as subject
from runtime.attestation.endorsements.bundle import EMPTY, Bundle
from runtime.attestation.endorsements.cache import Cache
from runtime.attestation.endorsements.contents import Answer
from runtime.attestation.endorsements.endorser import EndorsedAttester, Endorser, Sources
from runtime.attestation.endorsements.published import PublishedBundle
from runtime.attestation.endorsements.wanted import endorsements_needed
from runtime.attestation.endorsements.web import HttpWeb
from runtime.attestation.tees import Root
from runtime.attestation.tees.snp import SnpTee
from runtime.attestation.wire import Evidence
from runtime.errors import UnreachableError
from runtime.limits import Limits
from tests.attestation.endorsements import machines
from tests.fakes import endorsers, fleets
from tests.fakes.amd import Chip, FakeAmd
from tests.fakes.endorsers import Endorsers, Say

NOW = fleets.NOW
LONG_AFTER = NOW + 100 * 365 * 86400


@pytest.fixture(scope="module")
def chip(amd: FakeAmd) -> Chip:
    return amd.chip("one", "Genoa")


def ask(
    base: str, roots: tuple[Root, ...], *, cache: Path | None = None, bundle: Bundle = EMPTY, now: int = NOW
) -> Endorser:
    return Endorser(
        web=HttpWeb(wall=time.time, first_pause_s=0.0),
        cache=None if cache is None else Cache(cache),
        now=lambda: now,
        roots=roots,
        sources=Sources(
            amd_kds=base, azure_thim=base, intel_pcs=base, google_launch=base, authority=f"{base}/at/"
        ),
        bundle=bundle,
    )


async def test_a_chip_s_evidence_becomes_complete_and_verifies(
    amd: FakeAmd, chip: Chip, tmp_path: Path
) -> None:
    one = Endorsers(endorsers.kds(chip))
    async with one.running() as base:
        evidence, short = await ask(base, machines.roots(chip), cache=tmp_path).complete(
            machines.snp(chip), deadline_s=30
        )
        assert short == ()
        assert len(one.asked) == 3
        assert SnpTee().verify(evidence, amd.roots(), NOW).product == "Genoa"
        again, short = await ask(base, machines.roots(chip), cache=tmp_path).complete(
            machines.snp(chip), deadline_s=30
        )
    assert (again.endorsements, short) == (evidence.endorsements, ())
    assert len(one.asked) == 3, "the second time the cache answers"


async def test_the_way_of_an_attestation_key_is_walked_to_its_root() -> None:
    path = machines.google_path()
    leaf, authority, root = path.ders()
    have = {"tdx_collateral": b"x", "launch_endorsement": b"x", "ak_certificate": leaf}
    at = f"/at/{machines.HOST}"
    one = Endorsers({f"{at}/ca.crt": Say(body=authority), f"{at}/root.crt": Say(body=root)})
    async with one.running() as base:
        asked = ask(base, (path.root(),))
        evidence, short = await asked.complete(machines.tdx(**have), deadline_s=30)
    got = {name: value for name, value in evidence.endorsements.items() if name not in have}
    assert got == {"ak_authority_1": authority, "ak_root": root}
    assert sorted(name for one in short for name in one.want.gives) == ["ak_authority_1_crl", "ak_crl"]
    assert wire.decode(wire.encode(evidence)) == evidence


async def test_a_wrong_certificate_is_neither_used_nor_kept(amd: FakeAmd, chip: Chip, tmp_path: Path) -> None:
    published = endorsers.kds(chip)
    path = next(p for p in published if "?" in p)
    wrong = Say(body=amd.chip("two", "Genoa").endorsements["vek"])
    one = Endorsers(published | {path: [wrong, published[path]]})
    async with one.running() as base:
        evidence, short = await ask(base, machines.roots(chip), cache=tmp_path).complete(
            machines.snp(chip), deadline_s=30
        )
        assert "vek" not in evidence.endorsements
        assert ["another chip" in str(one) for one in short] == [True]
        evidence, short = await ask(base, machines.roots(chip), cache=tmp_path).complete(
            machines.snp(chip), deadline_s=30
        )
    assert "vek" in evidence.endorsements
    assert short == ()


@pytest.mark.parametrize(
    "said",
    [
        Say(status=429, headers={"Retry-After": "3600"}),
        Say(status=404),
        Say(body=b"<html>", headers={"Content-Type": "text/html"}),
        Say(body=b"\x30\x82", cut=100),
        Say(body=bytes(300_000)),
    ],
    ids=["busy", "gone", "html", "truncated", "huge"],
)
async def test_what_cannot_be_had_is_told_and_the_rest_is_there(
    chip: Chip, said: Say, tmp_path: Path
) -> None:
    published = endorsers.kds(chip)
    path = next(p for p in published if p.endswith("/crl"))
    one = Endorsers({path: said} | {p: s for p, s in published.items() if p != path})
    async with one.running() as base:
        endorser = ask(base, machines.roots(chip), cache=tmp_path)
        if said.status == 429:  # asked last, so that the others are not kept waiting
            order = [w for w in endorsements_needed(machines.snp(chip)) if w.kind != "crl"]
            for want in order:
                Cache(tmp_path).put(want.key, published[want.paths[0]].body)
        evidence, short = await endorser.complete(machines.snp(chip), deadline_s=30)
    assert set(evidence.endorsements) == {"vek", "intermediate", "root"}
    assert [one.want.gives for one in short] == [("crl",)]


async def test_a_bundle_spares_the_network(chip: Chip) -> None:
    published = endorsers.kds(chip)
    wants = endorsements_needed(machines.snp(chip))
    bundle = Bundle(made_at=NOW, items={want.key: published[want.paths[0]].body for want in wants})
    offline = Endorser(web=None, cache=None, now=lambda: NOW, roots=machines.roots(chip), bundle=bundle)
    evidence, short = await offline.complete(machines.snp(chip), deadline_s=30)
    assert short == ()
    assert set(evidence.endorsements) == {"vek", "intermediate", "root", "crl"}
    assert {key: used.body for key, used in offline.used.items()} == bundle.items


async def test_a_stale_bundle_is_no_bundle(chip: Chip, tmp_path: Path) -> None:
    published = endorsers.kds(chip)
    wants = endorsements_needed(machines.snp(chip))
    items = {want.key: published[want.paths[0]].body for want in wants}
    for key, body in items.items():
        Cache(tmp_path).put(key, body)
    late = Endorser(
        web=None,
        cache=Cache(tmp_path),
        now=lambda: LONG_AFTER,
        roots=machines.roots(chip),
        bundle=Bundle(made_at=NOW, items=items),
    )
    evidence, short = await late.complete(machines.snp(chip), deadline_s=30)
    assert evidence.endorsements == {}
    assert len(short) == 3
    assert all("the bundle's ended at" in str(one) for one in short)


async def test_an_endorser_that_hands_out_what_has_ended_gives_nothing(chip: Chip) -> None:
    one = Endorsers(endorsers.kds(chip))
    async with one.running() as base:
        evidence, short = await ask(base, machines.roots(chip), now=LONG_AFTER).complete(
            machines.snp(chip), deadline_s=30
        )
    assert evidence.endorsements == {}
    assert ["the endorser's ended at" in str(one) for one in short].count(True) == 1
    assert [str(one).count("its issuer's certificate is missing") for one in short].count(1) == 2
    assert len(one.asked) == 1, "what could not be checked is not asked for"


async def test_a_spoiled_cache_is_fetched_again(chip: Chip, tmp_path: Path) -> None:
    for want in endorsements_needed(machines.snp(chip)):
        Cache(tmp_path).put(want.key, b"spoiled")
    one = Endorsers(endorsers.kds(chip))
    async with one.running() as base:
        _, short = await ask(base, machines.roots(chip), cache=tmp_path).complete(
            machines.snp(chip), deadline_s=30
        )
    assert short == ()
    assert len(one.asked) == 3


async def test_the_deadline_is_over_all_of_it(chip: Chip) -> None:
    slow = {path: Say(body=said.body, late_s=60.0) for path, said in endorsers.kds(chip).items()}
    async with Endorsers(slow).running() as base:
        _, short = await ask(base, machines.roots(chip)).complete(machines.snp(chip), deadline_s=0.2)
    assert len(short) == 3


async def test_an_attester_brings_its_endorsements_along(
    chip: Chip, caplog: pytest.LogCaptureFixture
) -> None:
    class Bare:
        def available(self) -> bool:
            return True

        async def collect(self, report_data: bytes) -> Evidence:
            full = chip.evidence(report_data=report_data)
            return Evidence(format=full.format, parts=full.parts, endorsements={})

    published = endorsers.kds(chip)
    path = next(p for p in published if p.endswith("/crl"))
    async with Endorsers({p: s for p, s in published.items() if p != path}).running() as base:
        attester = EndorsedAttester(Bare(), ask(base, machines.roots(chip)), PublishedBundle(()))
        assert attester.available()
        with caplog.at_level(logging.WARNING, "tunnel.endorsements"):
            evidence = await attester.collect(bytes(64))
    assert set(evidence.endorsements) == {"vek", "intermediate", "root"}
    assert [record.getMessage() for record in caplog.records] == ["endorsement missing"]


async def test_of_several_addresses_the_first_that_answers() -> None:
    class OneDown:
        def __init__(self, *down: str) -> None:
            self.down, self.asked = down, list[str]()

        async def get(self, url: str, *, deadline: float) -> Answer:
            self.asked.append(url)
            if any(name in url for name in self.down):
                raise UnreachableError(url)
            return Answer(body=by_url[url], headers={})

    path = machines.google_path()
    urls = [f"{machines.HOST}/{name}.crt" for name in ("down", "ca", "third", "fourth", "fifth")]
    extra = {machines.AIA: machines.access(*urls)}
    path = path.but(0, extensions=dict(path.specs[0].extensions) | extra)
    path = path.but(1, extensions={machines.AIA: machines.access(f"{machines.HOST}/root.crt")})
    leaf, authority, root = path.ders()
    by_url = {urls[1]: authority, f"{machines.HOST}/root.crt": root}
    have = {"tdx_collateral": b"x", "launch_endorsement": b"x", "ak_certificate": leaf}
    for down, there in ((("down", "crl"), True), (("crt",), False)):
        web = OneDown(*down)
        one = Endorser(web=web, cache=None, now=lambda: NOW, roots=(path.root(),))
        evidence, _ = await one.complete(machines.tdx(**have), deadline_s=30)
        assert ("ak_root" in evidence.endorsements) == there
        assert not any("fifth" in url for url in web.asked)


def test_first_and_later_deadlines_fit_the_channel() -> None:
    assert Limits().collect_s > gate.DEADLINE_S + subject.DEADLINE_S


# -- whoever writes a bundle, a cache or a plain-HTTP answer ----------------------------------------------


def void(signed: bytes) -> bytes:
    """Return a certificate or list of which the signature does not hold."""
    return signed[:-3] + bytes(byte ^ 0xFF for byte in signed[-3:])


async def test_a_poisoned_bundle_and_cache_count_for_nothing_and_the_endorser_is_asked(
    chip: Chip, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published = endorsers.kds(chip)
    have = chip.endorsements
    poison = {
        "chain": endorsers.pem(void(have["intermediate"]), have["root"]),
        "crl": void(have["crl"]),
        "certificate": void(have["vek"]),
    }
    wants = endorsements_needed(machines.snp(chip))
    bundle = Bundle(made_at=NOW, items={want.key: poison[want.kind] for want in wants})
    for want in wants:
        Cache(tmp_path).put(want.key, poison[want.kind])
    one = Endorsers(published)
    async with one.running() as base:
        endorser = ask(base, machines.roots(chip), cache=tmp_path, bundle=bundle)
        with caplog.at_level(logging.WARNING, "tunnel.endorsements"):
            evidence, short = await endorser.complete(machines.snp(chip), deadline_s=30)
        assert short == ()
        assert {name: have[name] for name in evidence.endorsements} == evidence.endorsements
        assert len(one.asked) == 3
        assert [record.getMessage() for record in caplog.records] == ["endorsement not usable"] * 3
        for want in wants:
            assert Cache(tmp_path).get(want.key) == published[want.paths[0]].body


async def test_what_an_endorser_s_impostor_answers_is_not_kept(chip: Chip, tmp_path: Path) -> None:
    published = endorsers.kds(chip)
    path = next(p for p in published if p.endswith("/crl"))
    one = Endorsers(published | {path: [Say(body=void(chip.endorsements["crl"])), published[path]]})
    async with one.running() as base:
        _, short = await ask(base, machines.roots(chip), cache=tmp_path).complete(
            machines.snp(chip), deadline_s=30
        )
        assert ["is no list of ARK-Genoa" in str(miss) for miss in short] == [True]
        evidence, short = await ask(base, machines.roots(chip), cache=tmp_path).complete(
            machines.snp(chip), deadline_s=30
        )
    assert evidence.endorsements["crl"] == chip.endorsements["crl"]
    assert short == ()


@pytest.mark.parametrize("place", ["bundle", "cache", "first address"])
async def test_an_authority_s_own_key_under_a_void_signature_gets_nowhere(place: str, tmp_path: Path) -> None:
    """Its issuer alone shows it: it is neither used nor kept, and the genuine one is found elsewhere."""
    path = machines.google_path()
    urls = [f"{machines.HOST}/{name}.crt" for name in ("first", "second")]
    extensions = dict(path.specs[0].extensions) | {machines.AIA: machines.access(*urls)}
    path = path.but(0, extensions=extensions)
    leaf, authority, root = path.ders()
    evidence = machines.tdx(tdx_collateral=b"x", launch_endorsement=b"x", ak_certificate=leaf)
    want = next(want for want in endorsements_needed(evidence) if want.kind == "certificate")
    poisoned, bundle, at = void(authority), EMPTY, f"/at/{machines.HOST}"
    if place == "bundle":
        bundle = Bundle(made_at=NOW, items={want.key: poisoned})
    if place == "cache":
        Cache(tmp_path).put(want.key, poisoned)
    said = {
        f"{at}/first.crt": Say(body=poisoned if place == "first address" else authority),
        f"{at}/second.crt": Say(body=authority),
        f"{at}/root.crt": Say(body=root),
    }
    one = Endorsers(said)
    async with one.running() as base:
        endorser = ask(base, (path.root(),), cache=tmp_path, bundle=bundle)
        found, _ = await endorser.complete(evidence, deadline_s=30)
    assert found.endorsements["ak_authority_1"] == authority
    assert found.endorsements["ak_root"] == root
    assert Cache(tmp_path).get(want.key) == authority
    assert one.asked.count(f"{at}/root.crt") == 1


async def test_a_path_of_which_nothing_is_genuine_is_not_handed_on(tmp_path: Path) -> None:
    path = machines.google_path()
    leaf, authority, root = path.ders()
    evidence = machines.tdx(tdx_collateral=b"x", launch_endorsement=b"x", ak_certificate=leaf)
    at = f"/at/{machines.HOST}"
    one = Endorsers({f"{at}/ca.crt": Say(body=void(authority)), f"{at}/root.crt": Say(body=root)})
    async with one.running() as base:
        found, short = await ask(base, (path.root(),), cache=tmp_path).complete(evidence, deadline_s=30)
        assert found == evidence
        assert "has nobody above it who vouches for it" in short[0].why
        assert [want for want in endorsements_needed(evidence) if Cache(tmp_path).get(want.key)] == []
        down, short = await ask(base, ()).complete(evidence, deadline_s=30)
        assert down == evidence
    one = Endorsers({f"{at}/ca.crt": Say(body=authority)})
    async with one.running() as base:
        found, short = await ask(base, (path.root(),), cache=tmp_path).complete(evidence, deadline_s=30)
    assert found == evidence
    assert "its issuer could not be had" in short[0].why
    top = path.but(1, extensions={})
    one = Endorsers({f"{at}/ca.crt": Say(body=top.ders()[1])})
    async with one.running() as base:
        found, short = await ask(base, (path.root(),)).complete(evidence, deadline_s=30)
    assert "names no issuer" in short[0].why


async def test_what_evidence_has_no_room_for_is_not_used() -> None:
    path = machines.google_path()
    long = dict(path.specs[1].extensions) | {"1.2.3.4": bytes(10_000)}
    path = path.but(1, extensions=long)
    leaf, authority, _ = path.ders()
    evidence = machines.tdx(tdx_collateral=b"x", launch_endorsement=b"x", ak_certificate=leaf)
    one = Endorsers({f"/at/{machines.HOST}/ca.crt": Say(body=authority)})
    async with one.running() as base:
        found, short = await ask(base, (path.root(),)).complete(evidence, deadline_s=30)
    assert found == evidence
    assert "want at most" in short[0].why
