"""NV indices: what the platform left in the TPM, and messages to it. I/O through `Tpm`.

Part 2, 13.4 and 13.6 (TPMA_NV, TPMS_NV_PUBLIC). An index is read with the owner's empty authorization, or its
own if only that is allowed; a TPM takes some hundred bytes to a few thousand per command.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from runtime.attestation.attester.tpm.commands import Tpm
from runtime.attestation.attester.tpm.session import Password
from runtime.attestation.attester.tpm.wire import RC_HANDLE, RC_NV_DEFINED, RH_OWNER, Code, TpmError, sized
from runtime.attestation.tees.tpm.attest import MAX_DIGEST_BYTES, MAX_NAME_BYTES, SHA256, SHA512, Reader
from runtime.errors import MalformedError, UnsupportedTeeError

OWNER_WRITE, AUTH_WRITE, OWNER_READ, AUTH_READ, WRITTEN = 1 << 1, 1 << 2, 1 << 17, 1 << 18, 1 << 29
PP_READ = 1 << 16
MAX_NV_SIZE = 16 * 1024  # bytes; an HCL report is 2,600, a NitroTPM message 8,192
FIRST_INDEX, LAST_INDEX = 0x01000000, 0x01FFFFFF
_FREE_TRIES = 16  # indices that somebody else defined between our look and our define


@dataclass(frozen=True, slots=True, kw_only=True)
class NvIndex:
    """What the TPM says about an index."""

    index: int
    attributes: int  # TPMA_NV
    size: int  # bytes
    name: bytes


def find(tpm: Tpm, index: int) -> NvIndex | None:
    """Return what is known of an index, None if it does not exist."""
    try:
        answer = tpm.run(Code.NV_READ_PUBLIC, handles=(index,))
    except TpmError as error:
        if error.kind == RC_HANDLE:
            return None
        raise
    reader = Reader(answer.parameters, "TPM2_NV_ReadPublic", 1024)
    reader.number(2, "nvPublic.size")
    if (named := reader.number(4, "nvIndex")) != index:
        raise reader.fail(f"nvIndex is {named:#010x}, want {index:#010x}", 2)
    reader.number(2, "nameAlg")
    attributes = reader.number(4, "attributes")
    reader.sized(MAX_DIGEST_BYTES, "authPolicy")
    size = reader.number(2, "dataSize")
    return NvIndex(index=index, attributes=attributes, size=size, name=reader.sized(MAX_NAME_BYTES, "nvName"))


def read(tpm: Tpm, index: int, *, auth: bytes = b"") -> bytes:
    """Return all bytes of an index. Raises: UnsupportedTeeError (there is none), TpmError, MalformedError."""
    found = find(tpm, index)
    if found is None:
        message = f"this machine's TPM has no NV index {index:#010x}"
        raise UnsupportedTeeError(message)
    if found.size > MAX_NV_SIZE:
        raise MalformedError(f"NV index {index:#010x}", f"has {found.size} bytes, want at most {MAX_NV_SIZE}")
    authority = RH_OWNER if found.attributes & OWNER_READ else index
    step, data = tpm.nv_buffer(), b""
    while len(data) < found.size:
        answer = tpm.run(
            Code.NV_READ,
            handles=(authority, index),
            parameters=struct.pack(">HH", min(step, found.size - len(data)), len(data)),
            authorization=Password(auth),
        )
        reader = Reader(answer.parameters, "TPM2_NV_Read", MAX_NV_SIZE)
        part = reader.sized(step, "data")
        reader.end()
        if not part:
            raise MalformedError(f"NV index {index:#010x}", f"ends after {len(data)} of {found.size} bytes")
        data += part
    return data


def write(tpm: Tpm, found: NvIndex, data: bytes, *, auth: bytes = b"") -> None:
    """Write the first bytes of an index. Raises: TpmError."""
    authority = RH_OWNER if found.attributes & OWNER_WRITE else found.index
    step = tpm.nv_buffer()
    for offset in range(0, len(data), step):
        tpm.run(
            Code.NV_WRITE,
            handles=(authority, found.index),
            parameters=sized(data[offset : offset + step]) + struct.pack(">H", offset),
            authorization=Password(auth),
        )


def define(
    tpm: Tpm, index: int, size: int, attributes: int, *, auth: bytes = b"", name_algorithm: int = SHA256
) -> NvIndex:
    """Make an index and return what it is. Raises: TpmError, NV_DEFINED among others."""
    public = struct.pack(">IHI", index, name_algorithm, attributes) + sized(b"") + struct.pack(">H", size)
    tpm.run(
        Code.NV_DEFINE_SPACE,
        handles=(RH_OWNER,),
        parameters=sized(auth) + sized(public),
        authorization=Password(),
    )
    found = find(tpm, index)
    if found is None:
        raise MalformedError(f"NV index {index:#010x}", "is gone right after it was defined")
    return found


def undefine(tpm: Tpm, index: int) -> None:
    """Remove an index. Raises: TpmError."""
    tpm.run(Code.NV_UNDEFINE_SPACE, handles=(RH_OWNER, index), authorization=Password())


@contextmanager
def message_buffer(tpm: Tpm, size: int, auth: bytes) -> Generator[NvIndex]:
    """Make an index of our own at a free place, for the length of a `with`.

    Defining it is what takes the place: an index that somebody else defined first is never mistaken for ours.
    """
    made = _define_free(tpm, size, auth)
    try:
        yield made
    finally:
        undefine(tpm, made.index)


def _define_free(tpm: Tpm, size: int, auth: bytes) -> NvIndex:
    candidate = FIRST_INDEX
    for _ in range(_FREE_TRIES):
        candidate = _first_free(tpm, candidate)
        try:
            return define(tpm, candidate, size, AUTH_READ | AUTH_WRITE, auth=auth, name_algorithm=SHA512)
        except TpmError as error:
            if error.kind != RC_NV_DEFINED:
                raise
        candidate += 1
    message = f"no free NV index after {_FREE_TRIES} tries: another program keeps defining them"
    raise UnsupportedTeeError(message)


def _first_free(tpm: Tpm, start: int) -> int:
    candidate = start
    while candidate <= LAST_INDEX:
        used = tpm.handles(candidate)
        for index in used:
            if index != candidate:
                return candidate
            candidate += 1
        if not used:
            return candidate
    message = "every NV index of this TPM is taken"
    raise UnsupportedTeeError(message)
