"""A second opinion on TDX: `dcap-qvl` (Rust, another author) on the same quotes, collateral and times.

Where the two differ, the difference has an entry in a table here, and in `docs/checks-tdx.md`. Two rules have
no exception: what it refuses of real evidence is refused here, and what both accept has the same status and
advisories.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import dcap_qvl  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives import serialization

from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.tees.tdx import quote, verify
from runtime.attestation.tees.tdx.tcb_info import TcbStatus
from runtime.errors import MalformedError
from tests.corpus import cases, tdx
from tests.corpus.cases import Case
from tests.corpus.tdx import Subject
from tests.fakes import intel
from tests.fakes.td_machine import MACHINE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "checks-tdx.md"
CASES = [case for case in cases.every_case() if case.count("td_quote") and case.count("td_collateral")]
Opinion = tuple[str, tuple[str, ...]] | None  # status and advisories; None: refused
_END = b"-----END CERTIFICATE-----"


def case_id(value: object) -> str:
    return f"{value.path.parent.name}/{value.name}" if isinstance(value, Case) else str(value)


def theirs(made: Subject, root: bytes | None = None) -> Opinion:
    assert made.collateral is not None
    try:
        parts = dcap_qvl.QuoteCollateralV3.from_json(made.collateral.decode())
        if root is None:
            found = dcap_qvl.verify(made.quote, parts, made.now)
        else:
            found = dcap_qvl.verify_with_root_ca(made.quote, parts, root, made.now)
    except (ValueError, RuntimeError):
        return None
    return found.status, tuple(sorted(found.advisory_ids))


def ours(made: Subject) -> Opinion:
    try:
        claims = made.appraise()
    except (EvidenceRefusedError, MalformedError):
        return None
    return str(claims.tcb.status), claims.tcb.advisories


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_verdict_on_a_case_is_the_same(case: Case) -> None:
    made = tdx.subject(case)
    assert ours(made) == theirs(made)


@pytest.mark.parametrize("mutation", tdx.MUTATIONS)
@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_verdict_on_a_mutation_is_the_same(case: Case, mutation: str) -> None:
    try:
        made = tdx.MUTATIONS[mutation](case)
    except tdx.NotApplicable:
        return
    assert ours(made) is None
    assert theirs(made) is None


# Where this verifier refuses and the other does not: it looks at bytes that the other passes over.
STRICTER: Mapping[str, str] = {
    "root": "the root certificate that travels last in a chain is read, and pinned by its hash",
    "crl-issuer": "the issuer chain of the PCK revocation list is read, and has to be the quote's own",
    "padding": "bytes behind the quote have to be zeros",
    "frame": "PEM has one spelling: nothing between or behind its blocks",
}


def changed(made: Subject) -> Iterator[tuple[str, Subject]]:
    """Yield one-byte changes all over quote and collateral, each with the entry that may explain it."""
    size = len(made.quote) - len(quote.parse(made.quote).trailing)
    ends = [at for at in range(size) if made.quote.startswith(_END, at)]
    for at in range(0, len(made.quote), 83):
        kind = "padding" if at >= size else "root" if at > ends[1] else ""
        if made.quote[at] in b"\r\n-":
            kind = kind or "frame"
        data = bytearray(made.quote)
        data[at] ^= 1
        yield kind, replace(made, quote=bytes(data))
    for tail in (b"\1", made.quote):
        yield "padding", replace(made, quote=made.quote + tail)
    assert made.collateral is not None
    parts: dict[str, str] = json.loads(made.collateral)
    for name, text in parts.items():
        for at in range(3, len(text), max(1, len(text) // 11)):
            other = "1" if text[at] != "1" else "2"
            body = parts | {name: text[:at] + other + text[at + 1 :]}
            yield _kind(name, text, at), replace(made, collateral=json.dumps(body).encode())


def _kind(name: str, text: str, at: int) -> str:
    if name in {"pck_crl_issuer_chain", "pck_certificate_chain"}:
        return "crl-issuer"
    if name.endswith("_chain") and at >= text.index(_END.decode()) + len(_END):
        return "root"
    return "frame" if name.endswith("_chain") and text[at] in "\r\n-" else ""


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_verdict_on_a_changed_byte_is_the_same_or_explained(case: Case) -> None:
    made = tdx.subject(case)
    unexplained: list[str] = []
    for number, (kind, subject) in enumerate(changed(made)):
        mine, other = ours(subject), theirs(subject)
        assert mine is None or mine == other, f"change {number}: accepted as {mine}, by the other as {other}"
        if mine != other and kind not in STRICTER:
            unexplained.append(f"change {number}: the other says {other}")
    assert not unexplained


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_verdict_at_another_time_is_the_same(case: Case) -> None:
    made = tdx.subject(case)
    for days in (-3650, -365, -60, -31, -15, -1, 1, 15, 31, 60, 365, 3650, 36500):
        subject = replace(made, now=made.now + days * 86_400)
        assert ours(subject) == theirs(subject), days


# Statuses of all kinds, of a simulated Intel. (platform, quoting enclave) -> what the other one says.
ROOT = MACHINE.root.public_bytes(serialization.Encoding.DER)
SIMULATED = Subject(MACHINE.quote(), MACHINE.collateral(), intel.NOW)
_HARDENING = (TcbStatus.SW_HARDENING_NEEDED, TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED)
_CONFIGURATION = (TcbStatus.CONFIGURATION_NEEDED, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED)
# Of a quoting enclave's status: Intel gives it UpToDate, OutOfDate and Revoked only.
QE_DIFFERS: Mapping[TcbStatus, str] = {
    **dict.fromkeys(_HARDENING, "the other refuses a hardening status of a quoting enclave"),
    **dict.fromkeys(_CONFIGURATION, "the other drops a configuration status of a quoting enclave"),
}


def simulated(platform: TcbStatus, enclave: TcbStatus) -> Subject:
    info = intel.tcb_info(tcbLevels=[intel.platform_level(platform)])
    identity = intel.qe_identity(tcbLevels=[intel.level(enclave, isvsvn=1)])
    return replace(SIMULATED, collateral=MACHINE.collateral(tcb_info=info, qe_identity=identity))


def ours_simulated(made: Subject) -> Opinion:
    try:
        claims = verify.verify(made.quote, made.collateral, MACHINE.roots, made.now)
    except EvidenceRefusedError:
        return None
    return str(claims.tcb.status), claims.tcb.advisories


@pytest.mark.parametrize("enclave", TcbStatus)
@pytest.mark.parametrize("platform", TcbStatus)
def test_statuses_converge_to_the_same(platform: TcbStatus, enclave: TcbStatus) -> None:
    made = simulated(platform, enclave)
    mine, other = ours_simulated(made), theirs(made, ROOT)
    if TcbStatus.REVOKED in {platform, enclave}:
        assert mine is other is None
    elif enclave in QE_DIFFERS:
        assert mine is not None
        assert other in (None, (platform, ()))
    else:
        assert mine == other


Quote = Callable[[], bytes]


@pytest.mark.parametrize(
    "made",
    [
        lambda: MACHINE.quote(version=5),
        lambda: MACHINE.quote(version=5, td15=False),
        lambda: MACHINE.quote(trailing=bytes(64)),
    ],
    ids=["v5 TD 1.5", "v5 TD 1.0", "padded"],
)
def test_quotes_of_every_kind_are_the_same(made: Quote) -> None:
    subject = replace(SIMULATED, quote=made())
    assert ours_simulated(subject) == theirs(subject, ROOT) == ("UpToDate", ())


def test_the_other_one_also_wants_a_level_for_the_module_that_runs_now() -> None:
    """TEE_TCB_SVN_2: the module's present SVNs, after an update without a relaunch, never below the first.

    This verifier judges TEE_TCB_SVN, the lower of the two; a report whose second is lower no module writes.
    """
    subject = replace(SIMULATED, quote=MACHINE.quote(version=5, td={"tee_tcb_svn_2": bytes(16)}))
    assert ours_simulated(subject) == ("UpToDate", ())
    assert theirs(subject, ROOT) is None


def test_every_difference_is_in_the_docs() -> None:
    page = PAGE.read_text("utf-8")
    missing = [words for words in {*STRICTER.values(), *QE_DIFFERS.values()} if words not in page]
    assert not missing
    assert "TEE_TCB_SVN_2" in page
