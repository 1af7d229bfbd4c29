"""What clouds put around a TPM, in front of a real software TPM: every command goes to it but those that are
the host's own, and those are answered in the TPM's wire format.

`Paravisor` renews its HCL report when NV index 0x01400002 is written; `NitroHost` knows the vendor command,
makes the salting key itself, keeps the message (swtpm has no index of 8 KiB) and checks the session's HMAC as
a TPM would; `google` lays keys and certificates down.
"""

from __future__ import annotations

import hmac
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha512

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from runtime.attestation.attester import azure, gcp
from runtime.attestation.attester.tpm import keys, nv, wire
from runtime.attestation.attester.tpm.commands import Key, Tpm
from runtime.attestation.attester.tpm.device import SocketDevice
from runtime.attestation.attester.tpm.session import Password
from runtime.attestation.attester.tpm.wire import Code, sized
from runtime.attestation.tees.tpm import public
from runtime.attestation.tees.tpm.public import PublicKey
from tests.fakes import nitro, tpm

EVICT_CONTROL = 0x120
OWNER = nv.OWNER_READ | nv.OWNER_WRITE
MOST = 2048  # bytes of an NV index that swtpm takes


def store(one: Tpm, index: int, data: bytes) -> None:
    """Lay bytes down in an NV index of their size."""
    nv.write(one, nv.define(one, index, len(data), OWNER), data)


def _code(command: bytes) -> int:
    return int.from_bytes(command[6:10], "big")


class Forwarding:
    """A device in front of another."""

    def __init__(self, real: SocketDevice) -> None:
        self.real = real

    def __enter__(self) -> Forwarding:
        self.real.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.real.__exit__()

    def present(self) -> bool:
        return self.real.present()

    def exchange(self, command: bytes) -> bytes:
        return self.real.exchange(command)


class Paravisor(Forwarding):
    """`hcl` makes the NV index's bytes from the attestation key and the 64 bytes of user data."""

    def __init__(self, real: SocketDevice, hcl: Callable[[PublicKey, bytes], bytes], *, renews: bool = True):
        super().__init__(real)
        self.hcl, self.renews = hcl, renews
        self.reads_until_renewed = 2
        self._pending: bytes | None = None

    def boot(self, ak_certificate: Callable[[PublicKey], bytes] | None = None) -> PublicKey:
        """Make the key persistent, and leave a report and a certificate."""
        with self.real:
            one = Tpm(self.real)
            with one.primary(wire.RH_OWNER, keys.AK_RSA) as key:
                evict = struct.pack(">I", azure.AK_HANDLE)
                one.run(
                    EVICT_CONTROL,
                    handles=(wire.RH_OWNER, key.handle),
                    parameters=evict,
                    authorization=Password(),
                )
                self.ak = public.load_tpm2b(key.public, "ak").key
            store(one, azure.HCL_REPORT, self.hcl(self.ak, bytes(64)).ljust(MOST, b"\0"))
            if ak_certificate is not None:
                store(one, azure.AK_CERTIFICATE, ak_certificate(self.ak))
        return self.ak

    def exchange(self, command: bytes) -> bytes:
        answer = self.real.exchange(command)
        if _code(command) == Code.NV_WRITE and struct.pack(">I", azure.USER_DATA) in command[10:18]:
            self._pending, self._left = command[-66:-2], self.reads_until_renewed
        if _code(command) == Code.NV_READ_PUBLIC and self._pending is not None and self.renews:
            self._left -= 1
            if self._left == 0:
                self._renew(self._pending)
                self._pending = None
        return answer

    def _renew(self, user_data: bytes) -> None:
        one = Tpm(self.real)
        index = nv.find(one, azure.HCL_REPORT)
        assert index is not None
        nv.write(one, index, self.hcl(self.ak, user_data).ljust(index.size, b"\0"))


def google(real: SocketDevice, certify: Callable[[PublicKey], bytes], *, kinds: str = "ecc rsa") -> PublicKey:
    """Lay Google's templates and certificates down; returns the key that is to be used."""
    templates = {"ecc": (keys.AK_ECC, gcp.KEYS[0]), "rsa": (keys.AK_RSA, gcp.KEYS[1])}
    made: list[PublicKey] = []
    with real:
        one = Tpm(real)
        for kind in kinds.split():
            template, (template_at, certificate_at) = templates[kind]
            with one.primary(wire.RH_ENDORSEMENT, template) as key:
                made.append(public.load_tpm2b(key.public, "ak").key)
            store(one, template_at, template)
            store(one, certificate_at, certify(made[-1]))
    return made[0]


