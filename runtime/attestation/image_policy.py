"""What was booted, and does the owner accept it until a date: image registers, then firmware. Pure.

An image is found by all of its registers together: two registers of two generations are no image. Registers
that could carry something beside the image (PCR12, PCR13) have to be zero, whatever the document says.
Missing Reference Values refuse; a named waiver may let a value pass, and then no image is named (grade N).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from runtime.attestation.findings import Findings, Reason
from runtime.attestation.tees import MachineClaims
from runtime.attestation.tees.composites.claims import BootRegisters
from runtime.attestation.tees.tdx.verify import TdxClaims
from runtime.documents import times
from runtime.documents.fleet import FleetDocument
from runtime.documents.reference_values import FormatValues, Image

OUTSIDE = (12, 13)  # what systemd-stub adds from outside the signed image: command line, credentials, ...
_NEXT = "bake the image again and sign its values, or find out what was booted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """What the registers stand for."""

    image: Image | None  # None: none of the document's
    # Unix seconds: until when the owner lists the firmware's configuration (RTMR0: ACPI tables among it);
    # in the past: it did; None: never.
    rtmr0_until: int | None
    rtmr0_pinned: bool  # and that is not over


def check(
    findings: Findings, claims: MachineClaims, document: FleetDocument, values: FormatValues, now: int
) -> Booted:
    """Note every check of image and firmware."""
    if claims.registers is not None:
        image = _check_registers(findings, claims.registers, document, now)
        _check_secure_boot(findings, claims.format, claims.registers, document, now)
    elif claims.tdx is not None:
        image = _check_rtmrs(findings, claims.tdx, document, now)
    else:
        return Booted(
            image=_check_launch(findings, claims, document, now), rtmr0_until=None, rtmr0_pinned=False
        )
    _check_firmware(findings, claims, document, values, now)
    rtmr0 = b"" if claims.tdx is None else claims.tdx.report.rtmrs[0]
    entries = listed(document, claims.format, "rtmr0", rtmr0)
    until = max(entries, default=None)
    return Booted(image=image, rtmr0_until=until, rtmr0_pinned=until is not None and now <= until)


def listed(document: FleetDocument, form: str, register: str, value: bytes) -> list[int]:
    """Return until when the owner accepts this firmware value, once per entry."""
    return [
        entry.not_after
        for entry in document.reference_values.firmware
        if (entry.format, entry.register, entry.value) == (form, register, value)
    ]


def _check_registers(
    findings: Findings, registers: BootRegisters, document: FleetDocument, now: int
) -> Image | None:
    names = {4: f"pcr4_{registers.bank}", 11: f"pcr11_{registers.bank}"}
    found = {index: registers.values.get(index, b"") for index in names}
    for index in OUTSIDE:
        check_outside(findings, index, registers)
    return _find(
        findings,
        document,
        {
            f"pcr{index}": (value, _pcr(names[index], value), document_values(document, names[index]))
            for index, value in found.items()
        },
        registers.source,
        now,
    )


def check_outside(findings: Findings, index: int, registers: BootRegisters) -> None:
    """Note whether one of `OUTSIDE` is zero: whatever an owner says, and no waiver is about it."""
    value = registers.values.get(index)
    findings.require(
        value is not None and not any(value),
        f"image.pcr{index}",
        Reason.IMAGE,
        expected="zeros: nothing was added to the image from outside",
        actual="no such register" if value is None else f"{value.hex()[:32]}…",
        source=registers.source,
        remedy="somebody gave the boot stub a command line, credentials or extensions: remove them",
    )


def _pcr(name: str, value: bytes) -> Callable[[Image], bool]:
    return lambda image: image.registers.get(name) == value


def document_values(document: FleetDocument, name: str) -> list[bytes]:
    """Return what the document's images have for one register."""
    return [image.registers[name] for image in document.reference_values.images if name in image.registers]


def _check_rtmrs(findings: Findings, td: TdxClaims, document: FleetDocument, now: int) -> Image | None:
    images = document.reference_values.images
    _, first, second, _ = td.report.rtmrs
    return _find(
        findings,
        document,
        {
            "rtmr1": (
                first,
                lambda image: first in image.rtmr1,
                [v for image in images for v in image.rtmr1],
            ),
            "rtmr2": (
                second,
                lambda image: second in image.rtmr2,
                [v for image in images for v in image.rtmr2],
            ),
        },
        "the TD quote: the CPU's TDX module extends it",
        now,
    )


