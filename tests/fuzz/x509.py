"""Certificates, revocation lists and the paths made of them."""

from __future__ import annotations

import struct
from functools import cache
from typing import get_args
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runtime.attestation import certificates
from runtime.attestation.findings import EvidenceRefusedError, Findings
from runtime.attestation.tees.snp import cert_table, vek
from runtime.attestation.tees.snp import path as amd_path
from runtime.attestation.tees.snp.path import Names, Path
from runtime.attestation.tees.tpm import ak
from runtime.errors import MalformedError
from tests.corpus.cases import PRODUCTS
from tests.fakes import amd_certificates, intel_certificates, nitro, tpm, tpm_certificates
from tests.fakes.amd_certificates import NOT_BEFORE
from tests.fakes.intel import FakeIntel
from tests.fakes.snp_report import TCBS
from tests.fuzz.target import Target, prefixed, split

_NOW = int(NOT_BEFORE.timestamp()) + 86400
_NAMES = Names(root="ARK-Milan", intermediate="SEV-Milan", leaf="SEV-VCEK")


@cache
def amd() -> tuple[bytes, bytes, bytes, bytes]:
    """Return root, intermediate, leaf and list of a small AMD: RSA-2048, so that they are made at once."""
    root, middle = tpm.rsa_key("amd root"), tpm.rsa_key("amd middle")
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    extensions = amd_certificates.vek_extensions("Milan-B0", TCBS["Milan"], hwid=bytes(64), csp_id=None)
    return (
        amd_certificates.authority("ARK-Milan", root, "ARK-Milan", root, 1, path_length=None, crl_sign=True),
        amd_certificates.authority("SEV-Milan", middle, "ARK-Milan", root, 2, path_length=0, crl_sign=False),
        amd_certificates.vek("SEV-VCEK", key, "SEV-Milan", middle, extensions, days=365),
        amd_certificates.crl("ARK-Milan", root, [3, 4]),
    )


def _certificate_seeds() -> list[bytes]:
    intel = FakeIntel()
    others = [intel.root(), intel.ca(), intel.pck(), intel.signer()]
    found = [*amd()[:3], *(entry.public_bytes(serialization.Encoding.DER) for entry in others)]
    found += tpm_certificates.azure(tpm.rsa_key("ak").public_key()).ders()
    found += tpm_certificates.google(tpm.ec_key("ak").public_key()).ders()
    return [*found, *nitro.FakeNitro.create().fields()["cabundle"]]


def _crl_seeds() -> list[bytes]:
    intel = FakeIntel()
    return [amd()[3], intel_certificates.crl("Intel SGX Root CA", intel.root_key)]


def _vek(data: bytes) -> None:
    certificate = certificates.load(data, "fuzz")
    for product in PRODUCTS:
        for signer in ("vcek", "vlek"):
            try:
                vek.read(certificate, product, signer)
            except MalformedError:
                continue


def _path(data: bytes) -> None:
    root, middle, leaf, crl = split(data, 4)
    path = Path(
        root=certificates.load(root, "root"),
        intermediate=certificates.load(middle, "intermediate"),
        leaf=certificates.load(leaf, "leaf"),
    )
    findings = Findings()
    amd_path.pinned(findings, path.root, ())
    amd_path.check_path(findings, path, _NAMES, _NOW)
    amd_path.check_revocation(findings, path, certificates.load_crl(crl), _NOW)
    findings.settle()


def _table(data: bytes) -> None:
    for name, value in cert_table.parse(data).items():
        assert value
        assert value in data, name


def _table_seeds() -> list[bytes]:
    entry = struct.Struct("<16sII")
    guids = [UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782"), UUID("63da758d-e664-4564-adc5-f4b93be8accd")]
    head = b"".join(entry.pack(guid.bytes_le, 72 + 4 * index, 4) for index, guid in enumerate(guids))
    return [head + bytes(entry.size) + b"ask!vcek"]


def _ak_path(data: bytes) -> None:
    for vendor in get_args(ak.Vendor):
        findings = Findings()
        ak.check_path(findings, [part for part in split(data, 4) if part], vendor, (), _NOW)
        findings.settle()


def _ak_seeds() -> list[bytes]:
    key = tpm.rsa_key("ak").public_key()
    paths = (
        tpm_certificates.azure(key),
        tpm_certificates.azure(key, deep=False),
        tpm_certificates.google(key),
    )
    return [prefixed(*path.ders()) for path in paths]


_REFUSES = (MalformedError, EvidenceRefusedError)
TARGETS = (
    Target(
        name="certificate",
        read=lambda data: certificates.load(data, "fuzz"),
        seeds=_certificate_seeds,
        roles=("vek", "certs", "vek_wrong", "ak_certs"),
    ),
    Target(name="crl", read=certificates.load_crl, seeds=_crl_seeds),
    Target(name="vek", read=_vek, seeds=lambda: [amd()[2]], roles=("vek", "vek_wrong")),
    Target(name="amd_path", read=_path, seeds=lambda: [prefixed(*amd())], max_size=8192, refuses=_REFUSES),
    Target(name="cert_table", read=_table, seeds=_table_seeds, roles=("cert_table",), max_size=8192),
    Target(name="ak_path", read=_ak_path, seeds=_ak_seeds, max_size=8192, refuses=_REFUSES),
)
