"""Registers read and quoted at one moment, and one event that stays the only one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from runtime.attestation.attester.tpm import keys, registers, wire
from runtime.attestation.attester.tpm.commands import Key, Tpm
from runtime.attestation.tees.tpm import attest, pcrs
from runtime.documents import settings
from runtime.errors import UnreachableError, UnsupportedTeeError
from tests.fakes import swtpm

pytestmark = swtpm.NEEDED
ALL = tuple(range(24))
DIGEST = hashlib.sha256(b"settings").digest()


class Restless(Tpm):
    """Somebody else extends a register around some of our commands."""

    during_reads = 0
    before_quotes = 0
    at_extend = False

    def read_registers(self, bank: int, registers: Sequence[int]) -> tuple[int, dict[int, bytes]]:
        if self.during_reads:
            self.during_reads -= 1
            Tpm.extend(self, 9, {attest.SHA256: bytes(32)})
        return super().read_registers(bank, registers)

    def quote(
        self, key: Key, qualifying_data: bytes, bank: int, registers: Sequence[int]
    ) -> tuple[bytes, bytes]:
        if self.before_quotes:
            self.before_quotes -= 1
            Tpm.extend(self, 9, {attest.SHA256: bytes(32)})
        return super().quote(key, qualifying_data, bank, registers)

    def extend(self, register: int, digests: object) -> None:
        if self.at_extend:
            Tpm.extend(self, register, {attest.SHA256: b"\x66" * 32})
        Tpm.extend(self, register, digests)  # type: ignore[arg-type]


@pytest.fixture
def restless(tpm: Tpm) -> Restless:
    return Restless(tpm.device)


def test_all_registers_in_one_reading(tpm: Tpm) -> None:
    found = registers.read(tpm, attest.SHA256, ALL)
    assert set(found.values) == set(ALL)
    assert pcrs.parse(pcrs.encode(found)) == found


def test_a_reading_is_of_one_moment(restless: Restless) -> None:
    restless.during_reads = 3
    assert set(registers.read(restless, attest.SHA256, ALL).values) == set(ALL)
    restless.during_reads = 1000
    with pytest.raises(UnreachableError, match="all the time"):
        registers.read(restless, attest.SHA256, ALL)


def test_a_bank_that_is_not_there(tpm: Tpm, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedTeeError, match="does not have the hash algorithm"):
        registers.read(tpm, 0x0012, (0,))
    monkeypatch.setattr(Tpm, "read_registers", lambda *_: (1, {}))  # what a TPM says of a bank not in use
    with pytest.raises(UnsupportedTeeError, match="enable the bank"):
        registers.read(tpm, attest.SHA256, (0,))


def test_a_quote_comes_with_the_values_it_is_of(restless: Restless) -> None:
    restless.before_quotes = 2
    with restless.primary(wire.RH_ENDORSEMENT, keys.AK_ECC) as key:
        found = registers.quote(restless, key, bytes(32), attest.SHA256, (4, 9))
        assert attest.parse(found.message).pcr_digest == found.values.digest(attest.SHA256)
        restless.before_quotes = 1000
        with pytest.raises(UnreachableError, match="not those that were read"):
            registers.quote(restless, key, bytes(32), attest.SHA256, (4, 9))


def test_settings_are_one_event_in_every_bank(tpm: Tpm) -> None:
    registers.measure_settings(tpm, DIGEST)
    for bank in tpm.banks():
        extended = DIGEST if bank == attest.SHA256 else hashlib.new(attest.BANK_NAMES[bank], DIGEST).digest()
        found = registers.read(tpm, bank, (14,)).values[14]
        assert found == registers.extended(bank, extended)
    assert registers.read(tpm, attest.SHA256, (14,)).values[14] == settings.register(DIGEST, "sha256")
    assert registers.read(tpm, attest.SHA384, (14,)).values[14] == settings.register(DIGEST, "sha384")


def test_settings_are_measured_once_and_never_on_top_of_something(tpm: Tpm) -> None:
    registers.measure_settings(tpm, DIGEST)
    before = registers.read(tpm, attest.SHA256, (14,))
    with pytest.raises(UnsupportedTeeError, match="restart the machine"):
        registers.measure_settings(tpm, DIGEST)
    assert registers.read(tpm, attest.SHA256, (14,)) == before


def test_an_event_in_another_bank_alone_is_seen(tpm: Tpm) -> None:
    tpm.extend(14, {attest.SHA384: bytes(48)})
    with pytest.raises(UnsupportedTeeError, match="sha384 bank, want zero"):
        registers.measure_settings(tpm, DIGEST)


def test_an_event_between_looking_and_extending_is_seen(restless: Restless) -> None:
    restless.at_extend = True
    with pytest.raises(UnsupportedTeeError, match="another event than ours"):
        registers.measure_settings(restless, DIGEST)


def test_without_a_sha256_bank_nothing_is_measured(tpm: Tpm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tpm, "banks", lambda _: {attest.SHA384: frozenset(ALL)})
    with pytest.raises(UnsupportedTeeError, match="SHA-256 bank"):
        registers.measure_settings(tpm, DIGEST)
    assert not any(registers.read(tpm, attest.SHA384, (14,)).values[14])
