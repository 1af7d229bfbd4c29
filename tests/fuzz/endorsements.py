"""What endorsers answer, and the file of their answers that an owner publishes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec

from runtime.attestation import certificates
from runtime.attestation.endorsements import bundle, contents, genuine
from runtime.attestation.endorsements.bundle import Bundle
from runtime.attestation.endorsements.contents import Answer
from runtime.attestation.endorsements.wanted import Want, endorsements_needed
from runtime.attestation.snp_claims import TrustRoot
from runtime.attestation.tees import Root
from runtime.attestation.tees.snp import report as snp_report
from runtime.attestation.wire import Evidence
from runtime.documents import strict_json
from tests.attestation.endorsements import machines
from tests.fakes import amd_certificates, azure, endorsers, fleets, google, td_machine, tpm
from tests.fakes import snp_report as made_report
from tests.fakes.snp_report import TCBS
from tests.fuzz.target import Target, harmless, prefixed, split

_CHIP = bytes(range(64))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chip:
    """A chip under RSA-2048 keys, which are made at once."""

    key: ec.EllipticCurvePrivateKey
    vek: bytes
    intermediate: bytes
    root: bytes
    crl: bytes

    def report(self, report_data: bytes) -> bytes:
        unsigned = made_report.unsigned("Milan", chip_id=_CHIP, tcb=TCBS["Milan"], report_data=report_data)
        return made_report.sign(unsigned, self.key)


@cache
def _chip() -> _Chip:
    root, middle = tpm.rsa_key("amd root"), tpm.rsa_key("amd middle")
    key = ec.generate_private_key(ec.SECP384R1())
    extensions = amd_certificates.vek_extensions("Milan-B0", TCBS["Milan"], hwid=_CHIP, csp_id=None)
    return _Chip(
        key=key,
        vek=amd_certificates.vek("SEV-VCEK", key.public_key(), "SEV-Milan", middle, extensions, days=365),
        intermediate=amd_certificates.authority(
            "SEV-Milan", middle, "ARK-Milan", root, 2, path_length=0, crl_sign=False
        ),
        root=amd_certificates.authority(
            "ARK-Milan", root, "ARK-Milan", root, 1, path_length=None, crl_sign=True
        ),
        crl=amd_certificates.crl("ARK-Milan", root, [3, 4]),
    )


@cache
def _asked() -> tuple[tuple[Want, Evidence, bytes], ...]:
    """Return every kind of thing that is wanted: what for, and the right answer."""
    chip = _chip()
    snp = machines.evidence("sev-snp", {"snp_report": chip.report(bytes(64))})
    text = azure.runtime_json()
    inner = chip.report(azure.report_data(text))
    azure_snp = machines.evidence("azure-snp", {"hcl_report": azure.hcl(inner, text, azure.SNP)})
    leaf, authority, root = machines.google_path().ders()
    have = {"tdx_collateral": b"x", "launch_endorsement": b"x", "ak_certificate": leaf}
    below, top = machines.tdx(**have), machines.tdx(**have, ak_authority_1=authority)
    chain = endorsers.pem(chip.intermediate, chip.root)
    thim = {"vcekCert": endorsers.pem(chip.vek).decode(), "certificateChain": chain.decode()}
    launch = machines.tdx(tdx_collateral=b"x")
    return (
        (_want(snp, "certificate"), snp, chip.vek),
        (_want(snp, "crl"), snp, chip.crl),
        (_want(snp, "chain"), snp, chain),
        (_want(azure_snp, "thim"), azure_snp, strict_json.canonical(thim)),
        (_want(below, "certificate"), below, authority),
        (_want(top, "certificate"), top, root),
        (_want(launch, "launch"), launch, google.endorsement(google.golden(tdx=[bytes(48)]))),
        (_want(machines.tdx(), "collateral"), machines.tdx(), td_machine.COLLATERAL),
    )


@cache
def _roots() -> tuple[Root, ...]:
    ark = sha256(_chip().root).digest()
    amd = TrustRoot(kind="test", vendor="amd", product="Milan", sha256=ark)
    return (amd, *td_machine.MACHINE.roots, google.pin(), machines.google_path().root())


def _want(evidence: Evidence, kind: str) -> Want:
    return next(want for want in endorsements_needed(evidence) if want.kind == kind)


def _answer(data: bytes) -> None:
    """The first byte says what was asked for; nothing is kept but what was wanted, and a VEK fits."""
    asked = _asked()
    want, evidence, _ = asked[data[0] % len(asked)] if data else asked[0]
    found = contents.read(want, data[1:], evidence)
    assert found.endorsements
    assert set(found.endorsements) <= set(want.gives)
    assert all(found.endorsements.values())
    harmless(genuine.check, want, found.endorsements, evidence, _roots(), fleets.NOW)
    if want.source == "amd_kds" and "vek" in found.endorsements:
        key = certificates.load(found.endorsements["vek"], "vek").public_key
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert snp_report.signed_by(snp_report.parse(evidence.parts["snp_report"]), key)


def _answer_seeds() -> list[bytes]:
    return [bytes([index]) + right for index, (_, _, right) in enumerate(_asked())] + _wrong_dates()


def _wrong_dates() -> list[bytes]:
    """Return a chain and an authority that end in year 0, which no calendar has."""
    kinds = [(want.source, want.kind) for want, _, _ in _asked()]
    root = tpm.rsa_key("amd root")
    ark = amd_certificates.authority(
        "ARK-Milan", root, "ARK-Milan", root, 1, path_length=None, crl_sign=True, days=40 * 365
    )
    authority = machines.google_path().but(1, days=40 * 365).ders()[1]
    chain = endorsers.pem(machines.year_zero(ark), ark)
    return [
        bytes([kinds.index(("amd_kds", "chain"))]) + chain,
        bytes([kinds.index(("authority", "certificate"))]) + machines.year_zero(authority),
    ]


# -- Intel's four answers become one --------------------------------------------------------------------

_HEADERS = ("tcb-info-issuer-chain", "sgx-enclave-identity-issuer-chain", "sgx-pck-crl-issuer-chain")


def _intel(data: bytes) -> None:
    want, evidence, _ = _asked()[-1]
    *bodies, headers = split(data, 5)
    lines = headers.decode("latin-1").split("\n")
    named: dict[str, str] = dict(zip(_HEADERS, lines, strict=False))
    answers = [Answer(body=body, headers=named) for body in bodies]
    found = contents.read(want, contents.assemble(want, answers), evidence)
    assert set(found.endorsements) == {"tdx_collateral"}


def _intel_seeds() -> list[bytes]:
    want = _asked()[-1][0]
    said = [endorsers.pcs(td_machine.COLLATERAL, want.paths)[path] for path in want.paths]
    lower = {name.lower(): value for each in said for name, value in each.headers.items()}
    headers = "\n".join(lower[name] for name in _HEADERS).encode()
    return [prefixed(*(each.body for each in said), headers)]


# -- the owner's file -----------------------------------------------------------------------------------


def _bundle(data: bytes) -> None:
    read = bundle.read(data)
    assert bundle.read(bundle.write(read)) == read
    assert all(0 < len(body) <= contents.MAX_BODY_SIZE for body in read.items.values())


def _bundle_seeds() -> list[bytes]:
    some = {"amd_kds crl /vcek/v1/Milan/crl": b"list", "b": b"\xff"}
    made = [bundle.write(Bundle(made_at=1_800_000_000, items=items)) for items in ({}, some)]
    return [*made, made[1].replace(b'"/w=="', b'""')]


TARGETS = (
    Target(name="endorsers_answer", read=_answer, seeds=_answer_seeds, max_size=24 * 1024),
    Target(name="intel_answers", read=_intel, seeds=_intel_seeds, max_size=24 * 1024),
    Target(name="endorsements_bundle", read=_bundle, seeds=_bundle_seeds),
)
