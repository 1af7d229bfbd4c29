"""The root's own files: accounts, units and links that name only what is there."""

from __future__ import annotations

import contextlib
import re
import ssl
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from images import contents, rootfs
from images.lock import Lock, Package
from images.toolbox import Toolbox
from runtime import limits
from runtime.attestation.attester.measure import RTMR3
from runtime.commands import main
from runtime.errors import MalformedError
from tests.images import doubles

UNITS = sorted((rootfs.HERE / "units").iterdir())
KNOWN = contents.UNITS | {path.name for path in UNITS}
STEPS = re.compile(r"ExecStart=/usr/bin/python3\.13 -I -m (\S+)")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_names_only_units_and_users_that_exist(unit: Path) -> None:
    text = unit.read_text()
    for names in re.findall(r"^(?:After|Before|Requires|Wants)=(.*)$", text, re.MULTILINE):
        assert set(names.split()) <= KNOWN | {"time-set.target", "network.target"}, names
    users = {line.split(":")[0] for line in (rootfs.HERE / "root/etc/passwd").read_text().splitlines()}
    groups = {line.split(":")[0] for line in (rootfs.HERE / "root/etc/group").read_text().splitlines()}
    assert set(re.findall(r"^User=(.*)$", text, re.MULTILINE)) <= users
    assert set(re.findall(r"^(?:Group|SupplementaryGroups)=(.*)$", text, re.MULTILINE)) <= groups
    for module in STEPS.findall(text):
        path = rootfs.HERE.parent / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_every_service_is_wanted_by_something() -> None:
    wanted = {unit for units in rootfs._WANTS.values() for unit in units} | set(rootfs._TEST_WANTS)
    assert {path.name for path in UNITS} <= wanted
    assert wanted <= KNOWN


def test_nobody_can_log_in() -> None:
    for line in (rootfs.HERE / "root/etc/passwd").read_text().splitlines():
        assert line.endswith(":/usr/sbin/nologin")
    assert not (rootfs.HERE / "root/etc/shadow").exists()


def test_what_faces_the_network_has_no_power() -> None:
    for name in ("tunnel.service", "tunnel-bundle.service", "tunnel-bundle-fetch.service"):
        text = (rootfs.HERE / "units" / name).read_text()
        assert "NoNewPrivileges=yes" in text
        assert re.search(r"^User=tunnel", text, re.MULTILINE)
        assert "CAP_SYS_ADMIN" not in text
    assert (
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_DAC_OVERRIDE\n"
        in (rootfs.HERE / "units/tunnel.service").read_text()
    )


def test_the_firewall_drops_by_default() -> None:
    rules = (rootfs.HERE / "root/etc/nftables.conf").read_text()
    assert "hook input priority filter; policy drop;" in rules
    assert "hook forward priority filter; policy drop;" in rules
    asks, drops = rules.index("skuid 1000 accept"), rules.index("meta skuid != 0 drop")
    assert asks < drops  # the first verdict counts
    assert "\ntunnel:x:1000:" in (rootfs.HERE / "root/etc/passwd").read_text()


def test_the_tunnel_may_keep_endorsements_and_take_its_time_to_drain() -> None:
    unit = (rootfs.HERE / "units/tunnel.service").read_text()
    [kept] = re.findall(r"^RuntimeDirectory=(.+)$", unit, re.MULTILINE)
    assert Path("/run", kept) == main.ENDORSEMENTS
    [stop] = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert int(stop) > limits.BOUNDS["drain_s"].most


# -- the kernel -------------------------------------------------------------------------------------------

HOME = "usr/lib/modules/7.3.4-cloud/"
CONFIG = "".join(f"{name}={want[0]}\n" for name, want in contents.KERNEL_OPTIONS.items()).encode()


class NoDepmod(Toolbox):
    """A toolbox whose depmod finds nothing to do."""

    def run(self, *_: object, **__: object) -> bytes:
        return b""


def kernel(tmp_path: Path, config: bytes, images: tuple[str, ...] = ("vmlinuz",)) -> rootfs.Kernel:
    """Choose from three packages, as Debian splits its kernel since 7.0."""
    every = {name.replace("-", "_") for name in (*contents.INITRD_MODULES, *contents.IMAGE_MODULES)}
    parts = {
        "linux-base-7": {"config": config, "modules.builtin": b"kernel/virtio_pci.ko\n", "modules.order": b""}
        | {"modules.builtin.modinfo": b""},
        "linux-binary-7": dict.fromkeys(images, b"MZ kernel"),
        "linux-modules-7": {f"kernel/{name}.ko": doubles.module("") for name in every}
        | {"kernel/surprise.ko": doubles.module("")},
        "other": {"vmlinuz": b"of no kernel"},
    }
    locked = []
    for name, files in parts.items():
        data = doubles.package([(HOME + path, "file", content, 0o644) for path, content in files.items()])
        digest = sha256(data).hexdigest()
        (tmp_path / f"{digest}.deb").write_bytes(data)
        locked.append(
            Package(
                name=name, version="7", sha256=digest, archive="debian", path="pool/x.deb", rooms=("image",)
            )
        )
    root = tmp_path / "root"
    root.mkdir()
    return rootfs._kernel(Lock(packages=tuple(locked), sha256=b""), tmp_path, root, NoDepmod(root, 0))


