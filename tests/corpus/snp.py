"""SEV-SNP cases: what to feed, how each fact is found, what each mutation changes. Pure, but for `cases`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runtime.attestation.certificates import Certificate
from runtime.attestation.findings import Findings, Reason
from runtime.attestation.snp_claims import Claims
from runtime.attestation.tees.snp import SnpTee, cert_table, report, vek
from runtime.attestation.tees.snp import path as amd_path
from runtime.attestation.tees.snp.path import Names, Path
from runtime.attestation.tees.snp.report import Report
from runtime.attestation.tees.snp.vek import VekClaims
from runtime.attestation.wire import Evidence
from runtime.documents.reference_values import SnpProduct
from runtime.errors import MalformedError
from tests.corpus import cases
from tests.corpus.cases import PRODUCTS, Case, common_name

PLATFORM = "sev-snp"
_LEAF = {"vcek": "SEV-VCEK", "vlek": "SEV-VLEK"}


class NotApplicable(Exception):  # noqa: N818 - it is no error: the corpus calls a mutation so
    """A mutation needs what the case, or the whole corpus, does not have."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A case made ready for the verifier."""

    report: bytes
    leaf: Certificate | None
    intermediate: Certificate | None
    root: Certificate | None
    table: bytes | None
    now: int

    def evidence(self) -> Evidence:
        found = {"vek": self.leaf, "intermediate": self.intermediate, "root": self.root}
        endorsements = {name: value.der for name, value in found.items() if value is not None}
        if self.table is not None:
            endorsements["cert_table"] = self.table
        return Evidence(format="sev-snp", parts={"snp_report": self.report}, endorsements=endorsements)

    def verify(self) -> Claims:
        return SnpTee().verify(self.evidence(), cases.anchors().pins, self.now)


def subject(case: Case, leaf: Certificate | None = None) -> Subject:
    """Find the leaf of the kind that the report names, and the certificates above it."""
    data = case.one("snp_report")
    assert data is not None, f"{case.path}: no snp_report"
    table = case.one("cert_table")
    offered = _offered(case, table)
    leaf = leaf or _leaf(case, report.parse(data).signer, offered)
    above = (*cases.anchors().certificates, *offered)
    middle = None if leaf is None else next((entry for entry in above if entry.subject == leaf.issuer), None)
    root = (
        None if middle is None else next((entry for entry in above if entry.subject == middle.issuer), None)
    )
    return Subject(data, leaf, middle, root, table, _now(case, leaf))


def _offered(case: Case, table: bytes | None) -> list[Certificate]:
    files = case.files("certs")
    if table is not None:
        files += [value for name, value in cert_table.parse(table).items() if name != "crl"]
    return [certificate for data in files for certificate in cases.certificates_of(data)]


def _leaf(case: Case, signer: str, offered: list[Certificate]) -> Certificate | None:
    given = [certificate for data in case.files("vek") for certificate in cases.certificates_of(data)]
    if given:
        return next((entry for entry in given if common_name(entry) == _LEAF[signer]), given[0])
    return next((entry for entry in offered if common_name(entry) == _LEAF[signer]), None)


def _now(case: Case, leaf: Certificate | None) -> int:
    text = case.about.get("verification_time")
    if text is not None:
        return int(datetime.fromisoformat(text).timestamp())
    return 0 if leaf is None else leaf.not_before + 1  # nothing in the case depends on time


# Facts


def parsed_facts(parsed: Report) -> dict[str, Any]:
    """Return every fact that the report alone tells."""
    found: dict[str, Any] = {
        name: getattr(parsed, name)
        for name in (
            "version",
            "vmpl",
            "guest_svn",
            "signature_algo",
            "author_key_en",
            "mask_chip_key",
            "debug",
        )
    }
    found |= {
        name: getattr(parsed, name).hex()
        for name in (
            *("measurement", "report_data", "host_data", "chip_id", "family_id", "image_id", "report_id"),
            *("report_id_ma", "id_key_digest", "author_key_digest"),
            *("reported_tcb", "current_tcb", "committed_tcb", "launch_tcb"),
        )
    }
    found |= {
        "policy": hex(parsed.policy),
        "platform_info": hex(parsed.platform_info),
        "signing_key": parsed.signer.upper(),
        "smt_allowed": bool(parsed.policy & report.POLICY_SMT),
        "migrate_ma": bool(parsed.policy & report.POLICY_MIGRATE_MA),
        "abi_min": f"{parsed.policy >> 8 & 0xFF}.{parsed.policy & 0xFF}",
        "current_version": ".".join(map(str, parsed.current_version)),
        "committed_version": ".".join(map(str, parsed.committed_version)),
    }
    if parsed.cpuid is not None:
        names = ("cpuid_fam_id", "cpuid_mod_id", "cpuid_step")
        found |= {name: f"{value:#04x}" for name, value in zip(names, parsed.cpuid, strict=True)}
    if parsed.mitigations is not None:
        launch, current = map(hex, parsed.mitigations)
        found |= {"launch_mit_vector": launch, "current_mit_vector": current}
    return found


