"""Every claim says whose word it is, and what nobody proved is said as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from runtime.attestation import known_weak
from runtime.documents import times
from tests.attestation import parts_tpm
from tests.attestation.platforms import appraise, as_hardware, document
from tests.attestation.scene import Scene
from tests.fakes import google, intel, machines, td_machine
from tests.fakes.amd import FakeAmd
from tests.fakes.intel_certificates import COMPONENTS
from tests.fakes.machines import FakeMachine

OWNER = {"member": "the owner's signature", "role": "the owner's signature"}
AMD = {
    "memory encryption": "AMD CPU",
    "launch digest": "AMD CPU",
    "firmware": "AMD CPU, certified by AMD",
}
CHIP = {"chip": "AMD CPU, certified by AMD"}  # a VLEK is not a chip's own key
INTEL = {
    "memory encryption": "Intel CPU",
    "firmware": "Intel CPU",
    "TCB status": "Intel's TCB info and QE identity",
    "processor": "Intel's certificate for the platform",
}
NITRO = {
    "image": "AWS' hypervisor (NitroTPM), named by the owner",
    "settings": "AWS' hypervisor (NitroTPM), PCR14",
    "machine": "AWS' certificate of the NitroTPM (module_id)",
    "region": "AWS' certificate of the NitroTPM",
}
MICROSOFT = {
    "image": "Microsoft's paravisor (vTPM inside the TEE), named by the owner",
    "settings": "Microsoft's paravisor (vTPM inside the TEE), PCR14",
    "machine": "Microsoft's paravisor (vmUniqueId)",
    "connection": "Microsoft's paravisor, named by the CPU's report",
}
GOOGLE = {
    "endorsed firmware": "Google",
    "machine": "Google's certificate of the attestation key",
    "zone": "Google's certificate of the attestation key",
}
PROVIDER = "not defended against the provider: its hypervisor could have made the measurement of the image up"
PARAVISOR = (
    "not defended against Microsoft: its paravisor, which nobody outside can review, measured the image"
)
UNLISTED = "that the attestation key's certificates are not revoked: no lists came along"
SERVICE = (
    "that no service TD is bound to it, which could move it to another machine: "
    "this quote, of TDX 1.0's form, has no MRSERVICETD"
)
SIMULATED = "that there is any hardware: the TEE is simulated"

# format -> who vouches for each claim, and what nobody proved
SAID: dict[str, tuple[dict[str, str], list[str]]] = {
    "aws-snp-nitrotpm": (
        OWNER | AMD | NITRO | {"cloud and region": "AMD", "connection": "AMD CPU"},
        [PROVIDER],
    ),
    "azure-snp": (OWNER | AMD | CHIP | MICROSOFT, [PARAVISOR, UNLISTED]),
    "azure-tdx": (OWNER | INTEL | MICROSOFT, [PARAVISOR, SERVICE, UNLISTED]),
    "gcp-snp": (
        OWNER
        | AMD
        | CHIP
        | GOOGLE
        | {
            "image": "Google's hypervisor (vTPM), named by the owner",
            "settings": "Google's hypervisor (vTPM), PCR14",
            "connection": "AMD CPU",
        },
        [PROVIDER, UNLISTED],
    ),
    "gcp-tdx": (
        OWNER
        | INTEL
        | GOOGLE
        | {
            "image": "Intel CPU (RTMR1, RTMR2), named by the owner",
            "settings": "Intel CPU, RTMR3",
            "connection": "Intel CPU",
        },
        [
            SERVICE,
            "which machine this is, by the CPU: the provider's hypervisor names it (grade V)",
            UNLISTED,
        ],
    ),
    "aws-nitrotpm": (
        OWNER | NITRO | {"connection": "AWS' hypervisor (NitroTPM)"},
        [
            "not defended against the provider at all: "
            "nothing encrypts this machine's memory by the CPU's word"
        ],
    ),
}


@pytest.mark.parametrize(("form", "said"), SAID.items())
def test_who_vouches_for_what_and_what_is_not_proven(
    platforms: Mapping[str, FakeMachine], form: str, said: tuple[dict[str, str], list[str]]
) -> None:
    machine = platforms[form]
    result = appraise(machine, roots=as_hardware(machine.roots))
    assert {row.claim: row.measured_by for row in result.statements} == said[0]
    assert list(result.not_proven) == said[1]
    assert all(row.value for row in result.statements)


@pytest.mark.parametrize("form", SAID)
def test_what_a_test_root_vouches_for_is_called_so(platforms: Mapping[str, FakeMachine], form: str) -> None:
    simulated = appraise(platforms[form])
    rows = {row.claim: row.measured_by for row in simulated.statements}
    assert rows.keys() == SAID[form][0].keys()
    assert all("(test root)" in source for claim, source in rows.items() if claim not in OWNER)
    assert simulated.not_proven[0] == SIMULATED
    assert set(simulated.not_proven[1:]) <= {UNLISTED, SERVICE}


def test_lists_that_came_along_close_a_gap(platforms: Mapping[str, FakeMachine], amd: FakeAmd) -> None:
    machine = platforms["azure-snp"]
    lists: dict[str, bytes] = {}
    for depth in range(3):
        lists |= parts_tpm.revocation_list(depth)(machine, amd)["endorsements"]
    result = appraise(machine, roots=as_hardware(machine.roots), endorsements=lists)
    assert list(result.not_proven) == [PARAVISOR]


@pytest.mark.parametrize("form", SAID)
def test_nothing_is_warned_about_that_is_in_order(platforms: Mapping[str, FakeMachine], form: str) -> None:
    warnings = appraise(platforms[form]).warnings
    wanted = ["Milan is known to be weak: "] if form in {"aws-snp-nitrotpm", "gcp-snp"} else []
    assert [warning[:27] for warning in warnings] == wanted
    assert all(warning.endswith("; accepted because: simulated: no seed to extract") for warning in warnings)


@pytest.mark.parametrize("form", ["gcp-tdx", "gcp-snp"])
def test_an_endorsement_of_other_firmware_is_not_said_of_this_one(
    platforms: Mapping[str, FakeMachine], form: str
) -> None:
    """Anyone may attach a genuine one: the firmware is the owner's entry, and no word of Google's."""
    other = [b"\x99" * 48]
    genuine = google.endorsement(google.golden(snp=other, tdx=other, svn=9))
    result = appraise(platforms[form], endorsements={"launch_endorsement": genuine})
    assert "endorsed firmware" not in {row.claim for row in result.statements}


def test_a_known_weak_product_is_repeated(platforms: Mapping[str, FakeMachine]) -> None:
    milan = known_weak.KNOWN_WEAK[0]
    for form, weak in (("gcp-snp", True), ("azure-snp", False), ("gcp-tdx", False)):
        result = appraise(platforms[form])
        assert any(milan.citation in warning for warning in result.warnings) is weak


def test_a_report_alone_is_its_hosts_word(scene: Callable[..., Scene]) -> None:
    said = {row.claim: row.measured_by for row in scene().accept().statements}
    assert said["settings"] == "host (HOST_DATA) (test root)"
    assert said["connection"] == "simulated TEE (test root)"
    host = "the settings: the host wrote their digest, the VM did not"
    assert list(scene().accept().not_proven) == [SIMULATED, host]
    bare = scene(endorsements={"crl": None}, snp={"revocation": "when_present"}).accept()
    revoked = "that AMD did not revoke the signing key: no revocation list came along"
    assert list(bare.not_proven) == [SIMULATED, host, revoked]


def test_what_ends_soon_or_does_nothing_is_warned_about(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]
    waiver = {
        "name": "useless",
        "check": "td.debug",
        "member": "*",
        "reason": "nobody may waive this",
        "not_after": times.show(machine.now + 60),
    }
    week = document(machine)
    for margin, warned in ((0, False), (1, True)):
        week["images"][0]["not_after"] = times.show(machine.now + 7 * 24 * 3600 - margin)
        assert any("roll out" in line for line in appraise(machine, week).warnings) is warned
    soon = document(machine, waivers=[waiver])
    soon["images"][0]["not_after"] = times.show(machine.now + 60)
    soon["expires_at"] = times.show(machine.now + 60)
    text = "\n".join(appraise(machine, soon).warnings)
    for words in ("past half of its life", "roll out the next", "waiver useless does nothing"):
        assert words in text


@pytest.mark.parametrize(("left", "warned"), [(7 * 24 * 3600, False), (7 * 24 * 3600 - 1, True), (0, True)])
def test_an_rtmr0_that_ends_soon_is_warned_about_where_the_grade_hangs_on_it(
    platforms: Mapping[str, FakeMachine], left: int, warned: bool
) -> None:
    machine = platforms["gcp-tdx"]
    ending = document(machine)
    for entry in ending["firmware"]:
        if entry["register"] == "rtmr0":
            entry["not_after"] = times.show(machine.now + left)
    result = appraise(machine, ending, roots=as_hardware(machine.roots))
    assert (result.grade, any("and grade H with it" in line for line in result.warnings)) == ("H", warned)


def test_an_image_that_nobody_knows_is_said(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]
    waiver = {
        "name": "new-image",
        "check": "image.rtmr1",
        "member": "*",
        "reason": "not baked by us yet",
        "not_after": times.show(machine.now + 60),
    }
    fleet = document(machine, measurements={"rtmr1": None}, waivers=[waiver])
    result = appraise(machine, fleet)
    assert result.image is None
    assert any("which image runs" in gap for gap in result.not_proven)


def test_what_rests_on_a_waived_check_is_said(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]

    def gaps(check: str, endorsements: Mapping[str, bytes | None], **changes: Any) -> list[str]:
        waiver = {"name": "w", "check": check, "member": "*", "reason": "the host is being updated"}
        waiver |= {"not_after": times.show(machine.now + 60)}
        fleet = document(machine, waivers=[waiver], **changes)
        return [
            gap for gap in appraise(machine, fleet, endorsements=endorsements).not_proven if "waiver" in gap
        ]

    level = intel.platform_level("OutOfDate", COMPONENTS)
    late = {"tdx_collateral": td_machine.collateral(tcb_info=intel.tcb_info(tcbLevels=[level]))}
    (told,) = gaps("tcb.status", late)
    assert told.startswith(
        "that the CPU's own word holds: tcb.status passes by a waiver, and the image rests on"
    )
    unknown = {"launch_endorsement": None}
    (told,) = gaps("firmware.measurement", unknown, firmware={"mrtd": None})
    assert told.startswith("what measured the image: the firmware is not one that the owner lists")


@pytest.mark.parametrize(
    ("form", "register"),
    [("gcp-snp", "snp_measurement"), ("azure-snp", "snp_measurement"), ("gcp-tdx", "mrtd")],
)
def test_memory_is_encrypted_under_a_waiver_too(
    platforms: Mapping[str, FakeMachine], form: str, register: str
) -> None:
    machine = platforms[form]
    waiver = {"name": "w", "check": "firmware.measurement", "member": "*", "reason": "new firmware"}
    waiver |= {"not_after": times.show(machine.now + 60)}
    fleet = document(machine, waivers=[waiver], firmware={register: None})
    result = appraise(
        machine, fleet, roots=as_hardware(machine.roots), endorsements={"launch_endorsement": None}
    )
    assert result.grade == "N"
    (first, *others) = result.not_proven
    assert first.startswith("what measured the image: the firmware is not one that the owner lists")
    assert others == [*([SERVICE] if form == "gcp-tdx" else []), UNLISTED]


def test_a_key_without_certificates_and_days_of_grace(platforms: Mapping[str, FakeMachine]) -> None:
    azure = platforms["azure-snp"]
    optional = document(azure, values={"azure": {"ak_certificates": "when_present"}})
    result = appraise(azure, optional, endorsements=dict.fromkeys(machines.AK_PATH))
    assert any("Microsoft certified" in gap for gap in result.not_proven)
    machine = platforms["gcp-tdx"]
    level = intel.platform_level("OutOfDate", COMPONENTS)
    late = {"tdx_collateral": td_machine.collateral(tcb_info=intel.tcb_info(tcbLevels=[level]))}
    fleet = document(machine, values={"tdx": {"out_of_date_grace_days": 80}})
    assert any("days of grace" in line for line in appraise(machine, fleet, endorsements=late).warnings)
    unpinned = document(machine, firmware={"rtmr0": None})
    gaps = appraise(machine, unpinned, roots=as_hardware(machine.roots)).not_proven
    assert any("ACPI tables" in gap for gap in gaps)


def test_a_quote_that_names_service_tds_closes_a_gap(platforms: Mapping[str, FakeMachine]) -> None:
    for form in ("gcp-tdx", "azure-tdx"):
        assert SERVICE in appraise(platforms[form]).not_proven
    newer = appraise(platforms["gcp-tdx"], tdx={"version": 5})
    assert SERVICE not in newer.not_proven
