"""The owner's law: may this peer, whose Claims are true, be a member of this fleet? Pure.

Steps, numbered where they happen; every failed check of all of them is in one refusal:

    1 binding     the evidence was made for this very connection, direction and epoch
    2 settings    the VM booted with the settings the owner signed
    3 member      it is the one machine that the owner enrolled under that name
    4 image       what runs was measured, and the owner accepts it until a date
    5 platform    the Reference Values of its kind of TEE
    6 grade       by whom it was measured, and whether that is enough for its role
    7 waivers     named exceptions of the owner's, with an end

The grade says who measured the image: H the CPU, T a simulated TEE. An image that nobody measured, let
through by a waiver, is N at best.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

from runtime.attestation import known_weak, snp_policy
from runtime.attestation.model import (
    AppliedWaiver,
    AttestationResult,
    Check,
    Claims,
    EvidenceRefusedError,
    Findings,
    Reason,
    Statement,
)
from runtime.attestation.tees.snp.report import PLATFORM_BITS, POLICY_BITS
from runtime.documents import times
from runtime.documents.fleet import GRADES, FleetDocument, Grade, Member, Role, Waiver
from runtime.documents.reference_values import Image, SnpReferenceValues

IMAGE_WARNING_S = 7 * times.DAY_S  # an image this near its end date is warned about

# Only these may be waived. What says who the peer is, and to whom it speaks, may not: signature, chain,
# binding, settings, member; nor what would make the word "confidential" false: debug, migration, VMPL.
WAIVABLE: frozenset[str] = frozenset(
    {
        "image.measured",
        "image.date",
        "firmware.date",
        "snp.version",
        "snp.known_weak",
        "snp.csp_id",
        "snp.revocation",
        "snp.guest_svn",
        "snp.id_key",
        "snp.author_key",
        "snp.mitigations",
        "policy.smt",
        "policy.cxl",
        "policy.abi",
        *(f"policy.{bit}" for bit in POLICY_BITS),
        *(f"platform.{bit}" for bit in PLATFORM_BITS),
        "tcb.reported",
        "tcb.committed",
        "tcb.launch",
        "tcb.provisional",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom the evidence is said to be about, and what it has to be bound to."""

    member: Member
    role: Role
    binder: bytes  # 64
    settings_digest: bytes  # 32
    evidence: bytes


def appraise(claims: Claims, subject: Subject, document: FleetDocument, now: int) -> AttestationResult:
    """Return what the owner accepts. Raises: EvidenceRefusedError with every failed check."""
    findings = Findings()
    _check_binding(findings, claims, subject)  # 1
    _check_settings(findings, claims, subject, document)  # 2
    _check_member(findings, claims, subject)  # 3
    image = _check_image(findings, claims, document, now)  # 4
    values = document.reference_values.snp
    if _check_accepted(findings, values) and values is not None:
        snp_policy.check(findings, claims, values)  # 5
    grade = _check_grade(findings, claims, subject, document, image)  # 6
    applied = _apply_waivers(findings.failed(), subject.member, document.waivers, now)  # 7
    return AttestationResult(
        member=subject.member.name,
        role=subject.member.role,
        grade=grade,
        purpose=document.purpose,
        image=None if image is None else image.id,
        instance=claims.chip_id.hex(),
        statements=_statements(claims, subject, image),
        not_proven=_not_proven(claims, document, image),
        waivers=applied,
        warnings=_warnings(claims, document, image, now),
        evidence_sha256=sha256(subject.evidence).digest(),
        document_sha256=document.digest,
        document_version=document.version,
        appraised_at=now,
        endorsed_until=claims.endorsed_until,
        newest_endorsement=claims.newest_endorsement,
    )


def _check_binding(findings: Findings, claims: Claims, subject: Subject) -> None:
    findings.require(
        compare_digest(claims.report_data, subject.binder),
        "binding.report_data",
        Reason.BINDING,
        expected=subject.binder.hex()[:32] + "…",
        actual=claims.report_data.hex()[:32] + "…",
        source="REPORT_DATA in the chip's signed report",
        remedy="evidence of another connection, direction or epoch: somebody may be relaying it",
    )


