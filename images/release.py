"""What makes a bake a release: checksums of every file, and the owner's signature on the manifest. I/O."""

from __future__ import annotations

from hashlib import file_digest
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from images.lock import Lock
from runtime.documents import dsse
from runtime.documents.manifest import ImageManifest
from runtime.documents.manifest import read as read_manifest
from runtime.errors import UsageError

MANIFEST = "image-manifest.json"
SUMS = "SHA256SUMS"
SIGNED = "image-manifest.dsse.json"


def sums(folder: Path) -> str:
    """Return `sha256sum`'s lines for every file of the folder but the sums themselves."""
    lines = []
    for path in sorted(folder.iterdir()):
        if path.name not in {SUMS, SIGNED} and path.is_file():
            lines.append(f"{_digest(path)}  {path.name}\n")
    return "".join(lines)


def finish(folder: Path, lock: Lock, cache: Path, key: Ed25519PrivateKey | None) -> None:
    """Write the sums and, where there is a key, the signed manifest; put the locked packages beside them.

    With the packages a release can be baked again after the mirrors have moved on.
    """
    debs = folder / "debs"
    debs.mkdir(exist_ok=True)
    for package in lock.packages:
        target = debs / f"{package.sha256}.deb"
        if not target.exists():
            target.write_bytes((cache / target.name).read_bytes())
    (folder / SUMS).write_text(sums(folder))
    if key is not None:
        (folder / SIGNED).write_bytes(dsse.sign((folder / MANIFEST).read_bytes(), dsse.IMAGE_TYPE, key))


def verify(folder: Path, public: bytes) -> ImageManifest:
    """Return the manifest of a release that the key's owner signed, after comparing every file with it.

    `public` is the raw Ed25519 key. A file that the manifest does not name is refused; the packages are held
    to their names, which are their hashes. Raises: DocumentError, UsageError with every file that is another.
    """
    try:
        manifest = dsse.open_envelope((folder / SIGNED).read_bytes(), dsse.IMAGE_TYPE, (public,))
        found = read_manifest(manifest)
        wrong = [] if (folder / MANIFEST).read_bytes() == manifest else [f"{MANIFEST} is not the signed one"]
        for artefact in found.artefacts:
            digest = _digest(folder / artefact.file)
            if digest != artefact.sha256.hex():
                wrong.append(f"{artefact.file} is {digest}, want {artefact.sha256.hex()}")
        known = {MANIFEST, SUMS, SIGNED, *(artefact.file for artefact in found.artefacts)}
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name not in known:
                wrong.append(f"{path.name} is not in the manifest")
        for path in sorted((folder / "debs").glob("*")):
            if path.name != f"{_digest(path)}.deb":
                wrong.append(f"debs/{path.name} is {_digest(path)}")
        if (folder / SUMS).read_text() != sums(folder):
            wrong.append(f"{SUMS} is not what the files have")
    except OSError as error:
        message = f"{error.filename}: {error.strerror}"
        raise UsageError(message) from error
    if wrong:
        message = f"{folder} is not the release that was signed:\n  " + "\n  ".join(wrong)
        raise UsageError(message)
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def compare(one: Path, two: Path) -> list[str]:
    """Return the names of files that differ between two bakes, or are in one of them only."""
    names = {path.name for folder in (one, two) for path in folder.iterdir() if path.is_file()}
    return sorted(
        name
        for name in names
        if not (one / name).is_file()
        or not (two / name).is_file()
        or (one / name).read_bytes() != (two / name).read_bytes()
    )
