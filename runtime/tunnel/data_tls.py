"""The TLS of data connections at both ends: 1.3, one ALPN, a pinned certificate, no resumption. I/O."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Callable
from importlib.util import find_spec

from runtime.errors import PeerError, UsageError
from runtime.memory_chain import load_chain

ALPN = "tunnel-data/1"
FAST = find_spec("aiofastnet") is not None  # the extra `speed`: it drives the same OpenSSL with fewer copies
SHUTDOWN_S = 1.0  # for a close_notify to be answered


def server_context(certificate_pem: str, key_pem: str) -> ssl.SSLContext:
    """Make the data port's TLS context: TLS 1.3, one ALPN, nothing that resumes. Raises UsageError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols([ALPN])
    load_chain(context, certificate_pem.encode(), key_pem.encode())
    return context


def client_context() -> ssl.SSLContext:
    """Make the client's TLS context; the caller compares the certificate with its pin."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    # Trust is the pin and the proof: no name, no authority, no date of this certificate means anything.
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN])
    return context


def client_finished(tls: ssl.SSLObject) -> bytes:
    """Return the client's Finished of a full TLS 1.3 handshake, the same at both ends.

    It stands for the connection because nothing resumes: with resumption `tls-unique` is another
    message (RFC 5929 §3). Raises PeerError for a resumed or an older connection.
    """
    if tls.version() != "TLSv1.3" or tls.session_reused:
        raise PeerError("join_refused", "not a full TLS 1.3 handshake")
    return tls.get_channel_binding("tls-unique") or b""


def certificate_digest(certificate_pem: str) -> bytes:
    """Return the SHA-256 of the certificate's DER. Raises UsageError."""
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate_pem)).digest()
    except ValueError as error:
        raise UsageError("the data certificate is not PEM") from error


async def secure(
    loop: asyncio.AbstractEventLoop,
    factory: Callable[[], asyncio.Protocol],
    *,
    sock: socket.socket,
    context: ssl.SSLContext,
    handshake_s: float,
) -> None:
    """Do the server's handshake on an accepted socket; `connection_made` comes after it. Raises OSError."""
    if FAST:
        import aiofastnet

        await aiofastnet.connect_accepted_socket(
            loop,
            factory,
            sock,
            ssl=context,
            ssl_handshake_timeout=handshake_s,
            ssl_shutdown_timeout=SHUTDOWN_S,
        )
        return
    await loop.connect_accepted_socket(
        factory, sock, ssl=context, ssl_handshake_timeout=handshake_s, ssl_shutdown_timeout=SHUTDOWN_S
    )


async def dial(
    loop: asyncio.AbstractEventLoop, factory: Callable[[], asyncio.Protocol], address: tuple[str, int]
) -> None:
    """Connect to a data port. `connection_made` comes after the handshake. Raises OSError."""
    context = client_context()
    if FAST:
        import aiofastnet

        # It refuses an empty server_hostname; the address it takes instead is never checked or, being an
        # IP address, sent.
        await aiofastnet.create_connection(
            loop, factory, *address, ssl=context, ssl_shutdown_timeout=SHUTDOWN_S
        )
        return
    await loop.create_connection(
        factory, *address, ssl=context, server_hostname="", ssl_shutdown_timeout=SHUTDOWN_S
    )
