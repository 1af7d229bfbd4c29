"""TDX cases: what to feed, how each fact is found, what each mutation changes. Pure, but for `cases`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import serialization

from runtime.attestation import certificates
from runtime.attestation.certificates import Certificate
from runtime.attestation.findings import EvidenceRefusedError, Findings, Reason
from runtime.attestation.tees.tdx import collateral, pck, qe, quote, rules, sgx_extension, verify
from runtime.attestation.tees.tdx.pck import IntelRoot, PckChain
from runtime.attestation.tees.tdx.quote import Quote
from runtime.attestation.tees.tdx.reasons import TdxReason
from runtime.attestation.tees.tdx.rules import TdxRules
from runtime.attestation.tees.tdx.tcb_info import TcbStatus
from runtime.attestation.tees.tdx.verify import TdxClaims
from runtime.commands.evidence.examine import strictest
from runtime.documents import times
from runtime.errors import MalformedError
from tests.corpus import cases
from tests.corpus.cases import Case

PLATFORM = "tdx"
# How the independent verifier of `collateral_verdict` words what these checks find. It stops at the first.
_WORDS = {
    "td.debug": "Verification failed: Debug mode is enabled",
    "tcb.platform": "Verification failed: No matching TCB level found",
}


class NotApplicable(Exception):  # noqa: N818 - it is no error: the corpus calls a mutation so
    """A mutation needs what the case, or the whole corpus, does not have."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A case made ready for the verifier."""

    quote: bytes
    collateral: bytes | None
    now: int

    def verify(self) -> TdxClaims:
        return verify.verify(self.quote, self.collateral, intel_roots(), self.now)

    def appraise(self) -> TdxClaims:
        """Verify, and hold against an owner who wants this very TD and what nobody may drop."""
        claims, findings = self.verify(), Findings()
        rules.check(findings, claims, _own_rules(claims), self.now)
        findings.settle()
        return claims


def _own_rules(claims: TdxClaims) -> TdxRules:
    """Return what examining asks of any TD, but for what the independent verifier leaves to its caller."""
    return replace(
        strictest(claims),
        statuses=frozenset(TcbStatus),
        xfam_allowed=verify.XFAM_DEFINED,
        allow_perfmon=True,
    )


@cache
def intel_roots() -> tuple[IntelRoot, ...]:
    """Return pins of Intel's root in `roots/`, found by its name; `roots.json` has to agree."""
    root = cases.folder()
    assert root is not None
    listed = root / "roots" / "roots.json"
    entries = json.loads(listed.read_text("utf-8"))["certificates"] if listed.exists() else []
    hashes = {entry["file"]: entry["sha256_der"] for entry in entries}
    found: list[IntelRoot] = []
    for file in sorted((root / "roots").iterdir()):
        if file.suffix not in {".pem", ".der", ".crt", ".cer"}:
            continue
        try:
            (certificate,) = cases.certificates_of(file.read_bytes())
        except (MalformedError, ValueError):
            continue  # several certificates, or of a kind that this parser does not read: not Intel's
        if pck.common_name(certificate) == "Intel SGX Root CA":
            digest = sha256(certificate.der).digest()
            assert hashes.get(file.name, digest.hex()) == digest.hex(), f"{file}: roots.json has another hash"
            found.append(IntelRoot(kind="hardware", sha256=digest))
    return tuple(found)


def subject(case: Case) -> Subject:
    data = case.one("td_quote")
    assert data is not None, f"{case.path}: no td_quote"
    return Subject(data, case.one("td_collateral"), _now(case, data))


def _now(case: Case, data: bytes) -> int:
    text = case.about.get("verification_time")
    if text is not None:
        return int(datetime.fromisoformat(text).timestamp())
    return chain_of(quote.parse(data)).leaf.not_before + 1  # nothing in the case depends on time


def chain_of(parsed: Quote) -> PckChain:
    leaf, ca, root = pck.load_chain(parsed.pck_chain, 3, "PCK certificate chain", {})
    return PckChain(leaf=leaf, ca=ca, root=root)


# Facts


