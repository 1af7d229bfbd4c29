"""The booted image: served through, attested, predicted; then each attack, and the check that caught it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from runtime.attestation import verifier
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.roots import HARDWARE_ROOTS
from runtime.attestation.verifier import AppraisalRequest
from runtime.channel.boot_key import spki_of
from runtime.commands import verify
from runtime.documents import manifest, settings, strict_json, times
from runtime.errors import TunnelError
from runtime.web.tunnel_name import endpoint_bound
from tests.vm import fleet as fleets
from tests.vm.conftest import Booted
from tests.vm.machine import free_port, make_tpm, running

pytestmark = pytest.mark.timeout(900)


def appraise(booted: Booted, document: dict[str, Any], now: int | None = None, **changes: Any) -> Any:
    """Hold the server's recorded evidence against a document. Raises: EvidenceRefusedError."""
    answer = booted.evidence
    digest = changes.get("settings_digest", answer.settings_digest)
    bound = changes.get("bound_digest", digest)  # what the attacker's own machine put into its binder
    binder = endpoint_bound(spki=answer.spki, nonce=answer.nonce, settings_digest=bound).binder
    request = AppraisalRequest(
        evidence=answer.evidence,
        binder=binder,
        settings_digest=digest,
        role=changes.get("role", "server"),
        document=strict_json.canonical(document),
        roots=HARDWARE_ROOTS,
        now=now or times.parse(str(document["issued_at"])) + 60,
    )
    return verifier.appraise(request)


def refusal(booted: Booted, document: dict[str, Any], **changes: Any) -> set[str]:
    """Return the ids of the checks that refuse."""
    with pytest.raises(EvidenceRefusedError) as caught:
        appraise(booted, document, **changes)
    return {check.id for check in caught.value.checks}


def pcrs(vm: Any, bank: str) -> dict[int, str]:
    return {e["index"]: e["value"] for e in vm.inventory("pcr") if e["bank"] == bank}


def test_the_client_serves_its_bundle_through_the_server(booted: Booted) -> None:
    assert booted.page == fleets.PAGE
    certificate = x509.load_der_x509_certificate(booted.certificate)
    assert spki_of(certificate)
    assert certificate.issuer == certificate.subject


def test_both_are_attested_under_the_test_document(booted: Booted) -> None:
    result = appraise(booted, booted.document)
    assert (result.member, result.grade, result.purpose) == ("server-1", "T", "test")
    assert result.image == manifest.read((booted.image / "image-manifest.json").read_bytes()).version
    assert result.instance
    for vm in (booted.server, booted.client):
        assert "attested on boot" in vm.text()


@pytest.mark.parametrize("bank", ["sha256", "sha384"])
def test_predicted_registers_are_the_booted_ones(booted: Booted, bank: str) -> None:
    predicted = manifest.read((booted.image / "image-manifest.json").read_bytes()).measurements
    for vm, body in ((booted.server, booted.fleet.server), (booted.client, booted.fleet.client)):
        found = pcrs(vm, bank)
        assert found[4] == predicted[f"pcr4_{bank}"].hex()
        assert found[11] == predicted[f"pcr11_{bank}"].hex()
        assert set(found[12] + found[13]) == {"0"}
        assert found[14] == settings.register(hashlib.sha256(body).digest(), bank).hex()  # type: ignore[arg-type]


# -- attacks on recorded evidence -------------------------------------------------------------------


