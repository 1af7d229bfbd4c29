"""The bytes of TPM 2.0 commands and responses, and what a response code means. Pure.

TCG "Trusted Platform Module Library Part 2: Structures" and "Part 3: Commands", revision 1.59. Integers are
big-endian. A command is `u16 tag ‖ u32 size ‖ u32 code ‖ handles ‖ [u32 size ‖ authorization] ‖ parameters`;
a response is `u16 tag ‖ u32 size ‖ u32 response code ‖ handles ‖ [u32 size of the parameters] ‖ parameters ‖
[authorization]`, the bracketed parts with tag TPM_ST_SESSIONS only.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from runtime.attestation.tees.tpm.attest import Reader
from runtime.errors import UnsupportedTeeError

ST_NO_SESSIONS, ST_SESSIONS = 0x8001, 0x8002
HEADER_BYTES = 10
MAX_COMMAND_BYTES = 4096  # TPM2_MAX_COMMAND_SIZE of every TPM met so far
MAX_RESPONSE_BYTES = 4096

# TPM_RH, Part 2 table 28; TPM_RS_PW
RH_OWNER, RH_NULL, RS_PW, RH_ENDORSEMENT = 0x40000001, 0x40000007, 0x40000009, 0x4000000B


class Code(IntEnum):
    """TPM_CC, Part 2 table 12, and AWS's vendor command (`attester.nitro`)."""

    NV_UNDEFINE_SPACE = 0x122
    NV_DEFINE_SPACE = 0x12A
    CREATE_PRIMARY = 0x131
    NV_WRITE = 0x137
    NV_READ = 0x14E
    QUOTE = 0x158
    FLUSH_CONTEXT = 0x165
    NV_READ_PUBLIC = 0x169
    READ_PUBLIC = 0x173
    START_AUTH_SESSION = 0x176
    GET_CAPABILITY = 0x17A
    PCR_READ = 0x17E
    PCR_EXTEND = 0x182
    AWS_NSM_REQUEST = 0x20000001


# TPM_RC, Part 2 tables 16 and 17. Format-one codes carry the number of the handle or parameter as well.
_FORMAT_ONE, _PARAMETER = 0x080, 0x040
_AGAIN = frozenset({0x908, 0x90A, 0x920, 0x922})  # YIELDED, TESTING, NV_RATE, RETRY
RC_HANDLE, RC_COMMAND_CODE, RC_NV_DEFINED = 0x08B, 0x143, 0x14C
RC_INITIALIZE, RC_NV_UNINITIALIZED, RC_REFERENCE_H0 = 0x100, 0x14A, 0x910
_MEANINGS: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        0x082: ("ATTRIBUTES", "the object or NV index is not of the kind that this needs"),
        0x083: ("HASH", "this TPM does not have the hash algorithm"),
        0x084: ("VALUE", "the TPM does not take this value"),
        RC_HANDLE: ("HANDLE", "there is no such key or NV index in this TPM"),
        0x08E: ("AUTH_FAIL", "somebody set an authorization value: clear the TPM's owner hierarchy"),
        0x092: ("SCHEME", "the key signs with another scheme"),
        0x095: ("SIZE", "the TPM takes less than that"),
        0x0A2: ("BAD_AUTH", "somebody set an authorization value: clear the TPM's owner hierarchy"),
        RC_INITIALIZE: ("INITIALIZE", "nobody started the TPM: firmware does, or swtpm with startup-clear"),
        0x101: ("FAILURE", "the TPM is in failure mode: restart the machine"),
        0x120: ("DISABLED", "the hierarchy is disabled in the firmware's set-up"),
        RC_COMMAND_CODE: ("COMMAND_CODE", "this TPM does not know the command"),
        0x146: ("NV_RANGE", "the NV index is shorter than that"),
        0x148: ("NV_LOCKED", "the NV index is locked until the next restart"),
        0x149: ("NV_AUTHORIZATION", "the NV index may not be used in this way"),
        RC_NV_UNINITIALIZED: ("NV_UNINITIALIZED", "nothing was ever written to the NV index"),
        0x14B: ("NV_SPACE", "no room is left for NV indices: undefine one that nobody needs"),
        RC_NV_DEFINED: ("NV_DEFINED", "the NV index exists already"),
        0x902: ("OBJECT_MEMORY", "other programs keep keys loaded: use /dev/tpmrm0, or flush them"),
        0x903: ("SESSION_MEMORY", "other programs keep sessions: use /dev/tpmrm0, or flush them"),
        0x921: ("LOCKOUT", "too many wrong authorizations: wait for the lockout to end"),
    }
)


