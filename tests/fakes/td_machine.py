"""One machine under a throw-away Intel, and what the verifier says of its evidence. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.tees.tdx import verify
from runtime.attestation.tees.tdx.pck import IntelRoot
from tests.fakes.intel import NOW, FakeIntel, pem, pin


@dataclass(slots=True)
class Machine:
    """One machine under one throw-away root: good evidence, or evidence with one thing changed."""

    intel: FakeIntel = field(default_factory=FakeIntel)
    root: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        self.root = self.intel.root()

    @property
    def roots(self) -> tuple[IntelRoot, ...]:
        """Return what a verifier has to be given to believe this Intel."""
        return (pin(self.root),)

    def chain(self, *, pck: dict[str, Any] | None = None, ca: dict[str, Any] | None = None) -> bytes:
        """Return the PEM chain of a quote."""
        return pem(self.intel.pck(**(pck or {})), self.intel.ca(**(ca or {})), self.root)

    def quote(
        self, *, pck: dict[str, Any] | None = None, ca: dict[str, Any] | None = None, **changes: Any
    ) -> bytes:
        """Return a quote."""
        return self.intel.quote(self.chain(pck=pck, ca=ca), **changes)

    def collateral(self, replaced: Mapping[str, str] | None = None, **changes: Any) -> bytes:
        """Return the JSON object of nine parts."""
        return json.dumps(self.intel.collateral(self.root, **changes) | dict(replaced or {})).encode()


MACHINE = Machine()
QUOTE, COLLATERAL = MACHINE.quote(), MACHINE.collateral()
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


def accept(
    quote: bytes = QUOTE, collateral: bytes | None = COLLATERAL, now: int = NOW, roots: Any = None
) -> verify.TdxClaims:
    """Return the claims of evidence that has to be good."""
    return verify.verify(quote, collateral, MACHINE.roots if roots is None else roots, now)


def refused(*args: Any, **kwargs: Any) -> dict[str, str]:
    """Return the failed checks, with their reasons, of evidence that has to be refused."""
    with pytest.raises(EvidenceRefusedError) as caught:
        accept(*args, **kwargs)
    return {check.id: str(check.reason) for check in caught.value.checks}


def collateral(**changes: Any) -> bytes:
    """Return collateral with some parts of it changed and signed again."""
    return MACHINE.collateral(**changes)
