"""Which TCB level a platform, its TDX module and its quoting enclave have, and what all three mean. Pure.

Intel Trusted Services API, "TCB Info V3", and the rules of Intel's quote verification library: levels come
in descending order and the first that is reached in every part decides; no level reached is a refusal, not
the lowest level. The status of the whole is the union of what is wrong with its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import ge
from typing import TypeVar

from runtime.attestation.findings import Findings, Reason
from runtime.attestation.tees.tdx.qe import QeReport
from runtime.attestation.tees.tdx.quote import TdReport
from runtime.attestation.tees.tdx.reasons import MODULE, QE_IDENTITY
from runtime.attestation.tees.tdx.sgx_extension import PckClaims
from runtime.attestation.tees.tdx.tcb_info import (
    Module,
    PlatformLevel,
    QeIdentity,
    SvnLevel,
    TcbInfo,
    TcbStatus,
    Verdict,
)

_MODULE_SVN, _MODULE_MAJOR = 0, 1  # TEE_TCB_SVN: what its first two bytes are
_SOURCE = "Intel's TCB info"

L = TypeVar("L", PlatformLevel, SvnLevel)


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbClaims:
    """The verdicts of Intel on the three parts, and their union."""

    platform: Verdict
    module: Verdict | None  # None for the module of TDX 1.0, whose SVN is one of the platform's components
    qe: Verdict
    status: TcbStatus
    advisories: tuple[str, ...]  # of all parts, sorted
    date: int  # Unix seconds: the oldest of the parts
    outdated_since: int | None  # Unix seconds: Intel dated newer fixes then; None: no part is out of date


def check_module(findings: Findings, report: TdReport, info: TcbInfo) -> Module | None:
    """Note whether the TDX module is one that Intel signs; return it."""
    major = report.tee_tcb_svn[_MODULE_MAJOR]
    wanted = f"TDX_{major:02X}"
    known = [info.base_module] if major == 0 else [entry for entry in info.modules if entry.id == wanted]
    if not findings.require(
        len(known) == 1,
        "module.identity",
        MODULE,
        expected=lambda: ", ".join(entry.id for entry in info.modules) or "the module of TDX 1.0",
        actual=wanted,
        source="TEE_TCB_SVN of the quote",
        remedy="Intel's TCB info does not know this TDX module: fetch newer collateral, or update the host",
    ):
        return None
    module = known[0]
    findings.require(
        report.mrsignerseam == module.mrsigner,
        "module.signer",
        MODULE,
        expected=module.mrsigner.hex(),
        actual=report.mrsignerseam.hex(),
        source="MRSIGNERSEAM of the quote",
        remedy="the host runs a TDX module that Intel did not sign: use another host",
    )
    findings.require(
        _masked(report.seam_attributes, module.mask) == module.attributes,
        "module.attributes",
        MODULE,
        expected=lambda: f"{module.attributes.hex()} under the mask {module.mask.hex()}",
        actual=report.seam_attributes.hex(),
        source="SEAMATTRIBUTES of the quote",
        remedy="the host runs a TDX module for development: use another host",
    )
    return module


def check_qe(findings: Findings, qe: QeReport, identity: QeIdentity) -> None:
    """Note whether the quoting enclave is Intel's: signer, product and attributes."""
    wanted = {
        "signer": (identity.mrsigner.hex(), qe.mrsigner.hex()),
        "product": (str(identity.isv_prod_id), str(qe.isv_prod_id)),
        "miscselect": (f"{identity.miscselect:#x}", f"{qe.miscselect & identity.miscselect_mask:#x}"),
        "attributes": (
            identity.attributes.hex(),
            _masked(qe.attributes, identity.attributes_mask).hex(),
        ),
    }
    for name, (expected, actual) in wanted.items():
        findings.require(
            expected == actual,
            f"qe.{name}",
            QE_IDENTITY,
            expected=expected,
            actual=actual,
            source="the quoting enclave's report, against Intel's identity of it",
            remedy="another enclave than Intel's TD quoting enclave made this quote: use Intel's",
        )


