"""Write `image-manifest.json`: what is the same for every VM of one image. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from images.measure.registers import Prediction
from runtime.documents import manifest, strict_json

_NOTES = {
    "aws": "the launch digest of SEV-SNP covers Amazon's firmware and the number of vCPUs, never this image; "
    "`python -m images launch-digest` predicts it. PCR4, PCR11 and PCR14 are said by NitroTPM, as SHA-384",
    "azure": "the paravisor's measurement is Microsoft's and cannot be rebuilt; the vTPM in it says the PCRs",
    "gcp": "TDX: the firmware's MRTD is endorsed by Google, RTMR1 and RTMR2 are made of the events in `tdx`. "
    "SEV-SNP: the report covers firmware only, Google's vTPM says the PCRs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One artefact of the bake."""

    name: str
    format: str
    sha256: str
    size: int


def write(
    *,
    version: str,
    variant: str,
    lock_sha256: bytes,
    root_hash: str,
    predictions: Mapping[str, Prediction],
    files: Sequence[File],
) -> bytes:
    """Return the manifest's bytes, read back once. `predictions` has sha256 and sha384."""
    measurements: dict[str, Any] = {"root_hash": root_hash}
    for algorithm, found in predictions.items():
        measurements |= {
            f"pcr4_{algorithm}": found.pcr4.hex(),
            f"pcr4_secure_boot_{algorithm}": found.pcr4_secure_boot.hex(),
            f"pcr11_{algorithm}": found.pcr11.hex(),
            f"uki_authenticode_{algorithm}": found.uki.hex(),
            f"linux_authenticode_{algorithm}": found.linux.hex(),
            f"cmdline_event_{algorithm}": found.cmdline_event.hex(),
        }
    wide = predictions["sha384"]
    body = {
        "schema": "tunnel-image/1",
        "version": version,
        "variant": variant,
        "lock_sha256": lock_sha256.hex(),
        "secure_boot": False,
        "measurements": measurements,
        "tdx": {
            "rtmr1_events": [wide.uki.hex(), wide.linux.hex()],
            "rtmr2_events": [digest.hex() for digest in wide.section_events],
        },
        "artefacts": [
            {"file": file.name, "format": file.format, "sha256": file.sha256, "bytes": file.size}
            for file in files
        ],
        "firmware_notes": _NOTES,
    }
    data = strict_json.canonical(body)
    manifest.read(data)
    return data
