"""The bill of materials: what is shipped, each with what identifies it."""

from __future__ import annotations

import json

from images import sbom
from images.lock import Package

PACKAGE = Package(
    name="libc6", version="2.41", sha256="ab" * 32, archive="debian", path="pool/x.deb", rooms=("image",)
)


def test_packages_and_wheels_are_listed_and_the_serial_follows() -> None:
    def write(wheel: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(
            sbom.write([PACKAGE], [("PyX", wheel)], version="1", timestamp="2026-11-01T00:00:00Z")
        )
        return found

    body = write("1.0")
    assert body["bomFormat"] == "CycloneDX"
    assert [c["purl"] for c in body["components"]] == [  # type: ignore[attr-defined]
        "pkg:deb/debian/libc6@2.41?arch=amd64",
        "pkg:pypi/pyx@1.0",
    ]
    assert body == write("1.0")
    assert body["serialNumber"] != write("1.1")["serialNumber"]
