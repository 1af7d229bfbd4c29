"""What is wrong with a TPM's quote, its key or what the key hangs on. Pure."""

from __future__ import annotations

from typing import Any

from runtime.attestation.findings import Reason
from tests.attestation import parts_cross as cross
from tests.attestation import parts_tpm as more
from tests.attestation import vector_parts as parts
from tests.attestation.vector import Vector, vector
from tests.fakes import azure, google, tpm


def _tpm(what: str, check: str, reason: str, form: str = "qemu-tpm", **more: Any) -> Vector:
    return vector("TPM quote", what, form, check, reason, **more)


TPM: tuple[Vector, ...] = (
    _tpm(
        "another magic",
        "vtpm.malformed",
        Reason.MALFORMED,
        says="magic is 0xff544348",
        options={"quote": {"magic": 0xFF544348}},
    ),
    _tpm(
        "not a quote",
        "vtpm.malformed",
        Reason.MALFORMED,
        says="type is 0x8017",
        options={"quote": {"kind": 0x8017}},
    ),
    _tpm(
        "another connection's binder",
        "quote.qualifying_data",
        Reason.BINDING,
        options={"qualifying": b"\x01" * 32},
    ),
    _tpm("fewer registers", "quote.pcr_selection", Reason.MEASUREMENT, lazy=parts.fewer_selected),
    _tpm(
        "a second bank",
        "quote.pcr_selection",
        Reason.MEASUREMENT,
        options={"quote": {"selections": parts.two_banks()}},
    ),
    _tpm("values that were not quoted", "quote.pcr_digest", Reason.MEASUREMENT, lazy=parts.other_values),
    _tpm(
        "the quoted values, one of them as another register's",
        "quote.pcr_values",
        Reason.MEASUREMENT,
        lazy=more.renumbered_values,
    ),
    _tpm("another key signed", "quote.signature", Reason.SIGNATURE, options={"ak": tpm.rsa_key("another")}),
    _tpm("a key that signs anything", "ak.attributes", Reason.SIGNER, lazy=parts.unrestricted_key),
    _tpm(
        "a software TPM that the document does not name",
        "member.instance",
        Reason.INSTANCE,
        fleet={"member": {"instance": {"kind": "tpm_ak_name", "value": "000b" + "01" * 32}}},
    ),
    _tpm(
        "a software TPM under purpose production",
        "malformed",
        Reason.MALFORMED,
        says='only purpose "test" accepts a software TPM',
        lazy=cross.production,
    ),
    _tpm(
        "PCR4 of another image",
        "image.pcr4",
        Reason.MEASUREMENT,
        fleet={"measurements": {"pcr4_sha256": "01" * 32}},
    ),
    _tpm(
        "PCR11 of another image",
        "image.pcr11",
        Reason.MEASUREMENT,
        fleet={"measurements": {"pcr11_sha256": "01" * 32}},
    ),
    _tpm(
        "a Secure Boot policy that nobody listed",
        "firmware.pcr7",
        Reason.MEASUREMENT,
        fleet={"firmware": {"pcr7_sha256": b"\x01" * 32}},
    ),
    _tpm(
        "PCR12: a command line from outside",
        "image.pcr12",
        Reason.IMAGE,
        options={"registers": {12: b"\x01" * 32}},
    ),
    _tpm(
        "PCR13: extensions from outside",
        "image.pcr13",
        Reason.IMAGE,
        options={"registers": {13: b"\x01" * 32}},
    ),
    _tpm(
        "PCR14 is zero: no settings were measured",
        "settings.register",
        Reason.SETTINGS,
        options={"registers": {14: bytes(32)}},
    ),
    _tpm("PCR14 was extended twice", "settings.register", Reason.SETTINGS, lazy=parts.extended_twice),
    _tpm("two generations' registers", "image.generation", Reason.IMAGE, lazy=parts.two_generations),
    _tpm("an image past its date", "image.date", Reason.EXPIRED, lazy=parts.old_image),
    *(
        _tpm(
            f"a log that does not lead to PCR{register}",
            f"log.replay.{register}",
            Reason.MEASUREMENT,
            lazy=more.log_without(register),
        )
        for register in (4, 7, 11)
    ),
    _tpm(
        "a log whose text is not what was measured",
        "log.event_data",
        Reason.MEASUREMENT,
        lazy=more.altered_event,
    ),
    _tpm(
        "a firmware that handed over twice",
        "log.separator",
        Reason.MEASUREMENT,
        lazy=more.second_separator,
    ),
    _tpm(
        "a Secure Boot policy past its date",
        "firmware.pcr7.date",
        Reason.EXPIRED,
        lazy=cross.firmware_past_its_date("pcr7_sha256"),
    ),
    _tpm(
        "no log, which the owner requires",
        "log.present",
        Reason.EVENT_LOG,
        options={"endorsements": {"event_log": None}},
    ),
    _tpm(
        "the runtime data is not what the hardware signed",
        "hcl.runtime_data",
        Reason.BINDING,
        "azure-snp",
        options={"covered": azure.runtime_json()},
    ),
    _tpm(
        "Azure's report was made for another use",
        "hcl.user_data",
        Reason.BINDING,
        "azure-snp",
        options={"runtime": {"user-data": "00" * 64}},
    ),
    _tpm(
        "Azure's TD quote is not of the report's TD",
        "hcl.td_report",
        Reason.BINDING,
        "azure-tdx",
        options={"inner_mrtd": b"\x33" * 48},
    ),
    _tpm(
        "Azure's certificate is of another key",
        "ak.key",
        Reason.BINDING,
        "azure-snp",
        lazy=parts.other_ak_path,
    ),
    _tpm(
        "Azure's certificates under another root",
        "ak.root",
        Reason.CHAIN,
        "azure-snp",
        lazy=parts.foreign_ak_root,
    ),
    _tpm(
        "no certificates of Microsoft's, which the owner requires",
        "ak.certified",
        Reason.CHAIN,
        "azure-snp",
        lazy=parts.no_ak,
    ),
    _tpm(
        "no revocation lists, which the owner requires",
        "ak.revocation",
        Reason.REVOCATION_UNKNOWN,
        "azure-snp",
        fleet={"values": {"azure": {"ak_revocation": "required"}}},
    ),
    _tpm(
        "a console that the host can type into",
        "azure.console",
        Reason.PLATFORM,
        "azure-snp",
        fleet={"values": {"azure": {"console": "forbidden"}}},
    ),
    _tpm(
        "a JWK with characters that are no base64url",
        "hcl.malformed",
        Reason.MALFORMED,
        "azure-snp",
        says="is not base64url without padding",
        options={"runtime": {"keys": [parts.loose_jwk()]}},
    ),
    _tpm(
        "another Azure VM",
        "member.instance",
        Reason.INSTANCE,
        "azure-snp",
        fleet={
            "member": {
                "instance": {"kind": "azure_vm_unique_id", "value": "8d9962f0-6a8a-4a65-b0f9-881ba6515ba9"}
            }
        },
    ),
    _tpm(
        "another Compute Engine instance",
        "member.instance",
        Reason.INSTANCE,
        "gcp-tdx",
        fleet={"member": {"instance": {"kind": "gcp_instance_id", "value": "7"}}},
    ),
    _tpm(
        "no certificate of Google's", "endorsements.ak_certificate", Reason.CHAIN, "gcp-tdx", lazy=parts.no_ak
    ),
    _tpm(
        "an authority of Google's that was revoked",
        "ak.authority_1_crl.revoked",
        Reason.REVOKED,
        "gcp-tdx",
        lazy=parts.revoked_authority,
    ),
    _tpm(
        "another project",
        "gce.project",
        Reason.REGION,
        "gcp-tdx",
        fleet={"values": {"gce": {"projects": ["other"]}}},
    ),
    _tpm(
        "another zone",
        "gce.zone",
        Reason.REGION,
        "gcp-tdx",
        fleet={"values": {"gce": {"zones": ["us-east1-b"]}}},
    ),
    _tpm(
        "another machine's vTPM beside Google's report",
        "quote.qualifying_data",
        Reason.BINDING,
        "gcp-snp",
        lazy=parts.spliced_quote,
    ),
    _tpm(
        "a launch endorsement that Google did not sign",
        "launch.signature",
        Reason.SIGNATURE,
        "gcp-tdx",
        options={
            "endorsements": {
                "launch_endorsement": google.endorsement(
                    google.golden(tdx=[b"\x22" * 48]), tpm.rsa_key("another")
                )
            }
        },
    ),
    _tpm(
        "a launch endorsement under another root",
        "launch.root",
        Reason.CHAIN,
        "gcp-tdx",
        options={"endorsements": {"launch_endorsement": parts.foreign_endorsement()}},
    ),
)
