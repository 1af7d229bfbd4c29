"""A simulated TEE as one more fake machine: an SNP report and nothing else, under `purpose: test`. Pure."""

from __future__ import annotations

from runtime.attestation.wire import Evidence
from tests.fakes import fleets
from tests.fakes.amd import FakeAmd
from tests.fakes.machines import FakeMachine
from tests.fakes.measured_boot import Options


def machine(amd: FakeAmd) -> FakeMachine:
    """Return a machine whose launch digest covers the whole image, and whose host names its settings."""
    chip = amd.chip("simulated-host", "Genoa")

    def make(binder: bytes, digest: bytes, options: Options) -> Evidence:
        own = {"report_data": binder, "measurement": fleets.MEASUREMENT, "host_data": digest}
        return chip.evidence(**(own | dict(options.get("snp", {}))))

    return FakeMachine(
        format="sev-snp",
        now=fleets.NOW,
        instance={"kind": "chip_id", "value": chip.chip_id.hex()},
        values={"snp": fleets.snp_values(["Genoa"])},
        firmware={},
        roots=amd.roots(),
        measurements={"snp_launch": [fleets.MEASUREMENT.hex()]},
        make=make,
    )
