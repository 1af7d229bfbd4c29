"""Reasons that only Intel's path of trust has. Pure.

Every other failure of this folder has a reason of `findings.Reason`: the log, the metric and the exit status
are the same as for any platform.
"""

from __future__ import annotations

from enum import StrEnum
from typing import cast

from runtime.attestation.findings import Reason


class TdxReason(StrEnum):
    """Why a TDX check fails, where the platforms' shared reasons have no word for it."""

    QE_SIGNATURE = "qe_signature"  # the PCK did not sign the quoting enclave's report
    QE_BINDING = "qe_binding"  # the quoting enclave did not make the attestation key
    QE_IDENTITY = "qe_identity"  # another enclave than Intel's quoting enclave made the quote
    COLLATERAL = "collateral"  # Intel's TCB information is missing or about something else
    COLLATERAL_SIGNATURE = "collateral_signature"
    MODULE = "module"  # the TDX module is not Intel's
    PADDING = "padding"  # bytes behind the quote that nothing signs


def _shared(reason: TdxReason) -> Reason:
    # A Check asks for a Reason; both are strings, and whoever reads one reads the string.
    return cast("Reason", reason)


QE_SIGNATURE = _shared(TdxReason.QE_SIGNATURE)
QE_BINDING = _shared(TdxReason.QE_BINDING)
QE_IDENTITY = _shared(TdxReason.QE_IDENTITY)
COLLATERAL = _shared(TdxReason.COLLATERAL)
COLLATERAL_SIGNATURE = _shared(TdxReason.COLLATERAL_SIGNATURE)
MODULE = _shared(TdxReason.MODULE)
PADDING = _shared(TdxReason.PADDING)
