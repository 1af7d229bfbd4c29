"""Defences of evidence, its appraisal and signed documents. Pure."""

from __future__ import annotations

from tests.broken.entry import Break

ATTACKS = "tests/channel/test_attacks.py"

BREAKS: tuple[Break, ...] = (
    Break(
        name="a name in a stranger's certificate moves the operator's cursor and writes a verdict",
        file="runtime/attestation/findings.py",
        old="    return printable(text if isinstance(text, str) else text())",
        new="    return text if isinstance(text, str) else text()",
        tests=(
            "tests/attestation/test_findings.py::"
            "test_what_a_stranger_wrote_is_one_line_and_no_order_to_a_terminal",
            "tests/attestation/test_findings.py::test_a_name_in_a_certificate_forges_no_verdict",
        ),
    ),
    Break(
        name="Google's endorsement of other firmware is said of this one",
        file="runtime/attestation/tees/composites/claims.py",
        old="        known = self.launch is not None and self.firmware in self.launch.measurements",
        new="        known = self.launch is not None",
        tests=(
            "tests/attestation/test_statements.py::"
            "test_an_endorsement_of_other_firmware_is_not_said_of_this_one",
            "tests/attestation/test_image_policy.py::test_an_endorsement_is_of_this_firmware",
        ),
    ),
    Break(
        name="an opt-in to one attack accepts every other, those to come among them",
        file="runtime/attestation/snp_policy.py",
        old="if entry.id not in accepted]",
        new="if not accepted]",
        tests=("tests/attestation/test_known_weak.py::test_an_opt_in_is_to_one_attack_and_to_no_other",),
    ),
    Break(
        name="a waiver carries a grade: firmware that nobody knows says which image was booted",
        file="runtime/attestation/grades.py",
        old="    if booted.image is None or doubted:",
        new="    if booted.image is None:",
        tests=("tests/attestation/test_grades.py::test_unknown_firmware_carries_no_grade",),
    ),
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
        old="        if self.now() >= found.fresh_until:",
        new="        if False:",
        tests=("tests/attestation/endorsements/test_endorser.py::test_a_stale_bundle_is_no_bundle",),
    ),
    Break(
        name="what a bundle, a cache or a plain-HTTP answer holds counts before anybody looks who signed it",
        file="runtime/attestation/endorsements/endorser.py",
        old="        genuine.check(want, given, evidence, self.roots, self.now())",
        new="        genuine.__doc__",
        tests=(
            "tests/attestation/endorsements/test_endorser.py"
            "::test_a_poisoned_bundle_and_cache_count_for_nothing_and_the_endorser_is_asked",
        ),
    ),
    Break(
        name="an authority is kept before its own issuer vouches for it",
        file="runtime/attestation/endorsements/endorser.py",
        old='        if want.source == "authority" and want.kind == "certificate" and "ak_root" not in given:',
        new="        if False:",
        tests=(
            "tests/attestation/endorsements/test_endorser.py"
            "::test_an_authority_s_own_key_under_a_void_signature_gets_nowhere",
        ),
    ),
    Break(
        name="an outage makes a bundle that lacks everything, in the place of a good one",
        file="runtime/commands/endorsements.py",
        old="    if short:  # a bundle",
        new="    if False:  # a bundle",
        tests=(
            "tests/commands/test_endorsements.py"
            "::test_a_bundle_that_would_lack_something_does_not_take_the_place_of_a_good_one",
        ),
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
        old="        value is not None and not any(value),",
        new="        True,",
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
        old="        key.is_attestation_key and key.name_algorithm == attest.SHA256,",
        new="        True,",
        tests=("tests/attestation/tees/composites/test_qemu.py",),
    ),
    Break(
        name="an examination grades what every document refuses: a report from outside of the guest's kernel",
        file="runtime/commands/evidence/examine.py",
        old="        snp_policy.check_never(self.out.findings, claims)",
        new="        pass",
        tests=("tests/commands/evidence/test_examine.py::test_what_no_document_could_let_pass_is_noticed",),
    ),
    Break(
        name="parts of two clouds' machines are graded as one",
        file="runtime/commands/evidence/examine.py",
        old="        elif not files.one_platform(self.parts):",
        new="        elif False:",
        tests=("tests/commands/evidence/test_examine.py::test_parts_of_two_platforms_have_no_grade",),
    ),
    Break(
        name="two machines examined as one: a vTPM's quote that answers for another report",
        file="runtime/commands/evidence/examine_tpm.py",
        old="        if compare_digest(answered, tied_qualifying(report_data, data)):",
        new="        if True:",
        tests=("tests/commands/evidence/test_examine.py::test_two_machines_are_not_one",),
    ),
    Break(
        name="values of a new platform from evidence that somebody replays",
        file="runtime/commands/evidence/observe.py",
        old="    if claims.unbound:  #",
        new="    if False:  #",
        tests=("tests/commands/evidence/test_observe.py::test_evidence_of_another_exchange_has_no_values",),
    ),
    Break(
        name="a certificate's RSA key with an exponent that makes each signature slow",
        file="runtime/attestation/public_keys.py",
        old="        if key.key_size <= _MAX_RSA_BITS and key.public_numbers().e == _EXPONENT:",
        new="        if key.key_size <= _MAX_RSA_BITS:",
        tests=("tests/attestation/test_public_keys.py",),
    ),
    Break(
        name="a certificate's RSA key longer than any vendor's",
        file="runtime/attestation/public_keys.py",
        old="        if key.key_size <= _MAX_RSA_BITS and key.public_numbers().e == _EXPONENT:",
        new="        if key.public_numbers().e == _EXPONENT:",
        tests=("tests/attestation/test_public_keys.py",),
    ),
    Break(
        name="a certificate's key on a curve that no vendor uses",
        file="runtime/attestation/public_keys.py",
        old="isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):",
        new="isinstance(key, ec.EllipticCurvePublicKey):",
        tests=("tests/attestation/test_public_keys.py",),
    ),
    Break(
        name="a private key's file that others can read",
        file="runtime/keys/private_file.py",
        old="    if mode & _OTHERS:",
        new="    if False:",
        tests=("tests/keys/test_private_file.py", "tests/keys/test_owner_key.py"),
    ),
    Break(
        name="evidence written over a file",
        file="runtime/commands/evidence/files.py",
        old="    if os.path.lexists(path):",
        new="    if False:",
        tests=("tests/commands/evidence/test_files.py",),
    ),
)
