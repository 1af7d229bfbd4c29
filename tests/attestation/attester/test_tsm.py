"""configfs-tsm as the kernel behaves: generation, EBUSY, foreign writers; a folder per request."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runtime.attestation.attester import tsm as attester
from runtime.attestation.attester.tsm import ConfigFs, TsmAttester
from runtime.errors import MalformedError, TunnelError, UnreachableError, UnsupportedTeeError

DATA = bytes(range(64))


@dataclass
class FakeTsm:
    """The kernel's side: attributes appear with the folder, and every write is counted."""

    provider: str = "sev_guest"
    report: bytes | None = b"REPORT"
    table: bytes | None = b"TABLE"
    busy: int = 0  # reads of outblob that fail with EBUSY first
    foreign_writes: int = 0  # requests during which somebody else writes
    refuses: str = ""  # the attribute that cannot be written
    open: dict[str, dict[str, bytes]] = field(default_factory=dict)
    seen: list[dict[str, bytes]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def create(self, name: str) -> None:
        if name in self.open:
            raise FileExistsError(errno.EEXIST, "exists", name)
        self.open[name] = {"generation": b"0"}
        self.names.append(name)

    def write(self, name: str, attribute: str, data: bytes) -> None:
        if attribute == self.refuses:
            raise OSError(errno.EINVAL, "invalid", attribute)
        self.open[name][attribute] = data
        self._count(name)

    def read(self, name: str, attribute: str, limit: int) -> bytes:
        if attribute == "provider":
            return self.provider.encode() + b"\n"
        if attribute == "generation":
            return self.open[name]["generation"] + b"\n"
        if attribute == "outblob":
            if self.busy:
                self.busy -= 1
                raise OSError(errno.EBUSY, "busy", attribute)
            if self.foreign_writes:
                self.foreign_writes -= 1
                self._count(name)
        value = {"outblob": self.report, "auxblob": self.table}[attribute]
        if value is None:
            raise FileNotFoundError(errno.ENOENT, "missing", attribute)
        return value[: limit + 1]

    def remove(self, name: str) -> None:
        self.seen.append(self.open.pop(name))

    def _count(self, name: str) -> None:
        self.open[name]["generation"] = b"%d" % (int(self.open[name]["generation"]) + 1)


def asking(tsm: FakeTsm, **options: bytes) -> TsmAttester:
    return TsmAttester(folder=tsm, first_pause_s=0.0, endorsements=options)


async def test_report_and_table_become_evidence() -> None:
    tsm = FakeTsm()
    evidence = await asking(tsm, crl=b"CRL").collect(DATA)
    assert (evidence.format, evidence.parts) == ("sev-snp", {"snp_report": b"REPORT"})
    assert evidence.endorsements == {"cert_table": b"TABLE", "crl": b"CRL"}
    assert tsm.open == {}
    assert tsm.seen == [{"generation": b"2", "inblob": DATA, "privlevel": b"0"}]


@pytest.mark.parametrize("table", [None, b""])
async def test_a_host_may_have_no_table(table: bytes | None) -> None:
    assert (await asking(FakeTsm(table=table)).collect(DATA)).endorsements == {}


async def test_each_request_has_a_folder_of_its_own() -> None:
    tsm = FakeTsm(busy=2)
    await asking(tsm).collect(DATA)
    await asking(tsm).collect(DATA)
    assert len(set(tsm.names)) == 4
    assert tsm.open == {}


async def test_a_busy_host_is_asked_again_but_not_for_ever() -> None:
    assert (await asking(FakeTsm(busy=attester.ATTEMPTS - 1)).collect(DATA)).parts["snp_report"] == b"REPORT"
    tsm = FakeTsm(busy=99)
    with pytest.raises(UnreachableError):
        await asking(tsm).collect(DATA)
    assert len(tsm.names) == attester.ATTEMPTS
    assert tsm.open == {}


async def test_a_foreign_writer_is_noticed() -> None:
    assert (await asking(FakeTsm(foreign_writes=1)).collect(DATA)).parts["snp_report"] == b"REPORT"
    with pytest.raises(UnreachableError, match="another writer"):
        await asking(FakeTsm(foreign_writes=99)).collect(DATA)


@pytest.mark.parametrize(
    ("tsm", "error"),
    [
        (FakeTsm(provider="tdx_guest"), UnsupportedTeeError),
        (FakeTsm(report=None), UnsupportedTeeError),
        (FakeTsm(refuses="privlevel"), UnsupportedTeeError),
        (FakeTsm(report=bytes(attester.MAX_BLOB_SIZE + 1)), MalformedError),
        (FakeTsm(table=bytes(attester.MAX_BLOB_SIZE + 1)), MalformedError),
    ],
    ids=["tdx", "no report", "privilege level", "large report", "large table"],
)
async def test_other_answers_are_errors_of_ours(tsm: FakeTsm, error: type[TunnelError]) -> None:
    with pytest.raises(error):
        await asking(tsm).collect(DATA)
    assert tsm.open == {}


@pytest.mark.parametrize("size", [0, 63, 65])
async def test_report_data_is_64_bytes(size: int) -> None:
    with pytest.raises(MalformedError):
        await asking(FakeTsm()).collect(bytes(size))


def test_available_asks_the_provider(tmp_path: Path) -> None:
    assert asking(FakeTsm()).available()
    assert not asking(FakeTsm(provider="tdx_guest")).available()
    assert not TsmAttester(tmp_path / "nothing").available()


async def test_no_device_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedTeeError):
        await TsmAttester(tmp_path / "nothing").collect(DATA)


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
