"""The one edit between the program's unsigned document and a local fleet's: said, not hidden. Pure.

A simulated TEE has no vendor root, no baked image and no cloud's instance id; this writes what it has
instead, and `purpose: test`, without which no verifier would take it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from runtime.documents.reference_values import SnpProduct

KNOWN_WEAK = "a simulated chip under a throw-away root: nothing here is hardware"


def test_document(
    draft: Mapping[str, Any],
    *,
    version: int,
    measurements: Mapping[str, bytes],
    chip_ids: Mapping[str, bytes],
    products: Mapping[SnpProduct, Any],
) -> tuple[dict[str, Any], list[str]]:
    """Return the edited document, and the edit in words, one line per change.

    `measurements` is by manifest digest, `chip_ids` by member name, `products` by AMD product line.
    `version` is an owner's usual edit: the program always says the least one.
    """
    document: dict[str, Any] = copy.deepcopy(dict(draft))
    lines = [
        _set(document, ("purpose",), "test"),
        *(_set(document, ("least_grade", role), "T") for role in sorted(document["least_grade"])),
    ]
    if version != document["version"]:
        lines.append(_set(document, ("version",), version))
    for image in document["images"]:
        measured = measurements[image["manifest_sha256"]].hex()
        image["measurements"] = {"snp_launch": [measured]}
        lines.append(f"images[{image['id']}].measurements = the simulated TEE's {measured[:16]}…")
    document["reference_values"]["sev-snp"]["snp"] |= {
        "report_versions": [3, 5],
        "signers": ["vcek"],
        "csp_ids": [],
        "products": dict(products),
        "platform_require": ["alias_check_complete"],
        "id_key_digests": ["0" * 96],
        "author_key_digests": ["0" * 96],
        "required_mitigations": "0x0",
        "revocation": "when_present",
    }
    lines.append(f"reference_values.sev-snp.snp = what the simulated chips show ({', '.join(products)})")
    for member in document["members"]:
        was = f"{member['instance']['kind']} {member['instance']['value']}"
        member["instance"] = {"kind": "chip_id", "value": chip_ids[member["name"]].hex()}
        lines.append(
            f"members[{member['name']}].instance: {was} → chip_id {chip_ids[member['name']].hex()[:16]}…"
        )
    return document, lines


def _set(document: dict[str, Any], path: tuple[str, ...], value: str | int) -> str:
    target = document
    for name in path[:-1]:
        target = target[name]
    was, target[path[-1]] = target[path[-1]], value
    return f"{'.'.join(path)}: {was} → {value}"