def parsed_facts(data: bytes) -> dict[str, Any]:
    """Return every fact that the quote alone tells."""
    parsed = quote.parse(data)
    report = parsed.report
    found: dict[str, Any] = {
        "version": parsed.version,
        "rtmr": [value.hex() for value in report.rtmrs],
        "td_attributes": report.td_attributes.to_bytes(8, "little").hex(),
        "xfam": report.xfam.to_bytes(8, "little").hex(),
        "debug": report.debug,
        "trailing_bytes": len(parsed.trailing),
        "body_type": parsed.body_type,
        "tee_tcb_svn_2": None if report.tee_tcb_svn_2 is None else report.tee_tcb_svn_2.hex(),
        "mrservicetd": None if report.mrservicetd is None else report.mrservicetd.hex(),
    }
    return found | {
        name: getattr(report, name).hex()
        for name in (
            *("mrtd", "report_data", "tee_tcb_svn", "mrseam", "mrsignerseam", "seam_attributes"),
            *("mrconfigid", "mrowner", "mrownerconfig"),
        )
    }


def endorsed_facts(case: Case) -> dict[str, Callable[[], Any]]:
    """Return how each fact is found that needs certificates; each is one check of its own."""
    made = subject(case)
    parsed = quote.parse(made.quote)
    chain = chain_of(parsed)
    leaf = chain.leaf
    return {
        "signature_valid": lambda: (
            qe.signed_quote(parsed) and qe.is_bound(parsed) and qe.is_signed(parsed, leaf.public_key)
        ),
        "chain_valid": lambda: _chain_valid(chain, made.now),
        "fmspc": lambda: sgx_extension.read(leaf).fmspc.hex(),
        "pceid": lambda: sgx_extension.read(leaf).pce_id.hex(),
        "pcesvn": lambda: sgx_extension.read(leaf).pce_svn,
        "cpusvn_components": lambda: list(sgx_extension.read(leaf).components),
        "pck": lambda: {
            "ppid": sgx_extension.read(leaf).ppid.hex(),
            "not_before": _moment(leaf.not_before),
            "not_after": _moment(leaf.not_after),
        },
        "collateral_verdict": lambda: verdict(case),
    }


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()


def _chain_valid(chain: PckChain, now: int) -> bool:
    """The chain up to a root in `roots/`, validity dates aside."""
    findings = Findings()
    pck.check_chain(findings, chain, intel_roots(), now)
    return all(check.reason is Reason.EXPIRED for check in findings.failed())


def verdict(case: Case) -> dict[str, Any]:
    """Return what this verifier says of the case, in the form and words of `collateral_verdict`."""
    claimed = case.about["facts"]["tdx"]["collateral_verdict"]
    now = int(datetime.fromisoformat(claimed["verification_time"]).timestamp())
    out = {"verification_time": claimed["verification_time"]}
    try:
        claims = replace(subject(case), now=now).appraise()
    except EvidenceRefusedError as error:
        failed = [check.id for check in error.checks if check.id != "quote.padding"]
        assert failed, "refused for nothing but what that verifier does not look at"
        words = next((text for check, text in _WORDS.items() if check in failed), claimed.get("error"))
        return out | {"result": "error", "error": words}
    return out | {
        "result": "ok",
        "tcb_status": str(claims.tcb.status),
        "advisory_ids": list(claims.tcb.advisories),
    }


# Mutations

Change = Callable[[Case], Subject]


def reasons(made: Subject) -> frozenset[str]:
    """Return why the verifier refuses; nothing if it does not."""
    try:
        assert isinstance(made.appraise(), TdxClaims)
    except EvidenceRefusedError as error:
        return frozenset(map(str, error.reasons))
    except MalformedError:
        return frozenset({str(Reason.MALFORMED)})
    return frozenset()


def _field(case: Case, name: str) -> int:
    """Return where a field of the quote begins: found by its content's place in the layout."""
    data = subject(case).quote
    parsed = quote.parse(data)
    body = quote.HEADER_BYTES + (6 if parsed.version == 5 else 0)
    after = len(parsed.signed) + 4
    return {
        "mrtd": body + 136,
        "td_attributes": body + 120,
        "report_data": body + 520,
        "signature": after,
        "attestation_key": after + quote.SIGNATURE_BYTES,
        "qe_report": after + quote.SIGNATURE_BYTES + quote.KEY_BYTES + 6,
    }[name]


def _flip(name: str) -> Change:
    def change(case: Case) -> Subject:
        made = subject(case)
        data = bytearray(made.quote)
        data[_field(case, name)] ^= 1
        return replace(made, quote=bytes(data))

    return change


