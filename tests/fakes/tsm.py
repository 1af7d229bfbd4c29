"""The kernel's side of configfs-tsm: attributes appear with the folder, and every write is counted. Pure."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.attestation.attester.tsm import Tsm


@dataclass
class FakeTsm:
    """One provider; `report` is what it answers, or makes of the 64 bytes."""

    provider: str = "sev_guest"
    report: bytes | Callable[[bytes], bytes] | None = b"REPORT"
    table: bytes | None = b"TABLE"
    busy: int = 0  # reads of outblob that fail with EBUSY first
    foreign_writes: int = 0  # requests during which somebody else writes
    refuses: str = ""  # the attribute that cannot be written
    open: dict[str, dict[str, bytes]] = field(default_factory=dict)
    seen: list[dict[str, bytes]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def create(self, name: str) -> None:
        if name in self.open:
            raise FileExistsError(errno.EEXIST, "exists", name)
        self.open[name] = {"generation": b"0"}
        self.names.append(name)

    def write(self, name: str, attribute: str, data: bytes) -> None:
        if attribute == self.refuses or (attribute == "privlevel" and self.provider != "sev_guest"):
            raise OSError(errno.EINVAL, "invalid", attribute)
        self.open[name][attribute] = data
        self._count(name)

    def read(self, name: str, attribute: str, limit: int) -> bytes:
        if attribute == "provider":
            return self.provider.encode() + b"\n"
        if attribute == "generation":
            return self.open[name]["generation"] + b"\n"
        if attribute == "outblob":
            if self.busy:
                self.busy -= 1
                raise OSError(errno.EBUSY, "busy", attribute)
            if self.foreign_writes:
                self.foreign_writes -= 1
                self._count(name)
        value = {"outblob": self.report, "auxblob": self.table}[attribute]
        if value is None:
            raise FileNotFoundError(errno.ENOENT, "missing", attribute)
        made = value if isinstance(value, bytes) else value(self.open[name]["inblob"])
        return made[: limit + 1]

    def remove(self, name: str) -> None:
        self.seen.append(self.open.pop(name))

    def asked(self) -> Tsm:
        """Return the product's side of it, which does not wait."""
        return Tsm(self, pause=lambda _: None)

    def _count(self, name: str) -> None:
        self.open[name]["generation"] = b"%d" % (int(self.open[name]["generation"]) + 1)
