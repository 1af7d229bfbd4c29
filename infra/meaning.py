"""What a fleet document accepts, in sentences, and what in it cannot work. Pure.

`explain` says who may be a member and what each has to show; `doubts` names what is valid and yet refuses
somebody, or does nothing. Nothing here decides: a verifier reads the document itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from runtime.documents import times
from runtime.documents.fleet import FleetDocument, Member, Waiver
from runtime.documents.platform_values import GceReferenceValues, TdxReferenceValues
from runtime.documents.reference_values import FormatValues, SnpReferenceValues
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
_AT_N = "; whoever needs it is grade N"
_PURPOSE = {
    "production": "for production: hardware roots only",
    "test": "for tests: simulated TEEs and software TPMs pass, at grade T",
}


def explain(document: FleetDocument) -> list[str]:
    """Return the document in sentences, one a line."""
    life = f"{times.show(document.issued_at)} to {times.show(document.expires_at)}"
    lines = [
        f"fleet {document.fleet}, version {document.version}, {_PURPOSE[document.purpose]}",
        f"in force from {life}; afterwards no new session",
        "least grade: " + ", ".join(f"{role} {grade}" for role, grade in document.least_grade.items()),
    ]
    lines += [_member(member) for member in document.members]
    values = document.reference_values
    lines += [f"image {image.id} is accepted until {times.show(image.not_after)}" for image in values.images]
    for name, rules in values.formats.items():
        lines.append(f"evidence of format {name} is accepted if")
        lines += [f"  {sentence}" for sentence in _format(document, name, rules)]
    lines += [
        f"waiver {waiver.name}: check {waiver.check} may fail for "
        f"{'every member' if waiver.member == '*' else waiver.member} until {times.show(waiver.not_after)}, "
        f"because: {waiver.reason}{_AT_N if waiver.check in CARRY_GRADE else ''}"
        for waiver in document.waivers
    ]
    return lines


def _member(member: Member) -> str:
    granted = ", ".join(member.hostnames) or "no hostname"
    rights = (
        f", and may publish {granted}" if member.role == "client" else ""
    )  # no key is released to a server
    return (
        f"member {member.name} is a {member.role} on {member.instance.kind} {member.instance.value[:64]}, "
        f"with settings {member.settings_digest.hex()[:16]}…{rights}"
    )


def _format(document: FleetDocument, name: str, rules: FormatValues) -> Iterator[str]:
    for entry in document.reference_values.firmware:
        if entry.format == name:
            until = times.show(entry.not_after)
            yield f"{entry.register} is {entry.value.hex()[:16]}… ({entry.name}, until {until})"
    if rules.snp is not None:
        yield from _snp(rules.snp)
    if rules.tdx is not None:
        yield from _tdx(rules.tdx)
    if rules.nitrotpm is not None:
        regions = ", ".join(sorted(rules.nitrotpm.regions))
        age = rules.nitrotpm.max_age_s
        yield f"AWS' certificate names {regions}, and the document is at most {age} s old"
    if rules.azure is not None:
        yield f"the serial console is {'as it may be' if rules.azure.console_allowed else 'off'}"
        yield _presence(
            "Microsoft's certificates of the attestation key", needed=rules.azure.ak_certificates_required
        )
        yield _presence("their revocation lists", needed=rules.azure.ak_revocation_required)
    if rules.gce is not None:
        yield from _gce(rules.gce)
    if rules.qemu is not None:
        yield _presence("the event log", needed=rules.qemu.event_log_required)


def _presence(what: str, *, needed: bool) -> str:
    return f"{what} came along" if needed else f"{what} hold, where they came along"


def _snp(values: SnpReferenceValues) -> Iterator[str]:
    for product, floor in values.products.items():
        least = " ".join(f"{part} {value}" for part, value in floor.min_tcb.items())
        yield f"the chip is {product} with firmware of at least {least}"
        for weakness, reason in floor.opt_in.items():
            yield f"{product}'s known weakness {weakness} is accepted because: {reason}"
    signers = " or ".join(sorted(values.signers)).upper()
    places = ", ".join(sorted(values.csp_ids))
    yield f"a {signers} signed the report" + (f", a VLEK of {places}" if places else "")
    if values.platform_require:
        yield f"the platform has {', '.join(sorted(values.platform_require))}"
    smt, cxl = (("allowed" if on else "forbidden") for on in (values.smt_allowed, values.cxl_allowed))
    yield f"debug and migration are off, SMT is {smt}, CXL is {cxl}"
    yield _presence("AMD's revocation list", needed=values.revocation_required)


def _tdx(values: TdxReferenceValues) -> Iterator[str]:
    grace = values.out_of_date_grace_days
    yield f"Intel says {' or '.join(sorted(values.statuses))} of the platform" + (
        f", or has said OutOfDate for at most {grace} days" if grace else ""
    )
    yield f"Intel's statements are of evaluation {values.min_evaluation_number} or later"
    module = "one that Intel signs" if values.mrseam is None else f"one of {len(values.mrseam)} listed"
    yield f"the TDX module is {module}"
    allowed = ", ".join(sorted(values.allow)) or "none"
    yield f"debug and migration are off; of what is optional, allowed: {allowed}"


def _gce(values: GceReferenceValues) -> Iterator[str]:
    zones, projects = (", ".join(sorted(entries)) or "nothing" for entries in (values.zones, values.projects))
    yield f"Google's certificate names zone {zones} and project {projects}"
    if values.endorsed_min_svn is not None:
        least = values.endorsed_min_svn
        yield f"or, for firmware: Google's launch endorsement names it, version {least} or later"
    yield _presence(
        "revocation lists of the attestation key's certificates", needed=values.ak_revocation_required
    )


def doubts(document: FleetDocument) -> list[Problem]:
    """Return what is valid and yet refuses somebody, or does nothing."""
    values = document.reference_values
    found: list[Problem] = []
    for index, member in enumerate(document.members):
        wanted = FORMATS[member.instance.kind]
        if not set(wanted) & set(values.formats):
            found.append(
                Problem(
                    f"$.members[{index}]",
                    f"{member.name} is refused: no reference_values for {' or '.join(wanted)}",
                )
            )
    for name in values.formats:
        found += _unlisted(document, name)
    for index, waiver in enumerate(document.waivers):
        if waiver.check not in WAIVABLE:
            found.append(
                Problem(f"$.waivers[{index}].check", f"{waiver.check} does not exist or cannot be waived")
            )
        if waiver.check in CARRY_GRADE and not _below(document, waiver):
            found.append(
                Problem(
                    f"$.waivers[{index}].check",
                    f"{waiver.check} carries the grade: who needs the waiver is N, which least_grade refuses",
                )
            )
        if waiver.not_after < document.issued_at:
            found.append(Problem(f"$.waivers[{index}].not_after", "is before the document: it does nothing"))
    for index, image in enumerate(values.images):
        if image.not_after < document.issued_at:
            found.append(
                Problem(f"$.images[{index}].not_after", f"{image.id} ended before the document begins")
            )
    return found


def _below(document: FleetDocument, waiver: Waiver) -> bool:
    """Tell whether anybody whom the waiver is for may be grade N."""
    roles = {entry.role for entry in document.members if waiver.member in ("*", entry.name)}
    return any(document.least_grade[role] in ("N", "T") for role in roles)


def _unlisted(document: FleetDocument, name: str) -> Iterator[Problem]:
    values, path = document.reference_values, f"$.reference_values.{name}"
    rules = values.formats[name]
    endorsed = rules.gce is not None and rules.gce.endorsed_min_svn is not None
    listed = {entry.register for entry in values.firmware if entry.format == name}
    for register in _FIRMWARE.get(name, ()):
        if register not in listed and not (endorsed and register in {"mrtd", "snp_measurement"}):
            yield Problem("$.firmware", f"has no {register} for {name}: its evidence is refused{_HOW}")
    if name == "gcp-tdx" and "rtmr0" not in listed:
        yield Problem("$.firmware", f"has no rtmr0 for gcp-tdx: its grade is V, not H{_HOW}")
    has = {
        register
        for image in values.images
        for register in (
            *image.registers,
            *(("rtmr1",) if image.rtmr1 else ()),
            *(("rtmr2",) if image.rtmr2 else ()),
            *(("snp_launch",) if image.snp_launch else ()),
        )
    }
    for register in _IMAGE[name]:
        if register not in has:
            how = _HOW if register in _OBSERVED else ""
            yield Problem("$.images", f"none has {register}, which evidence of {name} has to show{how}")
    if rules.gce is not None and not rules.gce.projects:
        yield Problem(f"{path}.gce.projects", "is empty, which accepts none: name the project")
    if rules.gce is not None and not rules.gce.zones:
        yield Problem(f"{path}.gce.zones", "is empty, which accepts none: name the zones")
