"""AWS Nitro documents, by stage: `cbor`, `cose` and `document` parse, `chain` and `verify` decide.

Two kinds of document come from one format and one root: that of an enclave, and that of an instance's
NitroTPM. Which kind is wanted is always an argument, never read off the bytes.
"""

from runtime.attestation.tees.nitro.chain import HARDWARE_ROOTS, NitroRoot
from runtime.attestation.tees.nitro.document import Kind
from runtime.attestation.tees.nitro.verify import NitroClaims

__all__ = ["HARDWARE_ROOTS", "Kind", "NitroClaims", "NitroRoot"]
