"""configfs-tsm as the kernel behaves: generation, EBUSY, foreign writers, providers; a folder per request."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.attestation.attester import tsm
from runtime.attestation.attester.tsm import ConfigFs, Report, Tsm
from runtime.attestation.tees.snp import cert_table
from runtime.errors import MalformedError, TunnelError, UnreachableError, UnsupportedTeeError
from tests.fakes.tsm import FakeTsm

DATA = bytes(range(64))


def test_report_and_table_of_the_chip() -> None:
    fake = FakeTsm()
    assert fake.asked().report(DATA) == Report(provider="sev_guest", report=b"REPORT", table=b"TABLE")
    assert fake.open == {}
    assert fake.seen == [{"generation": b"2", "inblob": DATA, "privlevel": b"0"}]


def test_a_td_quote_has_neither_level_nor_table() -> None:
    fake = FakeTsm(provider="tdx_guest", table=None)
    assert fake.asked().report(DATA) == Report(provider="tdx_guest", report=b"REPORT", table=b"")
    assert fake.seen == [{"generation": b"1", "inblob": DATA}]


@pytest.mark.parametrize("table", [None, b""])
def test_a_host_may_have_no_table(table: bytes | None) -> None:
    assert FakeTsm(table=table).asked().report(DATA).table == b""


@pytest.mark.parametrize("order", ["bytes_le", "bytes"], ids=["as UEFI writes GUIDs", "as AWS does"])
def test_the_table_is_handed_on_as_the_verifier_reads_it(order: str) -> None:
    from uuid import UUID

    guid = getattr(UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1"), order)
    table = guid + (48).to_bytes(4, "little") + (4).to_bytes(4, "little") + bytes(24) + b"VLEK"
    assert cert_table.parse(FakeTsm(table=table).asked().report(DATA).table) == {"vlek": b"VLEK"}


def test_each_request_has_a_folder_of_its_own() -> None:
    fake = FakeTsm(busy=2)
    fake.asked().report(DATA)
    fake.asked().report(DATA)
    assert len(set(fake.names)) == 4
    assert fake.open == {}


def test_a_busy_host_is_asked_again_but_not_for_ever() -> None:
    pauses: list[float] = []
    asked = Tsm(FakeTsm(busy=tsm.ATTEMPTS - 1), pause=pauses.append)
    assert asked.report(DATA).report == b"REPORT"
    assert pauses == [tsm.FIRST_PAUSE_S * 2**n for n in range(tsm.ATTEMPTS - 1)]
    fake = FakeTsm(busy=99)
    with pytest.raises(UnreachableError, match="try again later"):
        fake.asked().report(DATA)
    assert len(fake.names) == tsm.ATTEMPTS
    assert fake.open == {}


def test_a_foreign_writer_is_noticed() -> None:
    assert FakeTsm(foreign_writes=1).asked().report(DATA).report == b"REPORT"
    with pytest.raises(UnreachableError, match="another writer"):
        FakeTsm(foreign_writes=99).asked().report(DATA)


@pytest.mark.parametrize(
    ("fake", "error"),
    [
        (FakeTsm(provider="arm_cca_guest"), UnsupportedTeeError),
        (FakeTsm(report=None), UnsupportedTeeError),
        (FakeTsm(report=b""), UnsupportedTeeError),
        (FakeTsm(refuses="privlevel"), UnsupportedTeeError),
        (FakeTsm(report=bytes(tsm.MAX_BLOB_SIZE + 1)), MalformedError),
        (FakeTsm(table=bytes(tsm.MAX_BLOB_SIZE + 1)), MalformedError),
    ],
    ids=["another TEE", "no report", "empty report", "privilege level", "large report", "large table"],
)
def test_other_answers_are_errors_of_ours(fake: FakeTsm, error: type[TunnelError]) -> None:
    with pytest.raises(error):
        fake.asked().report(DATA)
    assert fake.open == {}


@pytest.mark.parametrize("size", [0, 63, 65])
def test_report_data_is_64_bytes(size: int) -> None:
    with pytest.raises(MalformedError):
        FakeTsm().asked().report(bytes(size))


def test_the_provider_is_one_we_know_or_none(tmp_path: Path) -> None:
    assert FakeTsm().asked().provider() == "sev_guest"
    assert FakeTsm(provider="tdx_guest").asked().provider() == "tdx_guest"
    assert FakeTsm(provider="arm_cca_guest").asked().provider() is None
    assert Tsm(ConfigFs(tmp_path / "nothing")).provider() is None


def test_no_device_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedTeeError, match=r"kernel of 6\.7"):
        Tsm(ConfigFs(tmp_path / "nothing")).report(DATA)


def test_the_real_folder_reads_and_writes_files(tmp_path: Path) -> None:
    folder = ConfigFs(tmp_path)
    folder.create("one")
    (tmp_path / "one" / "inblob").touch()
    folder.write("one", "inblob", DATA)
    assert folder.read("one", "inblob", 64) == DATA
    assert folder.read("one", "inblob", 10) == DATA[:11]
    with pytest.raises(FileNotFoundError):
        folder.write("one", "outblob", DATA)
    (tmp_path / "one" / "inblob").unlink()
    folder.remove("one")
    assert not (tmp_path / "one").exists()


@pytest.mark.skipif(not tsm.TSM_ROOT.is_dir(), reason="this kernel has no configfs-tsm")
def test_the_kernel_s_own() -> None:
    asked = Tsm(ConfigFs())
    if asked.provider() is None:
        pytest.skip("configfs-tsm is there and has no provider: no TEE")
    assert len(asked.report(DATA).report) > 64
