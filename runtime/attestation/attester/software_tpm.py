"""A TPM and no TEE: QEMU with swtpm, and every ordinary computer. Good for tests, and refused elsewhere. I/O.

The attestation key is made from a fixed template, so it is the same at every boot of one TPM and can be named
in a fleet document of `purpose: test`. Nobody vouches for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.attestation.attester.machine import Machine, event_log, tpm_parts
from runtime.attestation.attester.tpm import keys, wire
from runtime.attestation.attester.tpm.commands import Tpm
from runtime.attestation.binding import tpm_qualifying
from runtime.attestation.wire import Evidence

_FORMAT = "qemu-tpm"


@dataclass(frozen=True, slots=True)
class SoftwareTpmAttester:
    """`qemu-tpm`: a quote by a key of our own."""

    machine: Machine

    def available(self) -> bool:
        """Tell whether there is a TPM at all."""
        return self.machine.device.present()

    async def collect(self, report_data: bytes) -> Evidence:
        """Return a quote over the SHA-256 of the binder."""
        qualifying = tpm_qualifying(report_data)
        async with self.machine.gate.turn() as turn:
            parts = await turn.in_thread(lambda: self._quote(qualifying))
        return Evidence(format=_FORMAT, parts=parts, endorsements=event_log(self.machine, _FORMAT))

    def _quote(self, qualifying: bytes) -> dict[str, bytes]:
        with self.machine.device as device:
            tpm = Tpm(device)
            with tpm.primary(wire.RH_ENDORSEMENT, keys.AK_ECC) as key:
                return {"ak_public": key.public, **tpm_parts(tpm, key, qualifying)}
