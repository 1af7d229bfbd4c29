"""What it costs to believe a machine: CPU of the verifiers on real evidence. I/O: reads the corpus.

Each figure is the median of `time.process_time` over interleaved rounds; what is remembered between two
appraisals (authorities' certificates and their signatures) is forgotten before each. Beside them stand bare
signature verifications of the same OpenSSL, and for each kind of evidence the sum of those it has to hold:
what no reading of ours could be cheaper than. For TDX there is a peer: dcap-qvl, in Rust.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType

import dcap_qvl  # type: ignore[import-untyped]  # ships no types
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from runtime.attestation import certificates
from runtime.attestation.tees.nitro import chain
from tests.corpus import azure, cases, nitro, snp, tdx
from tests.corpus.cases import Case

ROUNDS = 200
PEER = "dcap-qvl"
_WARM = 5
_MESSAGE = bytes(1000)
_FORGETFUL: tuple[ModuleType, ...] = (certificates, chain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One real case: what is run, what it may cost, and the signatures that it holds."""

    kind: str
    platform: str
    case: str
    must_ms: float
    signatures: Mapping[str, int]  # by the names of `signatures`


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraisal:
    """One line of latest.json."""

    system: str
    mode: str
    evidence: str
    cpu_ms: float  # median
    least_ms: float
    signatures_ms: float  # median of what its signatures cost by themselves
    must_ms: float | None  # None: a peer's, shown beside ours
    rounds: int

    @property
    def word(self) -> str:
        """Say it in one word."""
        return "" if self.must_ms is None else "must" if self.cpu_ms <= self.must_ms else "SHORT"


_TDX = Subject(
    kind="TDX",
    platform="tdx",
    case="v4-emr-with-collateral",
    must_ms=1.5,
    signatures={"P-256": 9},
)
SUBJECTS = (
    Subject(
        kind="SNP",
        platform="sev-snp",
        case="genoa-v3-tsm-certtable",
        must_ms=1.0,
        signatures={"P-384": 1, "RSA-4096": 2},
    ),
    _TDX,
    Subject(
        kind="Azure SNP",
        platform="azure-snp-vtpm",
        case="milan-v3-trustee-evidence-v2",
        must_ms=2.0,
        signatures={"P-384": 1, "RSA-4096": 2, "RSA-2048": 1},
    ),
    Subject(
        kind="Azure SNP, AK certified",
        platform="azure-snp-vtpm",
        case="milan-v3-super-protocol-ak-chain",
        must_ms=2.0,
        signatures={"P-384": 1, "RSA-4096": 5, "RSA-2048": 1},
    ),
    Subject(
        kind="NitroTPM",
        platform="nitro-tpm",
        case="ec2-vaportpm",
        must_ms=2.0,
        signatures={"P-384": 5},
    ),
)


def missing() -> str | None:
    """Say why nothing can be measured, if so."""
    return None if cases.folder() is not None else f"no evidence corpus: set {cases.VARIABLE} to its folder"


def measure(rounds: int = ROUNDS) -> list[Appraisal]:
    """Measure every subject, interleaved with the bare signatures. Raises: whatever a verifier refuses."""
    work = {subject.kind: _work(subject) for subject in SUBJECTS}
    everything = work | {PEER: _peer()} | signatures()
    spent: dict[str, list[float]] = {name: [] for name in everything}
    for function in everything.values():
        for _ in range(_WARM):
            function()
    gc.collect()
    gc.freeze()
    try:
        for _ in range(rounds):
            for name, function in everything.items():
                _forget()
                began = time.process_time()
                function()
                spent[name].append((time.process_time() - began) * 1000)
    finally:
        gc.unfreeze()
    lines = [_line(subject, spent[subject.kind], spent) for subject in SUBJECTS]
    at = [one.evidence for one in lines].index(_TDX.kind)
    peer = replace(_line(_TDX, spent[PEER], spent), system=PEER, must_ms=None)
    return [*lines[: at + 1], peer, *lines[at + 1 :]]


def _line(subject: Subject, own: Sequence[float], spent: Mapping[str, Sequence[float]]) -> Appraisal:
    alone = sum(count * statistics.median(spent[name]) for name, count in subject.signatures.items())
    return Appraisal(
        system="ours",
        mode="appraisal, chains uncached",
        evidence=subject.kind,
        cpu_ms=round(statistics.median(own), 3),
        least_ms=round(min(own), 3),
        signatures_ms=round(alone, 3),
        must_ms=subject.must_ms,
        rounds=len(own),
    )


def _work(subject: Subject) -> Callable[[], object]:
    case = _case(subject)
    if subject.platform == "sev-snp":
        return snp.subject(case).verify
    if subject.platform == "tdx":
        return tdx.subject(case).verify
    if subject.platform == "nitro-tpm":
        return nitro.subject(case).authenticate
    return azure.whole(azure.subject(case))


def _case(subject: Subject) -> Case:
    (case,) = [found for found in cases.load(subject.platform) if found.name == subject.case]
    return case


def _peer() -> Callable[[], object]:
    made = tdx.subject(_case(_TDX))
    collateral = (made.collateral or b"").decode()
    return lambda: dcap_qvl.verify(made.quote, dcap_qvl.QuoteCollateralV3.from_json(collateral), made.now)


def _forget() -> None:
    for function in _remembering():
        function()


def _remembering() -> Iterator[Callable[[], None]]:
    for module in _FORGETFUL:
        for value in vars(module).values():
            clear = getattr(value, "cache_clear", None)
            if clear is not None:
                yield clear


def signatures() -> dict[str, Callable[[], object]]:
    """Return one verification by each kind of key that evidence is signed with."""
    made: dict[str, Callable[[], object]] = {}
    for name, curve, digest in (
        ("P-256", ec.SECP256R1(), hashes.SHA256()),
        ("P-384", ec.SECP384R1(), hashes.SHA384()),
    ):
        made[name] = _ecdsa(ec.generate_private_key(curve), ec.ECDSA(digest))
    for bits in (2048, 4096):
        made[f"RSA-{bits}"] = _rsa(rsa.generate_private_key(public_exponent=65537, key_size=bits))
    return made


def _ecdsa(key: ec.EllipticCurvePrivateKey, algorithm: ec.ECDSA) -> Callable[[], object]:
    signature, public = key.sign(_MESSAGE, algorithm), key.public_key()
    return lambda: public.verify(signature, _MESSAGE, algorithm)


def _rsa(key: rsa.RSAPrivateKey) -> Callable[[], object]:
    how = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)
    signature, public = key.sign(_MESSAGE, how, hashes.SHA384()), key.public_key()
    return lambda: public.verify(signature, _MESSAGE, how, hashes.SHA384())


def table(lines: Sequence[Appraisal]) -> str:
    """Lay the figures out for a terminal."""
    rows = [
        f"{'appraisal, chains uncached: CPU ms':36} {'median':>7} {'least':>7} {'signatures':>10} {'must':>6}"
    ]
    rows += [
        f"{_name(one):36} {one.cpu_ms:7.2f} {one.least_ms:7.2f} {one.signatures_ms:10.2f}"
        + ("" if one.must_ms is None else f" {one.must_ms:6.2f} {one.word}")
        for one in lines
    ]
    return "\n".join(rows)


def _name(one: Appraisal) -> str:
    return one.evidence if one.must_ms is not None else f"  {one.system}: {one.evidence}"
