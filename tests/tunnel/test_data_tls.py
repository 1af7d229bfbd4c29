"""What both ends of a data connection's TLS insist on."""

from __future__ import annotations

import ssl

import pytest
from cryptography.hazmat.primitives import serialization

from runtime.errors import PeerError, UsageError
from runtime.tunnel.data_tls import ALPN, certificate_digest, client_context, client_finished, server_context
from tests.tunnel.rig import certificate


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True))
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends


def own_server() -> ssl.SSLContext:
    own = certificate("data.example")
    return server_context(own.pem.decode(), own.key.decode())


def test_both_ends_see_the_clients_finished_and_no_two_connections_share_it() -> None:
    client, server = handshake(own_server(), client_context())
    assert client.version() == "TLSv1.3"
    assert client.selected_alpn_protocol() == server.selected_alpn_protocol() == ALPN
    assert client_finished(client) == client_finished(server)
    assert len(client_finished(client)) >= 32
    other, _ = handshake(own_server(), client_context())
    assert client_finished(other) != client_finished(client)


def test_nothing_resumes() -> None:
    context, tls = own_server(), client_context()
    client, server = handshake(context, tls)
    server.write(b"x")
    assert client.read(1) == b"x"  # tickets would have come before this
    assert client.session is None or not client.session.has_ticket
    again, theirs = handshake(context, tls)
    assert not again.session_reused
    assert not theirs.session_reused


def test_an_older_tls_has_no_finished_for_us() -> None:
    own = certificate("data.example")
    old = own_server()
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    tls = client_context()
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    client, _ = handshake(old, tls)
    assert client.version() == "TLSv1.2"
    with pytest.raises(PeerError):
        client_finished(client)
    with pytest.raises(ssl.SSLError):
        handshake(own_server(), old_client())
    assert len(certificate_digest(own.pem.decode())) == 32


def old_client() -> ssl.SSLContext:
    context = client_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def test_a_certificate_or_key_that_is_none_is_refused() -> None:
    own, other = certificate("data.example"), certificate("other.example")
    for pem, key in (("", ""), (own.pem.decode(), other.key.decode()), (own.pem.decode(), "x")):
        with pytest.raises(UsageError):
            server_context(pem, key)
    with pytest.raises(UsageError):
        certificate_digest("x")


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_a_password() -> None:
    own = certificate("data.example")
    key = serialization.load_pem_private_key(own.key, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    )
    with pytest.raises(UsageError):
        server_context(own.pem.decode(), locked.decode())
