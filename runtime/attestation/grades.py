"""The grade: who measured the image, computed from the parts that held and never from a label. Pure.

H   the CPU's TDX module measured it, and the firmware's configuration (RTMR0, ACPI among it) is pinned
P   Microsoft's paravisor, inside of the TEE
V   the provider's hypervisor; the CPU encrypts the memory. So is a TD whose RTMR0 nobody pinned: its host
    could have run code of its own in the guest's kernel by way of ACPI
N   the provider's hypervisor, and nothing protects the memory; or nobody at all, under a waiver
T   a test root, a software TPM, or settings that only the host vouches for

Every letter rests on more than the image's registers: on the firmware (or paravisor) that filled them and on
the CPU that vouches for it. Where a waiver stands in for one of these (`waivable.CARRY_GRADE`), nothing above
N is left: any firmware at all can show the registers of our image.
"""

from __future__ import annotations

from runtime.attestation.findings import Findings, Reason
from runtime.attestation.image_policy import Booted
from runtime.attestation.tees import MachineClaims
from runtime.documents import times
from runtime.documents.fleet import GRADES, FleetDocument, Grade, Role

_IMAGE = "image."  # checks of which image it is: they say nothing of the firmware that names the machine


def of_image(claims: MachineClaims, booted: Booted, doubted: frozenset[str]) -> Grade:
    """Return who measured what was booted; `doubted` are the waived checks of `CARRY_GRADE`."""
    if _test_only(claims):
        return "T"
    if booted.image is None or doubted:
        return "N"
    if claims.paravisor is not None:
        return "P"
    if claims.tdx is not None:
        return "H" if booted.rtmr0_pinned else "V"
    return "V" if claims.snp is not None else "N"


def of_instance(claims: MachineClaims, doubted: frozenset[str]) -> Grade:
    """Return who says which machine this is."""
    if _test_only(claims):
        return "T"
    if any(not check.startswith(_IMAGE) for check in doubted):
        return "N"
    if claims.paravisor is not None:
        return "P"
    return "V" if claims.snp is not None or claims.tdx is not None else "N"


def _test_only(claims: MachineClaims) -> bool:
    return claims.simulated or (claims.registers is None and claims.tdx is None)


def check(
    findings: Findings,
    claims: MachineClaims,
    booted: Booted,
    doubted: frozenset[str],
    role: Role,
    document: FleetDocument,
) -> Grade:
    """Note whether the roots are of hardware, and whether the grade is enough for the role; return it."""
    findings.require(
        not claims.simulated or document.purpose == "test",
        "purpose.root",
        Reason.PURPOSE,
        expected="a root of hardware",
        actual="no root at all: a software TPM" if not claims.roots else "a root of tests",
        source="the pinned root",
        remedy='only a fleet document with "purpose": "test" accepts simulated TEEs',
    )
    grade, least = of_image(claims, booted, doubted), document.least_grade[role]
    findings.require(
        GRADES.index(grade) <= GRADES.index(least),
        "grade.least",
        Reason.GRADE,
        expected=f"at least {least} for a {role}",
        actual=lambda: grade + _why(claims, booted, doubted, grade),
        source="who measured the image",
        remedy=_remedy(claims, booted, doubted, grade),
    )
    return grade


def _why(claims: MachineClaims, booted: Booted, doubted: frozenset[str], grade: Grade) -> str:
    if doubted:
        return f" (waived, and so not proven: {', '.join(sorted(doubted))})"
    return f" ({rtmr0(booted)})" if claims.tdx is not None and grade == "V" else ""


def rtmr0(booted: Booted) -> str:
    """Say why RTMR0 is not pinned."""
    if booted.rtmr0_until is not None:
        return f"the owner listed RTMR0 until {times.show(booted.rtmr0_until)}"
    return "RTMR0 is not one that the owner listed"


def _remedy(claims: MachineClaims, booted: Booted, doubted: frozenset[str], grade: Grade) -> str:
    if doubted:
        return (
            "a waiver carries no grade: have the Reference Values name what was found, or lower least_grade"
        )
    advice = "choose a platform of a better grade, or lower least_grade"
    if claims.tdx is not None and grade == "V":
        ended = booted.rtmr0_until is not None
        return f"{advice}; " + ("extend its entry" if ended else "list RTMR0 in firmware") + " for grade H"
    return advice