def check_levels(
    findings: Findings,
    report: TdReport,
    pck: PckClaims,
    qe: QeReport,
    info: TcbInfo,
    identity: QeIdentity,
    module: Module | None,
) -> TcbClaims | None:
    """Note whether each part reaches a level that is not revoked; return what the levels mean."""
    platform = _first(info.levels, lambda level: _fits(level, report, pck))
    _reached(findings, "tcb.platform", platform, lambda: _svns(pck, report))
    newer = None
    if module is not None and module.levels:
        svn = report.tee_tcb_svn[_MODULE_SVN]
        newer = _first(module.levels, lambda level: svn >= level.isv_svn)
        _reached(findings, "tcb.module", newer, lambda: f"module SVN {svn}")
    enclave = _first(identity.levels, lambda level: qe.isv_svn >= level.isv_svn)
    _reached(findings, "tcb.qe", enclave, lambda: f"ISVSVN {qe.isv_svn}")
    if platform is None or enclave is None or (newer is None and report.tee_tcb_svn[_MODULE_MAJOR] != 0):
        return None
    reached = [part for part in (platform, newer, enclave) if part is not None]
    parts = [part.verdict for part in reached]
    late = [part.replaced for part in reached if part.verdict.status.startswith("OutOfDate")]
    return TcbClaims(
        platform=platform.verdict,
        module=None if newer is None else newer.verdict,
        qe=enclave.verdict,
        status=converge(part.status for part in parts),
        advisories=tuple(sorted({name for part in parts for name in part.advisories})),
        date=min(part.date for part in parts),
        outdated_since=min(late, default=None),
    )


def converge(statuses: Iterable[TcbStatus]) -> TcbStatus:
    """Return the status of a whole from its parts': everything that is wrong with one is wrong with it."""
    found = set(statuses)
    if TcbStatus.REVOKED in found:
        return TcbStatus.REVOKED
    configuration = any("Configuration" in status for status in found)
    if any(status.startswith("OutOfDate") for status in found):
        return TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED if configuration else TcbStatus.OUT_OF_DATE
    hardening = any("SWHardening" in status for status in found)
    match configuration, hardening:
        case True, True:
            return TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED
        case True, False:
            return TcbStatus.CONFIGURATION_NEEDED
        case False, True:
            return TcbStatus.SW_HARDENING_NEEDED
        case _:
            return TcbStatus.UP_TO_DATE


def _fits(level: PlatformLevel, report: TdReport, pck: PckClaims) -> bool:
    # The first two TDX components are the module's, which a module identity judges where there is one.
    first = 0 if report.tee_tcb_svn[_MODULE_MAJOR] == 0 else 2
    return (
        _reaches(pck.components, level.sgx)
        and pck.pce_svn >= level.pce_svn
        and _reaches(report.tee_tcb_svn[first:], level.tdx[first:])
    )


def _reaches(mine: Sequence[int], least: Sequence[int]) -> bool:
    return len(mine) == len(least) and all(map(ge, mine, least))


@dataclass(frozen=True, slots=True)
class _Level:
    verdict: Verdict
    replaced: int  # Unix seconds: the first date of newer fixes; its own where Intel names none


def _first(levels: tuple[L, ...], fits: Callable[[L], bool]) -> _Level | None:
    """Return the first level that is reached: Intel lists the newest first."""
    for at, level in enumerate(levels):
        if fits(level):
            date = level.verdict.date
            newer = [above.verdict.date for above in levels[:at] if above.verdict.date > date]
            return _Level(level.verdict, min(newer, default=date))
    return None


def _reached(findings: Findings, check: str, level: _Level | None, found: Callable[[], str]) -> None:
    findings.require(
        level is not None,
        check,
        Reason.TCB,
        expected="a TCB level that Intel lists",
        actual=lambda: f"below all of them ({found()})",
        source=_SOURCE,
        remedy="firmware, microcode or the TDX module is too old for any level: update the host",
    )
    if level is not None:
        findings.require(
            level.verdict.status is not TcbStatus.REVOKED,
            f"{check}.revoked",
            Reason.REVOKED,
            expected="a TCB level that Intel has not revoked",
            actual=lambda: f"revoked ({found()})",
            source=_SOURCE,
            remedy="keys of this TCB level are known to be broken: update the host and collect a new quote",
        )


def _svns(pck: PckClaims, report: TdReport) -> str:
    return f"PCESVN {pck.pce_svn}, SVNs {bytes(pck.components).hex()} and {report.tee_tcb_svn.hex()}"


def _masked(value: bytes, mask: bytes) -> bytes:
    return (int.from_bytes(value, "big") & int.from_bytes(mask, "big")).to_bytes(len(mask), "big")
