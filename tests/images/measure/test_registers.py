"""Predicted registers: by hand here, by systemd-measure and by a real boot in the image lane."""

from __future__ import annotations

import hashlib

import pytest

from images import uki
from images.measure import portable_executable as pe
from images.measure import registers
from runtime.errors import MalformedError
from tests.images import doubles

KERNEL = doubles.pe_file(((".text", b"kernel"),))
UKI = uki.assemble(
    doubles.pe_file(((".text", b"stub"), (".sbat", b"sbat,1"))),
    (
        (".osrel", b"ID=x"),
        (".cmdline", b"ro quiet"),
        (".uname", b"6"),
        (".initrd", b"cpio"),
        (".linux", KERNEL),
    ),
)


@pytest.mark.parametrize("algorithm", pe.HASHES)
def test_prediction_by_hand(algorithm: pe.Hash) -> None:
    def h(data: bytes) -> bytes:
        return hashlib.new(algorithm, data).digest()

    found = registers.predict(UKI, algorithm)
    want = bytes(len(h(b"")))
    for name, data in (
        (b".linux", KERNEL), (b".osrel", b"ID=x"), (b".cmdline", b"ro quiet"), (b".initrd", b"cpio"),
        (b".uname", b"6"), (b".sbat", b"sbat,1"),
    ):  # fmt: skip
        want = h(h(want + h(name + b"\0")) + h(data))
    assert found.pcr11 == want
    four = bytes(len(want))
    for digest in (
        h(b"Calling EFI Application from Boot Option"),
        h(bytes(4)),
        pe.authenticode(pe.read(UKI), algorithm),
    ):
        four = h(four + digest)
    assert found.pcr4_secure_boot == four
    assert found.pcr4 == h(four + pe.authenticode(pe.read(KERNEL), algorithm))
    assert found.cmdline_event == h("ro quiet\0".encode("utf-16-le"))
    assert registers.replay(found.section_events, algorithm) == found.pcr11


def test_another_command_line_is_another_image() -> None:
    sections = tuple((s.name, s.data) for s in pe.read(UKI).sections[2:])
    other = uki.assemble(
        doubles.pe_file(((".text", b"stub"), (".sbat", b"sbat,1"))),
        tuple((name, b"ro quiet x" if name == ".cmdline" else data) for name, data in sections),
    )
    one, two = registers.predict(UKI, "sha256"), registers.predict(other, "sha256")
    assert one.pcr4 != two.pcr4
    assert one.pcr11 != two.pcr11
    assert one.linux == two.linux


@pytest.mark.parametrize("missing", [".linux", ".cmdline"])
def test_a_uki_without_its_parts_is_refused(missing: str) -> None:
    sections = tuple((s.name, s.data) for s in pe.read(UKI).sections[2:] if s.name != missing)
    with pytest.raises(MalformedError, match=missing):
        registers.predict(uki.assemble(doubles.pe_file(), sections), "sha256")


def test_a_command_line_that_is_not_ascii_is_refused() -> None:
    bad = uki.assemble(doubles.pe_file(), ((".cmdline", "é".encode()), (".linux", KERNEL)))
    with pytest.raises(MalformedError, match="ASCII"):
        registers.predict(bad, "sha256")
