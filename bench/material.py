"""Keys, certificates and the one OpenSSL configuration of a run, in a folder that goes with it. I/O.

All systems speak TLS 1.3 with AES-128-GCM and P-256: what differs is the tunnel, not the cipher.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "localhost"  # wrk takes SNI and address from the same name
CIPHER = "TLS_AES_128_GCM_SHA256"
DOWNLOAD_BYTES = 256 * 1024 * 1024

_OPENSSL = f"""\
openssl_conf = default_conf
[default_conf]
ssl_conf = ssl_section
[ssl_section]
system_default = everybody
[everybody]
MinProtocol = TLSv1.3
Ciphersuites = {CIPHER}
Groups = P-256
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Files of one run. `part` gives a system a folder of its own."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Material:
        """Write everything that the systems share."""
        made = cls(folder=folder)
        for name in ("origin", "server", "client"):
            made._certificate(name)
        made.openssl_conf.write_text(_OPENSSL)
        made.logs.mkdir()
        web = folder / "web"
        web.mkdir()
        with (web / "bulk").open("wb") as file:
            file.truncate(DOWNLOAD_BYTES)  # sparse: reading it costs the origin next to nothing
        return made

    @property
    def openssl_conf(self) -> Path:
        return self.folder / "openssl.cnf"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def web(self) -> Path:
        return self.folder / "web"

    @property
    def environment(self) -> dict[str, str]:
        """Say what every measured process gets: the cipher, and nothing of the caller's Python."""
        return {"OPENSSL_CONF": str(self.openssl_conf), "PYTHONDONTWRITEBYTECODE": "1"}

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def part(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def _certificate(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=36500))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.certificate(name).write_bytes(made.public_bytes(serialization.Encoding.PEM))
        self.key(name).touch(mode=0o600)
        self.key(name).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
