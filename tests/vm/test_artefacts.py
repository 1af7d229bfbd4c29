"""What the bake made, looked at from outside: sizes, formats, contents, and a second opinion on PCR11."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from images import app, bake, contents, disk, elf, lock
from images.measure import portable_executable as pe
from images.measure import registers
from images.toolbox import Toolbox
from runtime.documents import manifest
from tests.vm.conftest import SOURCE

pytestmark = pytest.mark.timeout(900)
# systemd-analyze's exposure, 0 (none) to 10; what each unit may not exceed. docs/images.md has the figures.
EXPOSURE = {
    "tunnel.service": 1.9,
    "tunnel-bundle.service": 1.3,
    "tunnel-bundle-fetch.service": 1.4,
    "tunnel-settings.service": 2.5,
    "tunnel-azure-ready.service": 1.8,
    "tunnel-firewall.service": 1.8,
}


@pytest.fixture(scope="session")
def locked(image: Path) -> lock.Lock:
    assert image.is_dir()
    return lock.read((SOURCE / "images/packages.lock").read_text())


@pytest.fixture(scope="session")
def tools(locked: lock.Lock) -> Toolbox:
    return bake.toolbox(locked, SOURCE / ".cache/images")


@pytest.fixture(scope="session")
def root(image: Path, tools: Toolbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root file system, taken out of disk.raw."""
    folder = tmp_path_factory.mktemp("root")
    table = subprocess.check_output(["sfdisk", "--json", str(image / "disk.raw")])
    part = json.loads(table)["partitiontable"]["partitions"][1]
    with (image / "disk.raw").open("rb") as file:
        file.seek(part["start"] * 512)
        (folder / "root.erofs").write_bytes(file.read(part["size"] * 512))
    tools.run("usr/bin/fsck.erofs", f"--extract={folder / 'root'}", "--no-preserve", folder / "root.erofs")
    return folder / "root"


def test_the_disk_is_small_and_the_vhd_equal(image: Path) -> None:
    size = (image / "disk.raw").stat().st_size
    assert size <= 160 * disk.MIB
    assert size % disk.MIB == 0
    compare = [
        "qemu-img",
        "compare",
        "-f",
        "raw",
        "-F",
        "vpc",
        str(image / "disk.raw"),
        str(image / "disk.vhd"),
    ]
    assert b"identical" in subprocess.check_output(compare)
    info = json.loads(
        subprocess.check_output(["qemu-img", "info", "--output=json", "-f", "vpc", str(image / "disk.vhd")])
    )
    assert info["virtual-size"] % disk.MIB == 0


def test_the_tar_for_google_holds_exactly_the_disk(image: Path) -> None:
    with tarfile.open(image / "disk.tar.gz") as archive:
        (entry,) = archive.getmembers()
        assert entry.name == "disk.raw"
        assert entry.size % disk.GIB == 0
        inside = archive.extractfile(entry)
        assert inside is not None
        raw = (image / "disk.raw").read_bytes()
        inside.read(disk.MIB)  # the table differs: it knows the larger disk
        assert inside.read(len(raw) - 2 * disk.MIB) == raw[disk.MIB : -disk.MIB]


def test_the_manifest_says_what_the_files_are(image: Path) -> None:
    read = manifest.read((image / "image-manifest.json").read_bytes())
    assert read.variant == "test"
    for artefact in read.artefacts:
        data = (image / artefact.file).read_bytes()
        assert len(data) == artefact.size


def test_systemd_measure_predicts_the_same_pcr11(image: Path, tools: Toolbox, tmp_path: Path) -> None:
    uki = (image / "tunnel.efi").read_bytes()
    options = []
    for section in pe.read(uki).sections:
        name = section.name.removeprefix(".")
        if name in {"linux", "osrel", "cmdline", "initrd", "uname", "sbat"}:
            (tmp_path / name).write_bytes(section.data)
            options.append(f"--{name}={tmp_path / name}")
    said = tools.run(
        "usr/lib/systemd/systemd-measure", "calculate", "--bank=sha256", "--bank=sha384", "--phase=",
        "--json=short", *options,
    )  # fmt: skip
    found = {bank: entries[0]["hash"] for bank, entries in json.loads(said).items()}
    for bank in pe.HASHES:
        assert found[bank] == registers.predict(uki, bank).pcr11.hex()


