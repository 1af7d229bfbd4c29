"""Boot settings: the user-data bytes of one VM, and the digest that is measured of them. Pure.

The digest is of the exact bytes, so two spellings of one setting are two members
(docs/protocol.md §2). A verifier never sees the bytes, only the digest.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields
from hashlib import sha256, sha384
from typing import Any, Literal

from runtime.documents import schema
from runtime.errors import DocumentError, MalformedError, Problem
from runtime.limits import Limits

MAX_SETTINGS_SIZE = 16_384  # bytes; EC2 user data is the smallest of the three clouds
WHAT = "settings"
Bank = Literal["sha256", "sha384"]
Access = Literal["none", "streams", "addresses"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where a tunnel server listens."""

    listen: tuple[str, ...]  # address literals
    visitors_port: int
    sessions_port: int
    data_port: int  # worker n listens on data_port + n
    workers: int
    access_log: Access


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A static site that runs inside the client's VM."""

    urls: tuple[str, ...]
    sha256: bytes  # 32, of the tar
    port: int  # on loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """How a tunnel client dials, and where its routes come from: exactly one of file and urls."""

    sessions_port: int
    reconnect_cap_s: float
    routes_file: str | None
    routes_urls: tuple[str, ...]
    bundle: Bundle | None
    access_log: Literal["none", "streams"]  # a client's log never has visitors' addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One member's boot settings, with the SHA-256 of the bytes they were read from."""

    digest: bytes  # 32
    fleet: str
    member: str
    owner_keys: tuple[bytes, ...]  # raw Ed25519 public keys, 32 bytes each
    document_urls: tuple[str, ...]
    document_min_version: int
    endorsements_urls: tuple[str, ...]  # of a bundle beside the document; may be none
    tunnel_name: str
    resolver: tuple[str, int] | None  # None: the machine's own
    admin: tuple[str, int]
    limits: Limits
    role: ServerSettings | ClientSettings

    @property
    def role_name(self) -> Literal["server", "client"]:
        """The role's word in documents and on the wire."""
        return "server" if isinstance(self.role, ServerSettings) else "client"


def digest(data: bytes) -> bytes:
    """Return the settings digest: SHA-256 of the exact bytes, 32 bytes."""
    return sha256(data).digest()


def extended(digest: bytes, bank: Bank) -> bytes:
    """Return what a VM extends once, before it uses its settings: as long as the bank's digests.

    The digest itself in the SHA-256 bank of PCR14; its SHA-384 in the SHA-384 bank and in RTMR3.
    """
    return digest if bank == "sha256" else sha384(digest).digest()


def register(digest: bytes, bank: Bank) -> bytes:
    """Return what PCR14 or RTMR3 holds after that one extension of a register of zeros."""
    if bank == "sha256":
        return sha256(bytes(32) + extended(digest, bank)).digest()
    return sha384(bytes(48) + extended(digest, bank)).digest()


def read(data: bytes) -> Settings:
    """Read `settings.json`. Raises: DocumentError with every problem."""
    if len(data) > MAX_SETTINGS_SIZE:
        raise DocumentError(WHAT, [Problem("$", f"is {len(data)} bytes, want at most {MAX_SETTINGS_SIZE}")])
    raw = schema.read(data, WHAT, "settings")
    problems: list[Problem] = []
    role = _server(raw, problems) if raw["role"] == "server" else _client(raw)
    resolver = None if raw["resolver"] == "system" else _socket(raw["resolver"], "$.resolver", problems)
    admin = _socket(raw["admin"], "$.admin", problems)
    limits = _limits(raw.get("limits", {}), problems)
    if problems:
        raise DocumentError(WHAT, problems)
    return Settings(
        digest=digest(data),
        fleet=raw["fleet"],
        member=raw["member"],
        owner_keys=tuple(bytes.fromhex(key) for key in raw["owner_keys"]),
        document_urls=tuple(raw["document"]["urls"]),
        document_min_version=raw["document"]["min_version"],
        endorsements_urls=tuple(raw["document"].get("endorsements", ())),
        tunnel_name=raw["tunnel_name"],
        resolver=resolver,
        admin=admin,
        limits=limits,
        role=role,
    )


def _server(raw: dict[str, Any], problems: list[Problem]) -> ServerSettings:
    part = raw["server"]
    for index, address in enumerate(part["listen"]):
        _address(address, f"$.server.listen[{index}]", problems)
    last = part["data_port"] + part["workers"] - 1
    if last > 65535:
        problems.append(Problem("$.server.data_port", f"worker {part['workers'] - 1} would listen on {last}"))
    data_ports = range(part["data_port"], last + 1)
    for name in ("visitors_port", "sessions_port"):
        if part[name] in data_ports:
            problems.append(Problem(f"$.server.{name}", f"is {part[name]}, which a worker's data port takes"))
    if part["visitors_port"] == part["sessions_port"]:
        problems.append(Problem("$.server.sessions_port", "is the visitors' port too"))
    return ServerSettings(
        listen=tuple(part["listen"]),
        visitors_port=part["visitors_port"],
        sessions_port=part["sessions_port"],
        data_port=part["data_port"],
        workers=part["workers"],
        access_log=part.get("access_log", "none"),
    )


def _client(raw: dict[str, Any]) -> ClientSettings:
    part, routes = raw["client"], raw["client"]["routes"]
    bundle = part.get("bundle")
    return ClientSettings(
        sessions_port=part["sessions_port"],
        reconnect_cap_s=float(part["reconnect_cap_s"]),
        routes_file=routes.get("file"),
        routes_urls=tuple(routes.get("urls", ())),
        bundle=Bundle(urls=tuple(bundle["urls"]), sha256=bytes.fromhex(bundle["sha256"]), port=bundle["port"])
        if bundle
        else None,
        access_log=part.get("access_log", "none"),
    )


def _limits(part: dict[str, Any], problems: list[Problem]) -> Limits:
    """Read the limits that are set, the rest being defaults; the schema holds the bounds of each."""
    floats = {each.name for each in fields(Limits) if isinstance(each.default, float)}
    values: dict[str, Any] = {name: float(value) if name in floats else value for name, value in part.items()}
    try:
        return Limits(**values)
    except MalformedError as error:
        problems.append(Problem("$.limits", error.detail))
        return Limits()


def _address(text: str, path: str, problems: list[Problem]) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        problems.append(Problem(path, f'is "{text}", want an IPv4 or IPv6 literal'))


def _socket(text: str, path: str, problems: list[Problem]) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    _address(host, path, problems)
    if not 1 <= int(port) <= 65535:
        problems.append(Problem(path, f'is "{text}", want a port from 1 to 65535'))
    return host, int(port)
