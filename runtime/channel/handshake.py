"""The attested handshake as a state machine (docs/protocol.md §4 to §6). Pure.

    client                              server
      HELLO  ─────────────────────────▶
             ◀─────────────────────────  HELLO
      EVIDENCE ───────────────────────▶            (the client shows first)
             ◀───────────────────────── EVIDENCE
      CONFIRM ────────────────────────▶
             ◀───────────────────────── CONFIRM

It is told what arrives and answers with what to do next; it never does anything itself. TLS stands
already, and everything here is bound to that very connection by its exporter: `export(label,
context)` returns 32 bytes that only the two ends of this connection can compute (RFC 8446 §7.5).
Any message out of turn ends the handshake; there is no state in which a tunnel byte is looked at.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from hashlib import sha256

from runtime.attestation import binding
from runtime.channel import hello as hello_wire
from runtime.channel.hello import Hello, Side
from runtime.channel.messages import Kind, Message, public_code
from runtime.errors import PeerError

EXPORT_BIND = b"EXPORTER-confidential-tunnels-bind-v1"
EXPORT_CONFIRM = b"EXPORTER-confidential-tunnels-confirm-v1"
EXPORT_JOIN = b"EXPORTER-confidential-tunnels-join-v1"
EXPORT_SESSION = b"EXPORTER-confidential-tunnels-session-v1"
TRANSCRIPT_LABEL = b"confidential-tunnels transcript v1"

MAX_SKEW_S = 300  # more, and certificate dates mean different things to the two sides

Export = Callable[[bytes, bytes], bytes]  # (label, context) -> 32 bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Send this message now."""

    message: Message


@dataclass(frozen=True, slots=True)
class Collect:
    """Collect evidence about ourselves over this binder, then call `evidence_collected`."""

    binder: bytes  # 64


@dataclass(frozen=True, slots=True)
class Appraise:
    """Appraise the peer's evidence, then call `appraised`; on refusal, end the connection."""

    evidence: bytes
    binder: bytes  # 64
    settings_digest: bytes  # 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Established:
    """Both sides have confirmed: from here on tunnel bytes may flow."""

    session: bytes  # 16, names the session; both sides derive it
    epoch: int
    join_secret: bytes = field(repr=False)  # 32, proves that a data connection belongs to this session
    peer_hello: Hello


Step = Send | Collect | Appraise | Established


class _State(Enum):
    START = auto()
    HELLO = auto()  # waiting for the peer's hello
    COLLECTING = auto()
    EVIDENCE = auto()  # waiting for the peer's evidence
    APPRAISING = auto()
    CONFIRM = auto()  # waiting for the peer's confirmation
    DONE = auto()


