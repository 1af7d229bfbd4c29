"""The fleet's records as a master file (RFC 1035 5.1), for a name server of one's own. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from infra.records import DELEGATION_TTL_S, Record, dotted

_REFRESH_S, _RETRY_S, _EXPIRE_S = 3600, 600, 604_800
_NEGATIVE_S = 60  # how long "there is no such name" is believed: as long as a record


def render(
    zone: str, records: Sequence[Record], name_servers: Sequence[str], *, contact: str, serial: int
) -> str:
    """Return the master file of one zone: its SOA and name servers, and the records that are in it.

    `contact` is a mail address; `serial` is 1 to 2^32 - 1 and rises with every change (RFC 1982).
    """
    origin = dotted(zone)
    servers = sorted(dotted(name) for name in name_servers)
    mailbox, _, host = contact.partition("@")
    contact_name = mailbox.replace(".", r"\.") + "." + dotted(host)
    timers = f"{serial} {_REFRESH_S} {_RETRY_S} {_EXPIRE_S} {_NEGATIVE_S}"
    lines = [f"$ORIGIN {origin}", f"@ {DELEGATION_TTL_S} IN SOA {servers[0]} {contact_name} {timers}"]
    lines += [f"@ {DELEGATION_TTL_S} IN NS {server}" for server in servers]
    for record in records:
        if belongs(record, zone, [entry["name"] for entry in records if entry["type"] == "NS"]):
            name = dotted(record["name"])
            lines += [f"{name} {record['ttl']} IN {record['type']} {value}" for value in record["values"]]
    return "\n".join(lines) + "\n"


def belongs(record: Record, zone: str, delegated: Sequence[str]) -> bool:
    """Tell whether a record is in this zone, and not in one below that is delegated."""
    name = record["name"]
    if name != zone and not name.endswith("." + zone):
        return False
    below = [other for other in delegated if other != zone and other.endswith("." + zone)]
    if record["type"] == "NS":
        # A delegation is said in the zone above: the longest one that holds the name.
        return name != zone and not any(name != other and name.endswith("." + other) for other in below)
    return not any(name == other or name.endswith("." + other) for other in below)
