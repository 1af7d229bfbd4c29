"""The manifest is what `runtime.documents` reads, with the predictions in it."""

from __future__ import annotations

import json

import pytest

from images import manifest
from images.measure import registers
from images.measure.portable_executable import HASHES
from runtime.documents import manifest as document
from runtime.errors import DocumentError
from tests.images.measure.test_registers import UKI

FILES = [manifest.File(name="disk.raw", format="raw", sha256="cd" * 32, size=1)]


def write(files: list[manifest.File]) -> bytes:
    return manifest.write(
        version="1",
        variant="test",
        lock_sha256=bytes(32),
        root_hash="ab" * 32,
        predictions={algorithm: registers.predict(UKI, algorithm) for algorithm in HASHES},
        files=files,
    )


def test_what_is_written_is_read() -> None:
    data = write(FILES)
    read = document.read(data)
    assert read.variant == "test"
    wide = registers.predict(UKI, "sha384")
    assert read.measurements["pcr4_sha384"] == wide.pcr4
    assert read.measurements["pcr11_sha256"] == registers.predict(UKI, "sha256").pcr11
    assert json.loads(data)["tdx"]["rtmr1_events"] == [wide.uki.hex(), wide.linux.hex()]


def test_an_image_without_files_is_refused() -> None:
    with pytest.raises(DocumentError, match="artefacts"):
        write([])