def _check_settings(findings: Findings, claims: Claims, subject: Subject, document: FleetDocument) -> None:
    digest, source = subject.settings_digest, "HOST_DATA in the chip's signed report"
    findings.require(
        compare_digest(claims.host_data, digest),
        "settings.digest",
        Reason.SETTINGS,
        expected=digest.hex()[:32] + "…",
        actual=claims.host_data.hex()[:32] + "…",
        source=source,
        remedy="the VM booted with other settings than it says",
    )
    findings.require(
        document.purpose == "test",
        "settings.register",
        Reason.SETTINGS,
        expected="a register that the VM itself extended with its settings",
        actual="HOST_DATA, which the host wrote",
        source=source,
        remedy="an SNP report alone proves no settings: production needs the vTPM's quote beside it",
    )


def _check_member(findings: Findings, claims: Claims, subject: Subject) -> None:
    wanted = subject.member.instance
    findings.require(
        subject.role == subject.member.role,
        "member.role",
        Reason.ROLE,
        expected=subject.member.role,
        actual=subject.role,
        source="the fleet document",
        remedy="a member acts in the role the owner gave it",
    )
    findings.require(
        wanted.kind == "chip_id" and claims.signer == "vcek" and claims.chip_id.hex() == wanted.value,
        "member.instance",
        Reason.INSTANCE,
        expected=f"{wanted.kind} {wanted.value[:32]}",
        actual=f"chip_id {claims.chip_id.hex()[:32]}"
        if claims.signer == "vcek"
        else "no chip (signed by a VLEK)",
        source="CHIP_ID in the chip's signed report",
        remedy="the VM moved or was copied: enrol its new instance in the fleet document",
    )


def _check_image(findings: Findings, claims: Claims, document: FleetDocument, now: int) -> Image | None:
    """Find what the launch digest stands for; the last to expire, should several entries name it."""
    values, digest = document.reference_values, claims.measurement
    images = [image for image in values.images if digest in image.snp_launch]
    firmware = [
        entry for entry in values.firmware if entry.measurement == digest
    ]  # platform: snp is the only one
    source = "MEASUREMENT in the chip's signed report"
    findings.require(
        bool(images or firmware),
        "measurement.known",
        Reason.MEASUREMENT,
        expected="the launch digest of an accepted image or firmware",
        actual=digest.hex(),
        source=source,
        remedy="add the image's generation to the fleet document, or find out what was booted",
    )
    findings.require(
        bool(images),
        "image.measured",
        Reason.IMAGE,
        expected="a launch digest that covers the whole image",
        actual="that of firmware only" if firmware else digest.hex(),
        source=source,
        remedy="the CPU measured the firmware and not our image: evidence of a vTPM has to come with it",
    )
    for name, entries in (("image", images), ("firmware", firmware)):
        last = max((entry.not_after for entry in entries), default=now)
        findings.require(
            now <= last,
            f"{name}.date",
            Reason.EXPIRED,
            expected=f"a time until {times.show(last)}",
            actual=times.show(now),
            source="the fleet document",
            remedy=f"roll out the next {name}, or extend its not_after",
        )
    return max(images, key=lambda image: image.not_after, default=None)


def _check_accepted(findings: Findings, values: SnpReferenceValues | None) -> bool:
    return findings.require(
        values is not None,
        "snp.accepted",
        Reason.DOCUMENT,
        expected="reference_values.snp in the fleet document",
        actual="none",
        source="the fleet document",
        remedy="the owner accepts no SEV-SNP evidence",
    )


def _check_grade(
    findings: Findings, claims: Claims, subject: Subject, document: FleetDocument, image: Image | None
) -> Grade:
    findings.require(
        claims.root.kind == "hardware" or document.purpose == "test",
        "purpose.root",
        Reason.PURPOSE,
        expected="a root of hardware",
        actual=f"a root of tests ({claims.root.sha256.hex()[:16]}…)",
        source="the pinned root",
        remedy='only a fleet document with "purpose": "test" accepts simulated TEEs',
    )
    grade: Grade = "T" if claims.root.kind == "test" else "N" if image is None else "H"
    least = document.least_grade[subject.member.role]
    findings.require(
        GRADES.index(grade) <= GRADES.index(least),
        "grade.least",
        Reason.GRADE,
        expected=f"at least {least} for a {subject.member.role}",
        actual=grade,
        source="who measured the image",
        remedy="choose a platform of a better grade, or lower least_grade",
    )
    return grade


