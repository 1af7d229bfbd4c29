"""How a machine comes by evidence about itself: one file per way to collect. I/O."""

from __future__ import annotations

from typing import Protocol

from runtime.attestation.wire import Evidence


class Attester(Protocol):
    """How this machine comes by evidence about itself."""

    def available(self) -> bool:
        """Tell whether this machine has such a TEE."""
        ...

    async def collect(self, report_data: bytes) -> Evidence:
        """Return evidence that carries `report_data`, 64 bytes.

        Raises: UnsupportedTeeError, UnreachableError, MalformedError.
        """
        ...
