"""AWS: the chip's report, and a NitroTPM document that commits to it; or that document alone. I/O.

`aws/NitroTPM-Tools`, nitro-tpm-attest: the request for a document goes through the TPM. An NV index of our
own holds the request in CBOR, the vendor command 0x20000001 under a salted HMAC session has the hypervisor
answer it, and the same index holds the response afterwards.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from runtime.attestation.attester import nsm
from runtime.attestation.attester.machine import Machine, event_log, table_of
from runtime.attestation.attester.tpm import keys, nv, session, wire
from runtime.attestation.attester.tpm.commands import Tpm
from runtime.attestation.attester.tpm.wire import Code
from runtime.attestation.binding import tied_qualifying
from runtime.attestation.wire import Evidence
from runtime.errors import MalformedError

AUTH_BYTES = 64  # as long as a digest of the index's nameAlg, SHA-512
MESSAGE_BYTES = 8192  # a document is almost 5 KiB, each of its fields at most 1 KiB


@dataclass(frozen=True, slots=True)
class AwsSnpAttester:
    """`aws-snp-nitrotpm`: report first, then the document, so that the document names the report."""

    machine: Machine

    def available(self) -> bool:
        """Tell whether both are here."""
        return self.machine.tsm.provider() == "sev_guest" and _is_nitro(self.machine)

    async def collect(self, report_data: bytes) -> Evidence:
        """Return both, each committing to the binder."""
        async with self.machine.gate.turn() as turn:
            made = await turn.in_thread(lambda: self.machine.tsm.report(report_data))
            nonce = tied_qualifying(report_data, made.report)
            document = await turn.in_thread(lambda: _document(self.machine, report_data, nonce))
        name = "aws-snp-nitrotpm"
        return Evidence(
            format=name,
            parts={"snp_report": made.report, "nitrotpm_document": document},
            endorsements={**table_of(made), **event_log(self.machine, name)},
        )


@dataclass(frozen=True, slots=True)
class NitroTpmAttester:
    """`aws-nitrotpm`: the hypervisor's word alone."""

    machine: Machine

    def available(self) -> bool:
        """Tell whether this TPM is a NitroTPM."""
        return _is_nitro(self.machine)

    async def collect(self, report_data: bytes) -> Evidence:
        """Return the document over the binder."""
        async with self.machine.gate.turn() as turn:
            document = await turn.in_thread(lambda: _document(self.machine, report_data, None))
        name = "aws-nitrotpm"
        return Evidence(
            format=name,
            parts={"nitrotpm_document": document},
            endorsements=event_log(self.machine, name),
        )


def _is_nitro(machine: Machine) -> bool:
    if not machine.device.present():
        return False
    with machine.device as device:
        return Tpm(device).knows(Code.AWS_NSM_REQUEST)


def _document(machine: Machine, user_data: bytes, nonce: bytes | None) -> bytes:
    request = nsm.request(user_data=user_data, nonce=nonce)
    # The TPM cuts zeros at the end of an authorization value: ours ends with another byte.
    auth = secrets.token_bytes(AUTH_BYTES - 1) + b"\x01"
    with machine.device as device:
        tpm = Tpm(device)
        with (
            tpm.primary(wire.RH_ENDORSEMENT, keys.EK_RSA) as ek,
            nv.message_buffer(tpm, MESSAGE_BYTES, auth) as buffer,
        ):
            nv.write(tpm, buffer, request, auth=auth)
            written = nv.find(tpm, buffer.index)  # its name has changed: TPMA_NV_WRITTEN is part of it
            if written is None:
                raise MalformedError(f"NV index {buffer.index:#010x}", "is gone right after it was written")
            salt_key = keys.rsa_of(ek.public)
            with tpm.salted(ek, lambda salt: session.encrypt_salt(salt_key, salt), auth) as proof:
                tpm.run(
                    Code.AWS_NSM_REQUEST,
                    handles=(written.index, written.index),
                    names=written.name * 2,
                    authorization=proof,
                )
            return nsm.document(nv.read(tpm, written.index, auth=auth))
