"""Defences of evidence, its appraisal and signed documents. Pure."""

from __future__ import annotations

from tests.broken.entry import Break

ATTACKS = "tests/channel/test_attacks.py"

BREAKS: tuple[Break, ...] = (
    Break(
        name="PCR14 extended on top of something: an earlier event counts as ours",
        file="runtime/attestation/attester/tpm/registers.py",
        old='        if any(value):\n            message = (\n                f"PCR {register} is {value.hex()[:32]}',
        new='        if False:\n            message = (\n                f"PCR {register} is {value.hex()[:32]}',
        tests=(
            "tests/attestation/attester/tpm/test_registers.py::test_an_event_in_another_bank_alone_is_seen",
        ),
    ),
    Break(
        name="the TPM's answers are not authenticated: somebody between us and it writes them",
        file="runtime/attestation/attester/tpm/session.py",
        old="        if attributes != CONTINUE or not hmac.compare_digest(",
        new="        if attributes != CONTINUE and not hmac.compare_digest(",
        tests=("tests/attestation/attester/test_nitro.py::test_a_host_that_knows_no_session_key_is_refused",),
    ),
    Break(
        name="endorsements past their end are handed on",
        file="runtime/attestation/endorsements/endorser.py",
        old="            if found.fresh_until is None or self.now() < found.fresh_until:",
        new="            if True:",
        tests=("tests/attestation/endorsements/test_endorser.py::test_a_stale_bundle_is_no_bundle",),
    ),
    Break(
        name="a certificate says where to go: any host is asked",
        file="runtime/attestation/endorsements/wanted.py",
        old="    return tuple(url for url in found if _is_published(url))",
        new="    return tuple(url for url in found if url)",
        tests=("tests/attestation/endorsements/test_wanted.py::test_a_certificate_sends_nobody_elsewhere",),
    ),
    Break(
        name="report data not compared: evidence of another key",
        file="runtime/attestation/tees/composites/gather.py",
        old="        compare_digest(found, wanted),",
        new="        True,",
        tests=(f"{ATTACKS}::test_evidence_of_another_key_is_refused",),
    ),
    Break(
        name="report data not compared: replayed evidence",
        file="runtime/attestation/tees/composites/gather.py",
        old="        compare_digest(found, wanted),",
        new="        True,",
        tests=(f"{ATTACKS}::test_replayed_evidence_is_refused",),
    ),
    Break(
        name="report data not compared: swapped direction",
        file="runtime/attestation/tees/composites/gather.py",
        old="        compare_digest(found, wanted),",
        new="        True,",
        tests=(f"{ATTACKS}::test_evidence_of_the_other_direction_is_refused",),
    ),
    Break(
        name="binder without the direction",
        file="runtime/attestation/binding.py",
        old="        bytes([direction]),",
        new='        b"\\x01",',
        tests=("tests/attestation/test_binding.py",),
    ),
    Break(
        name="binder without the verifier's nonce",
        file="runtime/attestation/binding.py",
        old="        verifier_nonce,\n        settings_digest,\n    )",
        new="        bytes(32),\n        settings_digest,\n    )",
        tests=("tests/attestation/test_binding.py",),
    ),
    Break(
        name="any settings find a member: settings that differ by one byte",
        file="runtime/documents/fleet.py",
        old="if member.settings_digest == settings_digest",
        new="if member.settings_digest[:31] == settings_digest[:31]",
        tests=(f"{ATTACKS}::test_settings_that_differ_by_one_byte_are_nobody",),
    ),
    Break(
        name="settings register not compared",
        file="runtime/attestation/member_policy.py",
        old="        compare_digest(found, digest),",
        new="        True,",
        tests=(f"{ATTACKS}::test_a_hello_cannot_name_settings_that_the_hardware_did_not_measure",),
    ),
    Break(
        name="unknown settings pass for the first member: another owner's key, a member not in the document",
        file="runtime/documents/fleet.py",
        old="        return next((member for member in self.members if member.settings_digest == settings_digest), None)",
        new="        return self.members[-1]",
        tests=(
            f"{ATTACKS}::test_a_public_image_booted_with_another_owners_key_is_nobody",
            f"{ATTACKS}::test_a_member_that_is_not_in_the_document_is_refused_before_it_costs_an_appraisal",
        ),
    ),
    Break(
        name="another owner's signature accepted",
        file="runtime/documents/dsse.py",
        old="    except (InvalidSignature, ValueError):\n        return False\n    return True",
        new="    except (InvalidSignature, ValueError):\n        return True\n    return True",
        tests=("tests/documents/test_dsse.py",),
    ),
    Break(
        name="instance not compared: copied settings",
        file="runtime/attestation/member_policy.py",
        old="        wanted.kind == name.kind and _same(wanted.kind, wanted.value, name.value),",
        new="        True,",
        tests=(f"{ATTACKS}::test_copied_settings_on_another_instance_are_refused",),
    ),
    Break(
        name="role not compared",
        file="runtime/attestation/verifier.py",
        old="        member is None or member.role == role,",
        new="        True,",
        tests=("tests/attestation/test_verifier.py",),
    ),
    Break(
        name="a test root in a production document",
        file="runtime/attestation/grades.py",
        old='        not claims.simulated or document.purpose == "test",',
        new="        True,",
        tests=("tests/attestation/test_policy.py",),
    ),
    Break(
        name="a NitroTPM document that speaks of another machine's report",
        file="runtime/attestation/tees/composites/aws.py",
        old="        said.nonce == wanted,",
        new="        True,",
        tests=("tests/attestation/tees/composites/test_aws.py",),
    ),
    Break(
        name="a vTPM's quote that speaks of another machine's report",
        file="runtime/attestation/tees/composites/gcp.py",
        old="_vtpm(findings, evidence, tied_qualifying(binder, report), roots, now)",
        new="_vtpm(findings, evidence, tied_qualifying(binder, b''), roots, now)",
        tests=("tests/attestation/tees/composites/test_gcp.py",),
    ),
    Break(
        name="settings register of a TPM not compared",
        file="runtime/attestation/member_policy.py",
        old="        compare_digest(found, wanted),",
        new="        True,",
        tests=("tests/attestation/test_member_policy.py",),
    ),
    Break(
        name="something added to the image from outside",
        file="runtime/attestation/image_policy.py",
        old="            value is not None and not any(value),",
        new="            True,",
        tests=("tests/attestation/test_image_policy.py",),
    ),
    Break(
        name="registers of two images pass for one",
        file="runtime/attestation/image_policy.py",
        old="        bool(matching) or not known,",
        new="        True,",
        tests=("tests/attestation/test_image_policy.py",),
    ),
    Break(
        name="grade H without RTMR0",
        file="runtime/attestation/grades.py",
        old='        return "H" if booted.rtmr0_pinned else "V"',
        new='        return "H"',
        tests=("tests/attestation/test_grades.py",),
    ),
    Break(
        name="a software TPM whose key can sign anything",
        file="runtime/attestation/tees/composites/qemu.py",
        old="            key.is_attestation_key and key.name_algorithm == attest.SHA256,",
        new="            True,",
        tests=("tests/attestation/tees/composites/test_qemu.py",),
    ),
)
