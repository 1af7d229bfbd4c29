"""The attested handshake as a state machine (docs/protocol.md §4 to §6). Pure.

    client                              server
      HELLO  ─────────────────────────▶
             ◀─────────────────────────  HELLO
      EVIDENCE ───────────────────────▶            (the client shows first)
             ◀───────────────────────── EVIDENCE
      CONFIRM ────────────────────────▶
             ◀───────────────────────── CONFIRM

The client stands for whoever begins. An owner begins too, with a client as with a server, and has a
SIGNATURE where a member has EVIDENCE (§15): it proves itself before the member collects anything.
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
from types import MappingProxyType

from runtime.attestation import binding
from runtime.channel import hello as hello_wire
from runtime.channel.bound import Bound
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

# (about whom, shown to whom) -> what the binder is for: evidence for an owner is no use in a session.
_USES = MappingProxyType(
    {
        (Side.CLIENT, Side.SERVER): (binding.Label.CHANNEL, binding.Direction.CLIENT_TO_SERVER),
        (Side.SERVER, Side.CLIENT): (binding.Label.CHANNEL, binding.Direction.SERVER_TO_CLIENT),
        (Side.OWNER, Side.SERVER): (binding.Label.OWNER, binding.Direction.OWNER_TO_MEMBER),
        (Side.OWNER, Side.CLIENT): (binding.Label.OWNER, binding.Direction.OWNER_TO_MEMBER),
        (Side.SERVER, Side.OWNER): (binding.Label.OWNER, binding.Direction.MEMBER_TO_OWNER),
        (Side.CLIENT, Side.OWNER): (binding.Label.OWNER, binding.Direction.MEMBER_TO_OWNER),
    }
)


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
    bound: Bound  # what it has to be about


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign this binder with the owner's key, then call `evidence_collected` with the signature."""

    binder: bytes  # 64


@dataclass(frozen=True, slots=True)
class CheckOwner:
    """Check the signature of a peer that says it is the owner, then call `appraised`."""

    signature: bytes
    binder: bytes  # 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Established:
    """Both sides have confirmed: from here on tunnel bytes may flow."""

    session: bytes  # 16, names the session; both sides derive it
    epoch: int
    join_secret: bytes = field(repr=False)  # 32, proves that a data connection belongs to this session
    peer_hello: Hello


