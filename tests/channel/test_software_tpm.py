"""The channel over a real software TPM: boot, measure, attest to each other; and documents that must not do.

Two swtpms are booted as a measured boot would (firmware, image, then the settings into PCR14), with a log
whose replay is what their registers hold. Sessions are real ones over loopback, the verifier is production's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from runtime.attestation import findings
from runtime.attestation.attester.choice import choose
from runtime.attestation.attester.machine import Machine
from runtime.attestation.attester.measure import measure_settings
from runtime.attestation.attester.tpm import registers
from runtime.attestation.attester.tpm.commands import Tpm
from runtime.attestation.attester.tpm.device import SocketDevice
from runtime.attestation.eventlog import events, tcg
from runtime.attestation.result import AttestationResult
from runtime.attestation.roots import HARDWARE_ROOTS
from runtime.attestation.tees.composites.qemu import ak_name
from runtime.attestation.tees.tpm import attest
from runtime.channel.boot_key import BootKey
from runtime.channel.hello import Side
from runtime.channel.party import Party
from runtime.channel.session import Session
from runtime.clock import TrustedClock
from runtime.documents import fleet, strict_json
from runtime.errors import DocumentError
from runtime.limits import Limits
from tests.channel import parties
from tests.channel.parties import CLIENT_DIGEST, SERVER_DIGEST, FixedDocument, InlineAppraiser, Outcome
from tests.fakes import fleets, measured_boot, swtpm
from tests.fakes.tsm import FakeTsm
from tests.web.owner import PUBLIC

pytestmark = [swtpm.NEEDED, pytest.mark.integration]
NOW = fleets.NOW
BANKS = (events.SHA256, events.SHA384)


@dataclass(frozen=True, slots=True)
class Booted:
    """One machine after its boot."""

    device: SocketDevice
    machine: Machine
    digest: bytes

    async def name(self) -> str:
        """The TPM name of its attestation key, as the owner writes it into the document."""
        evidence = await choose(self.machine).collect(bytes(64))
        return ak_name(evidence.parts["ak_public"]).hex()


def boot(device: SocketDevice, folder: Path, digest: bytes, name: str) -> Booted:
    """Measure firmware and image as the log says, and then the settings."""
    log = folder / f"{name}.log"
    log.write_bytes(measured_boot.EVENT_LOG)
    machine = Machine(tsm=FakeTsm(provider="none").asked(), device=device, event_log=log)
    with device:
        tpm = Tpm(device)
        for register, _, data in measured_boot.LOG_RECORDS:
            tpm.extend(register, {bank: events.hash_of(bank, data) for bank in BANKS})
    assert measure_settings(machine, digest, rtmr=folder / "none") == ("PCR14",)
    return Booted(device, machine, digest)


@pytest.fixture
def pair(tmp_path: Path) -> Generator[tuple[Booted, Booted]]:
    """A server and a client."""
    with ExitStack() as stack:
        devices = [stack.enter_context(swtpm.running()) for _ in range(2)]
        yield (
            boot(devices[0], tmp_path, SERVER_DIGEST, "server"),
            boot(devices[1], tmp_path, CLIENT_DIGEST, "client"),
        )


async def document(pair: tuple[Booted, Booted], **changes: Any) -> bytes:
    """What the owner signs about the two."""
    until = {"not_after": "2026-12-20T00:00:00Z"}
    members = [
        {
            "name": f"{role}-1",
            "role": role,
            "settings_sha256": one.digest.hex(),
            "instance": {"kind": "tpm_ak_name", "value": await one.name()},
            "hostnames": hostnames,
        }
        for role, one, hostnames in (("server", pair[0], []), ("client", pair[1], ["app.test"]))
    ]
    image = {
        "id": "booted",
        "manifest_sha256": "22" * 32,
        "measurements": measured_boot.MEASUREMENTS,
        **until,
    }
    firmware = {
        "name": "swtpm",
        "format": "qemu-tpm",
        "register": "pcr7_sha256",
        "value": measured_boot.SHA256_PCRS[7].hex(),
        **until,
    }
    made = fleets.fleet_document([]) | {
        "images": [image],
        "firmware": [firmware],
        "reference_values": {"qemu-tpm": {"qemu": {"event_log": "required"}}},
        "members": members,
    }
    return strict_json.canonical(made | changes)


def party(side: Side, one: Booted, payload: bytes) -> Party:
    """One side as in production: the attester that its machine has, and the roots of hardware."""
    return Party(
        side=side,
        key=BootKey.create("tunnel.test", NOW),
        settings_digest=one.digest,
        owner_keys=(PUBLIC,),
        attester=choose(one.machine),
        appraiser=InlineAppraiser(),
        roots=HARDWARE_ROOTS,
        documents=FixedDocument(payload),
        clock=TrustedClock(0, wall=lambda: float(NOW)),
        limits=Limits(),
    )


async def meet(pair: tuple[Booted, Booted], payload: bytes) -> tuple[Outcome, Outcome]:
    server, client = pair
    return await parties.meet(party(Side.CLIENT, client, payload), party(Side.SERVER, server, payload))


def session(outcome: Outcome) -> AttestationResult:
    assert isinstance(outcome, Session), outcome
    return outcome.peer


async def test_the_log_s_replay_is_what_the_registers_hold(pair: tuple[Booted, Booted]) -> None:
    replayed = tcg.replay(tcg.parse(pair[0].machine.event_log.read_bytes()), events.SHA256)
    with pair[0].device:
        found = registers.read(Tpm(pair[0].device), attest.SHA256, sorted(replayed)).values
    assert {index: found[index] for index in replayed} == replayed


async def test_two_software_tpms_attest_to_each_other_under_a_test_document(
    pair: tuple[Booted, Booted],
) -> None:
    client, server = await meet(pair, await document(pair))
    for peer, name in ((session(client), "server-1"), (session(server), "client-1")):
        assert (peer.member, peer.grade, peer.image, peer.purpose) == (name, "T", "booted", "test")
        assert any("software TPM" in statement.measured_by for statement in peer.statements)


Change = Callable[[dict[str, Any]], Mapping[str, Any]]


def other_name(member: int) -> Change:
    def change(made: dict[str, Any]) -> Mapping[str, Any]:
        instance = made["members"][member]["instance"]
        instance["value"] = instance["value"][:-2] + ("00" if instance["value"][-2:] != "00" else "01")
        return made

    return change


def other_image(made: dict[str, Any]) -> Mapping[str, Any]:
    made["images"][0]["measurements"] |= {"pcr4_sha256": "ab" * 32}
    return made


def production(made: dict[str, Any]) -> Mapping[str, Any]:
    """The same members in a document that is not a test's: it has to be about chips."""
    for index, member in enumerate(made["members"]):
        member["instance"] = {"kind": "chip_id", "value": f"{index + 1:02x}" * 64}
    return made | {
        "purpose": "production",
        "least_grade": {"server": "N", "client": "N", "key_receiver": "N"},
        "firmware": [],
        "reference_values": {"sev-snp": {"snp": fleets.snp_values()}},
    }