@dataclass(frozen=True, slots=True)
class NsmRequest:
    """The fields of a request as the hypervisor reads them."""

    user_data: bytes | None
    nonce: bytes | None
    public_key: bytes | None


@dataclass(slots=True)
class _Message:
    """An NV index that may be larger than swtpm's."""

    index: int
    size: int
    auth: bytes
    written: bool = False
    data: bytearray = field(init=False)

    def __post_init__(self) -> None:
        self.data = bytearray(b"\xff" * self.size)

    @property
    def public(self) -> bytes:
        attributes = nv.AUTH_READ | nv.AUTH_WRITE | (nv.WRITTEN if self.written else 0)
        return struct.pack(">IHIHH", self.index, 0x0D, attributes, 0, self.size)

    @property
    def name(self) -> bytes:
        return b"\x00\x0d" + sha512(self.public).digest()


class NitroHost(Forwarding):
    """`answer` makes the response's object from the request."""

    SALT_KEY, SESSION = 0x80FFFFFE, 0x02FFFFFE

    def __init__(self, real: SocketDevice, answer: Callable[[NsmRequest], object]) -> None:
        super().__init__(real)
        self.answer, self.private = answer, tpm.rsa_key("salt")
        self.requests: list[NsmRequest] = []
        self.open: set[int] = set()  # handles of ours that nobody flushed
        self.lies_in_answer = False
        self._key, self._nonce = b"", b""
        self._message: _Message | None = None

    def exchange(self, command: bytes) -> bytes:
        code = _code(command)
        if code == Code.GET_CAPABILITY and command[10:18] == struct.pack(">II", 2, Code.AWS_NSM_REQUEST):
            body = b"\0" + struct.pack(">III", 2, 1, Code.AWS_NSM_REQUEST | 2 << 25)
            return _answer(body)
        if code == Code.CREATE_PRIMARY and keys.EK_RSA[:40] in command:
            return self._create()
        if code == Code.START_AUTH_SESSION:
            return self._start(command)
        if code == Code.FLUSH_CONTEXT and (handle := int.from_bytes(command[10:14], "big")) in self.open:
            self.open.remove(handle)
            return _answer(b"")
        if code == Code.NV_DEFINE_SPACE:
            return self._define(command)
        if self._message is not None and self._message.index in _handles(command):
            return self._message_command(code, command)
        return self.real.exchange(command)

    def _define(self, command: bytes) -> bytes:
        auth, rest = _take(_parameters(command, 1))
        area, rest = _take(rest)
        index, algorithm, attributes, policy, size = struct.unpack(">IHIHH", area)
        assert (rest, algorithm, attributes, policy) == (b"", 0x0D, nv.AUTH_READ | nv.AUTH_WRITE, 0)
        self._message = _Message(index, size, auth)
        return _answer(b"", area=_NO_SESSION)

    def _message_command(self, code: int, command: bytes) -> bytes:
        message = self._message
        assert message is not None
        if code == Code.NV_READ_PUBLIC:
            return _answer(sized(message.public) + sized(message.name))
        if code == Code.AWS_NSM_REQUEST:
            return self._request(command, message)
        if code == Code.NV_UNDEFINE_SPACE:
            self._message = None
            return _answer(b"", area=_NO_SESSION)
        assert message.auth in command[18:100], "the index's own password"
        parameters = _parameters(command, 2)
        if code == Code.NV_WRITE:
            part, rest = _take(parameters)
            at = int.from_bytes(rest, "big")
            message.data[at : at + len(part)], message.written = part, True
            return _answer(b"", area=_NO_SESSION)
        assert code == Code.NV_READ
        size, at = struct.unpack(">HH", parameters)
        return _answer(sized(bytes(message.data[at : at + size])), area=_NO_SESSION)

    def _create(self) -> bytes:
        self.open.add(self.SALT_KEY)
        numbers: rsa.RSAPublicNumbers = self.private.public_key().public_numbers()
        area = sized(keys.EK_RSA[:-256] + numbers.n.to_bytes(256, "big"))
        parameters = area + sized(b"") + sized(b"") + struct.pack(">HI", 0x8021, wire.RH_NULL) + sized(b"")
        parameters += sized(b"\x00\x0b" + bytes(32))
        return _answer(parameters, handle=self.SALT_KEY, area=_NO_SESSION)

    def _start(self, command: bytes) -> bytes:
        key, bind = struct.unpack(">II", command[10:18])
        assert (key, bind) == (self.SALT_KEY, wire.RH_NULL)
        rest = command[18:]
        nonce, rest = _take(rest)
        encrypted, rest = _take(rest)
        assert rest == struct.pack(">BHH", 0, 0x10, 0x0D), "an HMAC session, nothing encrypted, SHA-512"
        oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=b"SECRET\0")
        salt = self.private.decrypt(encrypted, oaep)
        self._nonce = secrets.token_bytes(64)
        text = b"\0\0\0\1ATH\0" + self._nonce + nonce + (512).to_bytes(4, "big")
        self._key = hmac.digest(salt, text, "sha512")
        self.open.add(self.SESSION)
        return _answer(sized(self._nonce), handle=self.SESSION)

    def _request(self, command: bytes, message: _Message) -> bytes:
        first, second, size, session = struct.unpack(">IIII", command[10:26])
        assert first == second == message.index, "the index is its own authority"
        assert session == self.SESSION
        assert len(command) == 22 + size, "no parameters"
        nonce, rest = _take(command[26:])
        attributes, rest = rest[0], rest[1:]
        proof, rest = _take(rest)
        assert rest == b""
        digest = sha512(struct.pack(">I", Code.AWS_NSM_REQUEST) + message.name * 2).digest()
        key = self._key + message.auth.rstrip(b"\0")
        wanted = hmac.digest(key, digest + nonce + self._nonce + bytes([attributes]), "sha512")
        if not hmac.compare_digest(proof, wanted):
            return struct.pack(">HII", wire.ST_NO_SESSIONS, 10, 0x98E)  # TPM_RC_AUTH_FAIL, session 1
        asked = _read(bytes(message.data))
        self.requests.append(asked)
        made = nitro.cbor(self.answer(asked))
        message.data[: len(made)] = made
        self._nonce = secrets.token_bytes(64)
        digest = sha512(struct.pack(">II", 0, Code.AWS_NSM_REQUEST)).digest()
        proof = hmac.digest(key, digest + self._nonce + nonce + b"\x01", "sha512")
        if self.lies_in_answer:
            proof = bytes(64)
        return _answer(b"", area=sized(self._nonce) + b"\x01" + sized(proof))


