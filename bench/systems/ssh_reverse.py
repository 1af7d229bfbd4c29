"""`ssh -R` with a key and a daemon of its own on a high port. I/O."""

from __future__ import annotations

import getpass
import os
import shutil
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.machine import Processes, free_port, output, wait_for_port
from bench.material import Material
from bench.systems.model import Running, System

_SSHD = Path("/usr/sbin/sshd")
_SEPARATION = Path("/run/sshd")  # sshd refuses to start as root without it; Debian's unit makes it

_SERVER = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding remote
X11Forwarding no
Ciphers aes128-gcm@openssh.com
KexAlgorithms ecdh-sha2-nistp256
Compression no
"""


def _missing() -> str | None:
    if not _SSHD.exists() or shutil.which("ssh") is None:
        return "install openssh-server"
    return None


def _version() -> str:
    return output(["ssh", "-V"]).partition(",")[0].strip()


def _key(path: Path) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return public.decode()


def _start(processes: Processes, material: Material, origin: int) -> Running:
    folder = material.part("ssh.d")
    port, visitors = free_port(), free_port()
    host = _key(folder / "host")
    (folder / "authorized").write_text(_key(folder / "user") + "\n")
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host}\n")
    (folder / "sshd_config").write_text(_SERVER.format(port=port, folder=folder))
    if os.geteuid() == 0:
        _SEPARATION.mkdir(exist_ok=True, mode=0o755)
    server = processes.start("sshd", [str(_SSHD), "-D", "-e", "-f", str(folder / "sshd_config")])
    wait_for_port(port, server)
    options = {
        "BatchMode": "yes",
        "ExitOnForwardFailure": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(folder / "known"),
        "Ciphers": "aes128-gcm@openssh.com",
        "IdentitiesOnly": "yes",
        "Compression": "no",
    }
    client = processes.start(
        "ssh",
        [
            *("ssh", "-F", "none", "-N", "-T", "-i", str(folder / "user"), "-p", str(port)),
            *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
            *("-R", f"127.0.0.1:{visitors}:127.0.0.1:{origin}", f"{getpass.getuser()}@127.0.0.1"),
        ],
    )
    wait_for_port(visitors, client)
    return Running(port=visitors, server=server.pid, client=client.pid)


SSH_REVERSE = System(
    name="ssh -R",
    missing=_missing,
    version=_version,
    start=_start,
)
