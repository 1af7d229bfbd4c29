"""What is wrong between parts of a configuration that are each well-formed. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from infra.config import FleetConfig, ZoneConfig
from infra.members import ClientConfig, Lists, ServerConfig
from runtime.documents.fleet import GRADES, Role
from runtime.documents.weaknesses import INCURABLE, SEED_EXTRACTION
from runtime.errors import Problem

LONGEST_LABEL = 63
_EFFECTS: Mapping[str, str] = {
    # Whoever has a chip's seed makes valid reports of any firmware version.
    SEED_EXTRACTION: "software alone can extract a Milan chip's root seed, whose reports then prove nothing",
}
_Member = tuple[Role, str, ServerConfig | ClientConfig]


def find(config: FleetConfig, lists: Lists) -> list[Problem]:
    """Return every contradiction."""
    members = _members(config, lists)
    return [
        *_names(config, members),
        *_hostnames(config),
        *_grants(config, lists),
        *_grades(config, members),
        *_weak_products(config, members),
        *_purpose(config),
        *_generations(config),
        *_serving(config),
    ]


def zone_of(config: FleetConfig, name: str) -> ZoneConfig | None:
    """Return the longest zone that a name is in, or is."""
    fitting = [zone for zone in config.dns.zones if name == zone.name or name.endswith("." + zone.name)]
    return max(fitting, key=lambda zone: len(zone.name), default=None)


def _members(config: FleetConfig, lists: Lists) -> list[_Member]:
    found: list[_Member] = [
        ("server", lists.paths["server", index], server) for index, server in enumerate(config.servers)
    ]
    return found + [
        ("client", lists.paths["client", index], client) for index, client in enumerate(config.clients)
    ]


def _names(config: FleetConfig, members: list[_Member]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    longest = len(f"-g{max(generation.number for generation in config.images)}")
    for _, path, member in members:
        if member.name in seen:
            yield Problem(f"{path}.name", f'is "{member.name}", the name of {seen[member.name]} too')
        elif len(member.name) + longest > LONGEST_LABEL:
            yield Problem(
                f"{path}.name",
                f'makes "{member.name}", want {LONGEST_LABEL - longest} characters at most:'
                " numbers are put behind it",
            )
        seen.setdefault(member.name, path)
    for _, path, member in members:
        if member.renamed_from in seen:
            yield Problem(f"{path}.renamed_from", f'is "{member.renamed_from}", which is still a member')


def _hostnames(config: FleetConfig) -> Iterator[Problem]:
    names = [("$.tunnel_name", config.tunnel_name), ("$.visitor_name", config.visitor_name)]
    names += [(f"$.sites[{index}]", site) for index, site in enumerate(config.sites)]
    zones = [zone.name for zone in config.dns.zones]
    for path, name in names:
        if zone_of(config, name) is None:
            near = difflib.get_close_matches(name, zones, n=1, cutoff=0.0)[0]
            yield Problem(path, f'is "{name}", which is in no zone of $.dns.zones; the nearest is {near!r}')
    for path, name in names[:2]:
        if name in zones:
            yield Problem(path, f'is "{name}", a zone itself: give it a name of its own below')
    if config.visitor_name == config.tunnel_name:
        yield Problem("$.visitor_name", "is the tunnel name too: servers that drain are in that one only")
    if config.tunnel_name in config.sites:
        yield Problem("$.tunnel_name", "is a site too: the servers answer it themselves")
    if config.visitor_name in config.sites:
        yield Problem("$.visitor_name", "is a site too: sites below a zone's own name point at it")


def _grants(config: FleetConfig, lists: Lists) -> Iterator[Problem]:
    granted = {name for client in config.clients for name in client.hostnames}
    for index, site in enumerate(config.sites):
        if config.clients and site not in granted and "*." + site.partition(".")[2] not in granted:
            near = difflib.get_close_matches(site, granted, n=1)
            hint = f"; the nearest that one may is {near[0]!r}" if near else ""
            yield Problem(f"$.sites[{index}]", f'is "{site}", which no client may publish{hint}')
    told: set[str] = set()
    for index, client in enumerate(config.clients):
        for name in client.hostnames:
            path = f"{lists.paths['client', index]}.hostnames"
            if not name.startswith("*.") and name not in config.sites and path + name not in told:
                told.add(path + name)
                yield Problem(path, f'has "{name}", want it in $.sites: no record leads visitors to it')


def _grades(config: FleetConfig, members: list[_Member]) -> Iterator[Problem]:
    told: set[str] = set()
    for role, path, member in members:
        machine, least = member.machine, config.least_grade[role]
        if GRADES.index(machine.grade) > GRADES.index(least) and path not in told:
            told.add(path)
            reached = f"reaches grade {machine.grade} on {machine.cloud} {machine.tee}"
            yield Problem(path, f"{reached}, want {least} at least")


def _weak_products(config: FleetConfig, members: list[_Member]) -> Iterator[Problem]:
    for product, ids in INCURABLE.items():
        names = sorted(member.name for _, _, member in members if member.machine.product == product)
        for weakness in sorted(ids - config.opt_in.get(product, {}).keys()):
            if names:
                yield Problem(
                    f"$.opt_in.{product}.{weakness}",
                    f"is missing, a reason is wanted for {', '.join(names)}: {_EFFECTS[weakness]}",
                )


def _purpose(config: FleetConfig) -> Iterator[Problem]:
    if config.purpose == "production":
        for role, grade in config.least_grade.items():
            if grade == "T":
                yield Problem(f"$.least_grade.{role}", 'is "T", which only purpose "test" may ask for')


def _generations(config: FleetConfig) -> Iterator[Problem]:
    if len(config.images) == 2 and config.images[0].state == "joining":
        yield Problem(
            "$.images", f"generation {config.images[0].number} is older and joining, want the newer to"
        )


def _serving(config: FleetConfig) -> Iterator[Problem]:
    generations = [generation.state for generation in config.images]
    if "serving" not in generations or not any(server.state == "serving" for server in config.servers):
        yield Problem("$.servers", "none is serving: the visitors' name would have no address")