_NO_SESSION = sized(b"") + b"\x01" + sized(b"")  # the answer's area under a password


def _handles(command: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(command[at : at + 4], "big") for at in (10, 14))


def _parameters(command: bytes, handles: int) -> bytes:
    at = 10 + 4 * handles
    return command[at + 4 + int.from_bytes(command[at : at + 4], "big") :]


def _take(data: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(data[:2], "big")
    return data[2 : 2 + size], data[2 + size :]


def _answer(parameters: bytes, *, handle: int | None = None, area: bytes | None = None) -> bytes:
    body = b"" if handle is None else struct.pack(">I", handle)
    body += parameters if area is None else struct.pack(">I", len(parameters)) + parameters + area
    tag = wire.ST_NO_SESSIONS if area is None else wire.ST_SESSIONS
    return struct.pack(">HII", tag, 10 + len(body), 0) + body


def _read(data: bytes) -> NsmRequest:
    """Read {"Attestation": {"user_data", "nonce", "public_key"}} off the buffer's first bytes."""
    names = ("user_data", "nonce", "public_key")
    rest = _after(data, b"\xa1\x6bAttestation\xa3")
    values: list[bytes | None] = []
    for name in names:
        rest = _after(rest, bytes([0x60 | len(name)]) + name.encode())
        if rest[:1] == b"\xf6":
            values.append(None)
            rest = rest[1:]
            continue
        rest = _after(rest, b"\x58")
        values.append(rest[1 : 1 + rest[0]])
        rest = rest[1 + rest[0] :]
    return NsmRequest(*values)


def _after(data: bytes, prefix: bytes) -> bytes:
    assert data.startswith(prefix), f"{data[:40].hex()} does not begin with {prefix.hex()}"
    return data[len(prefix) :]


@dataclass(slots=True)
class Certified:
    """Remembers the keys it was asked to certify."""

    data: bytes = b"\x30\x82\x00\x04cert"
    keys: list[PublicKey | Key] = field(default_factory=list)

    def __call__(self, key: PublicKey) -> bytes:
        self.keys.append(key)
        return self.data
