"""What a member brings to every session, and where the fleet document and the time come from. Pure: types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from runtime.attestation.attester import Attester
from runtime.attestation.model import TrustRoot
from runtime.channel.appraiser import Appraiser
from runtime.channel.boot_key import BootKey
from runtime.channel.hello import Side
from runtime.documents.fleet import FleetDocument


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """What a member brings to every session."""

    side: Side
    key: BootKey
    settings_digest: bytes
    attester: Attester
    appraiser: Appraiser
    roots: tuple[TrustRoot, ...]
    documents: Documents
    clock: Clock
