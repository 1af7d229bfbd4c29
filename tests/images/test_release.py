"""A release: sums of every file, a manifest that only its key could have signed."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from images import lock, release
from runtime.documents import dsse
from runtime.errors import DocumentError, UsageError
from tests.images.test_lock import PACKAGE

KEY = Ed25519PrivateKey.generate()


def test_sums_packages_and_a_signed_manifest(tmp_path: Path) -> None:
    out, cache = tmp_path / "out", tmp_path / "cache"
    out.mkdir()
    cache.mkdir()
    (out / release.MANIFEST).write_bytes(b"{}")
    (cache / f"{PACKAGE.sha256}.deb").write_bytes(b"deb")
    release.finish(out, lock.Lock(packages=(PACKAGE,), sha256=bytes(32)), cache, KEY)
    assert (out / release.SUMS).read_text().endswith(f"  {release.MANIFEST}\n")
    assert (out / f"debs/{PACKAGE.sha256}.deb").read_bytes() == b"deb"
    public = KEY.public_key().public_bytes_raw()
    envelope = (out / release.SIGNED).read_bytes()
    assert dsse.open_envelope(envelope, dsse.IMAGE_TYPE, (public,)) == b"{}"
    with pytest.raises(DocumentError):
        dsse.open_envelope(envelope, dsse.FLEET_TYPE, (public,))  # no manifest passes for a fleet document


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    assert release.load_key(path).public_key() == KEY.public_key()
    path.chmod(0o640)
    with pytest.raises(UsageError, match="mode"):
        release.load_key(path)
    path.write_text("no key")
    with pytest.raises(UsageError):
        release.load_key(path)


def test_bakes_are_compared_byte_for_byte(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "same").write_bytes(b"x")
    assert release.compare(one, two) == []
    (one / "more").write_bytes(b"")
    (one / "other").write_bytes(b"1")
    (two / "other").write_bytes(b"2")
    assert release.compare(one, two) == ["more", "other"]
