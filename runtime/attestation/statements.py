"""An accepted peer in words: each claim with whose word it is, and what nobody proved. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.attestation import grades, known_weak, tdx_policy
from runtime.attestation.image_policy import Booted
from runtime.attestation.member_policy import Subject, machine_name
from runtime.attestation.result import Statement
from runtime.attestation.tees import MachineClaims
from runtime.attestation.tees.tdx import rules
from runtime.documents import times, weaknesses
from runtime.documents.fleet import GRADES, FleetDocument, Grade
from runtime.documents.reference_values import FormatValues
from runtime.documents.waivable import WAIVABLE
from runtime.errors import printable

IMAGE_WARNING_S = 7 * times.DAY_S  # an image this near its end date is warned about
_OWNER = "the owner's signature"
_MEASURED = {
    "P": "not defended against Microsoft: its paravisor, which nobody outside can review, measured the image",
    "V": "not defended against the provider: its hypervisor could have made the measurement of the image up",
}
_NOTHING_ENCRYPTS = (
    "not defended against the provider at all: nothing encrypts this machine's memory by the CPU's word"
)
_FIRMWARE = ("firmware.measurement", "firmware.date")


def statements(
    claims: MachineClaims, subject: Subject, booted: Booted, doubted: frozenset[str]
) -> tuple[Statement, ...]:
    """Return what was accepted, and who measured or vouches for it; `doubted`: waived checks below it."""
    test = " (test root)" if claims.simulated else ""
    said = ", at the word of firmware that passes by a waiver" if doubted.intersection(_FIRMWARE) else ""
    inside = said if claims.paravisor is not None else ""  # elsewhere no firmware speaks of these
    rows = [("member", subject.member.name, _OWNER), ("role", subject.member.role, _OWNER)]
    rows += _hardware(claims, test)
    if booted.image is not None:
        rows.append(("image", booted.image.id, f"{_measurer(claims, test)}{said}, named by the owner"))
    rows.append(("settings", subject.settings_digest.hex(), _settings_source(claims, test) + said))
    name = machine_name(claims)
    rows.append(("machine", f"{name.kind} {name.value}", f"{name.source}{test}{inside}"))
    rows += _places(claims, test)
    rows.append(("connection", subject.binder.hex(), _connection_source(claims, test) + inside))
    return tuple(
        Statement(claim=claim, value=printable(value), measured_by=source) for claim, value, source in rows
    )


def _hardware(claims: MachineClaims, test: str) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    if (snp := claims.snp) is not None:
        cpu = _amd(test)
        endorser = "simulated endorser (test root)" if test else "AMD"
        rows += [
            ("memory encryption", f"SEV-SNP on {snp.product}", cpu),
            ("launch digest", snp.measurement.hex(), cpu),
            ("firmware", str(snp.reported_tcb), f"{cpu}, certified by {endorser}"),
        ]
        if snp.signer == "vcek":
            rows.append(("chip", snp.chip_id.hex(), f"{cpu}, certified by {endorser}"))
    if (td := claims.tdx) is not None:
        rows += [
            ("memory encryption", "Intel TDX", f"Intel CPU{test}"),
            ("firmware", td.report.mrtd.hex(), f"Intel CPU{test}"),
            ("TCB status", str(td.tcb.status), f"Intel's TCB info and QE identity{test}"),
            ("processor", td.platform.ppid.hex(), f"Intel's certificate for the platform{test}"),
        ]
    if (version := claims.endorsed_version) is not None:
        rows.append(("endorsed firmware", f"security version {version}", f"Google{test}"))
    return rows


def _measurer(claims: MachineClaims, test: str) -> str:
    if claims.registers is not None:
        return f"{claims.registers.source}{test}"
    return f"Intel CPU (RTMR1, RTMR2){test}" if claims.tdx is not None else _amd(test)


def _amd(test: str) -> str:
    return "simulated TEE (test root)" if test else "AMD CPU"


def _settings_source(claims: MachineClaims, test: str) -> str:
    if claims.registers is not None:
        return f"{claims.registers.source}, PCR14{test}"
    return f"Intel CPU, RTMR3{test}" if claims.tdx is not None else f"host (HOST_DATA){test}"


def _connection_source(claims: MachineClaims, test: str) -> str:
    if claims.paravisor is not None:
        return f"Microsoft's paravisor, named by the CPU's report{test}"
    if claims.snp is not None:
        return _amd(test)
    if claims.tdx is not None:
        return f"Intel CPU{test}"
    return _measurer(claims, test)


def _places(claims: MachineClaims, test: str) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    if claims.snp is not None and claims.snp.csp_id is not None:
        endorser = "simulated endorser (test root)" if test else "AMD"
        rows.append(("cloud and region", claims.snp.csp_id, endorser))
    if claims.nitro is not None:
        rows.append(("region", claims.nitro.region, f"AWS' certificate of the NitroTPM{test}"))
    if claims.instance is not None:
        place = f"{claims.instance.zone}, project {claims.instance.project_id}"
        rows.append(("zone", place, f"Google's certificate of the attestation key{test}"))
    return rows


def not_proven(
    claims: MachineClaims, booted: Booted, grade: Grade, doubted: frozenset[str]
) -> tuple[str, ...]:
    """Return what the evidence leaves open, in plain words."""
    gaps: list[str] = []
    if claims.simulated:
        gaps.append("that there is any hardware: the TEE is simulated")
    if booted.image is None:
        gaps.append("which image runs: nobody measured it, and a waiver lets it pass")
    gaps += _doubts(doubted) + _not_defended(claims, grade)
    if grade == "V" and claims.tdx is not None:
        gaps.append(f"that the host's ACPI tables are harmless: {grades.rtmr0(booted)}")
    gaps += [] if claims.tdx is None else rules.unseen(claims.tdx)
    if claims.registers is None and claims.tdx is None:  # which no document but a test's accepts
        gaps.append("the settings: the host wrote their digest, the VM did not")
    if GRADES.index(grades.of_instance(claims, doubted)) > GRADES.index(grade):
        gaps.append("which machine this is, by the CPU: the provider's hypervisor names it (grade V)")
    if claims.snp is not None and not claims.snp.revocation_checked:
        gaps.append("that AMD did not revoke the signing key: no revocation list came along")
    if claims.ak is not None and not claims.ak.revocation_checked:
        gaps.append("that the attestation key's certificates are not revoked: no lists came along")
    if claims.paravisor is not None and claims.ak is None:
        gaps.append("that Microsoft certified the attestation key: only the hardware report names it")
    return tuple(gaps)


def _not_defended(claims: MachineClaims, grade: Grade) -> list[str]:
    if grade in _MEASURED:
        return [_MEASURED[grade]]
    return [_NOTHING_ENCRYPTS] if grade == "N" and claims.snp is None and claims.tdx is None else []


def _doubts(doubted: frozenset[str]) -> list[str]:
    """Say what a waived check would have carried: without it, nothing above it is known."""
    gaps: list[str] = []
    if doubted.intersection(_FIRMWARE):
        gaps.append(
            "what measured the image: the firmware is not one that the owner lists or the provider endorses, "
            "and a waiver lets it pass; image and settings are that firmware's word: list it in firmware"
        )
    if cpu := sorted(check for check in doubted if not check.startswith(("image.", "firmware."))):
        gaps.append(
            f"that the CPU's own word holds: {', '.join(cpu)} passes by a waiver, and the image rests on it: "
            "move to an updated host, or have the Reference Values accept what was found"
        )
    return gaps


def warnings(
    claims: MachineClaims, document: FleetDocument, values: FormatValues, booted: Booted, now: int
) -> tuple[str, ...]:
    """Return what the owner should look after before it becomes a refusal."""
    lines: list[str] = []
    if now - document.issued_at > document.expires_at - now:
        lines.append(
            f"the fleet document is past half of its life (to {times.show(document.expires_at)}): renew it"
        )
    until = booted.rtmr0_until if booted.rtmr0_pinned and claims.paravisor is None else None
    if until is not None and until - now < IMAGE_WARNING_S:
        lines.append(
            f"RTMR0 of this firmware is listed until {times.show(until)} only, and grade H with it: extend"
        )
    image = booted.image
    if image is not None and image.not_after - now < IMAGE_WARNING_S:
        lines.append(
            f"image {image.id} is accepted until {times.show(image.not_after)} only: roll out the next"
        )
    if claims.tdx is not None and values.tdx is not None and tdx_policy.in_grace(claims.tdx, values.tdx):
        since = claims.tdx.tcb.outdated_since
        lines.append(
            f"the host's TCB is {claims.tdx.tcb.status} since {times.show(now if since is None else since)}, "
            f"passing by {values.tdx.out_of_date_grace_days} days of grace only: move to an updated host"
        )
    lines += _weak(claims, values)
    lines += [
        f"waiver {waiver.name} does nothing: check {waiver.check!r} does not exist or cannot be waived"
        for waiver in document.waivers
        if waiver.check not in WAIVABLE
    ]
    return tuple(lines)


def _weak(claims: MachineClaims, values: FormatValues) -> list[str]:
    if claims.snp is None or values.snp is None:
        return []
    floor = values.snp.products.get(claims.snp.product)
    reasons: Mapping[str, str] = {} if floor is None else floor.opt_in
    return [
        f"{claims.snp.product} is known to be weak: {entry.effect} [{entry.citation}, noted {entry.noted}]; "
        f"accepted because: {reasons.get(entry.id, '(waived)')}"
        for entry in known_weak.weaknesses(claims.snp)
    ] + [
        f"opt_in of {product} does nothing for {weakness!r}: this program knows no such attack on it"
        for product, weakness in weaknesses.unknown(values.snp.products)
    ]
