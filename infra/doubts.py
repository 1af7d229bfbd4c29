"""What in a fleet document is valid, and yet refuses somebody or does nothing. Pure.

Nothing here decides: a verifier reads the document itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from runtime.documents.fleet import GRADES, FleetDocument, Grade, Waiver
from runtime.documents.reference_values import Image
from runtime.documents.waivable import CARRY_GRADE, WAIVABLE
from runtime.errors import Problem

# Which formats' evidence names an instance of this kind, and what has to be listed for a format.
FORMATS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "aws_instance_id": ("aws-snp-nitrotpm", "aws-nitrotpm"),
        "azure_vm_unique_id": ("azure-snp", "azure-tdx"),
        "gcp_instance_id": ("gcp-snp", "gcp-tdx"),
        "chip_id": ("sev-snp",),
        "tpm_ak_name": ("qemu-tpm",),
    }
)
_FIRMWARE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "aws-snp-nitrotpm": ("snp_measurement", "pcr7_sha384"),
        "aws-nitrotpm": ("pcr7_sha384",),
        "azure-snp": ("snp_measurement", "pcr7_sha256"),
        "azure-tdx": ("mrtd", "pcr7_sha256"),
        "gcp-snp": ("snp_measurement", "pcr7_sha256"),
        "gcp-tdx": ("mrtd",),
        "qemu-tpm": ("pcr7_sha256",),
    }
)
_IMAGE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "aws-snp-nitrotpm": ("pcr4_sha384", "pcr11_sha384"),
        "aws-nitrotpm": ("pcr4_sha384", "pcr11_sha384"),
        "azure-snp": ("pcr4_sha256", "pcr11_sha256"),
        "azure-tdx": ("pcr4_sha256", "pcr11_sha256"),
        "gcp-snp": ("pcr4_sha256", "pcr11_sha256"),
        "gcp-tdx": ("rtmr1", "rtmr2"),
        "qemu-tpm": ("pcr4_sha256", "pcr11_sha256"),
        "sev-snp": ("snp_launch",),
    }
)
# No manifest foretells these: they hold what a cloud's firmware measured, too.
_OBSERVED = frozenset({"snp_measurement", "mrtd", "rtmr0", "rtmr1", "rtmr2", "pcr7_sha256", "pcr7_sha384"})
_HOW = "; no manifest foretells it: `tunnel evidence observe` or a refused machine's console says it"


def find(document: FleetDocument) -> list[Problem]:
    """Return every doubt about a document that was read without a problem."""
    found = [*_members(document)]
    for name in document.reference_values.formats:
        found += [*_unlisted(document, name), *_google(document, name)]
    return [*found, *_waivers(document), *_ended(document)]


def best_grade(document: FleetDocument, name: str) -> Grade:
    """Return the best grade that evidence of a format with Reference Values reaches, waivers aside.

    It follows from what the evidence is made of, as `runtime.attestation.grades` computes it of evidence that
    was verified; tests hold the two against each other.
    """
    rules = document.reference_values.formats[name]
    if rules.azure is not None:
        return "P"
    if rules.tdx is not None:
        return "H" if "rtmr0" in _firmware(document, name) else "V"
    if rules.nitrotpm is not None or rules.gce is not None:
        return "N" if rules.snp is None else "V"
    return "T"


def _members(document: FleetDocument) -> Iterator[Problem]:
    for index, member in enumerate(document.members):
        path, wanted = f"$.members[{index}]", FORMATS[member.instance.kind]
        formats = [name for name in wanted if name in document.reference_values.formats]
        if not formats:
            missing = f"no reference_values for {' or '.join(wanted)}"
            yield Problem(path, f"{member.name} is refused: {missing}")
            continue
        best = min((best_grade(document, name) for name in formats), key=GRADES.index)
        least = document.least_grade[member.role]
        if GRADES.index(best) > GRADES.index(least):
            yield Problem(
                path,
                f"{member.name} is refused: least_grade of a {member.role} is {least}, and evidence of "
                f"{' or '.join(formats)} reaches {best} at best{_raise(formats, least)}",
            )


def _raise(formats: list[str], least: Grade) -> str:
    if "gcp-tdx" in formats and least in ("H", "P"):
        return " without an rtmr0 in firmware: list it, or lower least_grade"
    return ": lower it, or choose another platform"


def _waivers(document: FleetDocument) -> Iterator[Problem]:
    names = {"*", *(member.name for member in document.members)}
    for index, waiver in enumerate(document.waivers):
        path = f"$.waivers[{index}]"
        if waiver.check not in WAIVABLE:
            yield Problem(f"{path}.check", f"{waiver.check} does not exist or cannot be waived")
        if waiver.check in CARRY_GRADE and not _below(document, waiver):
            yield Problem(
                f"{path}.check",
                f"{waiver.check} carries the grade: who needs the waiver is N, which least_grade refuses",
            )
        if waiver.member not in names:
            yield Problem(f"{path}.member", f"{waiver.member} is no member: it does nothing")
        if waiver.not_after < document.issued_at:
            yield Problem(f"{path}.not_after", "is before the document: it does nothing")


def _below(document: FleetDocument, waiver: Waiver) -> bool:
    """Tell whether anybody whom the waiver is for may be grade N."""
    roles = {entry.role for entry in document.members if waiver.member in ("*", entry.name)}
    return any(document.least_grade[role] in ("N", "T") for role in roles)


def _ended(document: FleetDocument) -> Iterator[Problem]:
    values = document.reference_values
    for part, entries in (
        ("images", [(image.id, image.not_after) for image in values.images]),
        ("firmware", [(entry.name, entry.not_after) for entry in values.firmware]),
    ):
        for index, (name, not_after) in enumerate(entries):
            if not_after < document.issued_at:
                yield Problem(f"$.{part}[{index}].not_after", f"{name} ended before the document begins")


def _firmware(document: FleetDocument, name: str) -> set[str]:
    """Return the registers of a format with a value that had not ended when the document begins."""
    return {
        entry.register
        for entry in document.reference_values.firmware
        if entry.format == name and entry.not_after >= document.issued_at
    }


def _unlisted(document: FleetDocument, name: str) -> Iterator[Problem]:
    rules = document.reference_values.formats[name]
    endorsed = rules.gce is not None and rules.gce.endorsed_min_svn is not None
    listed = _firmware(document, name)
    for register in _FIRMWARE.get(name, ()):
        if register not in listed and not (endorsed and register in {"mrtd", "snp_measurement"}):
            yield Problem("$.firmware", f"has no {register} for {name}: its evidence is refused{_HOW}")
    if name == "gcp-tdx" and "rtmr0" not in listed:
        yield Problem("$.firmware", f"has no rtmr0 for gcp-tdx: its grade is V, not H{_HOW}")
    wanted = _IMAGE[name]
    images = [
        _registers(image)
        for image in document.reference_values.images
        if image.not_after >= document.issued_at
    ]
    missing = [register for register in wanted if not any(register in image for image in images)]
    for register in missing:
        how = _HOW if register in _OBSERVED else ""
        yield Problem("$.images", f"none has {register}, which evidence of {name} has to show{how}")
    if not missing and not any(image.issuperset(wanted) for image in images):
        yield Problem(
            "$.images", f"none has {' and '.join(wanted)} together, which evidence of {name} has to show"
        )


def _registers(image: Image) -> set[str]:
    lists = {"rtmr1": image.rtmr1, "rtmr2": image.rtmr2, "snp_launch": image.snp_launch}
    return {*image.registers, *(register for register, values in lists.items() if values)}


def _google(document: FleetDocument, name: str) -> Iterator[Problem]:
    gce, path = document.reference_values.formats[name].gce, f"$.reference_values.{name}.gce"
    if gce is not None and not gce.projects:
        yield Problem(f"{path}.projects", "is empty, which accepts none: name the project")
    if gce is not None and not gce.zones:
        yield Problem(f"{path}.zones", "is empty, which accepts none: name the zones")
