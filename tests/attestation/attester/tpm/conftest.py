"""One real software TPM per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.attestation.attester.tpm.commands import Tpm
from tests.fakes import swtpm


@pytest.fixture
def tpm() -> Iterator[Tpm]:
    with swtpm.running() as device, device:
        yield Tpm(device)
