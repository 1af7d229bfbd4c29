"""Make the initrd: one script that opens the verified root or powers off. I/O: reads the unpacked room.

No emergency shell, no network, no configuration: what it needs is written into it, the very command line too.
"""

from __future__ import annotations

from pathlib import Path

from images import cpio, elf
from images.rootfs import HERE, Kernel
from images.toolbox import Toolbox

_APPLETS = ("cat", "insmod", "mkdir", "mount", "poweroff", "sh", "sleep", "switch_root")


def build(room: Path, kernel: Kernel, cmdline: str, root_hash: str, tools: Toolbox) -> bytes:
    """Return the compressed archive for this kernel, command line and root hash."""
    entries: dict[str, cpio.Entry] = {
        "init": cpio.file((HERE / "initrd.d" / "init").read_bytes(), executable=True),
        "dev/console": cpio.console(),
        "etc/cmdline": cpio.file(cmdline.encode()),
        "etc/root_hash": cpio.file(root_hash.encode()),
        "etc/modules": cpio.file("".join(f"{name}\n" for name, _ in kernel.initrd_modules).encode()),
        "bin/veritysetup": cpio.file((room / "usr/sbin/veritysetup").read_bytes(), executable=True),
        "lib64/ld-linux-x86-64.so.2": cpio.file(
            (room / "usr/lib64/ld-linux-x86-64.so.2").resolve().read_bytes(), executable=True
        ),
    }
    busybox = next(path for path in (room / "usr/bin/busybox", room / "bin/busybox") if path.is_file())
    entries["bin/busybox"] = cpio.file(busybox.read_bytes(), executable=True)
    entries |= {f"bin/{name}": cpio.link("busybox") for name in _APPLETS}
    entries |= {name: cpio.folder() for name in ("proc", "sys", "run", "sysroot", "dev")}
    libraries = room / "usr/lib/x86_64-linux-gnu"

    def library(name: str) -> bytes | None:
        path = libraries / name
        return path.resolve().read_bytes() if path.exists() else None

    for name in elf.closure([entries["bin/veritysetup"].data], library):
        entries[f"usr/lib/x86_64-linux-gnu/{name}"] = cpio.file(library(name) or b"", executable=True)
    for name, data in kernel.initrd_modules:
        entries[f"lib/modules/{name}"] = cpio.file(data)
    return tools.run("usr/bin/zstd", "-q", "-12", "-T1", "--no-check", "-c", "-", data=cpio.write(entries))