def test_a_kernel_in_three_packages_is_one(tmp_path: Path) -> None:
    found = kernel(tmp_path, CONFIG)
    assert (found.release, found.image) == ("7.3.4-cloud", b"MZ kernel")
    assert "erofs.ko" in dict(found.initrd_modules)
    kept = {path.name for path in (tmp_path / "root" / HOME).rglob("*") if path.is_file()}
    assert "tdx_guest.ko" in kept
    assert not kept & {"surprise.ko", "vmlinuz", "config"}


@pytest.mark.parametrize("option", ["CONFIG_TSM_MEASUREMENTS", "CONFIG_TDX_GUEST_DRIVER", "CONFIG_DM_VERITY"])
def test_a_kernel_without_what_attests_stops_the_bake(tmp_path: Path, option: str) -> None:
    without = CONFIG.replace(f"{option}=y".encode(), f"# {option} is not set".encode())
    with pytest.raises(MalformedError, match=f"7.3.4-cloud is built without {option}=y"):
        kernel(tmp_path, without)


@pytest.mark.parametrize("images", [(), ("vmlinuz", "kernel/vmlinuz")])
def test_one_kernel_is_wanted(tmp_path: Path, images: tuple[str, ...]) -> None:
    with pytest.raises(MalformedError, match=f"have {len(images)} files"):
        kernel(tmp_path, CONFIG, images)


def test_rtmr3_can_be_written_when_the_settings_are_measured() -> None:
    """The unit has /sys read-only but for the register's folder, made by a module that is loaded before."""
    unit = (rootfs.HERE / "units/tunnel-settings.service").read_text()
    assert "ProtectKernelTunables=yes" in unit
    assert f"ReadWritePaths=-{RTMR3.parent}\n" in unit
    assert "DefaultDependencies=no" not in unit  # so it is after sysinit.target, and that after the modules
    assert "systemd-modules-load.service" in rootfs._WANTS["sysinit.target"]


@pytest.mark.parametrize("unit", [u for u in UNITS if "ProtectKernelTunables=yes" in u.read_text()], ids=str)
def test_sysfs_is_read_only_folder_by_folder(unit: Path) -> None:
    named = " ".join(re.findall(r"^ReadOnlyPaths=(.*)$", unit.read_text(), re.MULTILINE)).split()
    folders = {
        "block",
        "bus",
        "class",
        "dev",
        "devices",
        "firmware",
        "fs",
        "hypervisor",
        "kernel",
        "module",
        "power",
    }
    assert set(named) == {f"-/sys/{name}" for name in folders}


def test_modules_that_are_loaded_by_name_are_there() -> None:
    named = (rootfs.HERE / "root/usr/lib/modules-load.d/tunnel.conf").read_text().split()
    assert {"tdx-guest", "sev-guest", "tsm_report"} <= set(named) <= set(contents.IMAGE_MODULES)


def _authority(folder: Path, number: int, name: str) -> Path:
    """Make a self-signed authority that is its own server; returns the file of its key and certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(number + 1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / f"{number}.crt").write_bytes(made.public_bytes(Encoding.PEM))
    both = folder.parents[3] / f"{number}.pem"
    both.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)
    )
    return both


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    one, two = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(one, two, server_hostname=name),
        server.wrap_bio(two, one, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()


def test_an_authority_is_found_by_its_name_without_reading_the_others(tmp_path: Path) -> None:
    """OpenSSL itself finds it, also where two have one name."""
    folder = tmp_path / "usr/share/ca-certificates/mozilla"
    folder.mkdir(parents=True)
    (tmp_path / "usr/lib").mkdir()
    pems = [_authority(folder, n, name) for n, name in enumerate(("a.test", "b.test", "b.test", "c.test"))]
    (folder / "3.crt").unlink()  # c.test is nobody
    rootfs._certificates(tmp_path)
    certificates = tmp_path / "etc/ssl/certs"
    assert sorted(path.suffix for path in certificates.iterdir()) == [".0", ".0", ".1"]
    assert not (tmp_path / "usr/lib/ssl/cert.pem").exists()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(capath=certificates)
    for pem, name in ((pems[0], "a.test"), (pems[1], "b.test"), (pems[3], "c.test")):
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(pem)
        if name == "c.test":
            with pytest.raises(ssl.SSLCertVerificationError):
                _shake_hands(client, server, name)
        else:
            _shake_hands(client, server, name)
