"""Azure: what the paravisor left in its TPM, renewed over our binder, and a quote by its key. I/O.

`kinvolk/azure-cvm-tooling`, az-cvm-vtpm: NV index 0x01400001 holds the HCL report of the boot; 64 bytes that
are written to 0x01400002 become the `user-data` of the next one, some seconds later. The attestation key is
persistent at 0x81000003, its certificate in NV index 0x01C101D0. On TDX the host makes a quote of the report.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from runtime.attestation.attester import metadata
from runtime.attestation.attester.gcp import der_in
from runtime.attestation.attester.machine import Machine, event_log, tpm_parts
from runtime.attestation.attester.tpm import nv
from runtime.attestation.attester.tpm.commands import Tpm
from runtime.attestation.binding import tpm_qualifying
from runtime.attestation.tees.azure import hcl, runtime_data
from runtime.attestation.tees.azure.hcl import HclReport
from runtime.attestation.wire import Evidence
from runtime.errors import MalformedError, UnreachableError

HCL_REPORT, USER_DATA, AK_CERTIFICATE = 0x01400001, 0x01400002, 0x01C101D0
AK_HANDLE = 0x81000003
USER_DATA_BYTES = 64
RENEWAL_S = 8.0  # Microsoft's tools wait three seconds and hope
POLL_S = 0.5
_USER_DATA_ATTRIBUTES = nv.OWNER_WRITE | nv.OWNER_READ | nv.PP_READ


@dataclass(frozen=True, slots=True)
class AzureAttester:
    """`azure-snp` or `azure-tdx`, as the report in the TPM says."""

    machine: Machine
    pause: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    def available(self) -> bool:
        """Tell whether the TPM holds an HCL report."""
        if not self.machine.device.present():
            return False
        with self.machine.device as device:
            tpm = Tpm(device)
            return nv.find(tpm, HCL_REPORT) is not None and nv.read(tpm, HCL_REPORT)[:4] == b"HCLA"

    async def collect(self, report_data: bytes) -> Evidence:
        """Return the renewed report, the quote, and on TDX the host's quote of the report.

        Raises: UnreachableError (the report takes up no binder of ours), UnsupportedTeeError, MalformedError.
        """
        if len(report_data) != USER_DATA_BYTES:
            raise MalformedError("report data", f"is {len(report_data)} bytes, want {USER_DATA_BYTES}")
        async with self.machine.gate.turn() as turn:
            raw, report, parts, certificate = await turn.in_thread(lambda: self._collect(report_data))
            parts["hcl_report"] = raw
            if report.kind == "tdx":
                parts["td_quote"] = await metadata.td_quote(self.machine.metadata, report.tee_report)
        name = f"azure-{report.kind}"
        endorsements = {**certificate, **event_log(self.machine, name)}
        return Evidence(format=name, parts=parts, endorsements=endorsements)

    def _collect(self, report_data: bytes) -> tuple[bytes, HclReport, dict[str, bytes], dict[str, bytes]]:
        with self.machine.device as device:
            tpm = Tpm(device)
            index = nv.find(tpm, USER_DATA)
            if index is None:
                index = nv.define(tpm, USER_DATA, USER_DATA_BYTES, _USER_DATA_ATTRIBUTES)
            nv.write(tpm, index, report_data)
            raw, report = self._renewed(tpm, report_data)
            parts = tpm_parts(tpm, tpm.read_public(AK_HANDLE), tpm_qualifying(report_data))
            found = nv.find(tpm, AK_CERTIFICATE)
            certificate = {} if found is None else {"ak_certificate": der_in(nv.read(tpm, AK_CERTIFICATE))}
            return raw, report, parts, certificate

    def _renewed(self, tpm: Tpm, report_data: bytes) -> tuple[bytes, HclReport]:
        """Read the report until it speaks of our binder."""
        deadline = self.monotonic() + RENEWAL_S
        while True:
            raw = nv.read(tpm, HCL_REPORT)
            report = hcl.parse(raw)
            if runtime_data.parse(report.runtime_json).user_data == report_data:
                return raw, report
            if self.monotonic() >= deadline:
                message = (
                    f"the paravisor's report has not taken up our {USER_DATA_BYTES} bytes within "
                    f"{RENEWAL_S:g} s: another program writes NV index {USER_DATA:#010x}, "
                    "or the paravisor is too old"
                )
                raise UnreachableError(message)
            self.pause(POLL_S)
