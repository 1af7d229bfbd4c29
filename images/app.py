"""Put the program into the image: hash-locked wheels for Python 3.13, and `runtime` alone of ours. I/O."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from images.toolbox import Toolbox
from runtime.errors import UnreachableError

SITE = "usr/lib/python3/dist-packages"  # on sys.path even with -I
_STDLIB = "usr/lib/python3.13"
_UNUSED_SUFFIXES = (".pyx", ".pxd", ".c", ".h", ".pyi", ".typed", ".so.debug", ".in")
_UNUSED_FOLDERS = frozenset({"tests", "test", "benchmarks", "__pycache__"})
_OURS = re.compile(r".*\.(?:py|json)")


def install_wheels(requirements: Path, cache: Path, target: Path) -> None:
    """Install exactly the locked wheels below `target`. Raises: UnreachableError."""
    command = [
        sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(target), "--require-hashes",
        "--only-binary", ":all:", "--python-version", "3.13", "--python-platform", "x86_64-manylinux_2_34",
        "--link-mode", "copy", "--cache-dir", str(cache), "-r", str(requirements),
    ]  # fmt: skip
    done = subprocess.run(  # noqa: S603 - no shell
        command, env=_environment(), check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        message = f"the locked wheels cannot be had: {done.stderr.strip()[-1500:]}"
        raise UnreachableError(message)


def _environment() -> dict[str, str]:
    """Return ours, with the mirror and the authorities that pip is configured for: uv does not read those."""
    environment = dict(os.environ)
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=False, capture_output=True, text=True
    )
    settings = dict(re.findall(r"^(?:global|install|:env:)\.([a-z-]+)='(.*)'$", listed.stdout, re.MULTILINE))
    for variable, setting in (("UV_DEFAULT_INDEX", "index-url"), ("SSL_CERT_FILE", "cert")):
        if setting in settings:
            environment.setdefault(variable, settings[setting])
    return environment


def trim(site: Path) -> None:
    """Remove what no import reads; of the metadata only name and version stay."""
    shutil.rmtree(site / "bin", ignore_errors=True)
    for path in sorted(site.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if path.name in _UNUSED_FOLDERS:
                shutil.rmtree(path)
            elif path.name.endswith(".dist-info"):
                _trim_metadata(path)
        elif path.name.endswith(_UNUSED_SUFFIXES) or path.name in {".lock", ".gitignore"}:
            path.unlink()


def _trim_metadata(folder: Path) -> None:
    text = (folder / "METADATA").read_text()
    head = re.findall(r"^(?:Metadata-Version|Name|Version): .*$", text, re.MULTILINE)
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "METADATA").write_text("\n".join(head[:3]) + "\n")


def copy_runtime(source: Path, site: Path) -> None:
    """Copy our package: its modules and schemas, nothing else that lies about."""
    for path in sorted((source / "runtime").rglob("*")):
        inside = path.relative_to(source)
        if path.is_file() and _OURS.fullmatch(path.name) and "examples" not in inside.parts:
            target = site / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            target.chmod(0o644)


def compile_all(root: Path, tools: Toolbox) -> None:
    """Compile every module once: the root is read-only, and unchecked hashes hold no date."""
    for folder in (_STDLIB, SITE):
        tools.run(
            "usr/bin/python3.13", "-S", "-s", "-m", "compileall", "-q",
            "--invalidation-mode", "unchecked-hash", "-s", root, "-p", "/", root / folder,
        )  # fmt: skip


def build(root: Path, source: Path, requirements: Path, cache: Path, tools: Toolbox) -> None:
    """Install wheels and our package below `root`, trimmed and compiled."""
    site = root / SITE
    site.mkdir(parents=True)
    install_wheels(requirements, cache, site)
    trim(site)
    copy_runtime(source, site)
    compile_all(root, tools)
