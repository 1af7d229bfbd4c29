"""The TPM commands that attestation takes: keys, quotes, registers, capabilities. I/O through a `Device`.

A command that the TPM puts off is repeated a bounded number of times. Keys and sessions are flushed by
whoever made them: a TPM has room for three.
"""

from __future__ import annotations

import secrets
import struct
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from runtime.attestation.attester.tpm import session, wire
from runtime.attestation.attester.tpm.device import Device
from runtime.attestation.attester.tpm.session import Authorization, HmacSession, Password
from runtime.attestation.attester.tpm.wire import Code, Response, TpmError, sized
from runtime.attestation.tees.tpm.attest import (
    MAX_DIGEST_BYTES,
    MAX_NAME_BYTES,
    MAX_QUOTE_SIZE,
    Reader,
)
from runtime.attestation.tees.tpm.public import MAX_KEY_SIZE

ATTEMPTS = 6
FIRST_PAUSE_S = 0.05  # doubled each time: 1.55 s in all
MAX_LISTED = 64  # handles or commands asked for at once
_CAP_HANDLES, _CAP_COMMANDS, _CAP_PCRS, _CAP_PROPERTIES = 1, 2, 5, 6
_NV_BUFFER_MAX = 0x12C  # TPM_PT_NV_BUFFER_MAX
_EMPTY_SENSITIVE = sized(sized(b"") + sized(b""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key in the TPM, loaded or persistent."""

    handle: int
    public: bytes  # TPM2B_PUBLIC
    name: bytes


class Tpm:
    """Commands over one open device."""

    def __init__(self, device: Device, *, pause: Callable[[float], None] = time.sleep) -> None:
        self.device, self._pause = device, pause

    def run(
        self,
        code: int,
        *,
        handles: Sequence[int] = (),
        names: bytes = b"",
        parameters: bytes = b"",
        authorization: Authorization | None = None,
        handles_out: int = 0,
    ) -> Response:
        """Run one command. Raises: TpmError, UnreachableError, MalformedError."""
        wait = FIRST_PAUSE_S
        for attempt in range(ATTEMPTS):
            area = None if authorization is None else authorization.authorize(code, names, parameters)
            sent = wire.command(code, handles=handles, parameters=parameters, authorization=area)
            try:
                answer = wire.response(
                    code, self.device.exchange(sent), handles=handles_out, authorized=area is not None
                )
            except TpmError as error:
                if attempt == ATTEMPTS - 1 or not error.worth_repeating:
                    raise
                self._pause(wait)
                wait *= 2
                continue
            if authorization is not None:
                authorization.verify(code, answer.parameters, answer.authorization)
            return answer
        raise AssertionError  # the last attempt returns or raises

    @contextmanager
    def primary(self, hierarchy: int, template: bytes) -> Generator[Key]:
        """Make the primary key of a TPMT_PUBLIC template, for the length of a `with`."""
        answer = self.run(
            Code.CREATE_PRIMARY,
            handles=(hierarchy,),
            parameters=_EMPTY_SENSITIVE + sized(template) + sized(b"") + struct.pack(">I", 0),
            authorization=Password(),
            handles_out=1,
        )
        reader = Reader(answer.parameters, "TPM2_CreatePrimary", wire.MAX_RESPONSE_BYTES)
        public = sized(reader.sized(MAX_KEY_SIZE, "outPublic"))
        reader.sized(MAX_KEY_SIZE, "creationData")
        reader.sized(MAX_DIGEST_BYTES, "creationHash")
        reader.take(6, "creationTicket.tag and hierarchy")
        reader.sized(MAX_DIGEST_BYTES, "creationTicket.digest")
        name = reader.sized(MAX_NAME_BYTES, "name")
        try:
            yield Key(handle=answer.handles[0], public=public, name=name)
        finally:
            self.flush(answer.handles[0])

    def read_public(self, handle: int) -> Key:
        """Return what a loaded or persistent key is."""
        answer = self.run(Code.READ_PUBLIC, handles=(handle,))
        reader = Reader(answer.parameters, "TPM2_ReadPublic", wire.MAX_RESPONSE_BYTES)
        public = sized(reader.sized(MAX_KEY_SIZE, "outPublic"))
        return Key(handle=handle, public=public, name=reader.sized(MAX_NAME_BYTES, "name"))

    def flush(self, handle: int) -> None:
        """Free a loaded key or a session."""
        self.run(Code.FLUSH_CONTEXT, parameters=struct.pack(">I", handle))

    def quote(
        self, key: Key, qualifying_data: bytes, bank: int, registers: Sequence[int]
    ) -> tuple[bytes, bytes]:
        """Return TPMS_ATTEST and TPMT_SIGNATURE over registers of one bank, in the key's own scheme."""
        answer = self.run(
            Code.QUOTE,
            handles=(key.handle,),
            parameters=sized(qualifying_data) + struct.pack(">H", 0x0010) + wire.selection(bank, registers),
            authorization=Password(),
        )
        reader = Reader(answer.parameters, "TPM2_Quote", wire.MAX_RESPONSE_BYTES)
        message = reader.sized(MAX_QUOTE_SIZE, "quoted")
        return message, reader.take(len(answer.parameters) - reader.offset, "signature")

    def read_registers(self, bank: int, registers: Sequence[int]) -> tuple[int, dict[int, bytes]]:
        """Return the update counter and the values of some registers; the TPM gives eight at a time."""
        answer = self.run(Code.PCR_READ, parameters=wire.selection(bank, registers))
        reader = Reader(answer.parameters, "TPM2_PCR_Read", wire.MAX_RESPONSE_BYTES)
        counter = reader.number(4, "pcrUpdateCounter")
        chosen = _one_selection(reader)
        count = reader.number(4, "pcrValues.count")
        if count > len(chosen):
            raise reader.fail(f"pcrValues.count is {count}, want {len(chosen)}", reader.offset)
        values = {index: reader.sized(MAX_DIGEST_BYTES, f"PCR {index}") for index in chosen[:count]}
        reader.end()
        return counter, values

    def extend(self, register: int, digests: Mapping[int, bytes]) -> None:
        """Extend a register by one digest in each bank named."""
        listed = b"".join(struct.pack(">H", bank) + digest for bank, digest in sorted(digests.items()))
        self.run(
            Code.PCR_EXTEND,
            handles=(register,),
            parameters=struct.pack(">I", len(digests)) + listed,
            authorization=Password(),
        )

    def banks(self) -> dict[int, frozenset[int]]:
        """Return the banks that are in use, by TPM_ALG_ID, with their registers."""
        reader = self._capability(_CAP_PCRS, 0, 1)
        return {
            bank: found
            for bank, found in (_selected(reader) for _ in range(reader.number(4, "assignedPCR.count")))
            if found
        }

    def knows(self, code: int) -> bool:
        """Tell whether the TPM has this command, a vendor's too."""
        reader = self._capability(_CAP_COMMANDS, code, 1)
        if not reader.number(4, "commandAttributes.count"):
            return False
        return reader.number(4, "commandAttributes") & 0x2000FFFF == code  # TPMA_CC: V, commandIndex

    def handles(self, first: int, count: int = MAX_LISTED) -> tuple[int, ...]:
        """Return the handles in use from `first` on, in ascending order."""
        reader = self._capability(_CAP_HANDLES, first, count)
        return tuple(reader.number(4, "handle") for _ in range(min(reader.number(4, "handle.count"), count)))

    def nv_buffer(self) -> int:
        """Return how many bytes of an NV index go into one command, 512 at least."""
        reader = self._capability(_CAP_PROPERTIES, _NV_BUFFER_MAX, 1)
        if not reader.number(4, "tpmProperty.count") or reader.number(4, "property") != _NV_BUFFER_MAX:
            return 512
        return min(max(reader.number(4, "value"), 512), wire.MAX_COMMAND_BYTES // 2)

    def _capability(self, capability: int, first: int, count: int) -> Reader:
        parameters = struct.pack(">III", capability, first, count)
        answer = self.run(Code.GET_CAPABILITY, parameters=parameters)
        reader = Reader(answer.parameters, "TPM2_GetCapability", wire.MAX_RESPONSE_BYTES)
        reader.number(1, "moreData")
        if (got := reader.number(4, "capability")) != capability:
            raise reader.fail(f"capability is {got}, want {capability}", 1)
        return reader

    @contextmanager
    def salted(
        self, salt_key: Key, encrypt: Callable[[bytes], bytes], auth_value: bytes
    ) -> Generator[HmacSession]:
        """Start an HMAC session that nobody between us and the TPM can join, for the length of a `with`."""
        nonce, salt = secrets.token_bytes(session.NONCE_BYTES), secrets.token_bytes(session.SALT_BYTES)
        answer = self.run(
            Code.START_AUTH_SESSION,
            handles=(salt_key.handle, wire.RH_NULL),
            parameters=session.start_parameters(nonce, encrypt(salt)),
            handles_out=1,
        )
        reader = Reader(answer.parameters, "TPM2_StartAuthSession", wire.MAX_RESPONSE_BYTES)
        nonce_tpm = reader.sized(MAX_DIGEST_BYTES, "nonceTPM")
        try:
            yield HmacSession(
                handle=answer.handles[0],
                key=session.session_key(salt, nonce_tpm, nonce),
                auth_value=auth_value,
                nonce_tpm=nonce_tpm,
                random=secrets.token_bytes,
            )
        finally:
            self.flush(answer.handles[0])


def _selected(reader: Reader) -> tuple[int, frozenset[int]]:
    bank, size = reader.number(2, "hash"), reader.number(1, "sizeofSelect")
    bits = int.from_bytes(reader.take(size, "pcrSelect"), "little")
    return bank, frozenset(index for index in range(8 * size) if bits >> index & 1)


def _one_selection(reader: Reader) -> list[int]:
    if (count := reader.number(4, "pcrSelectionOut.count")) != 1:
        raise reader.fail(f"pcrSelectionOut.count is {count}, want 1", reader.offset - 4)
    return sorted(_selected(reader)[1])
