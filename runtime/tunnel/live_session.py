"""One confirmed session at a tunnel server, from its data plan to its end. I/O.

Its hostnames are those that the client offers *and* the fleet document in force grants to the member it
proved to be; visitors come once the client has said that it serves them. So whichever of the two learns of
a new document first, no visitor is sent to a client that would turn it away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time

from runtime.channel.deadline import deadline
from runtime.channel.party import Party
from runtime.channel.session import Session
from runtime.documents.fleet import Member
from runtime.errors import PeerError
from runtime.limits import Limits
from runtime.tunnel import control, session_messages
from runtime.tunnel.document_exchange import DocumentExchange
from runtime.tunnel.renewal import SOONEST_S, due_in
from runtime.tunnel.session_messages import Answer, AttestAgain, DataPlan, Goaway, Offer, Ping, Pong, Serving
from runtime.tunnel.together import run_together
from runtime.tunnel.workers import WorkerPool

log = logging.getLogger("tunnel.server")


class LiveSession:
    """`granted` is what the document gives of the offer; `routed` of it is what visitors are sent for."""

    def __init__(self, *, session: Session, party: Party, limits: Limits, workers: WorkerPool) -> None:
        self.session = session
        self.since = time.monotonic()
        self.granted: tuple[str, ...] = ()
        self.routed: tuple[str, ...] = ()
        self.heard = 0.0  # monotonic seconds of its last message
        self.ended_by = ""
        self._offered: tuple[str, ...] = ()
        self._leaving = False  # it said goodbye: neither an offer nor a document gives it anything more
        self._answers = 0  # sent; the client names the one that it has put in force
        self._document_changed = asyncio.Event()
        self._asked = 0  # the version of the document that the client was last asked to attest under
        self._attested = asyncio.Event()  # it did, under that or a later one
        self._party, self._limits, self._workers = party, limits, workers
        self._documents = DocumentExchange(session, party.documents, limits)

    async def keep(self, plan: DataPlan) -> None:
        """Talk until the session is over. Raises: TunnelError, which says why it is."""
        self._catch_up()
        await self._announce()
        await self.session.send(session_messages.encode(plan))
        # Attestation first: of two that end at once, its reason is the one to tell.
        await run_together(
            self._answer_attestations(), self._ask_for_attestation(), self._talk(), self._documents.run()
        )

    def member(self) -> Member | None:
        """Return what the document in force says of the peer, if it still is the same member."""
        return self.session.member_in(self._party.documents.current().document)

    def document_changed(self, member: Member) -> None:
        """Take away what the document now in force does not give `member`, and have it attest again.

        Here and at once: the task that asks may be waiting for an attestation, and a client does not hurry.
        """
        self.granted = tuple(name for name in self.granted if member.may_publish(name))
        left = tuple(name for name in self.routed if member.may_publish(name))
        if left != self.routed:
            self._route(left)
        self._document_changed.set()

    def told(self) -> list[control.ToWorker]:
        """Return what a worker has to know of this session."""
        return [
            self._as_told(),
            control.Grant(session=self.session.id, hostnames=self.routed),
        ]

    def fields(self) -> dict[str, object]:
        """Return who it is, for a line of the log."""
        return {
            "session": self.session.id.hex()[:12],
            "member": self.session.peer.member,
            "grade": self.session.peer.grade,
            "peer": self.session.peer_address,
        }

    def _catch_up(self) -> None:
        """Apply a document that came into force while this session was still being made.

        Nothing waits between its entry in the server's list and here, so no change falls between the two.
        """
        member = self._listed()
        if self.session.under.digest != self._party.documents.current().document.digest:
            self.document_changed(member)

    def _listed(self) -> Member:
        member = self.member()
        if member is None:
            raise PeerError("not_a_member", "the fleet document in force no longer lists this member")
        return member

    async def _announce(self) -> None:
        await self._workers.announce(self._as_told())

    def _as_told(self) -> control.Session:
        return control.Session(
            session=self.session.id,
            member=self.session.peer.member,
            epoch=self.session.epoch,
            join_secret=self.session.join_secret,
        )

    async def _talk(self) -> None:
        while True:
            async with deadline(self._limits, "silent_s", "nothing was heard"):
                message = session_messages.decode(await self.session.receive())
            self.heard = time.monotonic()
            await asyncio.sleep(0)  # a peer that sends without pause gets its turn, not the loop
            match message:
                case Offer(hostnames=hostnames):
                    self._offered = () if self._leaving else hostnames
                    await self._answer()
                case Serving(n=n):
                    self._serves(n)
                case Ping(n=n):
                    await self.session.send(session_messages.encode(Pong(n=n)))
                case Goaway(reason=reason):
                    self._leaving, self._offered, self.granted = True, (), ()
                    self._route(())
                    log.info("client drains", extra={"fields": {**self.fields(), "reason": reason}})
                case _:
                    await self._documents.take(message)

    # -- hostnames --------------------------------------------------------------------------------

    async def _answer(self) -> None:
        """Say what is granted of the offer; what is not stops at once, what is new waits for the client."""
        member = self._listed()
        self.granted = tuple(name for name in self._offered if member.may_publish(name))
        not_granted = tuple(name for name in self._offered if name not in self.granted)
        self._route(tuple(name for name in self.granted if name in self.routed))
        self._answers += 1
        answer = Answer(n=self._answers, granted=self.granted, not_granted=not_granted)
        await self.session.send(session_messages.encode(answer))
        log.info(
            "offer answered",
            extra={"fields": {**self.fields(), "granted": self.granted, "not_granted": not_granted}},
        )

    def _serves(self, n: int) -> None:
        """The client has put an answer in force; only the newest one counts. Raises: PeerError."""
        if not 1 <= n <= self._answers:
            raise PeerError("out_of_turn", f"the client serves answer {n}, and {self._answers} were sent")
        if n == self._answers:
            self._route(self.granted)

    def _route(self, hostnames: tuple[str, ...]) -> None:
        self.routed = hostnames
        self._workers.tell_now(control.Grant(session=self.session.id, hostnames=hostnames))

    # -- attesting again --------------------------------------------------------------------------

    async def _answer_attestations(self) -> None:
        """See each later epoch through, and give the workers its secret before anything uses it."""
        while True:
            await self.session.answer_attestation(secrets.token_bytes(32))
            await self._announce()
            if self.session.under.version >= self._asked:
                self._attested.set()  # an epoch that began under an older document does not count
            self._documents.look()
            log.info("session attested again", extra={"fields": self.fields()})
            await self._answer()  # the document may grant other hostnames now

    async def _ask_for_attestation(self) -> None:
        """Ask when the document changed, or when the client lets its time pass; then wait, but not long."""
        changed = self._document_changed
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due_in(self.session, self._party) + self._limits.late_s):
                    await changed.wait()
            if not changed.is_set() and due_in(self.session, self._party) > SOONEST_S:
                continue  # it attested by itself meanwhile
            reason = "document" if changed.is_set() else "due"
            changed.clear()
            self._asked = self._party.documents.current().document.version
            self._attested.clear()
            if self._offered:
                await self._answer()  # a hostname that the document takes away gets no new stream now
            await self.session.send(session_messages.encode(AttestAgain(reason=reason)))
            async with deadline(self._limits, "late_s", "the client did not attest again"):
                await self._attested.wait()
