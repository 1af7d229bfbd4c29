"""The formats are the documented ones, and nothing that they allow is too large to send."""

from __future__ import annotations

import re
from pathlib import Path

from runtime.attestation import formats, wire
from runtime.attestation.formats import FORMATS

PROTOCOL = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
TPM = ("tpm_quote", "tpm_signature", "tpm_pcrs")


def test_codes_names_and_parts_are_those_of_the_protocol() -> None:
    rows = re.findall(
        r"^\| (\d+) \| `([a-z-]+)` \| (.+?) \| .+? \|$", PROTOCOL.read_text("utf-8"), re.MULTILINE
    )
    written = {
        name: (int(code), parts.replace("TPM", ", ".join(f"`{part}`" for part in TPM)))
        for code, name, parts in rows
    }
    assert written == {
        name: (known.code, ", ".join(f"`{part}`" for part in known.parts)) for name, known in FORMATS.items()
    }


def test_sizes_are_those_of_the_protocol() -> None:
    rows = re.findall(r"^\| (`.+`) \| ([\d,]+) \|$", PROTOCOL.read_text("utf-8"), re.MULTILINE)
    written = {
        name: int(most.replace(",", "")) for names, most in rows for name in re.findall("`(.+?)`", names)
    }
    sizes = [{**known.parts, **known.endorsements} for known in FORMATS.values()]
    assert written == {name: most for known in sizes for name, most in known.items()}
    assert all(most == written[name] for known in sizes for name, most in known.items())


def test_the_largest_parts_fit_into_one_message() -> None:
    for known in FORMATS.values():
        assert sum(known.parts.values()) < wire.MAX_EVIDENCE_SIZE
        assert not set(known.parts) & set(known.endorsements)


def test_the_quoted_registers_are_those_of_the_protocol() -> None:
    written = ", ".join(map(str, sorted(formats.QUOTED_REGISTERS)))
    assert f"exactly PCR {written}" in PROTOCOL.read_text("utf-8")
