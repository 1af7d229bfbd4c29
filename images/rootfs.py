"""Make the image's root file system, the kernel beside it, and the initrd's files. I/O: files.

Unpacked packages, chosen modules, the static files of images/root, units and the app: nothing is run inside.
"""

from __future__ import annotations

import lzma
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from OpenSSL import crypto

from images import contents, deb, modules
from images.lock import Lock, Package
from images.toolbox import Toolbox
from runtime.errors import MalformedError

HERE = Path(__file__).resolve().parent
_MODULES = "usr/lib/modules/"
_MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
_FOLDERS = (
    "dev",
    "proc",
    "sys",
    "run",
    "tmp",
    "var",
    "root",
    "etc",
    "usr/bin",
    "usr/sbin",
    "usr/lib",
    "usr/lib64",
)
_LINKS = {
    "usr/sbin/modprobe": "../bin/kmod",
    "usr/lib/systemd/systemd-udevd": "../../bin/udevadm",
    "etc/resolv.conf": "../run/systemd/resolve/resolv.conf",
    "etc/mtab": "../proc/self/mounts",
    "etc/systemd/system/default.target": "/usr/lib/systemd/system/multi-user.target",
}
_WANTS = {
    "sysinit.target": (
        "systemd-journald.service", "systemd-modules-load.service", "systemd-sysctl.service",
        "systemd-udev-trigger.service", "systemd-udevd.service", "systemd-timesyncd.service",
        "systemd-resolved.service", "tunnel-firewall.service", "tunnel-folders.service",
        "sys-kernel-config.mount",
    ),
    "local-fs.target": ("tmp.mount", "var.mount"),
    "sockets.target": (
        "systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-udevd-control.socket",
        "systemd-udevd-kernel.socket",
    ),
    "multi-user.target": (
        "systemd-networkd.service", "tunnel-settings.service", "tunnel.service",
        "tunnel-bundle-fetch.service",
        "tunnel-bundle.service", "tunnel-azure-ready.service",
    ),
}  # fmt: skip
_TEST_WANTS = ("tunnel-inventory.service",)


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the kernel package gave: the image for the UKI, its release, and the modules of both rooms."""

    release: str
    image: bytes
    initrd_modules: tuple[tuple[str, bytes], ...]  # file name and bytes, in loading order


def packages(lock: Lock, cache: Path, room: str) -> list[tuple[Package, bytes]]:
    """Read a room's packages from the cache."""
    return [(package, (cache / f"{package.sha256}.deb").read_bytes()) for package in lock.room(room)]


def unpack_room(lock: Lock, cache: Path, room: str, root: Path, keep: Callable[[str, str], bool]) -> None:
    """Unpack a room below `root`."""
    for package, data in packages(lock, cache, room):
        deb.unpack(data, root, lambda path, name=package.name: keep(name, path))  # type: ignore[misc]


def build(lock: Lock, cache: Path, root: Path, tools: Toolbox, *, variant: str, version: str) -> Kernel:
    """Make the root at `root`, which must not exist."""
    for name in _FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, target in _MERGED.items():
        (root / name).symlink_to(target)
    unpack_room(lock, cache, "image", root, contents.keeps)
    kernel = _kernel(lock, cache, root, tools)
    shutil.copytree(HERE / "root", root, dirs_exist_ok=True)
    shutil.copytree(HERE / "units", root / "usr/lib/systemd/system", dirs_exist_ok=True)
    for name, target in _LINKS.items():
        link = root / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    _want(root, variant)
    (root / "etc/machine-id").write_text("")
    _os_release(root, variant, version)
    _certificates(root)
    return kernel


def _want(root: Path, variant: str) -> None:
    for target, units in _WANTS.items():
        wanted = units + (_TEST_WANTS if variant == "test" and target == "multi-user.target" else ())
        folder = root / "etc/systemd/system" / f"{target}.wants"
        folder.mkdir(parents=True)
        for unit in wanted:
            (folder / unit).symlink_to(f"/usr/lib/systemd/system/{unit}")
    if variant != "test":
        for unit in _TEST_WANTS:
            (root / "usr/lib/systemd/system" / unit).unlink()


def _os_release(root: Path, variant: str, version: str) -> None:
    text = (root / "usr/lib/os-release").read_text()
    text += f'IMAGE_ID=confidential-tunnels\nIMAGE_VERSION="{version}"\nVARIANT_ID={variant}\n'
    (root / "usr/lib/os-release").write_text(text)
    (root / "etc/os-release").unlink(missing_ok=True)
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")


def _certificates(root: Path) -> None:
    """Put each authority under its subject's hash, where OpenSSL looks for the one that it needs.

    One file of all of them would be read whole by every program that makes a TLS context, for 0.1 s of a
    real processor: aiohttp makes one when it is imported.
    """
    folder = root / "usr/share/ca-certificates/mozilla"
    target = root / "etc/ssl/certs"
    target.mkdir(parents=True)
    for path in sorted(folder.glob("*.crt")):
        data = path.read_bytes()
        name = f"{crypto.load_certificate(crypto.FILETYPE_PEM, data).subject_name_hash():08x}"
        number = sum(1 for _ in target.glob(f"{name}.*"))
        (target / f"{name}.{number}").write_bytes(data)
    (root / "usr/lib/ssl").mkdir(exist_ok=True)
    (root / "usr/lib/ssl/certs").symlink_to("/etc/ssl/certs")
    shutil.rmtree(root / "usr/share/ca-certificates")


def _kernel_files(lock: Lock, cache: Path) -> dict[str, bytes]:
    """Return what the kernel's packages have below its folder: image, modules, lists of what is built in."""
    files: dict[str, bytes] = {}
    for package, data in packages(lock, cache, "image"):
        if not package.name.startswith("linux-"):
            continue
        for entry, path, archive in deb.members(data):
            if entry.isfile() and path.startswith(_MODULES):
                content = archive.extractfile(entry)
                files[path] = content.read() if content else b""
    return files


def _kernel(lock: Lock, cache: Path, root: Path, tools: Toolbox) -> Kernel:
    files = _kernel_files(lock, cache)
    images = [path for path in files if path.endswith("/vmlinuz")]
    if len(images) != 1:
        raise MalformedError("kernel packages", f"have {len(images)} files {_MODULES}*/vmlinuz, want one")
    image = images[0]
    home = image.removesuffix("vmlinuz")
    release = home.removeprefix(_MODULES).rstrip("/")
    if lacking := contents.lacks(files[home + "config"].decode()):
        raise MalformedError("kernel", f"{release} is built without {', '.join(lacking)}")
    built_in = files[home + "modules.builtin"].decode().split()
    available = [path for path in files if ".ko" in path]

    def read(path: str) -> bytes:
        return lzma.decompress(files[path]) if path.endswith(".xz") else files[path]

    first = modules.chosen(contents.INITRD_MODULES, available, built_in, read)
    every = modules.chosen((*contents.INITRD_MODULES, *contents.IMAGE_MODULES), available, built_in, read)
    for path in every:
        target = root / path.removesuffix(".xz")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(read(path))
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        (root / home / name).write_bytes(files[home + name])
    tools.run("usr/bin/kmod", "-b", root, "-w", release, name="depmod")
    initrd = tuple((path.rsplit("/", 1)[1].removesuffix(".xz"), read(path)) for path in first)
    return Kernel(release=release, image=files[image], initrd_modules=initrd)