def test_no_file_is_setuid_writable_or_a_shell(root: Path) -> None:
    programs = set()
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).as_posix()
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            assert not mode & (stat.S_ISUID | stat.S_ISGID | 0o022), inside
            if inside.startswith(("usr/bin/", "usr/sbin/", "usr/lib/systemd/systemd")) and mode & 0o100:
                programs.add(inside)
        else:
            assert stat.S_ISDIR(mode) or stat.S_ISLNK(mode), inside
    assert {name for name in programs if not name.startswith("usr/lib/systemd/system/")} <= contents.PROGRAMS
    names = {path.name for path in root.rglob("*")}
    assert not names & {
        "sh",
        "bash",
        "dash",
        "busybox",
        "perl",
        "apt",
        "dpkg",
        "su",
        "sudo",
        "login",
        "sshd",
        "agetty",
    }


def test_every_library_that_is_wanted_is_there(root: Path) -> None:
    folders = [
        root / "usr/lib/x86_64-linux-gnu",
        root / "usr/lib/x86_64-linux-gnu/systemd",
        root / "usr/lib64",
    ]

    def read(name: str) -> bytes | None:
        return next(((f / name).read_bytes() for f in folders if (f / name).is_file()), None)

    everything = [
        path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink() and (path.suffix == ".so" or ".so." in path.name)
    ]
    everything += [
        (root / name).read_bytes() for name in sorted(contents.PROGRAMS) if (root / name).is_file()
    ]
    assert elf.closure(everything, read)


def test_every_module_of_the_program_loads_with_the_images_own_interpreter(root: Path) -> None:
    """What was trimmed from the standard library is missed by nobody."""
    script = (
        "import importlib, pkgutil, runtime, uvloop, aiofastnet, frozenlist._frozenlist\n"
        "for module in pkgutil.walk_packages(runtime.__path__, 'runtime.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
    )
    command = [
        str(root / "usr/lib64/ld-linux-x86-64.so.2"),
        "--library-path", str(root / "usr/lib/x86_64-linux-gnu"),
        str(root / "usr/bin/python3.13"), "-s", "-c", script,
    ]  # fmt: skip
    places = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(root / app.SITE), "PATH": ""}
    done = subprocess.run(command, env=places, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_bill_of_materials_is_what_is_installed(image: Path, root: Path, locked: lock.Lock) -> None:
    components = json.loads((image / "sbom.cdx.json").read_bytes())["components"]
    debian = {(c["name"], c["version"]) for c in components if c["purl"].startswith("pkg:deb/")}
    assert debian == {(p.name, p.version) for p in locked.packages if set(p.rooms) & {"image", "initrd"}}
    wheels = {c["purl"].removeprefix("pkg:pypi/") for c in components if c["purl"].startswith("pkg:pypi/")}
    installed = set()
    for metadata in (root / app.SITE).glob("*.dist-info/METADATA"):
        fields = dict(line.split(": ", 1) for line in metadata.read_text().splitlines())
        installed.add(f"{fields['Name'].lower()}@{fields['Version']}")
    assert wheels - installed == {w for w in wheels if w.startswith("confidential-tunnels@")}
    assert installed <= wheels
    assert [
        path.name for path in (root / app.SITE).iterdir() if path.name in {"infra", "images", "tests"}
    ] == []


@pytest.mark.parametrize("unit", EXPOSURE)
def test_units_are_no_more_exposed_than_documented(root: Path, tools: Toolbox, unit: str) -> None:
    said = tools.run(
        "usr/bin/systemd-analyze", "security", "--offline=true", f"--root={root}", "--no-pager", unit,
        environment={"SYSTEMD_COLORS": "0"},
    ).decode()  # fmt: skip
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found, said[-500:]
    print(f"{unit:<32} exposure {found[1]}")
    assert float(found[1]) <= EXPOSURE[unit]
