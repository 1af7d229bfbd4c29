"""What evidence is asked for: everything that goes into its binder, kept together. Pure.

The binder alone is 64 bytes that say nothing; with these parts a third party makes it again
(docs/protocol.md §5), so that evidence in a file shows what it was made for. None of them is a secret that
anything rests on: what other exporter labels give does not follow from this one (RFC 8446 §7.5).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runtime.attestation import binding


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The parts of one binder, in the order in which they are hashed."""

    label: binding.Label
    direction: binding.Direction
    epoch: int
    transcript: bytes  # 32
    exporter: bytes  # 32
    spki_attester: bytes
    spki_verifier: bytes
    verifier_nonce: bytes  # 32
    settings_digest: bytes  # 32, of the Attester
    binder: bytes = field(init=False, repr=False)  # 64, that the evidence has to carry

    def __post_init__(self) -> None:
        """Make the binder. Raises: MalformedError for a part of another length."""
        made = binding.binder(
            label=self.label,
            direction=self.direction,
            epoch=self.epoch,
            transcript=self.transcript,
            exporter=self.exporter,
            spki_attester=self.spki_attester,
            spki_verifier=self.spki_verifier,
            verifier_nonce=self.verifier_nonce,
            settings_digest=self.settings_digest,
        )
        object.__setattr__(self, "binder", made)