@pytest.mark.parametrize(
    ("change", "checks"),
    [
        (production, {"qemu-tpm.accepted"}),
        (other_name(0), {"member.instance"}),
        (other_image, {"image.pcr4"}),
    ],
    ids=["production", "another key", "another image"],
)
async def test_any_other_document_refuses(
    pair: tuple[Booted, Booted], change: Change, checks: set[str]
) -> None:
    payload = strict_json.canonical(dict(change(json.loads(await document(pair)))))
    client, server = await meet(pair, payload)
    assert not isinstance(client, Session)
    assert not isinstance(server, Session)
    refused = [
        parties.refused(one) for one in (client, server) if isinstance(one, findings.EvidenceRefusedError)
    ]
    assert refused, (client, server)
    assert checks <= {check.id for one in refused for check in one.checks}


async def test_a_production_document_cannot_even_name_a_software_tpm(pair: tuple[Booted, Booted]) -> None:
    with pytest.raises(DocumentError, match="software TPM"):
        fleet.read(await document(pair, purpose="production"))


async def test_settings_other_than_those_measured_are_nobody_s(
    pair: tuple[Booted, Booted], tmp_path: Path
) -> None:
    payload = await document(pair)
    lying = replace(pair[1], digest=pair[0].digest)  # the client claims the server's settings
    for liar in (lying, replace(pair[1], digest=bytes(32))):
        outcome = await parties.meet(party(Side.CLIENT, liar, payload), party(Side.SERVER, pair[0], payload))
        assert not any(isinstance(one, Session) for one in outcome)


async def test_something_measured_after_the_settings_is_seen(pair: tuple[Booted, Booted]) -> None:
    payload = await document(pair)
    with pair[1].device:
        Tpm(pair[1].device).extend(14, {events.SHA256: bytes(32)})
    _, server = await meet(pair, payload)
    assert "settings.register" in {check.id for check in parties.refused(server).checks}
