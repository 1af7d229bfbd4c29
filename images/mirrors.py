"""Where Debian's archives are: the machine's apt configuration, or a setting. I/O: apt-get, the network.

No host stands in this repository. MIRROR_DEBIAN and MIRROR_DEBIAN_SECURITY (URLs that end before `dists/` and
`pool/`) come first, then what apt is configured for.
"""

from __future__ import annotations

import http
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from images.lock import Package, Wanted
from runtime.errors import UnreachableError, UsageError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TIMEOUT_S = 120
_AT_ONCE = 6
_PAUSES_S = (1.0, 4.0, 15.0)
Fetch = Callable[[str], bytes]


def roots(environment: Mapping[str, str], archives: tuple[str, ...], configured: str) -> dict[str, str]:
    """Return archive -> URL; `configured` is what `apt-get indextargets` printed. Raises: UsageError."""
    found: dict[str, str] = {}
    for archive in archives:
        setting = "MIRROR_" + archive.upper().replace("-", "_")
        urls = [line.rstrip("/") for line in configured.split() if line.rstrip("/").endswith("/" + archive)]
        url = environment.get(setting) or (urls[0] if urls else "")
        if not url:
            message = f"apt on this machine is configured for no archive {archive}"
            raise UsageError(message, hint=f"set {setting} to the URL of a Debian mirror")
        found[archive] = url.rstrip("/")
    return found


def configured() -> str:
    """Return the archive URLs that apt on this machine uses, one a line; nothing where there is no apt."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - no shell
    except (OSError, subprocess.CalledProcessError):
        return ""


def download(url: str) -> bytes:
    """Return what `url` serves. Raises: OSError."""
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - the mirror, held to hashes
        data: bytes = answer.read()
    return data


def fetch(
    packages: tuple[Package, ...],
    urls: Callable[[], Mapping[str, str]],
    cache: Path,
    get: Fetch,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Put every package into `cache` as SHA256.deb; returns how many came over the network.

    `urls` is asked only when something is missing. Raises: UnreachableError that names every package which
    the mirror no longer has, or has with other bytes.
    """
    cache.mkdir(parents=True, exist_ok=True)
    missing = [package for package in packages if not (cache / f"{package.sha256}.deb").is_file()]
    if not missing:
        return 0
    archives = urls()

    def one(package: Package) -> str | None:
        try:
            data = _patiently(get, f"{archives[package.archive]}/{package.path}", pause)
        except OSError as error:
            return f"{package.name} {package.version}: {error}"
        if (got := sha256(data).hexdigest()) != package.sha256:
            return f"{package.name} {package.version}: is {got}, want {package.sha256}"
        part = cache / f"{package.sha256}.part"
        part.write_bytes(data)
        part.rename(cache / f"{package.sha256}.deb")
        return None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        wrong = [problem for problem in pool.map(one, missing) if problem]
    if wrong:
        message = "the mirror does not satisfy images/packages.lock:\n  " + "\n  ".join(wrong)
        hint = "put the release's .debs into .cache/images/debs, or write the lock again: make image-lock"
        raise UnreachableError(f"{message}\nhint: {hint}")
    return len(missing)


def _patiently(get: Fetch, url: str, pause: Callable[[float], None]) -> bytes:
    """Ask again after a silence or a server's own trouble; a package that is not there stays away."""
    for seconds in _PAUSES_S:
        try:
            return get(url)
        except OSError as error:
            if (
                isinstance(error, urllib.error.HTTPError)
                and error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR
            ):
                raise
        pause(seconds)
    return get(url)


def resolve(wanted: Wanted, urls: Mapping[str, str]) -> dict[str, str]:
    """Ask apt, with a state of its own, what each room needs: room -> output of --print-uris.

    Raises: UnreachableError.
    """
    with tempfile.TemporaryDirectory(prefix="tunnel-lock-") as folder:
        home = Path(folder)
        for name in ("state/lists/partial", "cache/archives/partial"):
            (home / name).mkdir(parents=True)
        (home / "status").touch()
        sources = home / "sources.list"
        sources.write_text(
            "".join(
                f"deb [arch=amd64 signed-by={KEYRING}] {urls[name]} {suite} main\n"
                for name, suites in wanted.suites.items()
                for suite in suites
            )
        )
        options = {
            "Dir::State": home / "state",
            "Dir::State::status": home / "status",
            "Dir::Cache": home / "cache",
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "/dev/null",
            "Acquire::Languages": "none",
            "Acquire::ForceHash": "SHA256",
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "root",
            "APT::Install-Recommends": "false",
        }
        apt = [
            "apt-get",
            "--quiet",
            "--yes",
            *(f"--option={name}={value}" for name, value in options.items()),
        ]
        _run([*apt, "update"])
        return {
            name: _run([*apt, "--print-uris", "install", *room.want]) for name, room in wanted.rooms.items()
        }


def _run(command: list[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - no shell
    if done.returncode != 0:
        message = f"{command[0]} {command[-1]}: {done.stderr.strip()[-2000:]}"
        raise UnreachableError(message)
    return done.stdout
