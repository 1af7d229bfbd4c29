"""A release: sums of every file, a manifest that only its key could have signed."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from images import __main__ as command
from images import lock, manifest, release
from runtime.documents import dsse
from runtime.errors import DocumentError, UsageError
from tests.images.test_lock import PACKAGE
from tests.images.test_manifest import write

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


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A release of one file."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "disk.raw").write_bytes(b"disk")
    digest = sha256(b"disk").hexdigest()
    files = [manifest.File(name="disk.raw", format="raw", sha256=digest, size=4)]
    (out / release.MANIFEST).write_bytes(write(files))
    release.finish(out, lock.Lock(packages=(), sha256=bytes(32)), tmp_path, KEY)
    return out


PUBLIC = KEY.public_key().public_bytes_raw()


def test_a_release_is_what_its_owner_signed(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = release.verify(released, PUBLIC)
    assert found.digest == sha256((released / release.MANIFEST).read_bytes()).digest()
    command.main(["verify", "--out", str(released), "--key", PUBLIC.hex()])
    assert found.digest.hex() in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("disk.raw", "disk.raw is [0-9a-f]{64}, want"),
        (release.MANIFEST, "is not the signed one"),
        (release.SUMS, "SHA256SUMS is not what the files have"),
    ],
)
def test_a_file_that_was_swapped_is_named(released: Path, file: str, said: str) -> None:
    (released / file).write_bytes(b"swapped")
    with pytest.raises(UsageError, match=said):
        release.verify(released, PUBLIC)


def test_what_nobody_signed_is_named(released: Path) -> None:
    """Whoever can write the folder can write the sums too."""
    (released / "evil.img").write_bytes(b"one more")
    (released / release.SUMS).write_text(release.sums(released))
    with pytest.raises(UsageError, match=r"evil\.img is not in the manifest"):
        release.verify(released, PUBLIC)


def test_a_swapped_package_is_named(released: Path) -> None:
    package = released / "debs" / f"{sha256(b'package').hexdigest()}.deb"
    package.write_bytes(b"package")
    release.verify(released, PUBLIC)
    package.write_bytes(b"swapped")
    with pytest.raises(UsageError, match=f"debs/{package.name} is"):
        release.verify(released, PUBLIC)


def test_another_owners_release_is_refused(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DocumentError):
        release.verify(released, Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    (released / "disk.raw").unlink()
    with pytest.raises(UsageError, match="No such file"):
        release.verify(released, PUBLIC)
    with pytest.raises(SystemExit) as caught:
        command.main(["verify", "--out", str(released), "--key", "zz"])
    assert caught.value.code == 2
    assert "want 64 hexadecimal digits" in capsys.readouterr().err