def _without_the_image(document: dict[str, Any]) -> None:
    for name, value in document["images"][0]["measurements"].items():
        document["images"][0]["measurements"][name] = "ab" * (len(value) // 2)


def _another_instance(document: dict[str, Any]) -> None:
    document["members"][0]["instance"]["value"] = "000b" + "cd" * 32


def _another_firmware(document: dict[str, Any]) -> None:
    document["firmware"][0]["value"] = "ab" * 32


def _production(document: dict[str, Any]) -> None:
    document["purpose"] = "production"


ATTACKS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "an image that is not in the document, or was rolled back": (_without_the_image, "image.pcr4"),
    "settings copied to another machine": (_another_instance, "member.instance"),
    "Secure Boot policy of other firmware": (_another_firmware, "firmware.pcr7"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_recorded_evidence_is_refused_by_the_named_check(booted: Booted, name: str) -> None:
    change, check = ATTACKS[name]
    document = json.loads(json.dumps(booted.document))
    change(document)
    found = refusal(booted, document)
    assert any(check in one for one in found), found


def test_the_previous_generation_is_refused_after_its_end(booted: Booted) -> None:
    document = json.loads(json.dumps(booted.document))
    issued = times.parse(document["issued_at"])
    document["images"][0]["not_after"] = times.show(issued + 3600)
    appraise(booted, document, now=issued + 3000)
    assert "image.date" in refusal(booted, document, now=issued + 4000)


def test_swapped_settings_are_refused(booted: Booted) -> None:
    """A machine that says it booted with another member's settings: in its binder too, or not."""
    other = hashlib.sha256(booted.fleet.client).digest()
    assert "quote.qualifying_data" in refusal(booted, booted.document, settings_digest=other, role="client")
    bound = booted.evidence.settings_digest
    found = refusal(booted, booted.document, settings_digest=other, bound_digest=bound, role="client")
    assert {"settings.register", "member.instance"} <= found


def test_settings_nobody_listed_are_nobody(booted: Booted) -> None:
    found = refusal(booted, booted.document, settings_digest=hashlib.sha256(b"other").digest())
    assert any("member" in one or "settings" in one for one in found), found


def test_a_software_tpm_is_refused_in_production(booted: Booted) -> None:
    document = json.loads(json.dumps(booted.document))
    _production(document)
    with pytest.raises(TunnelError):
        appraise(booted, document)


# -- attacks that need a boot ---------------------------------------------------------------------------


# Facts of the attack: systemd takes such a credential from SMBIOS as a unit's drop-in, unless told not to.
DROP_IN = base64.b64encode(b"[Service]\nExecStartPre=/usr/bin/python3.13 -c \"print('PWNED')\"\n").decode()
CREDENTIAL = f"io.systemd.credential.binary:systemd.unit-dropin.tunnel-settings.service={DROP_IN}"


def test_smbios_credentials_do_nothing_and_a_missing_tpm_is_refused(booted: Booted, tmp_path: Path) -> None:
    more = ["-smbios", f"type=11,value={CREDENTIAL}"]
    with running(
        tmp_path, booted.image / "disk.raw", settings=booted.fleet.server, tpm=False, more=more
    ) as vm:
        vm.wait_for("tunnel: refused: unsupported_tee: nothing to measure the settings into")
        vm.wait_until_off()
        assert "PWNED" not in vm.text()
        assert "measured" not in vm.text().replace("be measured", "")


def test_an_appended_command_line_is_refused_by_the_initrd(booted: Booted, tmp_path: Path) -> None:
    make_tpm(tmp_path)
    more = ["-smbios", "type=11,value=io.systemd.stub.kernel-cmdline-extra=systemd.debug_shell=1"]
    with running(tmp_path, booted.image / "disk.raw", settings=booted.fleet.server, more=more) as vm:
        vm.wait_for("tunnel: refused: command line is not the one of this image")
        vm.wait_until_off()


def test_a_modified_root_does_not_boot(booted: Booted, tmp_path: Path) -> None:
    """One byte in each 64 KiB of the root's first half, so that something that is read has changed."""
    data = bytearray((booted.image / "disk.raw").read_bytes())
    start = 35 * 1024 * 1024 + 1024 * 1024
    for at in range(start, start + 20 * 1024 * 1024, 65536):
        data[at + 100] ^= 0xFF
    (tmp_path / "disk.raw").write_bytes(data)
    make_tpm(tmp_path)
    with running(tmp_path, tmp_path / "disk.raw", settings=booted.fleet.server) as vm:
        vm.wait_until_off()
        assert "measured" not in vm.text()
        assert "corrupted" in vm.text() or "refused" in vm.text() or "panic" in vm.text().lower()


def test_hostile_settings_and_a_swapped_bundle_are_refused(booted: Booted, tmp_path: Path) -> None:
    body = json.loads(booted.fleet.client)
    body["client"]["bundle"]["sha256"] = "ab" * 32
    make_tpm(tmp_path / "bundle")
    with running(tmp_path / "bundle", booted.image / "disk.raw", settings=strict_json.canonical(body)) as vm:
        vm.wait_for("tunnel: refused: malformed: bundle: want abab")
        vm.wait_until_off()


def test_settings_off_schema_are_refused(booted: Booted, tmp_path: Path) -> None:
    make_tpm(tmp_path)
    hostile = booted.fleet.server.replace(b'"demo"', b'"../\\u202e"')
    with running(tmp_path, booted.image / "disk.raw", settings=hostile, memory_mib=512) as vm:
        vm.wait_for("tunnel: refused: document: settings is not valid")
        vm.wait_until_off()
        assert "measured" not in vm.text()


def test_a_command_line_by_load_options_is_refused_by_the_initrd(booted: Booted, tmp_path: Path) -> None:
    """What an edited boot variable does: the firmware hands the stub another command line."""
    make_tpm(tmp_path)
    more = ["-kernel", str(booted.image / "tunnel.efi"), "-append", "console=ttyS0 systemd.debug_shell=1"]
    with running(tmp_path, booted.image / "disk.raw", settings=booted.fleet.server, more=more) as vm:
        vm.wait_for("tunnel: refused: command line is not the one of this image")
        vm.wait_until_off()


def test_without_evidence_nothing_is_served(booted: Booted, tmp_path: Path) -> None:
    """The TPM goes away between the settings' measurement and the first quote, and stays away."""
    make_tpm(tmp_path)
    door = free_port()
    with running(
        tmp_path,
        booted.image / "disk.raw",
        settings=booted.fleet.server,
        forward=[(door, booted.fleet.ports[0])],
    ) as vm:
        vm.wait_for("settings [0-9a-f]{64} measured")
        assert vm.tpm is not None
        vm.tpm.kill()
        for _ in range(2):  # it says why, is started again, and says it again
            mark = vm.mark()
            vm.wait_for("tunnel: /dev/tpmrm0 does not answer: ", after=mark)
            with pytest.raises(TunnelError):
                asyncio.run(verify.ask("127.0.0.1", door, fleets.TUNNEL))
        assert "attested on boot" not in vm.text()


# -- what is inside -------------------------------------------------------------------------------------


def test_only_what_is_documented_listens(booted: Booted) -> None:
    for vm in (booted.server, booted.client):
        found = {(e["family"], str(e["local"]).rpartition(":")[2]) for e in vm.inventory("socket")}
        # DHCP's client and neighbour discovery; the tunnel's own doors open later, by its settings.
        assert {port for family, port in found if str(family).startswith("tcp")} <= {
            str(fleets.BUNDLE_PORT),
            "9443",
        }
        # Above 32768: questions of our own that wait for their answer (DNS, time).
        udp = {int(port) for family, port in found if str(family).startswith("udp")}
        assert {port for port in udp if port < 32768} <= {68, 546}
        assert {port for family, port in found if str(family).startswith("raw")} <= {"58"}


def test_the_kernel_has_what_attests_and_rtmr3_would_be_writable(booted: Booted) -> None:
    """Not on this machine, which has no TDX; but the module is there, and the unit's way of writing works."""
    (kernel,) = booted.server.inventory("kernel")
    assert [int(n) for n in str(kernel["value"]).split(".")[:2]] >= [6, 16]
    opens = {str(e["at"]).rpartition("/")[2]: e["opens"] for e in booted.server.inventory("sysfs")}
    assert opens == {"control": "yes", "uevent": "Read-only file system"}
    (loaded,) = booted.server.inventory("modules")
    assert {"configfs", "tsm_report", "dm_verity", "erofs"} <= set(loaded["value"])  # type: ignore[call-overload]


def test_nothing_is_writable_but_memory(booted: Booted) -> None:
    kernel = {
        "proc",
        "sysfs",
        "devtmpfs",
        "securityfs",
        "devpts",
        "cgroup2",
        "pstore",
        "efivarfs",
        "bpf",
        "configfs",
    }
    for entry in booted.server.inventory("mount"):
        if entry["writable"]:
            assert entry["type"] in kernel | {"tmpfs"}, entry
    (root,) = [e for e in booted.server.inventory("mount") if e["at"] == "/"]
    assert (root["type"], root["writable"]) == ("erofs", False)
    (lockdown,) = booted.server.inventory("lockdown")
    assert "[integrity]" in str(lockdown["value"])
