"""A local fleet's configurations: the first, a larger one, and the three of a rollout. Pure.

Each is what a person would write next; none knows of processes.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from infra.members import State
from tests.localfleet.ports import Ports

RECONNECT_CAP_S = 3
TTL_S = 5  # so that a change of records is seen while one watches
NEXT_VERSION = "0.2.0-simulated"

Configuration = dict[str, Any]


def first(stack: Configuration, ports: Ports, owner_key: str, folder: Path) -> Configuration:
    """Return the fleet of stack `local` with this run's ports, paths and key."""
    fleet = copy.deepcopy(stack)
    fleet |= {
        "owner_keys": [owner_key],
        "document": fleet["document"] | {"urls": [f"http://127.0.0.1:{ports.publisher}/fleet.json"]},
        "ports": {"visitors": ports.visitors, "sessions": ports.sessions, "data": ports.data},
        "resolver": f"127.0.0.1:{ports.dns}",
        "dns": fleet["dns"] | {"ttl": TTL_S},
    }
    for member in (*fleet["servers"], *fleet["clients"]):
        _place(member, ports, folder)
    return fleet


def names(fleet: Configuration) -> list[str]:
    """List the names of its entries, servers first."""
    return [member["name"] for member in (*fleet["servers"], *fleet["clients"])]


def larger(fleet: Configuration, servers: int, clients: int) -> Configuration:
    """Return a fleet of so many entries: each further one like those that are there, on the next address."""
    grown = copy.deepcopy(fleet)
    for kind, count in (("servers", servers), ("clients", clients)):
        pattern = fleet[kind]
        while len(grown[kind]) < count:
            number = len(grown[kind])
            one = copy.deepcopy(pattern[number % len(pattern)])
            one["name"] = _free_name(one["name"], names(grown))
            if "listen" in one:
                one["listen"] = [_next(grown["servers"][-1]["listen"][0])]
            grown[kind].append(one)
    return grown


def placed(fleet: Configuration, ports: Ports, folder: Path) -> Configuration:
    """Return it with every member's admin port and routes file."""
    own = copy.deepcopy(fleet)
    for member in (*own["servers"], *own["clients"]):
        _place(member, ports, folder)
    return own


def with_next_image(fleet: Configuration, manifest: Path, sha256: str) -> Configuration:
    """Return the first step of a rollout: a second generation that joins."""
    image = {"generation": 2, "manifest": str(manifest), "sha256": sha256, "state": "joining"}
    return copy.deepcopy(fleet) | {"images": [*copy.deepcopy(fleet["images"]), image]}


def turned(fleet: Configuration) -> Configuration:
    """Return the second step: the older generation drains, the newer one serves."""
    states: tuple[State, State] = ("draining", "serving")
    older, newer = copy.deepcopy(fleet["images"])
    return copy.deepcopy(fleet) | {"images": [older | {"state": states[0]}, newer | {"state": states[1]}]}


def rolled(fleet: Configuration) -> Configuration:
    """Return the third step: the newer generation alone."""
    return copy.deepcopy(fleet) | {"images": copy.deepcopy(fleet["images"][1:])}


def routes_file(folder: Path, client: str) -> Path:
    """Where a client's routes are; outside a VM they are a file. Its generations share it."""
    return folder / f"routes-{client}.json"


def _place(member: dict[str, Any], ports: Ports, folder: Path) -> None:
    member["admin"] = f"127.0.0.1:{ports.admin[member['name']]}"
    if "routes" in member:
        member |= {
            "routes": {"file": str(routes_file(folder, member["name"]))},
            "reconnect_cap_s": RECONNECT_CAP_S,
        }


def _free_name(name: str, taken: list[str]) -> str:
    stem, _, number = name.rpartition("-")
    while name in taken:
        number = str(int(number) + 1)
        name = f"{stem}-{number}"
    return name


def _next(address: str) -> str:
    network, _, host = address.rpartition(".")
    return f"{network}.{int(host) + 1}"
