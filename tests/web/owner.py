"""An owner's key, and what is signed and configured with it, for tests of what members fetch. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.documents import dsse
from runtime.documents.settings import ClientSettings, Settings
from runtime.limits import Limits

KEY = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
MALLORY = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()

ROLE = ClientSettings(
    sessions_port=7443,
    reconnect_cap_s=1.0,
    routes_file=None,
    routes_urls=(),
    bundle=None,
    access_log="none",
)
_SETTINGS = Settings(
    digest=bytes(32),
    fleet="test",
    member="client-1",
    owner_keys=(PUBLIC,),
    document_urls=(),
    document_min_version=1,
    endorsements_urls=(),
    tunnel_name="tunnel.test",
    resolver=None,
    admin=("127.0.0.1", 9443),
    limits=Limits(),
    role=ROLE,
)


def settings(**changes: Any) -> Settings:
    """Settings that name the owner's key; `changes` replaces fields."""
    return replace(_SETTINGS, **changes)


def signed(payload: bytes, *, key: Ed25519PrivateKey = KEY, kind: str = dsse.FLEET_TYPE) -> bytes:
    """The envelope that is published."""
    return dsse.sign(payload, kind, key)
