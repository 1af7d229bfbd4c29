"""What the production verifier says of a fake machine: accepted, or every check that failed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from runtime.attestation import verifier, wire
from runtime.attestation.findings import Check, EvidenceRefusedError
from runtime.attestation.result import AttestationResult
from runtime.attestation.tees import TEES, MachineClaims, Root
from runtime.attestation.verifier import AppraisalRequest
from runtime.documents import fleet as documents
from runtime.documents import strict_json
from runtime.documents.fleet import FleetDocument, Role
from tests.fakes.machines import BINDER, SETTINGS, FakeMachine


def as_hardware(roots: tuple[Root, ...]) -> tuple[Root, ...]:
    """Say of throw-away roots what is only ever said of the vendors': the rules for real machines."""
    return tuple(dataclasses.replace(root, kind="hardware") for root in roots)


def document(
    machine: FakeMachine,
    *,
    values: Mapping[str, Mapping[str, Any]] | None = None,
    measurements: Mapping[str, Any] | None = None,
    firmware: Mapping[str, bytes | None] | None = None,
    member: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> dict[str, Any]:
    """Return the machine's document with single Reference Values changed; None removes one."""
    made = machine.document()
    for part, changes in (values or {}).items():
        made["reference_values"][machine.format][part] = dict(
            made["reference_values"][machine.format][part]
        ) | dict(changes)
    if measurements is not None:
        changed = made["images"][0]["measurements"] | dict(measurements)
        made["images"][0]["measurements"] = {
            name: value for name, value in changed.items() if value is not None
        }
    if firmware is not None:
        kept = {entry["register"]: entry for entry in made["firmware"]}
        for register, value in firmware.items():
            if value is None:
                del kept[register]
            else:
                kept[register] = kept[register] | {"value": value.hex()}
        made["firmware"] = list(kept.values())
    made["members"][0] |= dict(member or {})
    return made | overrides


def appraise(
    machine: FakeMachine,
    fleet: Mapping[str, Any] | None = None,
    *,
    role: Role = "client",
    binder: bytes = BINDER,
    settings_digest: bytes = SETTINGS,
    roots: tuple[Root, ...] | None = None,
    now: int | None = None,
    **options: Any,
) -> AttestationResult:
    """Appraise evidence made with `options` for BINDER and SETTINGS against `fleet`."""
    return verifier.appraise(
        AppraisalRequest(
            evidence=wire.encode(machine.evidence(**options)),
            binder=binder,
            settings_digest=settings_digest,
            role=role,
            document=strict_json.canonical(dict(machine.document() if fleet is None else fleet)),
            roots=machine.roots if roots is None else roots,
            now=machine.now if now is None else now,
        )
    )


def refused(machine: FakeMachine, fleet: Mapping[str, Any] | None = None, **how: Any) -> dict[str, Check]:
    """Return the failed checks by id; fails if nothing refuses."""
    try:
        appraise(machine, fleet, **how)
    except EvidenceRefusedError as error:
        assert len({check.id for check in error.checks}) == len(error.checks)
        return {check.id: check for check in error.checks}
    message = "accepted"
    raise AssertionError(message)


def claims_of(machine: FakeMachine, **options: Any) -> MachineClaims:
    """Return what the evidence proves, whatever the owner wants: single rules are tried on changes of it."""
    return TEES[machine.format].verify(machine.evidence(**options), BINDER, machine.roots, machine.now)


def read(fleet: Mapping[str, Any]) -> FleetDocument:
    """Return a document as the policy gets it."""
    return documents.read(strict_json.canonical(dict(fleet)))


def encoded(machine: FakeMachine, options: Mapping[str, Any]) -> bytes:
    """Return evidence made with `options`, as it travels."""
    return wire.encode(machine.evidence(**dict(options)))
