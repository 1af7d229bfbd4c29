"""The UKI: the stub's headers with our sections behind them."""

from __future__ import annotations

import pytest

from images import uki
from images.measure import portable_executable as pe
from runtime.errors import MalformedError
from tests.images import doubles

STUB = doubles.pe_file(((".text", b"stub"), (".sbat", b"sbat,1")))


def test_sections_are_appended_in_order_without_overlap() -> None:
    image = pe.read(
        uki.assemble(STUB, ((".cmdline", b"ro"), (".linux", b"kernel" * 1000), (".osrel", b"ID=x")))
    )
    assert [s.name for s in image.sections] == [".text", ".sbat", ".cmdline", ".linux", ".osrel"]
    assert [s.data for s in image.sections[2:]] == [b"ro", b"kernel" * 1000, b"ID=x"]
    ends = 0
    for section in image.sections:
        assert section.virtual_address >= ends
        assert section.virtual_address % image.section_alignment == 0
        ends = section.virtual_address + section.virtual_size


@pytest.mark.parametrize(
    "sections", [((".sbat", b"twice"),), ((".longer-than-8", b"x"),), ((".cmdline", b""),), tuple(
        (f".s{index}", b"x") for index in range(20)
    )],
)  # fmt: skip
def test_what_does_not_fit_is_refused(sections: tuple[tuple[str, bytes], ...]) -> None:
    with pytest.raises(MalformedError):
        uki.assemble(STUB, sections)