class TpmError(UnsupportedTeeError):
    """The TPM refused a command: which, with which response code, and what to do."""

    code = "tpm"

    def __init__(self, command: str, response_code: int) -> None:
        self.command, self.response_code = command, response_code
        name, self.hint = _MEANINGS.get(self.kind, ("", "see TPM_RC in TCG's Part 2, section 6.6"))
        shown = f"{response_code:#05x}" + (f" (TPM_RC_{name})" if name else "")
        super().__init__(f"the TPM refuses {command}: {shown}; {self.hint}")

    @property
    def kind(self) -> int:
        """The code without the number of the handle, session or parameter that it is about."""
        if self.response_code & _FORMAT_ONE:
            return self.response_code & 0x0BF
        return self.response_code

    @property
    def worth_repeating(self) -> bool:
        """Whether the TPM asks to be asked again."""
        return self.response_code in _AGAIN

    def __reduce__(self) -> tuple[object, ...]:
        return (TpmError, (self.command, self.response_code))


def sized(data: bytes) -> bytes:
    """Return a TPM2B: a length of 2 bytes, then the bytes."""
    return struct.pack(">H", len(data)) + data


def selection(bank: int, registers: Sequence[int]) -> bytes:
    """Return a TPML_PCR_SELECTION of one bank."""
    bits = sum(1 << index for index in registers)
    return struct.pack(">IHB", 1, bank, 3) + bits.to_bytes(3, "little")


def command(
    code: int, *, handles: Sequence[int] = (), parameters: bytes = b"", authorization: bytes | None = None
) -> bytes:
    """Return the bytes of one command."""
    body = b"".join(struct.pack(">I", handle) for handle in handles)
    if authorization is not None:
        body += struct.pack(">I", len(authorization)) + authorization
    body += parameters
    tag = ST_NO_SESSIONS if authorization is None else ST_SESSIONS
    return struct.pack(">HII", tag, HEADER_BYTES + len(body), code) + body


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A successful response, its parts not read yet."""

    handles: tuple[int, ...]
    parameters: bytes
    authorization: bytes


def response(code: int, data: bytes, *, handles: int = 0, authorized: bool = False) -> Response:
    """Read the response to `code`. Raises: TpmError (refused), MalformedError (no response at all)."""
    name = name_of(code)
    reader = Reader(data, f"response to {name}", MAX_RESPONSE_BYTES)
    tag, size, result = reader.number(2, "tag"), reader.number(4, "responseSize"), reader.number(4, "code")
    if size != len(data):
        raise reader.fail(f"responseSize is {size}, want {len(data)}", 2)
    if result:
        raise TpmError(name, result)
    if tag != (ST_SESSIONS if authorized else ST_NO_SESSIONS):
        raise reader.fail(f"tag is {tag:#06x}", 0)
    found = tuple(reader.number(4, "handle") for _ in range(handles))
    if not authorized:
        rest = reader.take(len(data) - reader.offset, "parameters")
        return Response(handles=found, parameters=rest, authorization=b"")
    parameters = reader.take(reader.number(4, "parameterSize"), "parameters")
    rest = reader.take(len(data) - reader.offset, "authorization")
    return Response(handles=found, parameters=parameters, authorization=rest)


def name_of(code: int) -> str:
    """Return a command's name as TCG writes it: TPM2_NV_Read."""
    try:
        first, *rest = Code(code).name.split("_")
    except ValueError:
        return f"command {code:#010x}"
    camel = "".join(word.capitalize() for word in rest)
    return f"TPM2_{first}_{camel}" if first in {"NV", "PCR", "AWS"} else f"TPM2_{first.capitalize()}{camel}"
