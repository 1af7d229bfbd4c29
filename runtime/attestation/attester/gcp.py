"""Google Cloud: the CPU's report, and the quote of Google's vTPM that commits to it. I/O.

`google/go-tpm-tools`, client/handles.go: the firmware leaves templates of attestation keys in NV indices
0x01c10001 (RSA) and 0x01c10003 (ECC), and Google's certificates for those keys in 0x01c10000 and 0x01c10002.
Report first, then the quote: in the other order a quote of one machine could stand beside another's report
(docs/decisions/0004).
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.attestation.attester.machine import Machine, ccel, event_log, table_of, tpm_parts
from runtime.attestation.attester.tpm import keys, nv, wire
from runtime.attestation.attester.tpm.commands import Tpm
from runtime.attestation.attester.tsm import Provider
from runtime.attestation.binding import tied_qualifying
from runtime.attestation.wire import Evidence
from runtime.errors import MalformedError, UnsupportedTeeError

# (template, certificate); a P-256 key is made and signs in a tenth of the time that RSA takes
KEYS = ((0x01C10003, 0x01C10002), (0x01C10001, 0x01C10000))


@dataclass(frozen=True, slots=True)
class GcpAttester:
    """`gcp-snp` or `gcp-tdx`, as the kernel's provider says."""

    machine: Machine
    provider: Provider

    def available(self) -> bool:
        """Tell whether this provider is here, and a TPM with Google's keys."""
        if self.machine.tsm.provider() != self.provider or not self.machine.device.present():
            return False
        with self.machine.device as device:
            return _key_of(Tpm(device)) is not None

    async def collect(self, report_data: bytes) -> Evidence:
        """Return report, quote, logs, and the key's certificate."""
        name = "gcp-snp" if self.provider == "sev_guest" else "gcp-tdx"
        async with self.machine.gate.turn() as turn:
            made = await turn.in_thread(lambda: self.machine.tsm.report(report_data))
            if made.provider != self.provider:
                message = f"the kernel's provider is {made.provider} now, it was {self.provider}"
                raise UnsupportedTeeError(message)
            qualifying = tied_qualifying(report_data, made.report)
            quoted, certificate = await turn.in_thread(lambda: self._quote(qualifying))
        endorsements = {"ak_certificate": certificate, **event_log(self.machine, name)}
        if name == "gcp-snp":
            parts = {"snp_report": made.report, **quoted}
            return Evidence(format=name, parts=parts, endorsements=endorsements | table_of(made))
        parts = {"td_quote": made.report, "ccel": ccel(self.machine, name), **quoted}
        return Evidence(format=name, parts=parts, endorsements=endorsements)

    def _quote(self, qualifying: bytes) -> tuple[dict[str, bytes], bytes]:
        with self.machine.device as device:
            tpm = Tpm(device)
            found = _key_of(tpm)
            if found is None:
                message = "this machine's TPM has none of Google's attestation keys: is the vTPM enabled?"
                raise UnsupportedTeeError(message)
            template, certificate = (nv.read(tpm, index) for index in found)
            with tpm.primary(wire.RH_ENDORSEMENT, keys.template_in_nv(template)) as key:
                return tpm_parts(tpm, key, qualifying), der_in(certificate)


def _key_of(tpm: Tpm) -> tuple[int, int] | None:
    """Return the indices of the first key that has both template and certificate."""
    return next((pair for pair in KEYS if all(nv.find(tpm, index) for index in pair)), None)


def der_in(data: bytes) -> bytes:
    """Return the DER certificate that an NV index begins with; the index may be larger.

    Raises: MalformedError if it begins with none.
    """
    if len(data) > 4 and data[:2] == b"\x30\x82":
        end = 4 + int.from_bytes(data[2:4], "big")
        if end <= len(data) and not any(data[end:]):
            return data[:end]
    raise MalformedError("attestation key certificate", "is not one certificate in DER", offset=0)
