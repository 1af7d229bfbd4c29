"""A machine of each platform under throw-away roots: real formats, really signed, everything right about it.

`evidence` makes each part anew for a binder; its options change single fields *before* they are signed, so
that a test can have evidence that is wrong in one thing only. `document` is a fleet document that accepts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256, sha512
from typing import Any

from runtime.attestation.binding import tied_qualifying, tpm_qualifying
from runtime.attestation.tees import Root
from runtime.attestation.tees.composites import qemu
from runtime.attestation.wire import Evidence
from runtime.documents import settings, times
from tests.fakes import azure, fleets, google, intel, nitro, td_machine, tpm, tpm_certificates
from tests.fakes.amd import Chip, FakeAmd
from tests.fakes.amd_certificates import ia5
from tests.fakes.measured_boot import (
    AK,
    CCEL,
    EVENT_LOG,
    MEASUREMENTS,
    RTMRS,
    SHA256_PCRS,
    SHA384_PCRS,
    Options,
    quote_parts,
    registers,
)
from tests.fakes.nitro import FakeNitro
from tests.fakes.tpm_certificates import FakePath

SETTINGS = sha256(b"settings of client-1").digest()
BINDER = sha512(b"binder").digest()
FIRMWARE = b"\xf1" * 48  # MEASUREMENT of the provider's firmware
MRTD = b"\x22" * 48
AK_PATH = ("ak_certificate", "ak_authority_1", "ak_authority_2", "ak_root")
TDX_VALUES: dict[str, Any] = {
    "min_evaluation_number": 19,
    "statuses": ["UpToDate"],
    "out_of_date_grace_days": 0,
    "refused_advisories": [],
    "mrseam": ["11" * 48],
    "mrconfigid": "00" * 48,
    "mrowner": "00" * 48,
    "mrownerconfig": "00" * 48,
    "xfam_allowed": "0x602e7",
    "sept_ve_disable": True,
    "allow": [],
}
GCE_VALUES: dict[str, Any] = {
    "projects": [tpm_certificates.PROJECT],
    "zones": [tpm_certificates.ZONE],
    "endorsed_firmware": None,
    "ak_revocation": "when_present",
}
AZURE_VALUES: dict[str, Any] = {
    "console": "allowed",
    "ak_certificates": "required",
    "ak_revocation": "when_present",
}
NITRO_VALUES: dict[str, Any] = {"regions": [nitro.REGION], "max_age_s": 300, "max_skew_s": 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeMachine:
    """One machine, and the document that accepts it."""

    format: str
    now: int
    instance: Mapping[str, str]
    values: Mapping[str, Any]  # reference_values of the format
    firmware: Mapping[str, bytes]  # register -> value
    roots: tuple[Root, ...]
    cloud: FakeNitro | None = None
    measurements: Mapping[str, Any] = field(default_factory=lambda: dict(MEASUREMENTS))  # of its image
    make: Callable[[bytes, bytes, Options], Evidence] = field(repr=False)

    def evidence(self, binder: bytes = BINDER, settings_digest: bytes = SETTINGS, **options: Any) -> Evidence:
        """Return evidence for a binder. `parts` and `endorsements` replace (None removes) what was made."""
        parts, extra = options.pop("parts", {}), options.pop("endorsements", {})
        made = self.make(binder, settings_digest, options)
        kept = dict(made.endorsements)
        for name, value in dict(extra).items():
            kept.pop(name, None)
            if value is not None:
                kept[name] = value
        return Evidence(format=made.format, parts=dict(made.parts) | dict(parts), endorsements=kept)

    def document(self, **overrides: Any) -> dict[str, Any]:
        """Return the document as JSON values; `overrides` replaces whole keys."""
        members = [
            {
                "name": "client-1",
                "role": "client",
                "settings_sha256": SETTINGS.hex(),
                "instance": dict(self.instance),
                "hostnames": ["app.test"],
            }
        ]
        return (
            fleets.fleet_document([], now=self.now)
            | {
                "images": [
                    {
                        "id": "test-image",
                        "manifest_sha256": "22" * 32,
                        "not_after": times.show(self.now + 30 * times.DAY_S),
                        "measurements": dict(self.measurements),
                    }
                ],
                "firmware": [
                    {
                        "name": f"{register} of {self.format}",
                        "format": self.format,
                        "register": register,
                        "value": value.hex(),
                        "not_after": times.show(self.now + 30 * times.DAY_S),
                    }
                    for register, value in self.firmware.items()
                ],
                "reference_values": {self.format: dict(self.values)},
                "members": members,
            }
            | overrides
        )


def ak_endorsements(path: FakePath) -> dict[str, bytes]:
    """Return the certificates of an attestation key under the names they travel by."""
    ders = path.ders()
    names = AK_PATH if len(ders) == len(AK_PATH) else (*AK_PATH[:2], AK_PATH[3])
    return dict(zip(names, ders, strict=True))


def aws_chip(amd: FakeAmd) -> Chip:
    """Return a chip whose VLEK names the fake Nitro's region, valid at its time."""
    csp_id = ia5(f"CN=cc-{nitro.REGION}.amazonaws.com")
    return amd.chip("aws-host", "Milan", signer="vlek", extensions={"5": csp_id}, days=730)


