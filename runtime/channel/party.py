"""What a member brings to every session, and where the fleet document and the time come from. Pure: types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from runtime.attestation.attester import Attester
from runtime.attestation.tees import Root
from runtime.channel.appraiser import Appraiser
from runtime.channel.boot_key import BootKey
from runtime.channel.hello import Side
from runtime.documents.fleet import FleetDocument
from runtime.limits import Limits


class Clock(Protocol):
    """The trusted clock."""

    def now(self) -> int:
        """Return Unix seconds."""
        ...

    def raise_floor(self, seconds: int) -> None:
        """Learn a signed time: it cannot be earlier than that."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentDocument:
    """The fleet document in force: as signed, and as read."""

    envelope: bytes
    payload: bytes
    document: FleetDocument


class Documents(Protocol):
    """Where the fleet document in force comes from."""

    def current(self) -> CurrentDocument:
        """Return it. Raises: UnreachableError while there is none."""
        ...

    def refresh(self) -> None:
        """Look for a newer one soon: a peer has one."""
        ...

    async def from_urls(self) -> None:
        """Ask each of the settings' URLs once, and return when that is done, whatever came of it."""
        ...

    async def accept(self, envelope: bytes) -> bool:
        """Put a document in force if it is the owner's and newer. Raises: DocumentError."""
        ...


Sign = Callable[[bytes], Awaitable[bytes]]  # the message -> an Ed25519 signature, 64 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerParty:
    """What an owner brings to a channel with a member."""

    key: BootKey  # of this run of the command; the owner's own key signs, it is never a TLS key
    sign: Sign
    appraiser: Appraiser
    roots: tuple[Root, ...]
    document: CurrentDocument  # the owner's copy, signature verified: what the member is held against
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """What a member brings to every session."""

    side: Side
    key: BootKey
    settings_digest: bytes
    owner_keys: tuple[bytes, ...]  # of the settings: whose signature makes an owner
    attester: Attester
    appraiser: Appraiser
    roots: tuple[Root, ...]
    documents: Documents
    clock: Clock
    limits: Limits
