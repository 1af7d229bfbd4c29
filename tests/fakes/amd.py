"""A throw-away AMD: roots, signing keys, chips, and an Attester that needs no hardware. I/O: key files.

Everything it makes has the real format and is really signed; only its roots are nobody's. They are handed to
the verifier as an argument of kind `test`: no build of ours knows them, and grade T is all they can give.

    amd = FakeAmd.create(folder)                        once; three RSA keys, about two seconds
    chip = amd.chip("client-1", "Genoa")                one chip per instance id, kept in the folder
    SimulatedSnpAttester(chip=Chip.load(chip.path), measurement=..., host_data=settings_digest)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from runtime.attestation.snp_claims import TrustRoot
from runtime.attestation.wire import Evidence
from runtime.documents.reference_values import SnpProduct
from tests.fakes import amd_certificates, snp_report

PRODUCTS: tuple[SnpProduct, ...] = ("Milan", "Genoa", "Turin")
CSP_ID = "CN=cc-us-east-2.amazonaws.com"
_ROLES = ("ark", "ask", "asvk")
_SERIALS: Mapping[str, int] = {"Milan": 0x10000, "Genoa": 0x20000, "Turin": 0x30000}
_STEPPINGS = {"Milan": "Milan-B0", "Genoa": "Genoa", "Turin": "Turin"}
Signer = Literal["vcek", "vlek"]


def chip_id(instance_id: str, product: SnpProduct) -> bytes:
    """Return the CHIP_ID of the chip that stands for a machine; Turin's has 8 significant bytes."""
    digest = sha512(instance_id.encode()).digest()
    return digest[:8] + bytes(56) if product == "Turin" else digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One chip with its signing key and the endorsements that go with it."""

    path: Path
    product: SnpProduct
    signer: Signer
    chip_id: bytes  # 64, zeros for a VLEK
    tcb: Mapping[str, int]
    key: ec.EllipticCurvePrivateKey
    endorsements: Mapping[str, bytes]

    @classmethod
    def load(cls, path: Path) -> Chip:
        """Load what `FakeAmd.chip` kept: all that one machine may know."""
        about = json.loads((path / "chip.json").read_text("utf-8"))
        key = serialization.load_pem_private_key((path / "vek.key").read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            message = f"{path}/vek.key is no elliptic curve key"
            raise TypeError(message)
        return cls(
            path=path,
            product=about["product"],
            signer=about["signer"],
            chip_id=bytes.fromhex(about["chip_id"]),
            tcb=about["tcb"],
            key=key,
            endorsements={name: (path / f"{name}.der").read_bytes() for name in about["endorsements"]},
        )

    def report(self, **fields: Any) -> bytes:
        """Return a signed report of this chip; `fields` as in `snp_report.unsigned`."""
        own: dict[str, Any] = {
            "chip_id": self.chip_id,
            "signing_key": 0 if self.signer == "vcek" else 1,
            "tcb": self.tcb,
        }
        return snp_report.sign(snp_report.unsigned(self.product, **(own | fields)), self.key)

    def evidence(self, **fields: Any) -> Evidence:
        """Return a report with all of the chip's endorsements."""
        return Evidence(
            format="sev-snp",
            parts={"snp_report": self.report(**fields)},
            endorsements=dict(self.endorsements),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSnpAttester:
    """An Attester whose TEE is a key file. Grade T, under `purpose: test` only."""

    chip: Chip
    measurement: bytes  # 48: launch digest of the test image
    host_data: bytes  # 32: the settings digest, which a host would put there

    def available(self) -> bool:
        """A key file is always there."""
        return True

    async def collect(self, report_data: bytes) -> Evidence:
        """Sign at once."""
        return self.chip.evidence(
            report_data=report_data, measurement=self.measurement, host_data=self.host_data
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeAmd:
    """The throw-away endorser. One RSA key per role serves all products: names and pins tell them apart."""

    path: Path
    products: tuple[SnpProduct, ...]
    keys: Mapping[str, rsa.RSAPrivateKey]  # ark, ask, asvk

    @classmethod
    def create(cls, path: Path, products: Iterable[SnpProduct] = PRODUCTS) -> FakeAmd:
        """Make the keys and the certificates of `products`, and keep them in `path`."""
        path.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(len(_ROLES)) as pool:
            made = list(pool.map(lambda _: rsa.generate_private_key(65537, 4096), _ROLES))
        keys: dict[str, rsa.RSAPrivateKey] = dict(zip(_ROLES, made, strict=True))
        for role, key in keys.items():
            _write_key(path / f"{role}.key", key)
        amd = cls(path=path, products=tuple(products), keys=keys)
        for product in amd.products:
            for role in _ROLES:
                (path / f"{role}-{product}.der").write_bytes(amd._authority(role, product))
        return amd

    @classmethod
    def load(cls, path: Path) -> FakeAmd:
        """Load what `create` kept."""
        keys: dict[str, rsa.RSAPrivateKey] = {}
        for role in _ROLES:
            key = serialization.load_pem_private_key(
                (path / f"{role}.key").read_bytes(), None, unsafe_skip_rsa_key_validation=True
            )
            if not isinstance(key, rsa.RSAPrivateKey):
                message = f"{path}/{role}.key is no RSA key"
                raise TypeError(message)
            keys[role] = key
        found: list[SnpProduct] = [product for product in PRODUCTS if (path / f"ark-{product}.der").exists()]
        products = tuple(found)
        return cls(path=path, products=products, keys=keys)

    def certificate(self, role: Literal["ark", "ask", "asvk"], product: SnpProduct) -> bytes:
        """Return a root or intermediate in DER."""
        return (self.path / f"{role}-{product}.der").read_bytes()

    def root(self, product: SnpProduct) -> TrustRoot:
        """Return the pin of a product's root, of kind `test`."""
        digest = sha256(self.certificate("ark", product)).digest()
        return TrustRoot(kind="test", vendor="amd", product=product, sha256=digest)

    def roots(self) -> tuple[TrustRoot, ...]:
        """Return the pins of all products."""
        return tuple(self.root(product) for product in self.products)

    def crl(self, product: SnpProduct, revoked: Iterable[int] = (), **times: datetime) -> bytes:
        """Return a revocation list of a product's root; `this_update` and `next_update` may be given."""
        return amd_certificates.crl(f"ARK-{product}", self.keys["ark"], revoked, **times)

    def serial(self, role: Literal["ark", "ask", "asvk"], product: SnpProduct) -> int:
        """Return the serial number of a root or intermediate."""
        return _SERIALS[product] + _ROLES.index(role)

    def chip(
        self,
        instance_id: str,
        product: SnpProduct = "Genoa",
        tcb: Mapping[str, int] | None = None,
        *,
        signer: Signer = "vcek",
        extensions: Mapping[str, bytes | None] | None = None,
        **certificate: Any,
    ) -> Chip:
        """Make (or load, if this instance was asked for before) the chip of a machine.

        `extensions` replaces or, with None, removes extensions of the VEK; `certificate` goes to
        `amd_certificates.vek`. A chip with either is made anew and not the instance's usual one.
        """
        special = bool(extensions) or bool(certificate)
        label = sha256(f"{instance_id}\0{product}\0{signer}".encode()).hexdigest()[:24]
        path = self.path / "chips" / (label + ("-special" if special else ""))
        if (path / "chip.json").exists() and not special and tcb is None:
            return Chip.load(path)
        values = dict(tcb or snp_report.TCBS[product])
        own_id = chip_id(instance_id, product) if signer == "vcek" else bytes(64)
        key = ec.generate_private_key(ec.SECP384R1())
        leaf = self._vek(product, signer, values, own_id, key.public_key(), extensions or {}, certificate)
        middle: Literal["ask", "asvk"] = "ask" if signer == "vcek" else "asvk"
        endorsements = {
            "vek": leaf,
            "intermediate": self.certificate(middle, product),
            "root": self.certificate("ark", product),
            "crl": self.crl(product),
        }
        path.mkdir(parents=True, exist_ok=True)
        _write_key(path / "vek.key", key)
        for name, value in endorsements.items():
            (path / f"{name}.der").write_bytes(value)
        about = {"product": product, "signer": signer, "chip_id": own_id.hex(), "tcb": values}
        (path / "chip.json").write_text(json.dumps(about | {"endorsements": list(endorsements)}), "utf-8")
        return Chip.load(path)

    def _vek(
        self,
        product: SnpProduct,
        signer: Signer,
        tcb: Mapping[str, int],
        own_id: bytes,
        key: ec.EllipticCurvePublicKey,
        changes: Mapping[str, bytes | None],
        certificate: Mapping[str, Any],
    ) -> bytes:
        vcek = signer == "vcek"
        extensions = amd_certificates.vek_extensions(
            _STEPPINGS[product] if vcek else product,
            tcb,
            hwid=(own_id[:8] if product == "Turin" else own_id) if vcek else None,
            csp_id=None if vcek else CSP_ID,
        )
        merged = {oid: value for oid, value in (extensions | dict(changes)).items() if value is not None}
        options: dict[str, Any] = {"days": 7 * 365 if vcek else 365} | dict(certificate)
        subject, issuer = ("SEV-VCEK", f"SEV-{product}") if vcek else ("SEV-VLEK", f"SEV-VLEK-{product}")
        role = "ask" if vcek else "asvk"
        return amd_certificates.vek(
            options.pop("subject", subject),
            options.pop("public_key", key),
            options.pop("issuer", issuer),
            options.pop("issuer_key", self.keys[role]),
            merged,
            **options,
        )

    def _authority(self, role: str, product: SnpProduct) -> bytes:
        names = {"ark": f"ARK-{product}", "ask": f"SEV-{product}", "asvk": f"SEV-VLEK-{product}"}
        return amd_certificates.authority(
            names[role],
            self.keys[role],
            names["ark"],
            self.keys["ark"],
            _SERIALS[product] + _ROLES.index(role),
            path_length=None if role == "ark" else 0,
            crl_sign=role == "ark",
        )


def _write_key(path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(pem)


__all__ = ["CSP_ID", "PRODUCTS", "Chip", "FakeAmd", "SimulatedSnpAttester", "chip_id"]
