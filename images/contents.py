"""What the image holds of each package: an allow-list, so that a new file in an update stays out. Pure."""

from __future__ import annotations

import re

# Programs, by path: no shell, no package manager, no login, no editor, nothing setuid.
PROGRAMS = frozenset(
    {
        "usr/bin/kmod",
        "usr/bin/mount",
        "usr/bin/python3.13",
        "usr/bin/systemd-tmpfiles",
        "usr/bin/udevadm",
        "usr/bin/umount",
        "usr/sbin/modprobe",
        "usr/sbin/nft",
        "usr/lib/systemd/systemd",
        "usr/lib/systemd/systemd-executor",
        "usr/lib/systemd/systemd-journald",
        "usr/lib/systemd/systemd-modules-load",
        "usr/lib/systemd/systemd-networkd",
        "usr/lib/systemd/systemd-resolved",
        "usr/lib/systemd/systemd-shutdown",
        "usr/lib/systemd/systemd-sysctl",
        "usr/lib/systemd/systemd-timesyncd",
        "usr/lib/systemd/systemd-udevd",
    }
)
# No generator is kept, so nothing at boot writes units: neither a command line nor a credential can.
UNITS = frozenset(
    {
        "basic.target",
        "final.target",
        "local-fs-pre.target",
        "local-fs.target",
        "multi-user.target",
        "network-online.target",
        "network-pre.target",
        "network.target",
        "nss-lookup.target",
        "paths.target",
        "poweroff.target",
        "reboot.target",
        "shutdown.target",
        "slices.target",
        "sockets.target",
        "swap.target",
        "sysinit.target",
        "systemd-journald-dev-log.socket",
        "systemd-journald.service",
        "systemd-journald.socket",
        "systemd-modules-load.service",
        "systemd-networkd.service",
        "systemd-poweroff.service",
        "systemd-reboot.service",
        "systemd-resolved.service",
        "systemd-sysctl.service",
        "systemd-timesyncd.service",
        "systemd-udev-trigger.service",
        "systemd-udevd-control.socket",
        "systemd-udevd-kernel.socket",
        "systemd-udevd.service",
        "time-set.target",
        "time-sync.target",
        "timers.target",
        "umount.target",
    }
)
RULES = frozenset({"80-drivers.rules", "80-net-setup-link.rules", "99-systemd.rules"})

# Kernel modules, with what they depend on. The rest of the kernel's 3,000 stay out, and so cannot be loaded.
INITRD_MODULES = (
    "dm_verity",
    "erofs",
    "virtio_blk",
    "virtio_scsi",
    "sd_mod",
    "hv_storvsc",
    "virtio_pci",
    "nvme",
)
IMAGE_MODULES = (
    "ena", "gve", "mana", "virtio_net", "hv_netvsc", "hv_utils", "virtio_rng", "efivarfs", "configfs", "tls",
    "nf_tables", "nft_ct", "nf_conntrack", "nft_limit", "qemu_fw_cfg", "sev-guest",
    "tdx-guest", "tsm_report", "ptp_kvm", "ptp",
)  # fmt: skip

