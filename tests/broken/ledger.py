"""Which line, broken how, must be noticed by which test. Adding one adds an entry. Pure."""

from __future__ import annotations

from dataclasses import dataclass

SESSION = "tests/channel/test_session.py"
ATTACKS = "tests/channel/test_attacks.py"
HANDSHAKE = "tests/channel/test_handshake.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """One defence broken; `old` stands exactly once in `file`."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


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
        name="binder without the exporter: a relayed handshake",
        file="runtime/channel/handshake.py",
        old="exporter=self._export(EXPORT_BIND, self._context()),",
        new="exporter=bytes(32),",
        tests=(
            f"{ATTACKS}::test_a_relayed_handshake_is_refused_even_with_both_channel_keys_stolen",
            f"{HANDSHAKE}::test_another_connection_is_another_binder_confirmation_and_secret",
        ),
    ),
    Break(
        name="binder without the Attester's key: evidence of another key",
        file="runtime/channel/handshake.py",
        old="spki_attester=spki[about],",
        new='spki_attester=b"any",',
        tests=(f"{HANDSHAKE}::test_other_keys_are_another_binder",),
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
        name="a server that does not wait for the client's confirmation",
        file="runtime/channel/handshake.py",
        old="        return [Send(Message(Kind.SIGNATURE if self._side is Side.OWNER else Kind.EVIDENCE, evidence))]",
        new=(
            "        done = Established(session=bytes(16), epoch=0, join_secret=bytes(32), peer_hello=self.peer_hello)\n"
            "        early: list[Step] = [done] if self._side is Side.SERVER else []\n"
            "        return [Send(Message(Kind.EVIDENCE, evidence)), *early]"
        ),
        tests=(f"{SESSION}::test_one_side_that_never_confirms_gets_nothing",),
    ),
    Break(
        name="confirmation not compared",
        file="runtime/channel/handshake.py",
        old="        if not hmac.compare_digest(payload, self._mac(self.peer_hello.side)):",
        new="        if False:",
        tests=(f"{SESSION}::test_a_wrong_confirmation_ends_it",),
    ),
    Break(
        name="our own evidence accepted as the peer's",
        file="runtime/channel/handshake.py",
        old="        if payload == self._evidence.get(self._side):",
        new="        if False:",
        tests=(f"{HANDSHAKE}::test_our_own_evidence_is_not_the_peers",),
    ),
    Break(
        name="clocks not compared",
        file="runtime/channel/handshake.py",
        old="        if abs(peer.time - self._now) > MAX_SKEW_S:",
        new="        if False:",
        tests=(f"{SESSION}::test_a_wrong_clock_is_named",),
    ),
    Break(
        name="two documents of one version accepted",
        file="runtime/channel/handshake.py",
        old="        if same_version and peer.document_digest != self._own.document_digest:",
        new="        if False:",
        tests=(f"{SESSION}::test_two_documents_of_one_version_are_refused",),
    ),
    Break(
        name="the peer is told why",
        file="runtime/channel/messages.py",
        old='    return code if code in PUBLIC_CODES else _KIND_OF_LIMIT.get(code, "refused")',
        new="    return code + code",
        tests=(f"{SESSION}::test_the_peer_learns_a_code_and_nothing_else",),
    ),
    Break(
        name="join proof without the client's Finished: a stolen data key",
        file="runtime/tunnel/join.py",
        old="    parts = (_LABEL, direction.value, session, *numbers, certificate_sha256, finished)",
        new="    parts = (_LABEL, direction.value, session, *numbers, certificate_sha256)",
        tests=("tests/tunnel/test_data.py", "tests/tunnel/test_join.py"),
    ),
    Break(
        name="join proof not compared",
        file="runtime/tunnel/join.py",
        old="    if not hmac.compare_digest(got, want):",
        new="    if False:",
        tests=("tests/tunnel/test_join.py",),
    ),
    Break(
        name="counter used twice: a replayed join",
        file="runtime/tunnel/switchboard.py",
        old="        self._ledger.use(join.session, epoch=join.epoch, worker=join.worker, counter=join.counter)\n",
        new="",
        tests=("tests/tunnel/test_data.py", "tests/tunnel/test_switchboard.py"),
    ),
    Break(
        name="data certificate not pinned",
        file="runtime/tunnel/data.py",
        old="        if not hmac.compare_digest(digest, self._ticket.certificate_sha256):",
        new="        if False:",
        tests=("tests/tunnel/test_data.py",),
    ),
    Break(
        name="a client serves what it was not granted",
        file="runtime/tunnel/data.py",
        old="        if self._granted.isdisjoint(patterns):",
        new="        if False:",
        tests=("tests/tunnel/test_data.py", "tests/tunnel/test_relay.py"),
    ),
    Break(
        name="a server grants what the document does not",
        file="runtime/tunnel/server.py",
        old="        live.granted = tuple(name for name in live.offered if member.may_publish(name))",
        new="        live.granted = live.offered",
        tests=("tests/tunnel/test_server.py",),
    ),
    Break(
        name="a hostname that only a worker would choke on",
        file="runtime/tunnel/session_messages.py",
        old="        return isinstance(item, str) and normal_pattern(item) == item",
        new="        return isinstance(item, str)",
        tests=("tests/tunnel/test_session_messages.py",),
    ),
    Break(
        name="a test root in a production document",
        file="runtime/attestation/grades.py",
        old='        not claims.simulated or document.purpose == "test",',
        new="        True,",
        tests=("tests/attestation/test_policy.py",),
    ),
    Break(
        name="a worker that listens with nobody to serve",
        file="runtime/tunnel/switchboard.py",
        old="            self._on_serving(not before)",
        new="            self._on_serving(True)",
        tests=("tests/tunnel/test_doors.py",),
    ),
    Break(
        name="an older fleet document accepted",
        file="runtime/web/documents.py",
        old="            if document.version < now.version:",
        new="            if False:",
        tests=("tests/web/test_documents.py",),
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
    Break(
        name="a clock that can be turned back",
        file="runtime/clock.py",
        old="        return int(max(self._wall(), self._floor + self._monotonic() - self._floor_at))",
        new="        return int(self._wall())",
        tests=("tests/test_clock.py",),
    ),
    Break(
        name="settings used before they are measured",
        file="runtime/boot/settings.py",
        old="    steps.measure(found.digest)\n",
        new="",
        tests=("tests/boot/test_settings.py::test_a_server_is_measured_then_opened_then_handed_on",),
    ),
    Break(
        name="swapped bundle",
        file="runtime/boot/bundle.py",
        old="got == bundle.sha256",
        new="got",
        tests=("tests/boot/test_bundle.py::test_a_swapped_bundle_is_refused_at_once",),
    ),
    Break(
        name="something else on Google's metadata address",
        file="runtime/boot/source.py",
        old="if flavor is not None and said != flavor:",
        new="if False:",
        tests=("tests/boot/test_source.py::test_something_else_on_googles_address_is_not_believed",),
    ),
    Break(
        name="another kernel command line",
        file="images/initrd.d/init",
        old='[ "$(cat /proc/cmdline)" = "$(cat /etc/cmdline)" ] ||',
        new="true ||",
        tests=(
            "tests/images/test_initrd.py::test_another_command_line_is_refused_before_anything_is_loaded",
        ),
    ),
    Break(
        name="a package with other bytes than the lock's",
        file="images/mirrors.py",
        old="if (got := sha256(data).hexdigest()) != package.sha256:",
        new="if (got := sha256(data).hexdigest()) is None:",
        tests=(
            "tests/images/test_mirrors.py::test_a_mirror_that_moved_on_stops_the_bake_and_names_the_packages",
        ),
    ),
)
