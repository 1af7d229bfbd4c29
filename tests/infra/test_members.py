"""One entry may stand for several machines; what a copy changes is its number and where it listens."""

from __future__ import annotations

from typing import Any

import pytest

from infra.capabilities import Machine
from infra.fields import open_object
from infra.members import (
    ADMIN,
    BundleConfig,
    ClientConfig,
    Lists,
    ServerConfig,
    clients,
    servers,
    shifted_address,
    shifted_socket,
)
from runtime.errors import Problem

SERVER: dict[str, Any] = {"name": "ohio", "cloud": "aws", "region": "us-east-2"}
CLIENT: dict[str, Any] = {
    "name": "web",
    "cloud": "azure",
    "region": "westeurope",
    "hostnames": ["app.demo.test", "*.dev.demo.test"],
    "egress": "public-ip",
    "routes": {"file": "/run/tunnel/routes.json"},
}
M6A = Machine(
    cloud="aws",
    tee="sev-snp",
    type="m6a.large",
    region="us-east-2",
    zone="us-east-2a",
    product="Milan",
    grade="V",
)
DC2AS = Machine(
    cloud="azure",
    tee="sev-snp",
    type="Standard_DC2as_v5",
    region="westeurope",
    zone="1",
    product="Milan",
    grade="P",
)


def lists(**entries: Any) -> Lists:
    problems: list[Problem] = []
    return Lists(open_object(entries, "$", problems, (), ("servers", "clients")))


def read_servers(*entries: object) -> tuple[ServerConfig, ...]:
    found = lists(servers=list(entries))
    made = servers(found)
    assert found.top.problems == []
    return made


def read_clients(*entries: object) -> tuple[ClientConfig, ...]:
    found = lists(clients=list(entries))
    made = clients(found)
    assert found.top.problems == []
    return made


def mistakes(entry: dict[str, Any]) -> list[str]:
    """Return what is said of one entry; it is a client's where it has a client's keys."""
    found = lists(clients=[entry]) if "hostnames" in entry else lists(servers=[entry])
    (clients if "hostnames" in entry else servers)(found)
    return [str(problem) for problem in found.top.problems]


def test_a_server_of_three_words_is_the_table_s_default_and_listens_everywhere() -> None:
    assert read_servers(SERVER) == (
        ServerConfig(
            name="ohio",
            machine=M6A,
            state="serving",
            renamed_from="",
            listen=("0.0.0.0", "::"),
            admin=ADMIN,
        ),
    )


def test_a_client_of_the_fewest_words_has_no_bundle_and_waits_thirty_seconds_at_most() -> None:
    assert read_clients(CLIENT) == (
        ClientConfig(
            name="web",
            machine=DC2AS,
            state="serving",
            renamed_from="",
            admin=ADMIN,
            hostnames=("app.demo.test", "*.dev.demo.test"),
            egress="public-ip",
            routes_file="/run/tunnel/routes.json",
            routes_urls=(),
            reconnect_cap_s=30,
            bundle=None,
        ),
    )


def test_what_an_entry_says_is_what_its_member_is() -> None:
    server = read_servers(
        SERVER
        | {"type": "c6a.xlarge", "zone": "us-east-2c", "state": "draining", "renamed_from": "old"}
        | {"listen": ["192.0.2.1"], "admin": "192.0.2.1:9000"}
    )[0]
    assert (server.machine.type, server.machine.zone) == ("c6a.xlarge", "us-east-2c")
    assert (server.state, server.renamed_from) == ("draining", "old")
    assert (server.listen, server.admin) == (("192.0.2.1",), "192.0.2.1:9000")
    bundle = {"urls": ["https://x.test/site.tar"], "sha256": "ab" * 32, "port": 8081}
    routes = {"urls": ["https://x.test/routes.json"]}
    client = read_clients(
        CLIENT | {"tee": "tdx", "egress": "nat", "routes": routes, "reconnect_cap_s": 2.5, "bundle": bundle}
    )[0]
    assert (client.machine.tee, client.machine.type) == ("tdx", "Standard_DC2es_v6")
    assert (client.egress, client.reconnect_cap_s) == ("nat", 2.5)
    assert (client.routes_file, client.routes_urls) == ("", ("https://x.test/routes.json",))
    assert client.bundle == BundleConfig(urls=("https://x.test/site.tar",), sha256="ab" * 32, port=8081)


def test_copies_are_numbered_count_on_and_are_spread_over_three_zones() -> None:
    entry = SERVER | {"count": 4, "listen": ["192.0.2.8", "::"], "admin": "192.0.2.8:9443"}
    copies = read_servers(entry | {"renamed_from": "iowa"})
    assert [(copy.name, copy.renamed_from) for copy in copies] == [
        (f"ohio-{n}", f"iowa-{n}") for n in range(1, 5)
    ]
    assert [copy.machine.zone for copy in copies] == [f"us-east-2{letter}" for letter in "abca"]
    assert [copy.listen for copy in copies] == [(f"192.0.2.{n}", "::") for n in range(8, 12)]
    assert [copy.admin for copy in copies] == [f"192.0.2.{n}:9443" for n in range(8, 12)]
    assert [copy.renamed_from for copy in read_servers(entry)] == [""] * 4, "numbers alone are no name"


def test_a_count_of_one_is_numbered_too_so_that_a_second_renames_nobody() -> None:
    alone, pair = read_servers(SERVER | {"count": 1}), read_servers(SERVER | {"count": 2})
    assert alone[0].name == "ohio-1"
    assert pair[0] == alone[0]


