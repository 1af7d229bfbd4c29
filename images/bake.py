"""Bake one image, step by step, each with its time. I/O: files, the locked tools.

Steps are kept under .cache/images by the content that went into them, so a second bake of the same sources
only copies, and a change of the program alone fetches and unpacks nothing again.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path

from images import app, contents, disk, formats, initrd, lock, manifest, mirrors, rootfs, sbom, uki
from images.measure import registers
from images.measure.portable_executable import HASHES
from images.toolbox import Toolbox
from runtime import config
from runtime.documents import times

SOURCE = Path(__file__).resolve().parent.parent
_STUB = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"
_ROOT_ID = "8c1d5f1e-0c2b-4a53-9a55-2f5d7c6b1a03"
_VERITY_ID = "8c1d5f1e-0c2b-4a53-9a55-2f5d7c6b1a04"
_CHUNK = 1 << 22
_CMDLINE = (
    "ro systemd.import_credentials=no systemd.gpt_auto=0 module.sig_enforce=1 lockdown=integrity "
    "init_on_alloc=1 slab_nomerge vsyscall=none debugfs=off oops=panic panic=-1 audit=0 quiet loglevel=3 "
    "console=ttyS0"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to bake, from where, to where."""

    variant: str  # release or test
    out: Path
    cache: Path
    source: Path = SOURCE

    @property
    def version(self) -> str:
        """The image's version: a test image says so in its name."""
        return config.VERSION if self.variant == "release" else f"{config.VERSION}-{self.variant}"


def bake(order: Order) -> Path:
    """Bake; returns the folder of the artefacts. Raises: TunnelError."""
    began = time.monotonic()
    locked = lock.read((order.source / "images/packages.lock").read_text())
    kept = order.cache / f"baked-{_key(order)}"
    if not (kept / "image-manifest.json").is_file():
        shutil.rmtree(kept, ignore_errors=True)
        work = order.cache / f"work-{os.getpid()}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            _bake(order, locked, work)
            (work / "out").rename(kept)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    with _step("copy"):
        shutil.rmtree(order.out, ignore_errors=True)
        order.out.mkdir(parents=True)
        for path in sorted(kept.iterdir()):
            _copy_sparse(path, order.out / path.name)
    size = (order.out / "disk.raw").stat().st_size // disk.MIB
    say(
        f"{order.variant} image {order.version}: {size} MiB, {time.monotonic() - began:.1f} s, in {order.out}"
    )
    return order.out