def _apply_waivers(
    failed: tuple[Check, ...], member: Member, waivers: tuple[Waiver, ...], now: int
) -> tuple[AppliedWaiver, ...]:
    """Return the waivers that let failed checks pass. Raises: EvidenceRefusedError for all the others."""
    applied: list[AppliedWaiver] = []
    refused: list[Check] = []
    for check in failed:
        waiver = next(
            (
                entry
                for entry in waivers
                if entry.check == check.id and entry.member in ("*", member.name) and now <= entry.not_after
            ),
            None,
        )
        if waiver is None or check.id not in WAIVABLE:
            refused.append(check)
            continue
        applied.append(
            AppliedWaiver(
                name=waiver.name,
                check=check.id,
                reason=waiver.reason,
                not_after=waiver.not_after,
                actual=check.actual,
            )
        )
    if refused:
        raise EvidenceRefusedError(refused)
    return tuple(applied)


def _statements(claims: Claims, subject: Subject, image: Image | None) -> tuple[Statement, ...]:
    test = claims.root.kind == "test"
    cpu, owner = "simulated TEE (test root)" if test else "AMD CPU", "the owner's signature"
    endorser = "simulated endorser (test root)" if test else "AMD"
    rows = [
        ("member", subject.member.name, owner),
        ("role", subject.member.role, owner),
        ("memory encryption", f"SEV-SNP on {claims.product}", cpu),
        ("launch digest", claims.measurement.hex(), cpu),
        ("image", image.id, f"{cpu}, named by the owner") if image is not None else None,
        ("settings", subject.settings_digest.hex(), "host (HOST_DATA)" if not test else f"host of a {cpu}"),
        ("machine", claims.chip_id.hex(), f"{cpu}, certified by {endorser}"),
        ("firmware", str(claims.reported_tcb), f"{cpu}, certified by {endorser}"),
        ("cloud and region", claims.csp_id, endorser) if claims.csp_id is not None else None,
        ("connection", subject.binder.hex(), cpu),
    ]
    return tuple(Statement(claim=row[0], value=row[1], measured_by=row[2]) for row in rows if row is not None)


def _not_proven(claims: Claims, document: FleetDocument, image: Image | None) -> tuple[str, ...]:
    gaps = []
    if claims.root.kind == "test":
        gaps.append("that there is any hardware: the TEE is simulated")
    if image is None:
        gaps.append("which image runs: nobody measured it, and a waiver lets it pass")
    if document.purpose == "test":
        gaps.append("the settings: the host wrote their digest, the VM did not")
    if not claims.revocation_checked:
        gaps.append("that AMD did not revoke the signing key: no revocation list came along")
    return tuple(gaps)


def _warnings(claims: Claims, document: FleetDocument, image: Image | None, now: int) -> tuple[str, ...]:
    values = document.reference_values.snp
    lines = []
    if now - document.issued_at > document.expires_at - now:
        lines.append(
            f"the fleet document is past half of its life (to {times.show(document.expires_at)}): renew it"
        )
    if image is not None and image.not_after - now < IMAGE_WARNING_S:
        lines.append(
            f"image {image.id} is accepted until {times.show(image.not_after)} only: roll out the next"
        )
    floor = None if values is None else values.products.get(claims.product)
    lines += [
        f"{claims.product} is known to be weak: {entry.effect} [{entry.citation}, noted {entry.noted}]; "
        f"accepted because: {'(waived)' if floor is None or floor.opt_in is None else floor.opt_in}"
        for entry in known_weak.weaknesses(claims)
    ]
    lines += [
        f"waiver {waiver.name} does nothing: check {waiver.check!r} does not exist or cannot be waived"
        for waiver in document.waivers
        if waiver.check not in WAIVABLE
    ]
    return tuple(lines)