def nitro_document(
    cloud: FakeNitro, user_data: bytes, nonce: bytes | None, digest: bytes, options: Options
) -> bytes:
    """Return a NitroTPM document: `registers` and `nitro` (fields) change it."""
    measured = registers(SHA384_PCRS, "sha384", digest, options)
    fields: dict[str, Any] = {"user_data": user_data, "nonce": nonce, "nitrotpm_pcrs": measured}
    fields |= dict(options.get("nitro", {}))
    return cloud.document("nitrotpm", options.get("leaf"), **fields)


def _snp_report(chip: Chip, binder: bytes, options: Options, **fields: Any) -> bytes:
    own: dict[str, Any] = {"report_data": binder, "measurement": FIRMWARE} | fields
    return chip.report(**(own | dict(options.get("snp", {}))))


def aws(amd: FakeAmd, cloud: FakeNitro | None = None) -> FakeMachine:
    """Return an EC2 instance with SEV-SNP and NitroTPM."""
    hypervisor, chip = cloud or FakeNitro.create(), aws_chip(amd)

    def make(binder: bytes, digest: bytes, options: Options) -> Evidence:
        report = _snp_report(options.get("chip", chip), binder, options)
        document = nitro_document(hypervisor, binder, tied_qualifying(binder, report), digest, options)
        return Evidence(
            format="aws-snp-nitrotpm",
            parts={"snp_report": report, "nitrotpm_document": document},
            endorsements={**options.get("chip", chip).endorsements, "event_log": EVENT_LOG},
        )

    return FakeMachine(
        format="aws-snp-nitrotpm",
        now=nitro.NOW,
        instance={"kind": "aws_instance_id", "value": "i-01cfb383223e42522"},
        values={
            "snp": fleets.snp_values(
                ["Milan"], signers=["vlek"], csp_ids=[f"CN=cc-{nitro.REGION}.amazonaws.com"]
            ),
            "nitrotpm": NITRO_VALUES,
        },
        firmware={"snp_measurement": FIRMWARE, "pcr7_sha384": SHA384_PCRS[7]},
        roots=(*amd.roots(), *hypervisor.roots()),
        cloud=hypervisor,
        make=make,
    )


def aws_alone(cloud: FakeNitro | None = None) -> FakeMachine:
    """Return an EC2 instance with NitroTPM only."""
    hypervisor = cloud or FakeNitro.create()

    def make(binder: bytes, digest: bytes, options: Options) -> Evidence:
        return Evidence(
            format="aws-nitrotpm",
            parts={"nitrotpm_document": nitro_document(hypervisor, binder, None, digest, options)},
            endorsements={"event_log": EVENT_LOG},
        )

    return FakeMachine(
        format="aws-nitrotpm",
        now=nitro.NOW,
        instance={"kind": "aws_instance_id", "value": "i-01cfb383223e42522"},
        values={"nitrotpm": NITRO_VALUES},
        firmware={"pcr7_sha384": SHA384_PCRS[7]},
        roots=hypervisor.roots(),
        cloud=hypervisor,
        make=make,
    )


def _runtime(binder: bytes, options: Options) -> bytes:
    fields: dict[str, Any] = {"user-data": binder.hex().upper()} | dict(options.get("runtime", {}))
    return azure.runtime_json(**fields)


def azure_snp(amd: FakeAmd, *, deep: bool = True) -> FakeMachine:
    """Return an Azure VM with SEV-SNP; `deep` is the longer of the two certificate paths."""
    chip, path = amd.chip("azure-host", "Genoa"), tpm_certificates.azure(AK.public_key(), deep=deep)

    def make(binder: bytes, digest: bytes, options: Options) -> Evidence:
        text = _runtime(binder, options)
        covered = azure.report_data(options.get("covered", text))
        report = _snp_report(chip, binder, options, report_data=covered)
        return Evidence(
            format="azure-snp",
            parts={
                "hcl_report": azure.hcl(report, text, azure.SNP),
                **quote_parts(tpm_qualifying(binder), digest, options),
            },
            endorsements={
                **chip.endorsements,
                **ak_endorsements(options.get("path", path)),
                "event_log": EVENT_LOG,
            },
        )

    return FakeMachine(
        format="azure-snp",
        now=fleets.NOW,
        instance={"kind": "azure_vm_unique_id", "value": azure.VM_UNIQUE_ID.lower()},
        values={"snp": fleets.snp_values(["Genoa"]), "azure": AZURE_VALUES},
        firmware={"snp_measurement": FIRMWARE, "pcr7_sha256": SHA256_PCRS[7]},
        roots=(*amd.roots(), path.root()),
        make=make,
    )


def _td(options: Options, **fields: bytes) -> dict[str, Any]:
    changes = dict(options.get("tdx", {}))
    td = {f"rtmr{index}": value for index, value in RTMRS.items()} | {"mrtd": MRTD} | fields
    return changes | {"td": td | dict(changes.get("td", {}))}


