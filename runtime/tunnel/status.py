"""What a client is doing at one address, for /status and the metrics. Reads the monotonic clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from runtime.attestation.result import AttestationResult
from runtime.errors import TunnelError

INTERNAL = "internal"  # the code of what is nobody's fault but ours


@dataclass(slots=True)
class Status:
    """What one address is doing, for /status and the metrics."""

    address: str
    state: str = "connecting"  # connecting, established, waiting, draining
    peer: AttestationResult | None = None
    granted: tuple[str, ...] = ()
    not_granted: tuple[str, ...] = ()
    connections: int = 0
    since: float = 0.0  # monotonic seconds of the last change of state
    sessions: int = 0  # established since the start
    handshakes: int = 0  # first attestations that led to a session
    handshakes_s: float = 0.0  # what they took, from the dial on
    last_error: str = ""
    failures: dict[str, int] = field(default_factory=dict)  # code -> how often

    def change(self, state: str) -> None:
        """Enter a state; what was granted ends with the session."""
        self.state = state
        self.since = time.monotonic()
        if state != "established" and state != "draining":
            self.peer, self.granted = None, ()

    def failed(self, error: Exception) -> dict[str, str]:
        """Count what ended a session; return it as fields of a log line."""
        first: BaseException = error
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        code = first.code if isinstance(first, TunnelError) else INTERNAL
        self.failures[code] = self.failures.get(code, 0) + 1
        self.last_error = str(first)
        return {"address": self.address, "code": code, "detail": str(first)}