Step = Send | Collect | Sign | Appraise | CheckOwner | Established


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

    def __init__(
        self,
        *,
        hello: Hello,
        meets: tuple[Side, ...],
        spki_own: bytes,
        spki_peer: bytes,
        export: Export,
        now: int,
    ) -> None:
        """Prepare; `meets` is whom the peer may be, `now` Unix seconds."""
        self._side = hello.side
        self._own = hello
        self._meets = meets
        self._begins = self._side is Side.OWNER or meets == (Side.SERVER,)
        self._spki_own, self._spki_peer = spki_own, spki_peer
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
        """Begin. Who dialled speaks first."""
        self._expect(_State.START)
        self._state = _State.HELLO
        return [self._hello()] if self._begins else []

    def receive(self, message: Message) -> list[Step]:
        """Take the peer's next message. Raises: PeerError, MalformedError."""
        match message.kind:
            case Kind.HELLO:
                return self._receive_hello(message.payload)
            case Kind.EVIDENCE:
                return self._receive_evidence(message.payload)
            case Kind.SIGNATURE:
                return self._receive_signature(message.payload)
            case Kind.CONFIRM:
                return self._receive_confirm(message.payload)
            case Kind.REFUSED:
                code = public_code(message.payload.decode("ascii", "replace"))
                raise PeerError(code, "closed the session", remote=True)
            case _:  # CONTROL and RELAY belong behind it
                what = message.kind.name
                raise PeerError("out_of_turn", f"{what} came while waiting for {self.waiting_for}")

    def evidence_collected(self, evidence: bytes) -> list[Step]:
        """Our evidence over the binder of `Collect`, or the owner's signature over that of `Sign`."""
        self._expect(_State.COLLECTING)
        self._evidence[self._side] = evidence
        # Who began has shown first and now waits for the peer's evidence; the other one shows last.
        self._state = _State.EVIDENCE if self._begins else _State.CONFIRM
        return [Send(Message(Kind.SIGNATURE if self._side is Side.OWNER else Kind.EVIDENCE, evidence))]

    def appraised(self) -> list[Step]:
        """What `Appraise` or `CheckOwner` asked for was accepted. (A refusal ends everything.)"""
        self._expect(_State.APPRAISING)
        if self._begins:
            self._state = _State.CONFIRM
            return [self._confirm()]
        self._state = _State.COLLECTING
        return [Collect(self._bound(self._side).binder)]

    # -- steps ------------------------------------------------------------------------------------

    def _receive_hello(self, payload: bytes) -> list[Step]:
        self._expect(_State.HELLO)
        peer = hello_wire.decode(payload)
        self._check_hello(peer)
        self._peer = peer
        self._raw[peer.side] = payload
        if not self._begins:
            self._state = _State.EVIDENCE
            return [self._hello()]
        self._state = _State.COLLECTING
        binder = self._bound(self._side).binder
        return [Sign(binder) if self._side is Side.OWNER else Collect(binder)]

    def _check_hello(self, peer: Hello) -> None:
        if peer.side not in self._meets:
            wanted = " or ".join(side.article for side in self._meets)
            raise PeerError("role", f"the peer says it is {peer.side.article}, want {wanted}")
        if peer.side is Side.OWNER and any(peer.settings_digest):
            raise PeerError("malformed", "an owner has no settings: the digest in its hello is not zero")
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
        if peer.side is Side.OWNER:
            raise PeerError("out_of_turn", "an owner signs, it shows no evidence")
        if payload == self._evidence.get(self._side):
            raise PeerError("reflected", "our own evidence came back")
        self._evidence[peer.side] = payload
        self._state = _State.APPRAISING
        return [Appraise(payload, self._bound(peer.side))]

    def _receive_signature(self, payload: bytes) -> list[Step]:
        self._expect(_State.EVIDENCE)
        if self.peer_hello.side is not Side.OWNER:
            raise PeerError("out_of_turn", "a member shows evidence, no signature stands for it")
        self._evidence[Side.OWNER] = payload
        self._state = _State.APPRAISING
        return [CheckOwner(payload, self._bound(Side.OWNER).binder)]

    def _receive_confirm(self, payload: bytes) -> list[Step]:
        self._expect(_State.CONFIRM)
        if not hmac.compare_digest(payload, self._mac(self.peer_hello.side)):
            raise PeerError("confirm", "the key confirmation does not match this connection")
        self._state = _State.DONE
        established = Established(
            session=self._export(EXPORT_SESSION, self._context())[:16],
            epoch=self._own.epoch,
            join_secret=self._export(EXPORT_JOIN, self._context()),
            peer_hello=self.peer_hello,
        )
        # The answer goes only to a peer that has confirmed; it then knows that both have.
        return [established] if self._begins else [self._confirm(), established]

    # -- what binds it ----------------------------------------------------------------------------

    def _hello(self) -> Send:
        return Send(Message(Kind.HELLO, self._raw[self._side]))

    def _confirm(self) -> Send:
        return Send(Message(Kind.CONFIRM, self._mac(self._side)))

    def _order(self) -> tuple[Side, Side]:
        """Who began, and who answered."""
        own, peer = self._side, self.peer_hello.side
        return (own, peer) if self._begins else (peer, own)

    def _transcript(self) -> bytes:
        parts = (TRANSCRIPT_LABEL, *(self._raw[side] for side in self._order()))
        return sha256(b"".join(_prefixed(part) for part in parts)).digest()

    def _context(self) -> bytes:
        return self._transcript() + struct.pack(">I", self._own.epoch)

    def _bound(self, about: Side) -> Bound:
        """What evidence about `about`, shown to the other side, is bound to."""
        hellos = {self._side: self._own, self.peer_hello.side: self.peer_hello}
        spki = {self._side: self._spki_own, self.peer_hello.side: self._spki_peer}
        [to] = (side for side in hellos if side is not about)
        label, direction = _USES[about, to]
        return Bound(
            label=label,
            direction=direction,
            epoch=self._own.epoch,
            transcript=self._transcript(),
            exporter=self._export(EXPORT_BIND, self._context()),
            spki_attester=spki[about],
            spki_verifier=spki[to],
            verifier_nonce=hellos[to].nonce,
            settings_digest=hellos[about].settings_digest,
        )

    def _mac(self, by: Side) -> bytes:
        order = self._order()
        parts = (
            bytes([by]),
            *(self._raw[side] for side in order),
            *(sha256(self._evidence[side]).digest() for side in order),
        )
        key = self._export(EXPORT_CONFIRM, self._context())
        return hmac.digest(key, b"".join(_prefixed(part) for part in parts), "sha256")

    def _expect(self, state: _State) -> None:
        if self._state is not state:
            raise PeerError("out_of_turn", f"came while waiting for {self.waiting_for}")


def _prefixed(part: bytes) -> bytes:
    return struct.pack(">H", len(part)) + part
