"""SEV-SNP by itself: the chip's report, with nothing that measured the image beside it. I/O."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.attestation.attester.machine import Machine, table_of
from runtime.attestation.wire import Evidence


@dataclass(frozen=True, slots=True)
class SnpAttester:
    """`sev-snp`: a machine of one's own whose launch digest covers the image."""

    machine: Machine

    def available(self) -> bool:
        """Tell whether the kernel offers the chip's reports."""
        return self.machine.tsm.provider() == "sev_guest"

    async def collect(self, report_data: bytes) -> Evidence:
        """Return the report and, where the host gives one, its certificate table."""
        async with self.machine.gate.turn() as turn:
            made = await turn.in_thread(lambda: self.machine.tsm.report(report_data))
        return Evidence(format="sev-snp", parts={"snp_report": made.report}, endorsements=table_of(made))
