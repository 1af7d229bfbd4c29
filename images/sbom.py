"""Write the software bill of materials, CycloneDX 1.6. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Any

from images.lock import Package


def write(
    packages: Iterable[Package], wheels: Iterable[tuple[str, str]], *, version: str, timestamp: str
) -> bytes:
    """Return the document: Debian packages of the image and its initrd, wheels, and this program itself.

    `wheels` are (name, version). Serial number and time follow from the contents.
    """
    debian = [_debian(package) for package in packages]
    python = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name.lower()}@{release}",
            "name": name,
            "version": release,
            "purl": f"pkg:pypi/{name.lower()}@{release}",
        }
        for name, release in sorted(wheels)
    ]
    components: list[dict[str, Any]] = [*debian, *python]
    body: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": timestamp,
            "component": {
                "type": "operating-system",
                "name": "confidential-tunnels",
                "version": version,
                "bom-ref": f"confidential-tunnels@{version}",
            },
        },
        "components": components,
    }
    serial = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(body, sort_keys=True))
    return (json.dumps({"serialNumber": serial.urn, **body}, indent=1, sort_keys=True) + "\n").encode()


def _debian(package: Package) -> dict[str, Any]:
    reference = f"pkg:deb/debian/{package.name}@{package.version}?arch=amd64"
    return {
        "type": "library",
        "bom-ref": reference,
        "name": package.name,
        "version": package.version,
        "purl": reference,
        "hashes": [{"alg": "SHA-256", "content": package.sha256}],
    }
