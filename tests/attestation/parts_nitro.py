"""What single NitroTPM vectors are made of, where one changed field is not enough. Pure, but for keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tests.attestation.vector import Make
from tests.fakes import machines, measured_boot, nitro
from tests.fakes.amd import FakeAmd
from tests.fakes.machines import BINDER, SETTINGS, FakeMachine
from tests.fakes.nitro import FakeNitro

Options = dict[str, Any]
OTHER_KEY = ec.generate_private_key(ec.SECP384R1())
CLOUD = FakeNitro.create()
OTHER_MODULE = f"i-0000000000000001-tpm0000000000000000.{nitro.REGION}.aws"


def authority(role: str, **shape: Any) -> Make:
    """Return what makes a document of an AWS of which one authority has another shape; its root is pinned."""

    def make(_: FakeMachine, __: FakeAmd) -> Options:
        shapes: Mapping[str, Mapping[str, Any]] = {role: shape}
        cloud = FakeNitro.create(**shapes)
        document = machines.nitro_document(cloud, BINDER, None, SETTINGS, {})
        return {"parts": {"nitrotpm_document": document}, "pins": cloud.roots()}

    return make


def leaf(**shape: Any) -> Make:
    """Return what makes a document that a leaf of another shape signed."""

    def make(machine: FakeMachine, _: FakeAmd) -> Options:
        assert machine.cloud is not None
        return {"leaf": machine.cloud.leaf(**shape)}

    return make


def critical_header(machine: FakeMachine, _: FakeAmd) -> Options:
    """Return a document whose protected header, which the signature covers, names a critical header."""
    assert machine.cloud is not None
    signer = machine.cloud.leaf()
    measured = measured_boot.registers(measured_boot.SHA384_PCRS, "sha384", SETTINGS, {})
    fields = machine.cloud.fields("nitrotpm", signer, user_data=BINDER, nitrotpm_pcrs=measured)
    document = nitro.sign(nitro.cbor(fields), signer.key, nitro.cbor({1: -35, 2: [1]}))
    return {"parts": {"nitrotpm_document": document}}


def unprotected_header(machine: FakeMachine, _: FakeAmd) -> Options:
    """Return a document with a header that no signature covers."""
    document = machine.evidence().parts["nitrotpm_document"]
    head = b"\xa1\x01\x38\x22"
    return {"parts": {"nitrotpm_document": document.replace(head + b"\xa0", head + b"\xa1\x04\x41\x00", 1)}}


def foreign(_: FakeMachine, __: FakeAmd) -> Options:
    document = machines.nitro_document(CLOUD, BINDER, None, SETTINGS, {})
    return {"parts": {"nitrotpm_document": document}}


def signed_by_another_leaf(machine: FakeMachine, _: FakeAmd) -> Options:
    assert machine.cloud is not None
    return {"nitro": {"certificate": machine.cloud.leaf().der}}


def trailing_document(machine: FakeMachine, _: FakeAmd) -> Options:
    return {"parts": {"nitrotpm_document": machine.evidence().parts["nitrotpm_document"] + b"\0"}}


def other_algorithm(machine: FakeMachine, _: FakeAmd) -> Options:
    document = machine.evidence().parts["nitrotpm_document"]
    return {"parts": {"nitrotpm_document": document.replace(b"\xa1\x01\x38\x22", b"\xa1\x01\x38\x23", 1)}}


def five_parts(machine: FakeMachine, _: FakeAmd) -> Options:
    document = machine.evidence().parts["nitrotpm_document"]
    return {"parts": {"nitrotpm_document": b"\x85" + document[1:] + b"\x40"}}