def endorsed_facts(case: Case) -> dict[str, Callable[[], Any]]:
    """Return how each fact is found that needs the leaf or the chain; each is one check of its own."""
    made = subject(case)
    parsed, leaf = report.parse(made.report), made.leaf
    if leaf is None:
        return {}
    product = parsed.product or _product_of(leaf)

    def certified() -> VekClaims:
        return vek.read(leaf, product, parsed.signer)

    def signature_valid() -> bool:
        key = leaf.public_key
        return isinstance(key, ec.EllipticCurvePublicKey) and report.signed_by(parsed, key)

    return {
        "signature_valid": signature_valid,
        "chain_valid": lambda: _chain_valid(made, product, parsed.signer),
        "vek_product_name": lambda: certified().product_name,
        "vek_tcb": lambda: certified().tcb.components(),
        "csp_id": lambda: certified().csp_id,
        "endorsement_tcb_equals_reported_tcb": lambda: (
            certified().tcb == report.tcb(parsed.reported_tcb, product)
        ),
        "hwid_matches_chip_id": lambda: (
            None if certified().chip_id is None else certified().chip_id == parsed.chip_id
        ),
    }


def _product_of(leaf: Certificate) -> SnpProduct:
    text = leaf.issuer.decode("latin-1")
    return next(product for product in PRODUCTS if product in text)


def _chain_valid(made: Subject, product: SnpProduct, signer: str) -> bool:
    """The chain up to a root in `roots/`, validity dates aside."""
    if made.leaf is None or made.intermediate is None or made.root is None:
        return False
    findings = Findings()
    middle = f"SEV-{product}" if signer == "vcek" else f"SEV-VLEK-{product}"
    names = Names(root=f"ARK-{product}", intermediate=middle, leaf=_LEAF[signer])
    path = Path(root=made.root, intermediate=made.intermediate, leaf=made.leaf)
    amd_path.pinned(findings, path.root, cases.anchors().pins)
    amd_path.check_path(findings, path, names, made.now)
    return all(check.reason is Reason.EXPIRED for check in findings.failed())


# Mutations

Change = Callable[[Case], Subject]


def mutated(case: Case, mutation: str) -> Subject:
    """Return the case changed as `mutations.json` says. Raises: NotApplicable."""
    made = subject(case)
    if mutation not in _NEED_NO_LEAF and (made.leaf is None or made.intermediate is None):
        message = f"{case.name} has no endorsement"
        raise NotApplicable(message)
    return MUTATIONS[mutation](case)


def _with_report(case: Case, data: bytes) -> Subject:
    made = subject(case)
    return Subject(data, made.leaf, made.intermediate, made.root, made.table, made.now)


def _flip(offset: int, bit: int) -> Change:
    def change(case: Case) -> Subject:
        data = bytearray(subject(case).report)
        data[offset] ^= 1 << bit
        return _with_report(case, bytes(data))

    return change


def _zero_s(case: Case) -> Subject:
    data = subject(case).report
    return _with_report(case, data[:0x2E8] + bytes(0x318 - 0x2E8) + data[0x318:])


def _other_product(case: Case) -> Subject:
    made = subject(case)
    parsed = report.parse(made.report)
    assert made.leaf is not None
    own = parsed.product or _product_of(made.leaf)
    for product in PRODUCTS:
        root = cases.anchors().named(f"ARK-{product}")
        middle = cases.anchors().named(f"SEV-{product}" if parsed.signer == "vcek" else f"SEV-VLEK-{product}")
        if product != own and root is not None and middle is not None:
            return Subject(made.report, made.leaf, middle, root, None, made.now)
    message = "no other product line in roots/"
    raise NotApplicable(message)


def _other_vek(case: Case) -> Subject:
    made = subject(case)
    assert made.leaf is not None
    own = _spki(made.leaf)
    donors = [
        certificate
        for other in cases.every_case()
        if other.path != case.path
        for data in (*other.files("vek"), *other.files("certs"))
        for certificate in _readable(data)
        if common_name(certificate) in _LEAF.values() and _spki(certificate) != own
    ]
    # The nearest relative first: same line and kind, so that only signature and chip can tell.
    donors.sort(key=lambda donor: (donor.issuer != made.leaf.issuer if made.leaf else False, donor.der))
    if not donors:
        message = "no other case has a VEK"
        raise NotApplicable(message)
    return subject(case, donors[0])


def _readable(data: bytes) -> list[Certificate]:
    """Read what another platform's case calls a certificate; what AMD's parser cannot read is no donor."""
    try:
        return cases.certificates_of(data)
    except MalformedError:
        return []


def _spki(certificate: Certificate) -> bytes:
    return certificate.public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


_NEED_NO_LEAF = frozenset({"snp-truncate", "snp-append"})
MUTATIONS: Mapping[str, Change] = {
    "snp-flip-measurement": _flip(0x090, 0),
    "snp-flip-report-data": _flip(0x050, 0),
    "snp-flip-policy": _flip(0x00A, 3),
    "snp-flip-r": _flip(0x2A0, 0),
    "snp-zero-s": _zero_s,
    "snp-truncate": lambda case: _with_report(case, subject(case).report[:0x2A0]),
    "snp-append": lambda case: _with_report(case, subject(case).report + b"\0"),
    "snp-other-product": _other_product,
    "snp-other-vek": _other_vek,
}
VERDICTS: Mapping[str, Reason] = {
    "signature": Reason.SIGNATURE,
    "malformed": Reason.MALFORMED,
    "chain": Reason.CHAIN,
    "chip id": Reason.CHIP_ID,
}