# What the kernel has to be built with: y, or m for a module of the lists above. Without one of them the image
# does not boot or attest somewhere, or loses a defence: a new kernel that lacks one stops the bake.
KERNEL_OPTIONS = {
    "CONFIG_INTEL_TDX_GUEST": "y",
    "CONFIG_TDX_GUEST_DRIVER": "ym",
    "CONFIG_TSM_MEASUREMENTS": "y",  # RTMR3, since Linux 6.16
    "CONFIG_AMD_MEM_ENCRYPT": "y",
    "CONFIG_SEV_GUEST": "ym",
    "CONFIG_TSM_REPORTS": "ym",
    "CONFIG_TCG_TIS": "y",  # built in: there before anything asks for a TPM
    "CONFIG_TCG_CRB": "y",
    "CONFIG_SECURITYFS": "y",  # the TPM's event log
    "CONFIG_DM_VERITY": "ym",
    "CONFIG_EROFS_FS": "ym",
    "CONFIG_EROFS_FS_ZIP": "y",
    "CONFIG_MODULE_SIG": "y",
    "CONFIG_SECURITY_LOCKDOWN_LSM": "y",
    "CONFIG_SECURITY_LOCKDOWN_LSM_EARLY": "y",
    "CONFIG_SECURITY_YAMA": "y",
    "CONFIG_SECCOMP_FILTER": "y",
    "CONFIG_CGROUP_BPF": "y",  # IPAddressDeny of units
    "CONFIG_HYPERV_VMBUS": "ym",
    "CONFIG_HYPERV_NET": "ym",
    "CONFIG_MICROSOFT_MANA": "ym",
    "CONFIG_BLK_DEV_NVME": "ym",
    "CONFIG_ENA_ETHERNET": "ym",
    "CONFIG_GVE": "ym",
    "CONFIG_VIRTIO_PCI": "ym",
    "CONFIG_VIRTIO_NET": "ym",
    "CONFIG_NF_TABLES": "ym",
    "CONFIG_TLS": "ym",
}

_STDLIB = "usr/lib/python3.13/"
_NO_STDLIB = re.compile(
    r"(?:idlelib|tkinter|turtledemo|test|lib2to3|ensurepip|venv|pydoc_data|curses|dbm|sqlite3|xmlrpc|"
    r"config-3\.13-.*|_pyrepl|__phello__)/|"
    r"(?:turtle|pydoc|pdb|doctest|_sysconfigdata_d.*|antigravity|this|cProfile|profile|pstats|trace)\.py|"
    r"lib-dynload/(?:_curses|_curses_panel|readline|_sqlite3|_dbm|_gdbm|_tkinter|_crypt|_test.*|xxlimited.*|"
    r"_xxtestfuzz|_ctypes_test)\."
)


def keeps(package: str, path: str) -> bool:
    """Tell whether the image keeps `path` of `package`."""
    if path.startswith(("usr/bin/", "usr/sbin/", "bin/", "sbin/", "usr/lib/systemd/systemd")):
        return path in PROGRAMS
    if path.startswith("usr/lib/systemd/system/"):
        return (
            path.removeprefix("usr/lib/systemd/system/") in UNITS
        )  # no folder of wants: images/rootfs.py has them
    if package == "ca-certificates":
        return path.startswith("usr/share/ca-certificates/mozilla/")
    if package.startswith("linux-"):
        return False  # the kernel goes into the UKI, modules are chosen one by one
    if path.startswith("usr/lib/udev/"):
        return path.startswith("usr/lib/udev/rules.d/") and path.rsplit("/", 1)[1] in RULES
    if path.startswith(_STDLIB):
        return _NO_STDLIB.match(path.removeprefix(_STDLIB)) is None
    return _is_library(path) or path in {"usr/lib/os-release", "etc/protocols", "etc/services"}


def _is_library(path: str) -> bool:
    folders = ("usr/lib/x86_64-linux-gnu/", "usr/lib64/", "lib64/")
    if not path.startswith(folders):
        return False
    # gconv converts character sets nobody uses here; engines and modules extend OpenSSL at run time.
    return not re.search(r"/(?:gconv|engines-3|ossl-modules|perl|audit|security|e2fsprogs)/|\.a$", path)


def lacks(config: str) -> list[str]:
    """Return what of KERNEL_OPTIONS a kernel's `config` does not have, each as it should be."""
    found = dict(line.split("=", 1) for line in config.splitlines() if "=" in line and line[0] != "#")
    return [
        f"{name}={' or '.join(want)}"
        for name, want in KERNEL_OPTIONS.items()
        if found.get(name, "") not in tuple(want)
    ]


def keeps_for_initrd(path: str) -> bool:
    """Tell whether the initrd keeps `path`: one shell, what unlocks the root, and its libraries."""
    return path in {"usr/bin/busybox", "bin/busybox", "usr/sbin/veritysetup"} or _is_library(path)


def keeps_for_tools(path: str) -> bool:
    """Tell whether the bake's own tools keep `path`: everything but what is read by people."""
    return not path.startswith(("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/lib/modules/"))
