"""One parser and what it owes: to accept or raise our own error, in little time and memory. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec

from runtime.errors import MalformedError, TunnelError

P = ParamSpec("P")

MAX_CPU_S = 0.05  # seconds of CPU on one input, whatever it is
MAX_MEMORY = 16 * 1024 * 1024  # bytes allocated at once on one input


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A function that reads foreign bytes; whatever it raises beside `refuses` is a finding."""

    name: str
    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    roles: tuple[str, ...] = ()  # roles of the evidence corpus whose files are seeds too
    max_size: int = 4096  # bytes that the fuzzer tries at most
    refuses: tuple[type[TunnelError], ...] = field(default=(MalformedError,))

    def run(self, data: bytes) -> bool:
        """Return whether `data` was accepted. Raises: whatever the parser must not."""
        try:
            self.read(data)
        except self.refuses as error:
            offset = error.offset if isinstance(error, MalformedError) else None
            if offset is not None and not 0 <= offset <= len(data):
                message = f"an offset outside of the {len(data)} bytes: {error}"
                raise AssertionError(message) from error
            return False
        return True


def prefixed(*parts: bytes) -> bytes:
    """Return several inputs as one: each but the last under its length (u32, big-endian)."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts[:-1]) + parts[-1]


def split(data: bytes, count: int) -> list[bytes]:
    """Return what `prefixed` joined; lengths of any other bytes are cut to what is there."""
    out, rest = list[bytes](), data
    for _ in range(count - 1):
        size = int.from_bytes(rest[:4], "big")
        out.append(rest[4 : 4 + size])
        rest = rest[4 + size :]
    return [*out, rest]


def harmless(read: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call one of several readers of the same bytes: refusing is fine. Raises: whatever it must not."""
    try:
        read(*args, **kwargs)
    except MalformedError:
        return
