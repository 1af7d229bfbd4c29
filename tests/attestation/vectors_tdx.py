"""What is wrong with a TDX quote, its collateral or its log. Pure."""

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


def _tdx(what: str, check: str, reason: str, tdx: Mapping[str, Any] | None = None, **more: Any) -> Vector:
    options = {"tdx": dict(tdx)} if tdx is not None else more.pop("options", {})
    return vector("TDX", what, "gcp-tdx", check, reason, options=options, **more)


TDX: tuple[Vector, ...] = (
    _tdx(
        "quote version 6",
        "tdx.malformed",
        Reason.MALFORMED,
        also=("quote.qualifying_data",),
        says="version is 6, want 4 or 5",
        lazy=parts.quote_version,
    ),
    _tdx(
        "another TEE type",
        "tdx.malformed",
        Reason.MALFORMED,
        also=("quote.qualifying_data",),
        says="TEE type is 0, want 129",
        lazy=parts.quote_tee,
    ),
    _tdx(
        "another kind of attestation key",
        "tdx.malformed",
        Reason.MALFORMED,
        also=("quote.qualifying_data",),
        says="attestation key type is 3, want 2",
        lazy=intel.key_type,
    ),
    _tdx("another quoting enclave's vendor", "quote.vendor", str(reasons.QE_IDENTITY), {"vendor": bytes(16)}),
    _tdx(
        "another key signed the quote",
        "quote.signature",
        Reason.SIGNATURE,
        {"signing_key": td_machine.OTHER_KEY},
    ),
    _tdx(
        "the quoting enclave vouches for another key",
        "qe.binding",
        str(reasons.QE_BINDING),
        {"qe": {"report_data": bytes(64)}},
    ),
    _tdx(
        "the PCK did not sign the quoting enclave's report",
        "qe.signature",
        str(reasons.QE_SIGNATURE),
        {"pck_key": td_machine.OTHER_KEY},
    ),
    _tdx(
        "certification data that yields no PCK chain",
        "tdx.malformed",
        Reason.MALFORMED,
        also=("quote.qualifying_data",),
        says="QE certification data type is 1, want 5",
        lazy=parts.certification_type,
    ),
    _tdx(
        "bytes behind the quote that nothing signs",
        "quote.padding",
        str(reasons.PADDING),
        {"trailing": b"\x01"},
    ),
    *(
        _tdx(f"a quoting enclave of another {name}", f"qe.{name}", str(reasons.QE_IDENTITY), {"qe": changed})
        for name, changed in (
            ("signer", {"mrsigner": bytes(32)}),
            ("product", {"prod_id": 1}),
            ("miscselect", {"miscselect": 1}),
            ("attributes", {"attributes": bytes([0x31]) + bytes(15)}),
        )
    ),
    _tdx(
        "a TDX module that Intel did not sign",
        "module.signer",
        str(reasons.MODULE),
        {"td": {"mrsignerseam": b"\x01" * 48}},
    ),
    _tdx(
        "a TDX module that Intel's TCB info does not know",
        "module.identity",
        str(reasons.MODULE),
        {"td": {"tee_tcb_svn": bytes([6, 5, 3])}},
    ),
    _tdx(
        "a TDX module for development",
        "module.attributes",
        str(reasons.MODULE),
        {"td": {"seam_attributes": b"\x01"}},
    ),
    _tdx(
        "a platform below every TCB level",
        "tcb.platform",
        Reason.TCB,
        lazy=intel.collateral(
            tcb_info=fake_intel.tcb_info(tcbLevels=[fake_intel.platform_level("UpToDate", pce_svn=14)])
        ),
    ),
    _tdx(
        "a TDX module below every TCB level",
        "tcb.module",
        Reason.TCB,
        {"td": {"tee_tcb_svn": bytes([1, 1, 3])}},
    ),
    _tdx("a quoting enclave below every TCB level", "tcb.qe", Reason.TCB, {"qe": {"isv_svn": 0}}),
    _tdx(
        "a TDX module that Intel revoked",
        "tcb.module.revoked",
        Reason.REVOKED,
        {"td": {"tee_tcb_svn": bytes([2, 1, 3])}},
    ),
    _tdx("a quoting enclave that Intel revoked", "tcb.qe.revoked", Reason.REVOKED, {"qe": {"isv_svn": 1}}),
    _tdx("TCB out of date", "tcb.status", Reason.TCB, lazy=parts.out_of_date),
    _tdx(
        "TCB out of date, and past the owner's days of grace",
        "tcb.status",
        Reason.TCB,
        lazy=parts.out_of_date,
        fleet={"values": {"tdx": {"out_of_date_grace_days": 64}}},  # the level is of 64 days before
    ),
    *(
        _tdx(
            f"TCB status {status}, which the owner did not list",
            "tcb.status",
            Reason.TCB,
            lazy=intel.collateral(
                tcb_info=fake_intel.tcb_info(tcbLevels=[fake_intel.platform_level(status)])
            ),
        )
        for status in ("SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded")
    ),
    _tdx(
        "TCB revoked, whatever the owner accepts",
        "tcb.platform.revoked",
        Reason.REVOKED,
        lazy=parts.revoked_tcb,
    ),
    _tdx(
        "an advisory that the owner refuses",
        "tcb.advisories",
        Reason.TCB,
        lazy=parts.advisory,
        fleet={
            "values": {
                "tdx": {"statuses": ["UpToDate", "OutOfDate"], "refused_advisories": ["INTEL-SA-01036"]}
            }
        },
    ),
    _tdx("DEBUG", "td.debug", Reason.DEBUG, {"td": {"td_attributes": parts.attributes(0)}}),
    _tdx("MIGRATABLE", "td.migratable", Reason.MIGRATION, {"td": {"td_attributes": parts.attributes(29)}}),
    _tdx(
        "a reserved attribute",
        "td.attributes.reserved",
        Reason.GUEST_POLICY,
        {"td": {"td_attributes": parts.attributes(5)}},
    ),
    _tdx(
        "SEPT_VE_DISABLE clear",
        "td.sept_ve_disable",
        Reason.GUEST_POLICY,
        {"td": {"td_attributes": bytes(8)}},
    ),
    _tdx(
        "PKS, which the owner does not allow",
        "td.pks",
        Reason.GUEST_POLICY,
        {"td": {"td_attributes": parts.attributes(30)}},
    ),
    _tdx(
        "Key Locker, which the owner does not allow",
        "td.key_locker",
        Reason.GUEST_POLICY,
        {"td": {"td_attributes": parts.attributes(31)}},
    ),
    _tdx(
        "PERFMON, which the owner does not allow",
        "td.perfmon",
        Reason.GUEST_POLICY,
        {"td": {"td_attributes": parts.attributes(63)}},
    ),
    _tdx(
        "XFAM without SSE",
        "td.xfam.reserved",
        Reason.GUEST_POLICY,
        {"td": {"xfam": (0x602E5).to_bytes(8, "little")}},
    ),
    _tdx(
        "a feature in XFAM that nobody has defined",
        "td.xfam.reserved",
        Reason.GUEST_POLICY,
        {"td": {"xfam": (0x602E7 | 1 << 20).to_bytes(8, "little")}},
        fleet={"values": {"tdx": {"xfam_allowed": "0x1602e7"}}},
    ),
    _tdx(
        "a feature that the owner does not allow",
        "td.xfam",
        Reason.GUEST_POLICY,
        fleet={"values": {"tdx": {"xfam_allowed": "0x2e7"}}},
    ),
    _tdx(
        "a service TD", "td.service_td", Reason.MIGRATION, {"version": 5, "td": {"mrservicetd": b"\x01" * 48}}
    ),
    _tdx(
        "MRCONFIGID that nobody listed",
        "td.mrconfigid",
        Reason.MEASUREMENT,
        {"td": {"mrconfigid": b"\x01" * 48}},
    ),
    _tdx("MROWNER that nobody listed", "td.mrowner", Reason.MEASUREMENT, {"td": {"mrowner": b"\x01" * 48}}),
    _tdx(
        "MROWNERCONFIG that nobody listed",
        "td.mrownerconfig",
        Reason.MEASUREMENT,
        {"td": {"mrownerconfig": b"\x01" * 48}},
    ),
    _tdx(
        "a TDX module that nobody listed", "td.mrseam", Reason.MEASUREMENT, {"td": {"mrseam": b"\x12" * 48}}
    ),
    _tdx(
        "firmware that nobody listed or endorsed",
        "firmware.measurement",
        Reason.MEASUREMENT,
        {"td": {"mrtd": b"\x23" * 48}},
    ),
    _tdx(
        "another connection's binder",
        "binding.report_data",
        Reason.BINDING,
        {"td": {"report_data": b"\x01" * 64}},
    ),
    _tdx(
        "a platform to which packages may be added",
        "platform.dynamic_platform",
        Reason.PLATFORM,
        {"pck": parts.platform(dynamic=True)},
    ),
    _tdx(
        "a platform whose keys Intel keeps",
        "platform.cached_keys",
        Reason.PLATFORM,
        {"pck": parts.platform(cached=True)},
    ),
    _tdx("a platform with SMT", "platform.smt", Reason.PLATFORM, {"pck": parts.platform(smt=True)}),
    _tdx(
        "RTMR1 of another image",
        "image.rtmr1",
        Reason.MEASUREMENT,
        fleet={"measurements": {"rtmr1": ["01" * 48]}},
    ),
    _tdx(
        "RTMR2 of another image",
        "image.rtmr2",
        Reason.MEASUREMENT,
        fleet={"measurements": {"rtmr2": ["01" * 48]}},
    ),
    *(
        _tdx(
            f"a log that does not lead to RTMR{rtmr}",
            f"ccel.rtmr{rtmr}",
            "replay",
            lazy=intel.ccel_without(rtmr),
        )
        for rtmr in range(3)
    ),
    _tdx(
        "RTMR3 is zero: no settings were measured",
        "settings.register",
        Reason.SETTINGS,
        {"td": {"rtmr3": bytes(48)}},
    ),
    _tdx("RTMR3 of other settings", "settings.register", Reason.SETTINGS, {"td": {"rtmr3": b"\x01" * 48}}),
    _tdx(
        "RTMR0 that nobody pinned, for a role that wants grade H",
        "grade.least",
        Reason.GRADE,
        fleet={
            "firmware": {"rtmr0": b"\x01" * 48},
            "least_grade": {"server": "H", "client": "H", "key_receiver": "H"},
        },
        how={"roots": "hardware"},
    ),
)
