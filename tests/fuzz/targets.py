"""Every target by name. One more parser is one entry in a file of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tests.corpus import cases
from tests.fuzz import (
    azure,
    channel,
    composites,
    documents,
    endorsements,
    eventlog,
    google,
    nitro,
    owner,
    planted,
    snp,
    tdx,
    tpm,
    tunnel,
    x509,
)
from tests.fuzz.target import Target

TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        target.name: target
        for module in (
            snp,
            x509,
            tdx,
            tpm,
            eventlog,
            azure,
            nitro,
            google,
            composites,
            documents,
            channel,
            tunnel,
            owner,
            endorsements,
        )
        for target in module.TARGETS
    }
)
PLANTED: Mapping[str, Target] = MappingProxyType({target.name: target for target in planted.TARGETS})


def find(name: str) -> Target:
    """Return one target, planted ones among them. Raises: KeyError."""
    return PLANTED[name] if name in PLANTED else TARGETS[name]


def seeds(target: Target) -> list[bytes]:
    """Return what a hunt begins with: the target's own, and the evidence corpus' where there is one."""
    found = dict.fromkeys(target.seeds())
    if cases.folder() is not None:
        for case in cases.every_case():
            for role in target.roles:
                found |= dict.fromkeys(_files(case, role))
    return [data for data in found if 0 < len(data) <= target.max_size]


def _files(case: cases.Case, role: str) -> list[bytes]:
    if role == "tpm_quotes":
        return [(case.path / entry["message"]).read_bytes() for entry in case.inputs.get(role, [])]
    return case.files(role)
