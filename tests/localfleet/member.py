"""One member with a simulated TEE: the production start-up, given another Attester and other roots. I/O.

This is the only place where the two differ. The command `tunnel` cannot be told to do this.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runtime import event_loop, logs
from runtime.attestation.snp_claims import TrustRoot
from runtime.commands import member
from runtime.commands.main import read_settings, run_until_done
from runtime.documents import strict_json
from tests.fakes.amd import Chip, SimulatedSnpAttester


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What a simulated TEE needs beside the settings; one JSON file per member."""

    chip: Path
    measurement: bytes  # 48
    roots: tuple[TrustRoot, ...]

    def write(self, path: Path) -> None:
        """Keep it."""
        path.write_bytes(
            strict_json.canonical(
                {
                    "chip": str(self.chip),
                    "measurement": self.measurement.hex(),
                    "roots": [{"product": root.product, "sha256": root.sha256.hex()} for root in self.roots],
                }
            )
        )

    @classmethod
    def read(cls, path: Path) -> Simulation:
        """Read what `write` kept."""
        raw = strict_json.parse(path.read_bytes(), "simulation")
        roots = (
            TrustRoot(
                kind="test", vendor="amd", product=root["product"], sha256=bytes.fromhex(root["sha256"])
            )
            for root in raw["roots"]
        )
        return cls(chip=Path(raw["chip"]), measurement=bytes.fromhex(raw["measurement"]), roots=tuple(roots))


def run(settings: str, simulation: Path) -> None:
    """Serve as the member that the settings describe."""
    found, simulated = read_settings(settings), Simulation.read(simulation)
    attester = SimulatedSnpAttester(
        chip=Chip.load(simulated.chip), measurement=simulated.measurement, host_data=found.digest
    )
    logs.to_stderr()
    parts = member.Parts(attester=attester, roots=simulated.roots)
    run_until_done(member.run(found, parts), event_loop.factory())
