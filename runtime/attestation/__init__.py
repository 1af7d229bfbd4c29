"""Attestation: Evidence in, an Attestation Result or a refusal out. Only `attester` does I/O."""
