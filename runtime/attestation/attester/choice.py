"""Which way to collect evidence this machine has: the one place that decides, by looking. I/O.

No setting, argument or variable takes part: a machine that has a TEE cannot be told to attest without it. The
stronger combinations come first, so that a TPM is used alone only where there is nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from runtime.attestation.attester import Attester
from runtime.attestation.attester.azure import AzureAttester
from runtime.attestation.attester.gcp import GcpAttester
from runtime.attestation.attester.machine import Machine
from runtime.attestation.attester.nitro import AwsSnpAttester, NitroTpmAttester
from runtime.attestation.attester.snp import SnpAttester
from runtime.attestation.attester.software_tpm import SoftwareTpmAttester
from runtime.errors import UnsupportedTeeError

_WAYS: tuple[Callable[[Machine], Attester], ...] = (
    AzureAttester,
    AwsSnpAttester,
    lambda machine: GcpAttester(machine, "sev_guest"),
    lambda machine: GcpAttester(machine, "tdx_guest"),
    SnpAttester,
    NitroTpmAttester,
    SoftwareTpmAttester,
)


def choose(machine: Machine) -> Attester:
    """Return the attester of this machine. It asks kernel and TPM, and blocks for a moment.

    Raises: UnsupportedTeeError (nothing to attest with, or a TEE without the TPM that has to go with it),
    UnreachableError.
    """
    provider = machine.tsm.provider()
    found = next((way for way in (make(machine) for make in _WAYS) if way.available()), None)
    if provider == "tdx_guest" and not isinstance(found, AzureAttester | GcpAttester):
        message = "a TDX guest without the vTPM of Azure or Google: no evidence format is for that"
        raise UnsupportedTeeError(message)
    if found is None:
        message = (
            "nothing to attest with: no report provider in /sys/kernel/config/tsm/report (kernel 6.7, "
            "configfs mounted, root) and no TPM at /dev/tpmrm0; run it in a confidential VM"
        )
        raise UnsupportedTeeError(message)
    return found
