"""What a fleet document accepts, in sentences: who may be a member, and what each has to show. Pure.

Every word of the Reference Values is in some sentence, and every digest whole: who signs reads what it lets
in. Nothing here decides: a verifier reads the document itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runtime.documents import times
from runtime.documents.fleet import FleetDocument, Member
from runtime.documents.platform_values import GceReferenceValues, TdxReferenceValues
from runtime.documents.reference_values import Firmware, FormatValues, Image, SnpReferenceValues
from runtime.documents.waivable import CARRY_GRADE

_AT_N = "; whoever needs it is grade N"
_PURPOSE = {
    "production": "for production: hardware roots only",
    "test": "for tests: simulated TEEs and software TPMs pass, at grade T",
}


def explain(document: FleetDocument) -> list[str]:
    """Return the document in sentences, one a line."""
    life = f"{times.show(document.issued_at)} to {times.show(document.expires_at)}"
    lines = [
        f"fleet {document.fleet} at {document.tunnel_name}, version {document.version}, "
        f"{_PURPOSE[document.purpose]}",
        f"in force from {life}; afterwards no new session",
        "least grade: " + ", ".join(f"{role} {grade}" for role, grade in document.least_grade.items()),
    ]
    lines += [_member(member) for member in document.members]
    values = document.reference_values
    for image in values.images:
        lines.append(
            f"image {image.id} of manifest {image.manifest_sha256.hex()} is accepted "
            f"until {times.show(image.not_after)} if"
        )
        lines += [f"  {sentence}" for sentence in _image(image)]
    for name, rules in values.formats.items():
        lines.append(f"evidence of format {name} is accepted if")
        lines += [f"  {sentence}" for sentence in _format(document, name, rules)]
    lines += [
        f"firmware {entry.name} does nothing: evidence of format {entry.format} is not accepted"
        f" ({_listed(entry)})"
        for entry in values.firmware
        if entry.format not in values.formats
    ]
    lines += [
        f"waiver {waiver.name}: check {waiver.check} may fail for "
        f"{'every member' if waiver.member == '*' else waiver.member} until {times.show(waiver.not_after)}, "
        f"because: {waiver.reason}{_AT_N if waiver.check in CARRY_GRADE else ''}"
        for waiver in document.waivers
    ]
    return lines


def _member(member: Member) -> str:
    granted = ", ".join(member.hostnames) or "no hostname"
    rights = f"may publish {granted}" if member.role == "client" else f"is granted the sites {granted}"
    return (
        f"member {member.name} is a {member.role} on {member.instance.kind} {member.instance.value}, "
        f"with settings {member.settings_digest.hex()}, and {rights}"
    )


def _image(image: Image) -> Iterator[str]:
    """Return what evidence shows of it: the registers that its format has, all of them."""
    lists = {"snp_launch": image.snp_launch, "rtmr1": image.rtmr1, "rtmr2": image.rtmr2}
    shown = {name: (value,) for name, value in image.registers.items()} | lists
    for name, values in sorted(shown.items()):
        if values:
            yield f"{name} is {_digests(values)}"


def _digests(values: Iterable[bytes]) -> str:
    """Return all of them, whole: whoever compares two by eye is shown every digit."""
    return " or ".join(value.hex() if any(value) else "zeros" for value in sorted(values))


def _listed(entry: Firmware) -> str:
    return f"{entry.register} may be {entry.value.hex()} until {times.show(entry.not_after)}"


def _format(document: FleetDocument, name: str, rules: FormatValues) -> Iterator[str]:
    for entry in document.reference_values.firmware:
        if entry.format == name:
            yield f"{_listed(entry)} ({entry.name})"
    if rules.snp is not None:
        yield from _snp(rules.snp)
    if rules.tdx is not None:
        yield from _tdx(rules.tdx)
    if rules.nitrotpm is not None:
        regions = ", ".join(sorted(rules.nitrotpm.regions))
        age, skew = rules.nitrotpm.max_age_s, rules.nitrotpm.max_skew_s
        yield f"AWS' certificate names {regions}, and the document is at most {age} s old"
        yield f"its clock is at most {skew} s ahead"
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
    major, minor = values.min_abi
    wanted = ", ".join(sorted(values.policy_require)) or "nothing more"
    yield f"the guest's policy is of ABI {major}.{minor} or later, and asks for {wanted}"
    yield f"the guest's security version is {values.min_guest_svn} or later"
    yield f"the key of its ID block is {_digests(values.id_key_digests)} (zeros: it has none)"
    yield f"the author's key of its ID block is {_digests(values.author_key_digests)}"
    versions = " or ".join(map(str, sorted(values.report_versions)))
    yield f"the report is of version {versions}"
    yield f"both vectors of mitigations hold the bits {values.required_mitigations:#x}"
    rolls = "may be one that the host can still roll back" if values.provisional_firmware else "is committed"
    yield f"the firmware that runs {rolls}"
    yield _presence("AMD's revocation list", needed=values.revocation_required)


def _tdx(values: TdxReferenceValues) -> Iterator[str]:
    grace = values.out_of_date_grace_days
    yield f"Intel says {' or '.join(sorted(values.statuses))} of the platform" + (
        f", or has said OutOfDate for at most {grace} days" if grace else ""
    )
    yield f"Intel's statements are of evaluation {values.min_evaluation_number} or later"
    if values.refused_advisories:
        yield f"Intel names none of {', '.join(sorted(values.refused_advisories))}, whatever the status"
    module = "one that Intel signs" if values.mrseam is None else _digests(values.mrseam)
    yield f"the TDX module is {module}"
    for register, value in (
        ("MRCONFIGID", values.mrconfigid),
        ("MROWNER", values.mrowner),
        ("MROWNERCONFIG", values.mrownerconfig),
    ):
        yield f"{register} is {_digests([value])}"
    yield f"of processor features (XFAM), none is on beyond {values.xfam_allowed:#x}"
    yield f"SEPT_VE_DISABLE is {'on' if values.sept_ve_disable else 'off'}"
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
