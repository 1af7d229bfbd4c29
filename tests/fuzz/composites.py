"""Whole evidence of several parts: refused or malformed, whatever is in it, where no root is pinned."""

from __future__ import annotations

from runtime.attestation import wire
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.tees import TEES
from runtime.errors import MalformedError
from tests.fakes import intel, machines
from tests.fuzz.target import Target

_ROOTLESS = "qemu-tpm"  # a software TPM needs no root: whoever has its key may sign


def _composite(data: bytes) -> None:
    evidence = wire.decode(data)
    if evidence.format == _ROOTLESS:
        return
    try:
        TEES[evidence.format].verify(evidence, machines.BINDER, (), intel.NOW)
    except EvidenceRefusedError as error:
        assert error.checks
        return
    message = "claims without a pinned root"
    raise AssertionError(message)


def _seeds() -> list[bytes]:
    made = (machines.gcp_tdx(), machines.azure_tdx(), machines.aws_alone())
    return [wire.encode(machine.evidence()) for machine in made]


TARGETS = (
    Target(
        name="composite",
        read=_composite,
        seeds=_seeds,
        max_size=32 * 1024,
        refuses=(MalformedError, EvidenceRefusedError),
    ),
)
