"""The fleet document between the two ends of a session: the lower version gets the higher one. I/O.

From its own URLs first, which the owner chose; from the peer when they do not give it, in parts that it asks
for one by one. The peer needs no trust for that: what it sends has to verify like anything from a URL
(`web.documents`). Only peers that both confirmed get here.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging

from runtime.channel.deadline import deadline
from runtime.channel.party import Documents
from runtime.channel.session import Session
from runtime.documents.strict_json import MAX_DOCUMENT_SIZE
from runtime.errors import DocumentError, PeerError, UnreachableError
from runtime.limits import Limits
from runtime.tunnel import session_messages
from runtime.tunnel.session_messages import DOCUMENT_PART, ControlMessage, DocumentAsk, DocumentPart

log = logging.getLogger("tunnel.documents")


class DocumentExchange:
    """One session's."""

    def __init__(self, session: Session, documents: Documents, limits: Limits) -> None:
        self._session, self._documents, self._limits = session, documents, limits
        self._newer = asyncio.Event()
        self._parts: asyncio.Queue[DocumentPart] = asyncio.Queue(1)
        self._asking = False
        self.look()

    def look(self) -> None:
        """After an epoch: see whether the peer's hello showed a newer document than ours."""
        if self._session.peer_hello.document_version > self._version():
            self._newer.set()

    async def run(self) -> None:
        """Get what is newer, until cancelled. Raises: PeerError for what is not the owner's."""
        while True:
            await self._newer.wait()
            self._newer.clear()
            await self._documents.from_urls()
            wanted = self._session.peer_hello.document_version
            if self._version() < wanted:
                await self._from_peer(wanted)

    async def take(self, message: ControlMessage) -> None:
        """Answer the peer's question, or keep its answer. Raises: PeerError for any other message."""
        match message:
            case DocumentAsk():
                await self._answer(message)
            case DocumentPart() if self._asking and not self._parts.full():
                self._parts.put_nowait(message)
            case _:
                raise PeerError("out_of_turn", f"{type(message).__name__} is not the peer's to send now")

    def _version(self) -> int:
        try:
            return self._documents.current().document.version
        except UnreachableError:  # expired: any newer one helps
            return 0

    async def _answer(self, ask: DocumentAsk) -> None:
        envelope = b""
        try:
            current = self._documents.current()
        except UnreachableError:
            pass  # it ended meanwhile: nothing to pass on
        else:
            if current.document.version == ask.version:
                envelope = current.envelope
        data = envelope[ask.offset : ask.offset + DOCUMENT_PART]
        part = DocumentPart(
            version=ask.version,
            offset=ask.offset,
            size=len(envelope),
            data=base64.b64encode(data).decode(),
        )
        await self._session.send(session_messages.encode(part))

    async def _from_peer(self, wanted: int) -> None:
        self._asking = True
        try:
            envelope = await self._fetch(wanted)
        finally:
            self._asking = False
        if not envelope or self._version() >= wanted:
            return  # the peer has yet another one by now, or our URLs were faster
        fields = {"version": wanted, "peer": self._session.peer.member}
        try:
            await self._documents.accept(envelope)
        except DocumentError as error:
            if self._version() > wanted:
                return  # overtaken while it was read; two documents of one version stay an error
            message = f"{self._session.peer.member} passed on a document that is not acceptable: {error}"
            raise PeerError("malformed", message) from error
        log.info("fleet document from a peer", extra={"fields": fields})

    async def _fetch(self, version: int) -> bytes:
        """Return the envelope, nothing when the peer no longer has this version. Raises: PeerError."""
        envelope, size = b"", 1
        while len(envelope) < size:
            ask = DocumentAsk(version=version, offset=len(envelope))
            await self._session.send(session_messages.encode(ask))
            late = "the peer sent no part of its fleet document"
            async with deadline(self._limits, "document_part_s", late):
                part = await self._parts.get()
            if (part.version, part.offset) != (ask.version, ask.offset):
                raise PeerError("malformed", "another part of a document than was asked for")
            if not part.size:
                return b""
            if (envelope and part.size != size) or part.size > MAX_DOCUMENT_SIZE:
                raise PeerError("malformed", f"a document of {part.size} bytes, want {MAX_DOCUMENT_SIZE}")
            size = part.size
            data = _bytes(part.data)
            if not data or len(envelope) + len(data) > size:
                raise PeerError("malformed", "a part of a document that does not fit")
            envelope += data
        return envelope


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PeerError("malformed", "a part of a document is not base64") from error