def _version_3(case: Case) -> Subject:
    made = subject(case)
    return replace(made, quote=b"\3\0" + made.quote[2:])


def _truncate(case: Case) -> Subject:
    made = subject(case)
    chain = quote.parse(made.quote).pck_chain
    return replace(made, quote=made.quote[: made.quote.index(chain) + len(chain) // 2])


def with_chain(data: bytes, chain: bytes) -> bytes:
    """Return the quote with another certificate chain, all lengths made right."""
    parsed = quote.parse(data)
    start, end = len(parsed.signed) + 4, len(data) - len(parsed.trailing)
    inner_at = start + quote.SIGNATURE_BYTES + quote.KEY_BYTES + 6
    head = data[inner_at : end - len(parsed.pck_chain) - 4]
    inner = head + len(chain).to_bytes(4, "little") + chain
    outer = data[start : inner_at - 4] + len(inner).to_bytes(4, "little") + inner
    return parsed.signed + len(outer).to_bytes(4, "little") + outer + parsed.trailing


def _other_pck(case: Case) -> Subject:
    made = subject(case)
    own = chain_of(quote.parse(made.quote)).leaf
    for other in cases.every_case():
        data = other.one("td_quote") if other.path != case.path else None
        if data is None:
            continue
        chain = quote.parse(data).pck_chain
        if _spki(chain_of(quote.parse(data)).leaf) != _spki(own):
            return replace(made, quote=with_chain(made.quote, chain))
    message = "no other case has another PCK"
    raise NotApplicable(message)


def _spki(certificate: Certificate) -> bytes:
    return certificate.public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _need_collateral(made: Subject) -> bytes:
    if made.collateral is None:
        message = "the case has no collateral"
        raise NotApplicable(message)
    return made.collateral


def _other_fmspc(case: Case) -> Subject:
    made = subject(case)
    _need_collateral(made)
    own = sgx_extension.read(chain_of(quote.parse(made.quote)).leaf).fmspc
    for other in cases.every_case():
        data = other.one("td_collateral") if other.path != case.path else None
        if data is not None and bytes.fromhex(json.loads(json.loads(data)["tcb_info"])["fmspc"]) != own:
            return replace(made, collateral=data)
    message = "no other case has collateral of another FMSPC"
    raise NotApplicable(message)


def _expired(case: Case) -> Subject:
    made = subject(case)
    parts = collateral.parse(_need_collateral(made))
    ends = [times.parse(json.loads(body)["nextUpdate"]) for body in (parts.tcb_info, parts.qe_identity)]
    ends += [certificates.load_crl(crl).next_update for crl in (parts.pck_crl, parts.root_ca_crl)]
    return replace(made, now=min(ends) + int(timedelta(days=1).total_seconds()))


def _flip_tcb_info(case: Case) -> Subject:
    made = subject(case)
    parts = json.loads(_need_collateral(made))
    body: str = parts["tcb_info"]
    at = body.index('"svn":') + len('"svn":')
    digit = next(index for index in range(at, len(body)) if body[index].isdigit())
    parts["tcb_info"] = body[:digit] + str((int(body[digit]) + 1) % 10) + body[digit + 1 :]
    return replace(made, collateral=json.dumps(parts).encode())


MUTATIONS: Mapping[str, Change] = {
    "tdx-flip-mrtd": _flip("mrtd"),
    "tdx-flip-attributes": _flip("td_attributes"),
    "tdx-flip-report-data": _flip("report_data"),
    "tdx-flip-signature": _flip("signature"),
    "tdx-flip-qe-report": _flip("qe_report"),
    "tdx-flip-attestation-key": _flip("attestation_key"),
    "tdx-version-3": _version_3,
    "tdx-truncate": _truncate,
    "tdx-other-pck": _other_pck,
    "tdx-other-fmspc": _other_fmspc,
    "tdx-expired-collateral": _expired,
    "tdx-flip-tcb-info": _flip_tcb_info,
}
VERDICTS: Mapping[str, str] = {
    "signature": Reason.SIGNATURE,
    "malformed": Reason.MALFORMED,
    "expired": Reason.EXPIRED,
    "QE report signature": TdxReason.QE_SIGNATURE,
    "QE binding": TdxReason.QE_BINDING,
    "collateral": TdxReason.COLLATERAL,
    "collateral signature": TdxReason.COLLATERAL_SIGNATURE,
}