def _find(
    findings: Findings,
    document: FleetDocument,
    wanted: dict[str, tuple[bytes, Callable[[Image], bool], list[bytes]]],
    source: str,
    now: int,
) -> Image | None:
    """Find the image that all registers belong to; the last to expire, should several."""
    images, known = document.reference_values.images, True
    for name, (value, fits, accepted) in wanted.items():
        known &= findings.require(
            any(map(fits, images)),
            f"image.{name}",
            Reason.MEASUREMENT,
            expected=_show(accepted),
            actual=value.hex() if any(value) else "zeros: nothing was measured",
            source=source,
            remedy=_NEXT,
        )
    matching = [image for image in images if all(fits(image) for _, fits, _ in wanted.values())]
    findings.require(
        bool(matching) or not known,
        "image.generation",
        Reason.IMAGE,
        expected="registers of one image",
        actual="registers of different images",
        source=source,
        remedy="the boot programs of one generation booted another one's image: find out who mixed them",
    )
    _check_date(findings, "image", [image.not_after for image in matching], now)
    return max(matching, key=lambda image: image.not_after, default=None)


def _check_date(findings: Findings, name: str, ends: list[int], now: int) -> None:
    last = max(ends, default=now)
    findings.require(
        now <= last,
        f"{name}.date",
        Reason.EXPIRED,
        expected=f"a time until {times.show(last)}",
        actual=times.show(now),
        source="the fleet document",
        remedy=f"roll out the next {name}, or extend its not_after",
    )


def _check_secure_boot(
    findings: Findings, form: str, registers: BootRegisters, document: FleetDocument, now: int
) -> None:
    register, value = f"pcr7_{registers.bank}", registers.values.get(7, b"")
    ends = listed(document, form, register, value)
    findings.require(
        bool(ends),
        "firmware.pcr7",
        Reason.MEASUREMENT,
        expected=_show(_accepted(document, form, register)),
        actual=value.hex() or "no such register",
        source=registers.source,
        remedy=f'list the Secure Boot policy of this platform in firmware, as register "{register}"',
    )
    _check_date(findings, "firmware.pcr7", ends, now)


def _check_firmware(
    findings: Findings, claims: MachineClaims, document: FleetDocument, values: FormatValues, now: int
) -> None:
    """A NitroTPM alone has none: nothing measured AWS' firmware there."""
    value = claims.firmware
    if value is None:
        return
    register = "snp_measurement" if claims.tdx is None else "mrtd"
    ends = listed(document, claims.format, register, value)
    version, least = claims.endorsed_version, None if values.gce is None else values.gce.endorsed_min_svn
    endorsed = version is not None and least is not None and version >= least
    said = "" if version is None else f"; Google endorses it as version {version}"
    if claims.launch is not None and version is None:
        said = "; Google's endorsement that came along is about other firmware"
    findings.require(
        bool(ends) or endorsed,
        "firmware.measurement",
        Reason.MEASUREMENT,
        expected=_show(_accepted(document, claims.format, register)),
        actual=value.hex() + said,
        source=f"{register.upper()} that the CPU signed",
        remedy=f'list the provider\'s firmware as register "{register}": it may have been updated',
    )
    if not endorsed:
        _check_date(findings, "firmware", ends, now)


def _accepted(document: FleetDocument, form: str, register: str) -> list[bytes]:
    return [
        entry.value
        for entry in document.reference_values.firmware
        if (entry.format, entry.register) == (form, register)
    ]


def _show(values: Iterable[bytes]) -> str:
    return ", ".join(sorted({f"{value.hex()[:32]}…" for value in values})) or (
        "a value in the fleet document, which has none"
    )


def _check_launch(
    findings: Findings, claims: MachineClaims, document: FleetDocument, now: int
) -> Image | None:
    """A launch digest that covers the whole image: direct boot with kernel hashes, or a simulated TEE."""
    digest = b"" if claims.snp is None else claims.snp.measurement
    images = [image for image in document.reference_values.images if digest in image.snp_launch]
    firmware = listed(document, claims.format, "snp_measurement", digest)
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
    _check_date(findings, "image", [image.not_after for image in images], now)
    _check_date(findings, "firmware", firmware, now)
    return max(images, key=lambda image: image.not_after, default=None)
