"""A configuration is read whole or refused with every mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra import config, stacks
from runtime.errors import DocumentError

Edit = Callable[[dict[str, Any]], object]


def mistakes(raw: object) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        config.parse(raw)
    return [str(problem) for problem in caught.value.problems]


def test_the_local_fleet_is_read(raw: dict[str, Any]) -> None:
    fleet = config.parse(raw)
    assert [server.name for server in fleet.servers] == ["aws-1", "azure-1", "gcp-1"]
    assert [server.machine.type for server in fleet.servers] == [
        "m6a.large",
        "Standard_DC2as_v5",
        "c3-standard-4",
    ]
    assert fleet.servers[0].listen == ("127.0.0.11",)
    assert fleet.clients[0].egress == "nat"
    assert fleet.clients[1].routes_file == "/run/tunnel/routes.json"
    assert (fleet.ports.visitors, fleet.ports.sessions, fleet.ports.data) == (8443, 7443, 7444)
    assert fleet.dns.ttl == 60


def test_a_release_fleet_takes_the_defaults(release: dict[str, Any]) -> None:
    fleet = config.parse(release)
    assert (fleet.ports.visitors, fleet.ports.sessions, fleet.ports.data) == (443, 7443, 7444)
    assert fleet.resolver == "system"


MISTAKES: tuple[tuple[Edit, str], ...] = (
    (lambda r: r.update(tunel_name="x"), "$: unknown key 'tunel_name', did you mean 'tunnel_name'?"),
    (lambda r: r.pop("least_grade"), "$.least_grade: is missing"),
    (lambda r: r["least_grade"].pop("client"), "$.least_grade.client: is missing"),
    (
        lambda r: r["least_grade"].update(client="X"),
        "$.least_grade.client: is 'X', want one of H, P, V, N, T",
    ),
    (lambda r: r.update(purpose="prod"), "$.purpose: is 'prod', want one of production, test"),
    (lambda r: r.update(purpose="production"), '$.least_grade.server: is "T", which only purpose "test"'),
    (lambda r: r.update(owner_keys=[]), "$.owner_keys: has 0 entries, want at least 1"),
    (lambda r: r.update(owner_keys=["AB" * 32]), "$.owner_keys[0]: is 'ABAB"),
    (
        lambda r: r.update(owner_keys=[f"{n:064x}" for n in range(3)]),
        "$.owner_keys: has 3 keys, want one, or two",
    ),
    (lambda r: r["document"].update(urls="x"), "$.document.urls: is 'x', want a list"),
    (
        lambda r: r["document"].update(life_days=91),
        "$.document.life_days: is 91, want a whole number from 1 to 90",
    ),
    (lambda r: r["document"].update(life_days=float("inf")), "$.document.life_days: is inf"),
    (lambda r: r["dns"].update(ttl=61), "$.dns.ttl: is 61, want a whole number from 1 to 60"),
    (lambda r: r["dns"].update(ttl=True), "$.dns.ttl: is True"),
    (
        lambda r: r["dns"]["zones"][0].update(name="other.test"),
        '$.tunnel_name: is "tunnel.demo.test", which is in no zone of $.dns.zones; the nearest is',
    ),
    (
        lambda r: r["dns"]["zones"][0].update(providers=["route_53"]),
        "$.dns.zones[0].providers[0]: is 'route_53', want one of route53, azure_dns, cloud_dns, did",
    ),
    (lambda r: r["dns"]["zones"][0].update(providers=["route53", "route53"]), 'has "route53" twice'),
    (
        lambda r: r["dns"]["zones"][0].update(adopt={"cloud_dns": "z"}),
        "$.dns.zones[0].adopt.cloud_dns: is no provider of this zone",
    ),
    (lambda r: r["dns"]["zones"].append(dict(r["dns"]["zones"][0])), "which another zone has too"),
    (lambda r: r["dns"].update(caa=["Let's Encrypt"]), '$.dns.caa[0]: is "Let\'s Encrypt"'),
    (lambda r: r["dns"].update(health_checks="yes"), "$.dns.health_checks: is 'yes', want true or false"),
    (lambda r: r.update(visitor_name="tunnel.demo.test"), "$.visitor_name: is the tunnel name too"),
    (lambda r: r.update(visitor_name="demo.test"), '$.visitor_name: is "demo.test", a zone itself'),
    (lambda r: r.update(visitor_name="app.demo.test"), "$.visitor_name: is a site too"),
    (lambda r: r["servers"][0].update(count=0), "$.servers[0].count: is 0, want a whole number from 1"),
    (
        lambda r: r["servers"][0].update(count=2, zones=["us-east-2a", "us-east-2z"]),
        "$.servers[0].zones: is 'us-east-2z', want one of us-east-2a",
    ),
    (
        lambda r: r["servers"][0].update(zone="us-east-2a", zones=["us-east-2a"]),
        "$.servers[0].zones: want only one of zone and zones",
    ),
    (
        lambda r: r["servers"][0].update(renamed_from="gcp-1"),
        '$.servers[0].renamed_from: is "gcp-1", which is still a member',
    ),
    (
        lambda r: r["servers"][0].update(name="a" * 63),
        "want 60 characters at most: numbers are put behind it",
    ),
    (lambda r: [s.update(state="draining") for s in r["servers"]], "$.servers: none is serving"),
    (
        lambda r: r["images"].append(r["images"][0] | {"generation": 2, "state": "gone"}),
        "$.images[1].state: is 'gone', want one of joining, serving, draining",
    ),
    (lambda r: r["images"].append(dict(r["images"][0])), "$.images[1].generation: is 1, which another"),
    (
        lambda r: r["images"].extend(r["images"][0] | {"generation": n} for n in (2, 3)),
        "$.images: has 3 generations, want one, or two during a rollout",
    ),
    (
        lambda r: (
            r["images"].append(r["images"][0] | {"generation": 2}),
            r["images"][0].update(state="joining"),
        ),
        "$.images: generation 1 is older and joining, want the newer to",
    ),
    (
        lambda r: r["ports"].update(sessions=7444),
        "$.ports.sessions: is 7444, which a worker's data port takes",
    ),
    (lambda r: r["ports"].update(sessions=8443), "$.ports.sessions: is 8443, the visitors' port too"),
    (
        lambda r: r["ports"].update(data=65536),
        "$.ports.data: is 65536, want a whole number from 1 to 65535",
    ),
    (lambda r: r.update(resolver="dns.example"), "$.resolver: is 'dns.example', want address:port"),
    (lambda r: r.update(servers=[]), "$.servers: has 0 entries"),
    (
        lambda r: r["servers"][1].update(name="aws-1"),
        '$.servers[1].name: is "aws-1", the name of $.servers[0] too',
    ),
    (
        lambda r: r["clients"][0].update(name="aws-1"),
        '$.clients[0].name: is "aws-1", the name of $.servers[0]',
    ),
    (lambda r: r["servers"][0].update(listen=["localhost"]), "$.servers[0].listen[0]: is 'localhost'"),
    (
        lambda r: r["servers"][0].update(cloud="asw"),
        "$.servers[0].cloud: is 'asw', want one of aws, azure, gcp",
    ),
    (lambda r: r["servers"][0].update(type="m6a.huge"), "$.servers[0].type: is 'm6a.huge'"),
    (lambda r: r["servers"][0].update(region="us-east-1"), "the nearest is 'us-east-2'"),
    (lambda r: r["clients"][0].pop("egress"), "$.clients[0].egress: is missing"),
    (
        lambda r: r["clients"][0].update(egress="none"),
        "$.clients[0].egress: is 'none', want one of nat, public-ip",
    ),
    (
        lambda r: r["clients"][0].update(routes={}),
        "$.clients[0].routes: want exactly one of file and urls",
    ),
    (lambda r: r["clients"][0]["routes"].update(urls=["http://x"]), "want exactly one of file and urls"),
    (lambda r: r["clients"][0].update(routes={"file": "routes.json"}), "want an absolute path"),
    (lambda r: r["clients"][0].update(reconnect_cap_s=0), "$.clients[0].reconnect_cap_s: is 0"),
    (
        lambda r: r["clients"][0].update(hostnames=["b.demo.test"]),
        'has "b.demo.test", want it in $.sites',
    ),
    (
        lambda r: r.update(sites=["app.demo.test", "b.demo.test"]),
        '$.sites[1]: is "b.demo.test", which no client',
    ),
    (lambda r: r.update(sites=["app.demo.test", "tunnel.demo.test"]), "$.tunnel_name: is a site too"),
    (lambda r: r["images"][0].update(sha256="00"), "$.images[0].sha256: is '00', want SHA-256"),
    (
        lambda r: r.pop("opt_in"),
        "$.opt_in.Milan.arxiv-2605.12990: is missing, a reason is wanted for aws-1, azure-1, client-2",
    ),
    (
        lambda r: r["opt_in"].update(Milan={"cve-2024-21944": "no module of ours is doctored"}),
        "$.opt_in.Milan.arxiv-2605.12990: is missing",
    ),
    (
        lambda r: r["opt_in"]["Milan"].update({"arxiv-2605.12990": "ok"}),
        "$.opt_in.Milan.arxiv-2605.12990: is 'ok', want a reason",
    ),
    (
        lambda r: r["opt_in"]["Milan"].update({"cve-2024-21945": "no module of ours is doctored"}),
        "$.opt_in.Milan: unknown key 'cve-2024-21945', did you mean 'cve-2024-21944'?",
    ),
    (lambda r: r["opt_in"].update(Milan="for every attack there will ever be"), "$.opt_in.Milan: is "),
    (
        lambda r: r["least_grade"].update(server="P"),
        "$.servers[0]: reaches grade V on aws sev-snp, want P at least",
    ),
    (lambda r: r.update(tags={"Cost Centre": "x"}), "what all three clouds take"),
)


@pytest.mark.parametrize(("edit", "expected"), MISTAKES)
def test_every_mistake_is_named(raw: dict[str, Any], edit: Edit, expected: str) -> None:
    edit(raw)
    assert any(expected in line for line in mistakes(raw)), mistakes(raw)


def test_limits_are_read_by_their_own_bounds_and_the_others_stay_unsaid(raw: dict[str, Any]) -> None:
    assert config.parse(raw).limits == {}
    raw["limits"] = {"max_visitors": 100.0, "ping_s": 2.5}
    assert repr(dict(config.parse(raw).limits)) == "{'max_visitors': 100, 'ping_s': 2.5}"
    raw["limits"] = {"max_visitors": 2.5, "ping_s": 0, "dain_s": 1}
    assert [said.partition(", want")[0] for said in mistakes(raw)] == [
        "$.limits: unknown key 'dain_s', did you mean 'drain_s'?",
        "$.limits.max_visitors: is 2.5",
        "$.limits.ping_s: is 0",
    ]


def test_a_zone_that_exists_is_adopted_where_its_provider_serves_it(raw: dict[str, Any]) -> None:
    zone = raw["dns"]["zones"][0]
    zone |= {"providers": ["route53", "azure_dns"], "adopt": {"azure_dns": "/zones/demo.test"}}
    (found,) = config.parse(raw).dns.zones
    assert (found.providers, found.adopt) == (("route53", "azure_dns"), {"azure_dns": "/zones/demo.test"})


def test_copies_are_numbered_and_spread_over_zones(raw: dict[str, Any]) -> None:
    raw["servers"][0] |= {"name": "aws", "count": 4, "listen": ["127.0.1.1"], "admin": "127.0.1.1:9443"}
    raw["clients"][0] |= {"name": "web", "count": 2, "admin": "127.0.0.1:9443"}
    fleet = config.parse(raw)
    copies = fleet.servers[:4]
    assert [server.name for server in copies] == ["aws-1", "aws-2", "aws-3", "aws-4"]
    assert [server.machine.zone[-1] for server in copies] == ["a", "b", "c", "a"]
    assert [server.listen for server in copies] == [(f"127.0.1.{n}",) for n in range(1, 5)]
    assert [server.admin for server in copies] == [f"127.0.1.{n}:9443" for n in range(1, 5)]
    assert [client.name for client in fleet.clients] == ["web-1", "web-2", "client-2"]
    assert {client.admin for client in fleet.clients[:2]} == {"127.0.0.1:9443"}, "each machine's own loopback"
    raw["servers"][0]["count"] = 5
    assert config.parse(raw).servers[:4] == copies, "one more renames no other"


def test_a_mistake_in_an_entry_of_many_is_told_once(raw: dict[str, Any]) -> None:
    raw["servers"][0] |= {"count": 3, "type": "m6a.huge"}
    raw["clients"][0] |= {"count": 3, "hostnames": ["b.demo.test"]}
    assert len(mistakes(raw)) == 1
    raw["servers"][0].pop("type")
    assert mistakes(raw) == [
        '$.clients[0].hostnames: has "b.demo.test", want it in $.sites: no record leads visitors to it'
    ]


def test_all_mistakes_come_in_one_list(raw: dict[str, Any]) -> None:
    raw["dns"]["ttl"] = 3600
    raw["servers"][0]["region"] = "us-east-1"
    raw["clients"][1]["egres"] = raw["clients"][1].pop("egress")
    lines = mistakes(raw)
    assert len(lines) == 4
    assert any("did you mean 'egress'?" in line for line in lines)


@pytest.mark.parametrize("value", [None, [], "x", 3])
def test_what_is_no_object_is_refused(value: object) -> None:
    assert f"$: is {value!r}, want an object" in mistakes(value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_TOP = (
    "name",
    "servers",
    "clients",
    "document",
    "ports",
    "images",
    "dns",
    "least_grade",
    "opt_in",
    "tags",
    "workers",
)


@settings(max_examples=150, deadline=None)
@given(key=st.sampled_from(_TOP), value=_JSON)
def test_a_strange_value_is_accepted_or_refused_with_our_error(key: str, value: object) -> None:
    fleet = stacks.read("local", None).fleet
    assert isinstance(fleet, dict)
    try:
        config.parse({**fleet, key: value})
    except DocumentError as error:
        assert error.problems
