"""What is wrong with the certificates under a TDX quote, or with Intel's collateral. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.attestation.findings import Reason
from runtime.attestation.tees.tdx import reasons
from tests.attestation import parts_tdx as intel
from tests.attestation import vector_parts as parts
from tests.attestation.vector import Vector, vector
from tests.fakes import intel as fake_intel
from tests.fakes import td_machine


def _intel(what: str, check: str, reason: str, tdx: Mapping[str, Any] | None = None, **more: Any) -> Vector:
    options = {"tdx": dict(tdx)} if tdx is not None else more.pop("options", {})
    return vector("TDX certificates and collateral", what, "gcp-tdx", check, reason, options=options, **more)


INTEL: tuple[Vector, ...] = (
    _intel(
        "a chain under another root",
        "chain.root",
        Reason.CHAIN,
        how={"roots": "without IntelRoot"},
        also=("collateral.tcb_info.root", "revocation.pck_crl.issuer"),
    ),
    _intel("a root that has expired", "chain.dates.root", Reason.EXPIRED, lazy=intel.expired_root),
    _intel("a PCK CA that has expired", "chain.dates.intermediate", Reason.EXPIRED, {"ca": {"days": 1}}),
    _intel("a PCK CA of another name", "chain.names.intermediate", Reason.CHAIN, lazy=intel.other_ca),
    _intel(
        "a PCK of another name",
        "chain.names.leaf",
        Reason.CHAIN,
        {"pck": {"subject": "Intel SGX PCK"}},
    ),
    _intel(
        "a PCK CA that may certify authorities",
        "chain.authority.intermediate",
        Reason.CHAIN,
        {"ca": {"path_length": 1}},
    ),
    _intel("a PCK that is an authority", "chain.authority.leaf", Reason.CHAIN, {"pck": {"ca": True}}),
    _intel(
        "a PCK CA that the root did not sign",
        "chain.signature.intermediate",
        Reason.CHAIN,
        {"ca": {"issuer_key": td_machine.OTHER_KEY}},
    ),
    _intel(
        "a PCK that the CA did not sign",
        "chain.signature.leaf",
        Reason.CHAIN,
        {"pck": {"issuer_key": td_machine.OTHER_KEY}},
    ),
    _intel("a PCK that has expired", "chain.dates.leaf", Reason.EXPIRED, lazy=parts.expired_pck),
    _intel("a PCK that Intel revoked", "revocation.pck_crl", Reason.REVOKED, lazy=parts.revoked_pck),
    _intel("a PCK CA that Intel revoked", "revocation.root_ca_crl", Reason.REVOKED, lazy=parts.revoked_ca),
    _intel(
        "a stale PCK revocation list",
        "revocation.pck_crl.dates",
        Reason.EXPIRED,
        lazy=parts.stale_pck_list,
    ),
    _intel(
        "a stale list of the root",
        "revocation.root_ca_crl.dates",
        Reason.EXPIRED,
        lazy=intel.stale_root_list,
    ),
    _intel(
        "a PCK revocation list that the CA did not sign",
        "revocation.pck_crl.signature",
        Reason.REVOCATION_UNKNOWN,
        lazy=intel.unsigned_pck_list,
    ),
    _intel(
        "a list that the root did not sign",
        "revocation.root_ca_crl.signature",
        Reason.REVOCATION_UNKNOWN,
        lazy=intel.unsigned_root_list,
    ),
    _intel(
        "a revocation list that came with another CA",
        "revocation.pck_crl.issuer",
        Reason.REVOCATION_UNKNOWN,
        lazy=intel.list_of_another_ca,
    ),
    _intel(
        "no collateral",
        "endorsements.collateral",
        str(reasons.COLLATERAL),
        options={"endorsements": {"tdx_collateral": None}},
    ),
    _intel(
        "TCB info that another key signed",
        "collateral.tcb_info.signature",
        str(reasons.COLLATERAL_SIGNATURE),
        lazy=parts.tcb_info_signature,
    ),
    _intel(
        "QE identity that another key signed",
        "collateral.qe_identity.signature",
        str(reasons.COLLATERAL_SIGNATURE),
        lazy=intel.identity_signature,
    ),
    *(
        _intel(f"{thing} whose signer {what}", f"collateral.{body}.{check}", reason, lazy=lazy)
        for body, thing in (("tcb_info", "TCB info"), ("qe_identity", "QE identity"))
        for what, check, reason, lazy in (
            ("is under another root", "root", Reason.CHAIN, intel.signer_under_another_root(body)),
            ("has another name", "names.signer", Reason.CHAIN, intel.signer(body, subject="Intel TCB")),
            ("is an authority", "authority.signer", Reason.CHAIN, intel.signer(body, ca=True)),
            (
                "the root did not sign",
                "signature.signer",
                Reason.CHAIN,
                intel.signer(body, issuer_key=td_machine.OTHER_KEY),
            ),
            ("has expired", "dates.signer", Reason.EXPIRED, intel.signer(body, days=1)),
        )
    ),
    _intel(
        "TCB info for SGX",
        "collateral.tcb_info.kind",
        str(reasons.COLLATERAL),
        lazy=intel.collateral(tcb_info=fake_intel.tcb_info(id="SGX")),
    ),
    _intel(
        "the identity of SGX' quoting enclave",
        "collateral.qe_identity.kind",
        str(reasons.COLLATERAL),
        lazy=intel.collateral(qe_identity=fake_intel.qe_identity(id="QE")),
    ),
    _intel("TCB info that has ended", "collateral.tcb_info.dates", Reason.EXPIRED, lazy=parts.tcb_info_dates),
    _intel(
        "QE identity that has ended",
        "collateral.qe_identity.dates",
        Reason.EXPIRED,
        lazy=parts.qe_identity_dates,
    ),
    _intel(
        "TCB info of another platform", "collateral.fmspc", str(reasons.COLLATERAL), lazy=parts.other_fmspc
    ),
    _intel(
        "TCB info of another provisioning enclave",
        "collateral.pce_id",
        str(reasons.COLLATERAL),
        lazy=intel.collateral(tcb_info=fake_intel.tcb_info(pceId="0001")),
    ),
    _intel(
        "an evaluation number below the floor",
        "tcb.evaluation_number",
        Reason.TCB,
        fleet={"values": {"tdx": {"min_evaluation_number": 20}}},
    ),
    _intel(
        "a chain of two certificates",
        "tdx.malformed",
        Reason.MALFORMED,
        also=(
            "ccel.rtmr0",
            "ccel.rtmr1",
            "ccel.rtmr2",
            "quote.qualifying_data",
        ),
        says="holds 2 certificates, want 3",
        lazy=intel.short_chain,
    ),
)