class Handshake:
    """One epoch's handshake on one TLS connection."""

    def __init__(self, *, hello: Hello, spki_own: bytes, spki_peer: bytes, export: Export, now: int) -> None:
        self._side = hello.side
        self._own = hello
        self._spki = {self._side: spki_own, self._side.other: spki_peer}
        self._export = export
        self._now = now
        self._state = _State.START
        self._raw: dict[Side, bytes] = {self._side: hello_wire.encode(hello)}
        self._evidence: dict[Side, bytes] = {}
        self._peer: Hello | None = None

    @property
    def peer_hello(self) -> Hello:
        """The peer's hello, once it came."""
        if self._peer is None:
            raise PeerError("out_of_turn", "no hello yet")
        return self._peer

    @property
    def waiting_for(self) -> str:
        """What the peer owes us, for the words of a timeout."""
        return self._state.name.lower()

    def start(self) -> list[Step]:
        """Begin. The client speaks first."""
        self._expect(_State.START)
        self._state = _State.HELLO
        return [self._hello()] if self._side is Side.CLIENT else []

    def receive(self, message: Message) -> list[Step]:
        """Take the peer's next message. Raises: PeerError, MalformedError."""
        match message.kind:
            case Kind.HELLO:
                return self._receive_hello(message.payload)
            case Kind.EVIDENCE:
                return self._receive_evidence(message.payload)
            case Kind.CONFIRM:
                return self._receive_confirm(message.payload)
            case Kind.REFUSED:
                code = public_code(message.payload.decode("ascii", "replace"))
                raise PeerError(code, "closed the session", remote=True)
            case Kind.CONTROL:
                raise PeerError("out_of_turn", f"a control message came while waiting for {self.waiting_for}")

    def evidence_collected(self, evidence: bytes) -> list[Step]:
        """Our evidence over the binder asked for in `Collect`."""
        self._expect(_State.COLLECTING)
        self._evidence[self._side] = evidence
        # The client has shown first and now waits for the server's evidence; the server shows last.
        self._state = _State.EVIDENCE if self._side is Side.CLIENT else _State.CONFIRM
        return [Send(Message(Kind.EVIDENCE, evidence))]

    def appraised(self) -> list[Step]:
        """The evidence asked for in `Appraise` was accepted. (Refused evidence ends everything.)"""
        self._expect(_State.APPRAISING)
        if self._side is Side.SERVER:
            self._state = _State.COLLECTING
            return [Collect(self._binder(Side.SERVER))]
        self._state = _State.CONFIRM
        return [self._confirm()]

    # -- steps ------------------------------------------------------------------------------------

    def _receive_hello(self, payload: bytes) -> list[Step]:
        self._expect(_State.HELLO)
        peer = hello_wire.decode(payload)
        self._check_hello(peer)
        self._peer = peer
        self._raw[peer.side] = payload
        if self._side is Side.SERVER:
            self._state = _State.EVIDENCE
            return [self._hello()]
        self._state = _State.COLLECTING
        return [Collect(self._binder(Side.CLIENT))]

    def _check_hello(self, peer: Hello) -> None:
        if peer.side is self._side:
            raise PeerError("role", f"the peer is a {peer.side.name.lower()} too")
        if peer.epoch != self._own.epoch:
            raise PeerError("epoch", f"hello of epoch {peer.epoch}, want {self._own.epoch}")
        if abs(peer.time - self._now) > MAX_SKEW_S:
            raise PeerError(
                "clock_skew", f"peer's clock reads {peer.time}, ours {self._now}, over {MAX_SKEW_S} s apart"
            )
        if peer.nonce == self._own.nonce:
            raise PeerError("reflected", "our own nonce came back")
        if not set(peer.formats) & set(self._own.formats):
            raise PeerError("formats", "no evidence format in common")
        same_version = peer.document_version == self._own.document_version
        if same_version and peer.document_digest != self._own.document_digest:
            # Two documents of one version: the owner's key signed twice, or is not the owner's alone.
            raise PeerError(
                "document_conflict", f"another fleet document has version {peer.document_version} too"
            )

    def _receive_evidence(self, payload: bytes) -> list[Step]:
        self._expect(_State.EVIDENCE)
        peer = self.peer_hello
        if payload == self._evidence.get(self._side):
            raise PeerError("reflected", "our own evidence came back")
        self._evidence[peer.side] = payload
        self._state = _State.APPRAISING
        return [Appraise(payload, self._binder(peer.side), peer.settings_digest)]

    def _receive_confirm(self, payload: bytes) -> list[Step]:
        self._expect(_State.CONFIRM)
        if not hmac.compare_digest(payload, self._mac(self._side.other)):
            raise PeerError("confirm", "the key confirmation does not match this connection")
        self._state = _State.DONE
        established = Established(
            session=self._export(EXPORT_SESSION, self._context())[:16],
            epoch=self._own.epoch,
            join_secret=self._export(EXPORT_JOIN, self._context()),
            peer_hello=self.peer_hello,
        )
        # The server answers only a client that has confirmed; the client then knows both have.
        return [self._confirm(), established] if self._side is Side.SERVER else [established]

    # -- what binds it ----------------------------------------------------------------------------

    def _hello(self) -> Send:
        return Send(Message(Kind.HELLO, self._raw[self._side]))

    def _confirm(self) -> Send:
        return Send(Message(Kind.CONFIRM, self._mac(self._side)))

    def _transcript(self) -> bytes:
        parts = (TRANSCRIPT_LABEL, self._raw[Side.CLIENT], self._raw[Side.SERVER])
        return sha256(b"".join(_prefixed(part) for part in parts)).digest()

    def _context(self) -> bytes:
        return self._transcript() + struct.pack(">I", self._own.epoch)

    def _binder(self, about: Side) -> bytes:
        """The 64 bytes that evidence about `about`, shown to the other side, must carry."""
        hellos = {self._side: self._own, self._side.other: self.peer_hello}
        return binding.binder(
            label=binding.Label.CHANNEL,
            direction=binding.Direction.CLIENT_TO_SERVER
            if about is Side.CLIENT
            else binding.Direction.SERVER_TO_CLIENT,
            epoch=self._own.epoch,
            transcript=self._transcript(),
            exporter=self._export(EXPORT_BIND, self._context()),
            spki_attester=self._spki[about],
            spki_verifier=self._spki[about.other],
            verifier_nonce=hellos[about.other].nonce,
            settings_digest=hellos[about].settings_digest,
        )

    def _mac(self, by: Side) -> bytes:
        parts = (
            bytes([by]),
            self._raw[Side.CLIENT],
            self._raw[Side.SERVER],
            sha256(self._evidence[Side.CLIENT]).digest(),
            sha256(self._evidence[Side.SERVER]).digest(),
        )
        key = self._export(EXPORT_CONFIRM, self._context())
        return hmac.digest(key, b"".join(_prefixed(part) for part in parts), "sha256")

    def _expect(self, state: _State) -> None:
        if self._state is not state:
            raise PeerError("out_of_turn", f"came while waiting for {self.waiting_for}")


def _prefixed(part: bytes) -> bytes:
    return struct.pack(">H", len(part)) + part
