"""What vectors are made of that speak of the document rather than of a platform. Pure."""

from __future__ import annotations

import struct
from typing import Any

from runtime.documents import times
from tests.attestation import platforms
from tests.attestation.vector import Make
from tests.fakes import fleets
from tests.fakes.amd import FakeAmd
from tests.fakes.machines import FakeMachine

Options = dict[str, Any]
ROLES = ("server", "client", "key_receiver")


def production(machine: FakeMachine, _: FakeAmd) -> Options:
    """Return the document of a fleet of hardware, whose roles want the least grade that it may ask for."""
    return {"fleet": platforms.document(machine, purpose="production", least_grade=dict.fromkeys(ROLES, "N"))}


def firmware_past_its_date(register: str) -> Make:
    """Return what makes a document whose entry of one firmware register has ended."""

    def make(machine: FakeMachine, _: FakeAmd) -> Options:
        made = machine.document()
        for entry in made["firmware"]:
            if entry["register"] == register:
                entry["not_after"] = times.show(machine.now - 1)
        return {"fleet": made}

    return make


def firmware_only(machine: FakeMachine, _: FakeAmd) -> Options:
    """Return a document that knows the launch digest as that of firmware, and of no image."""
    made = machine.document()
    made["images"][0]["measurements"] = {"snp_launch": ["01" * 48]}
    made["firmware"] = [
        {
            "name": "firmware",
            "format": machine.format,
            "register": "snp_measurement",
            "value": fleets.MEASUREMENT.hex(),
            "not_after": times.show(machine.now + times.DAY_S),
        }
    ]
    return {"fleet": made}


def oversized() -> bytes:
    """Return evidence with a CC log one byte over its bound."""
    name, item = b"gcp-tdx", b"ccel"
    head = b"CTE1" + bytes([len(name)]) + name + bytes([1, len(item)]) + item
    return head + struct.pack(">I", 128 * 1024 + 1) + bytes(128 * 1024 + 1)