def azure_tdx() -> FakeMachine:
    """Return an Azure VM with TDX."""
    path = tpm_certificates.azure(AK.public_key(), deep=False)

    def make(binder: bytes, digest: bytes, options: Options) -> Evidence:
        text = _runtime(binder, options)
        covered = azure.report_data(options.get("covered", text))
        inner = azure.td_report(options.get("inner_data", covered), options.get("inner_mrtd", MRTD))
        return Evidence(
            format="azure-tdx",
            parts={
                "hcl_report": azure.hcl(inner, text, azure.TDX),
                "td_quote": td_machine.MACHINE.quote(**_td(options, report_data=covered)),
                **quote_parts(tpm_qualifying(binder), digest, options),
            },
            endorsements={
                "tdx_collateral": td_machine.COLLATERAL,
                **ak_endorsements(options.get("path", path)),
                "event_log": EVENT_LOG,
            },
        )

    return FakeMachine(
        format="azure-tdx",
        now=intel.NOW,
        instance={"kind": "azure_vm_unique_id", "value": azure.VM_UNIQUE_ID.lower()},
        values={"tdx": TDX_VALUES, "azure": AZURE_VALUES},
        firmware={"mrtd": MRTD, "pcr7_sha256": SHA256_PCRS[7]},
        roots=(*td_machine.MACHINE.roots, path.root()),
        make=make,
    )


def gcp_snp(amd: FakeAmd) -> FakeMachine:
    """Return a Compute Engine VM with SEV-SNP."""
    chip, path = amd.chip("gcp-host", "Milan"), tpm_certificates.google(AK.public_key())

    def make(binder: bytes, digest: bytes, options: Options) -> Evidence:
        report = _snp_report(options.get("chip", chip), binder, options)
        return Evidence(
            format="gcp-snp",
            parts={
                "snp_report": report,
                **quote_parts(tied_qualifying(binder, report), digest, options),
            },
            endorsements={
                **options.get("chip", chip).endorsements,
                **ak_endorsements(options.get("path", path)),
                "launch_endorsement": google.endorsement(google.golden(snp=[FIRMWARE])),
                "event_log": EVENT_LOG,
            },
        )

    return FakeMachine(
        format="gcp-snp",
        now=fleets.NOW,
        instance={"kind": "gcp_instance_id", "value": str(tpm_certificates.INSTANCE_ID)},
        values={"snp": fleets.snp_values(["Milan"]), "gce": GCE_VALUES},
        firmware={"snp_measurement": FIRMWARE, "pcr7_sha256": SHA256_PCRS[7]},
        roots=(*amd.roots(), path.root(), google.pin()),
        make=make,
    )


def gcp_tdx() -> FakeMachine:
    """Return a Compute Engine VM with TDX."""
    path = tpm_certificates.google(AK.public_key())

    def make(binder: bytes, digest: bytes, options: Options) -> Evidence:
        td = _td(options, report_data=binder, rtmr3=settings.register(digest, "sha384"))
        intel_machine = options.get("machine", td_machine.MACHINE)
        quote = intel_machine.quote(**td)
        return Evidence(
            format="gcp-tdx",
            parts={
                "td_quote": quote,
                "ccel": CCEL,
                **quote_parts(tied_qualifying(binder, quote), digest, options),
            },
            endorsements={
                "tdx_collateral": td_machine.COLLATERAL,
                **ak_endorsements(options.get("path", path)),
                "launch_endorsement": google.endorsement(google.golden(tdx=[MRTD])),
            },
        )

    return FakeMachine(
        format="gcp-tdx",
        now=intel.NOW,
        instance={"kind": "gcp_instance_id", "value": str(tpm_certificates.INSTANCE_ID)},
        values={"tdx": TDX_VALUES, "gce": GCE_VALUES},
        firmware={"mrtd": MRTD, "rtmr0": RTMRS[0]},
        roots=(*td_machine.MACHINE.roots, path.root(), google.pin()),
        make=make,
    )


def qemu_tpm() -> FakeMachine:
    """Return a QEMU guest with a software TPM."""
    area = tpm.tpm2b_public(AK)

    def make(binder: bytes, digest: bytes, options: Options) -> Evidence:
        return Evidence(
            format="qemu-tpm",
            parts={
                "ak_public": options.get("area", area),
                **quote_parts(tpm_qualifying(binder), digest, options),
            },
            endorsements={"event_log": EVENT_LOG},
        )

    return FakeMachine(
        format="qemu-tpm",
        now=fleets.NOW,
        instance={"kind": "tpm_ak_name", "value": qemu.ak_name(area).hex()},
        values={"qemu": {"event_log": "required"}},
        firmware={"pcr7_sha256": SHA256_PCRS[7]},
        roots=(),
        make=make,
    )


def every(amd: FakeAmd) -> dict[str, FakeMachine]:
    """Return one machine of each platform that has more than a report, by format."""
    cloud = FakeNitro.create()
    made = (
        aws(amd, cloud),
        azure_snp(amd),
        azure_tdx(),
        gcp_snp(amd),
        gcp_tdx(),
        qemu_tpm(),
        aws_alone(cloud),
    )
    return {machine.format: machine for machine in made}