def say(text: str) -> None:
    """Tell the person what goes on."""
    print(f"bake: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _step(name: str) -> Generator[None]:
    began = time.monotonic()
    yield
    say(f"{name:<12} {time.monotonic() - began:6.1f} s")


def _key(order: Order) -> str:
    """Name what goes into an image: every source file of it, and the variant."""
    digest = sha256(f"{order.variant}\n".encode())
    for folder in ("images", "runtime", "requirements"):
        for path in sorted((order.source / folder).rglob("*")):
            inside = path.relative_to(order.source).as_posix()
            skipped = "__pycache__" in inside or inside.startswith("images/manifests/")
            if path.is_file() and not skipped:
                digest.update(f"{inside} {path.stat().st_mode & 0o100:o} ".encode())
                digest.update(sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def toolbox(locked: lock.Lock, cache: Path) -> Toolbox:
    """Return the unpacked tools, unpacking them when the lock changed; packages are in the cache."""
    lines = "".join(package.line() for package in locked.room("tools"))
    root = cache / f"tools-{sha256(lines.encode()).hexdigest()[:32]}"
    if not root.is_dir():
        part = root.with_suffix(f".{os.getpid()}")
        shutil.rmtree(part, ignore_errors=True)
        rootfs.unpack_room(
            locked, cache / "debs", "tools", part, lambda _, path: contents.keeps_for_tools(path)
        )
        part.rename(root)
    return Toolbox(root, config.BUILD_TIME)


def fetch(order: Order, locked: lock.Lock) -> None:
    """Fetch what the cache lacks."""
    wanted = lock.wanted((order.source / "images/packages.toml").read_text())

    def urls() -> dict[str, str]:
        return mirrors.roots(os.environ, tuple(wanted.suites), mirrors.configured())

    with _step("fetch"):
        got = mirrors.fetch(locked.packages, urls, order.cache / "debs", mirrors.download)
    say(f"{len(locked.packages)} packages, {got} of them from the mirror")


def _bake(order: Order, locked: lock.Lock, work: Path) -> None:
    fetch(order, locked)
    debs, root, out = order.cache / "debs", work / "root", work / "out"
    out.mkdir()
    with _step("tools"):
        tools = toolbox(locked, order.cache)
    with _step("root"):
        kernel = rootfs.build(locked, debs, root, tools, variant=order.variant, version=order.version)
    with _step("program"):
        app.build(root, order.source, order.source / "requirements/image.txt", order.cache / "wheels", tools)
    with _step("erofs"):
        erofs = _erofs(root, work, tools)
    with _step("verity"):
        tree, root_hash = _verity(erofs, work, tools)
    with _step("initrd"):
        cmdline = f"roothash={root_hash} {_CMDLINE}"
        cmdline += "" if order.variant == "release" else f" tunnel.variant={order.variant}"
        room = work / "initrd"
        rootfs.unpack_room(locked, debs, "initrd", room, lambda _, path: contents.keeps_for_initrd(path))
        archive = initrd.build(room, kernel, cmdline, root_hash, tools)
    with _step("uki"):
        image = uki.assemble(
            (tools.root / _STUB).read_bytes(),
            (
                (".osrel", (root / "usr/lib/os-release").read_bytes()),
                (".cmdline", cmdline.encode()),
                (".uname", kernel.release.encode()),
                (".initrd", archive),
                (".linux", kernel.image),
            ),
        )
        (out / "tunnel.efi").write_bytes(image)
    with _step("disk"):
        esp = _esp(image, work, tools)
        _disks(out, (esp, erofs, tree), root_hash, tools)
    with _step("manifest"):
        (out / "sbom.cdx.json").write_bytes(_sbom(order, locked, root))
        _manifest(order, locked, out, root_hash, image)


def _erofs(root: Path, work: Path, tools: Toolbox) -> Path:
    target = work / "root.erofs"
    tools.run(
        "usr/bin/mkfs.erofs", "-zlz4hc,9", "-C65536", f"-T{tools.epoch}", "--all-time", "--all-root",
        "-U", _ROOT_ID, "-Efragments,dedupe,ztailpacking", "--quiet", target, root,
    )  # fmt: skip
    os.truncate(target, disk.up(target.stat().st_size, 4096))
    return target


def _verity(erofs: Path, work: Path, tools: Toolbox) -> tuple[Path, str]:
    target, said = work / "root.verity", work / "root.hash"
    tools.run(
        "usr/sbin/veritysetup", "format", f"--salt={'0' * 64}", f"--uuid={_VERITY_ID}",
        f"--root-hash-file={said}", erofs, target,
    )  # fmt: skip
    return target, said.read_text().strip()


def _esp(image: bytes, work: Path, tools: Toolbox) -> Path:
    target, source = work / "esp.fat", work / "BOOTX64.EFI"
    source.write_bytes(image)
    os.utime(source, (tools.epoch, tools.epoch))
    size = max(disk.up(len(image) + len(image) // 50 + 4 * disk.MIB), 34 * disk.MIB)  # FAT32's least
    tools.run(
        "usr/sbin/mkfs.vfat", "-C", "-F", "32", "-s", "1", "-i", "54554e4c", "--invariant", "-n", "ESP",
        target, str(size // 1024),
    )  # fmt: skip
    tools.run("usr/bin/mtools", "-i", target, "::EFI", "::EFI/BOOT", name="mmd")
    tools.run("usr/bin/mtools", "-m", "-i", target, source, "::EFI/BOOT/BOOTX64.EFI", name="mcopy")
    return target


def _disks(out: Path, parts: tuple[Path, Path, Path], root_hash: str, tools: Toolbox) -> None:
    partitions = disk.layout([part.stat().st_size for part in parts], root_hash)
    size = disk.size_of(partitions)
    contents_of = list(zip((p.start for p in partitions), parts, strict=True))
    _write_disk(out / "disk.raw", size, partitions, contents_of)
    _copy_sparse(out / "disk.raw", out / "disk.vhd")
    with (out / "disk.vhd").open("ab") as file:
        file.write(formats.vhd_footer(size, tools.epoch, bytes.fromhex(root_hash[:32])))
    # Google wants whole GiB; the second table moves to the new end.
    large = disk.up(size, disk.GIB)
    grown = out / "grown.raw"
    _write_disk(grown, large, partitions, contents_of)
    _gce(grown, out / "disk.tar.gz", size, large, tools)
    grown.unlink()


def _write_disk(
    target: Path, size: int, partitions: tuple[disk.Partition, ...], parts: list[tuple[int, Path]]
) -> None:
    first, last = disk.tables(partitions, size)
    with target.open("wb") as file:
        file.truncate(size)
        file.write(first)
        for start, source in parts:
            file.seek(start)
            with source.open("rb") as reading:
                while block := reading.read(_CHUNK):
                    if block.strip(b"\0"):
                        file.write(block)
                    else:
                        file.seek(len(block), os.SEEK_CUR)
        file.seek(size - len(last))
        file.write(last)


def _gce(source: Path, target: Path, used: int, size: int, tools: Toolbox) -> None:
    tail = size - disk.MIB
    header = formats.sparse_tar_header("disk.raw", size, ((0, used), (tail, size - tail)), tools.epoch)
    command = tools.command("usr/bin/gzip", "-n", "-6")
    with target.open("wb") as file, source.open("rb") as reading:
        packing = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file)  # noqa: S603 - no shell
        if packing.stdin is None:
            raise RuntimeError(command)
        packing.stdin.write(header)
        for start, length in ((0, used), (tail, size - tail)):
            reading.seek(start)
            for _ in range(length // disk.MIB):
                packing.stdin.write(reading.read(disk.MIB))
        stored = used + size - tail
        end = 2 * disk.SECTOR  # two empty blocks end a tar, whole records of 20 blocks fill it
        packing.stdin.write(bytes(end + -(disk.SECTOR + stored + end) % (20 * disk.SECTOR)))
        packing.stdin.close()
        if packing.wait() != 0:
            raise RuntimeError(command)


def _copy_sparse(source: Path, target: Path) -> None:
    with source.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(_CHUNK):
            if block.strip(b"\0"):
                writing.write(block)
            else:
                writing.seek(len(block), os.SEEK_CUR)
        writing.truncate(source.stat().st_size)


def _sbom(order: Order, locked: lock.Lock, root: Path) -> bytes:
    shipped = [package for package in locked.packages if set(package.rooms) & {"image", "initrd"}]
    wheels = [
        (found.metadata["Name"], found.version)
        for found in importlib.metadata.distributions(path=[str(root / app.SITE)])
    ]
    when = times.show(config.BUILD_TIME)
    return sbom.write(
        shipped, [*wheels, ("confidential-tunnels", config.VERSION)], version=order.version, timestamp=when
    )


def _manifest(order: Order, locked: lock.Lock, out: Path, root_hash: str, image: bytes) -> None:
    kinds = {
        "disk.raw": "raw",
        "disk.vhd": "vhd",
        "disk.tar.gz": "gce-tar",
        "tunnel.efi": "uki",
        "sbom.cdx.json": "sbom",
    }
    files = []
    for name, kind in kinds.items():
        with (out / name).open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        files.append(manifest.File(name=name, format=kind, sha256=digest, size=(out / name).stat().st_size))
    data = manifest.write(
        version=order.version,
        variant=order.variant,
        lock_sha256=locked.sha256,
        root_hash=root_hash,
        predictions={algorithm: registers.predict(image, algorithm) for algorithm in HASHES},
        files=files,
    )
    (out / "image-manifest.json").write_bytes(data)