def test_the_zones_that_an_entry_names_are_taken_in_turn() -> None:
    copies = read_clients(CLIENT | {"count": 3, "zones": ["3", "2"]})
    assert [copy.machine.zone for copy in copies] == ["3", "2", "3"]
    assert {copy.hostnames for copy in copies} == {("app.demo.test", "*.dev.demo.test")}


def test_every_member_is_led_back_to_the_entry_that_it_came_from() -> None:
    found = lists(
        servers=[SERVER | {"count": 2}, SERVER | {"name": "ireland", "region": "eu-west-1"}],
        clients=[CLIENT, CLIENT | {"name": "api", "count": 2}],
    )
    assert [server.name for server in servers(found)] == ["ohio-1", "ohio-2", "ireland"]
    assert [client.name for client in clients(found)] == ["web", "api-1", "api-2"]
    assert found.paths == {
        ("server", 0): "$.servers[0]",
        ("server", 1): "$.servers[0]",
        ("server", 2): "$.servers[1]",
        ("client", 0): "$.clients[0]",
        ("client", 1): "$.clients[1]",
        ("client", 2): "$.clients[1]",
    }


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            # Of which cloud region and type are wrong, nobody knows.
            SERVER | {"cloud": "azur", "region": "westeurope", "type": "Standard_DC2as_v4"},
            "$.servers[0].cloud: is 'azur', want one of aws, azure, gcp, did you mean 'azure'?",
        ),
        (
            SERVER | {"zone": "us-east-2a", "zones": ["us-east-2b"]},
            "$.servers[0].zones: want only one of zone and zones",
        ),
        (
            SERVER | {"zone": "us-east-2g"},
            "$.servers[0].zone: is 'us-east-2g', want one of us-east-2a, us-east-2b, us-east-2c,"
            " us-east-2d, us-east-2e, us-east-2f",
        ),
        (SERVER | {"count": 257}, "$.servers[0].count: is 257, want a whole number from 1 to 256"),
        (SERVER | {"state": "gone"}, "$.servers[0].state: is 'gone', want one of joining, serving, draining"),
        (
            CLIENT | {"routes": {"file": "/r", "urls": ["https://x.test/r"]}},
            "$.clients[0].routes: want exactly one of file and urls",
        ),
        (CLIENT | {"routes": {}}, "$.clients[0].routes: want exactly one of file and urls"),
        (
            CLIENT | {"routes": {"file": "routes.json"}},
            "$.clients[0].routes.file: is 'routes.json', want an absolute path",
        ),
        (CLIENT | {"egress": "nate"}, "$.clients[0].egress: is 'nate', want one of nat, public-ip"),
        (
            CLIENT | {"bundle": {"urls": ["https://x.test/a.tar"], "sha256": "ab" * 32, "port": 80}},
            "$.clients[0].bundle.port: is 80, want a whole number from 1024 to 65535",
        ),
        (CLIENT | {"reconnect_cap_s": 301}, "$.clients[0].reconnect_cap_s: is 301, want a number from 0.1"),
        (CLIENT | {"hostnames": []}, "$.clients[0].hostnames: has 0 entries, want at least 1"),
    ],
)
def test_a_mistake_is_told_once_with_what_is_wanted(entry: dict[str, Any], said: str) -> None:
    (found,) = mistakes(entry)
    assert found.startswith(said)


@pytest.mark.parametrize(
    ("whole", "missing", "place"),
    [
        (SERVER | {"region": "westeurope"}, "cloud", "$.servers[0].cloud"),
        (SERVER, "region", "$.servers[0].region"),
        (CLIENT, "routes", "$.clients[0].routes"),
    ],
)
def test_a_word_that_is_missing_is_told_once_and_nothing_is_guessed_from_it(
    whole: dict[str, Any], missing: str, place: str
) -> None:
    entry = {key: value for key, value in whole.items() if key != missing}
    assert mistakes(entry) == [f"{place}: is missing"]


def test_a_mistake_of_many_copies_is_told_once_at_the_key_that_was_written() -> None:
    entry = SERVER | {"count": 4, "zones": ["us-east-2a", "us-east-2y", "us-east-2z"]}
    assert [said.partition(",")[0] for said in mistakes(entry)] == [
        "$.servers[0].zones: is 'us-east-2y'",
        "$.servers[0].zones: is 'us-east-2z'",
    ]
    (said,) = mistakes(SERVER | {"count": 4, "type": "m6a.lagre"})
    assert said.startswith("$.servers[0].type: is 'm6a.lagre'")
    (said,) = mistakes(SERVER | {"count": 4, "region": "us-east-1"})
    assert said.startswith("$.servers[0].region: is 'us-east-1'")
    assert said.endswith("the nearest is 'us-east-2'")


@pytest.mark.parametrize(
    ("address", "steps", "expected"),
    [
        ("0.0.0.0", 3, "0.0.0.0"),
        ("::", 3, "::"),
        ("127.0.0.11", 64, "127.0.0.75"),
        ("127.0.0.250", 10, "127.0.1.4"),
        ("fd00::1", 1, "fd00::2"),
        ("999.0.0.1", 1, "999.0.0.1"),
    ],
)
def test_an_address_of_a_machine_counts_on(address: str, steps: int, expected: str) -> None:
    assert shifted_address(address, steps) == expected


def test_the_usual_admin_socket_is_every_machines_own() -> None:
    assert shifted_socket(ADMIN, 5) == ADMIN
    assert shifted_socket("127.0.0.2:9443", 1) == "127.0.0.3:9443"
    assert shifted_socket("[::1]:9443", 1) == "[::2]:9443"
    assert shifted_socket("127.0.0.2:9443", 0) == "127.0.0.2:9443"
