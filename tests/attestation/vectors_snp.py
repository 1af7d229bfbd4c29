"""What is wrong with an SEV-SNP report or its endorsements. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.attestation.findings import Reason
from tests.attestation import parts_snp as amd
from tests.attestation import vector_parts as parts
from tests.attestation.vector import Vector, vector
from tests.fakes import fleets, snp_report


def _snp(what: str, check: str, reason: str, fields: Mapping[str, Any] | None = None, **more: Any) -> Vector:
    options = {"snp": dict(fields)} if fields is not None else more.pop("options", {})
    return vector("SEV-SNP", what, "gcp-snp", check, reason, options=options, **more)


def _tcb(**changes: int) -> bytes:
    return snp_report.raw_tcb("Milan", {**snp_report.TCBS["Milan"], **changes})


def _policy(**changes: Any) -> dict[str, Any]:
    right = {"smt": "allowed", "cxl": "forbidden", "min_abi": "0.0", "require": []}
    return {"values": {"snp": {"guest_policy": right | changes}}}


SNP: tuple[Vector, ...] = (
    _snp("report version 2, which names no processor", "snp.version", Reason.VERSION, {"version": 2}),
    _snp(
        "report one byte short",
        "snp.malformed",
        Reason.MALFORMED,
        says="is 1183 bytes, want 1184",
        lazy=parts.short_report,
    ),
    _snp(
        "a must-be-zero range is not zero",
        "snp.malformed",
        Reason.MALFORMED,
        says="bytes 0x18b to 0x19f must be zero",
        lazy=parts.reserved_report,
    ),
    _snp(
        "SIGNATURE_ALGO is not ECDSA P-384",
        "snp.malformed",
        Reason.MALFORMED,
        {"signature_algo": 2},
        says="SIGNATURE_ALGO is 2, want 1",
    ),
    _snp("no signing key", "snp.malformed", Reason.MALFORMED, {"signing_key": 7}, says="SIGNING_KEY is 7"),
    _snp(
        "a signature longer than its curve",
        "snp.malformed",
        Reason.MALFORMED,
        says="R is longer than 48 bytes",
        lazy=amd.long_signature,
    ),
    _snp(
        "a report that says VLEK beside a VCEK's chain",
        "chain.names.leaf",
        Reason.CHAIN,
        {"signing_key": 1},
        also=("chain.names.intermediate",),
    ),
    _snp("another chip's key signed", "report.signature", Reason.SIGNATURE, lazy=parts.signed_by_another),
    _snp(
        "signer kind that the owner did not list",
        "snp.signer",
        Reason.SIGNER,
        fleet={"values": {"snp": {"signers": ["vlek"]}}},
    ),
    _snp("a VEK's root that is not pinned", "chain.root", Reason.CHAIN, how={"roots": "without TrustRoot"}),
    _snp(
        "a root that is pinned for another product line",
        "chain.product",
        Reason.CHAIN,
        lazy=amd.pinned_for_another_product,
    ),
    *(
        _snp(f"{thing} that has expired", f"chain.dates.{role}", Reason.EXPIRED, lazy=lazy)
        for thing, role, lazy in (
            ("a root", "root", amd.authorities(root={"days": 1})),
            ("an intermediate", "intermediate", amd.authorities(middle={"days": 1})),
        )
    ),
    *(
        _snp(f"{thing} of another subject", f"chain.names.{role}", Reason.CHAIN, lazy=lazy)
        for thing, role, lazy in (
            ("a root", "root", amd.authorities(root={"subject": "ARK-Milano"})),
            ("an intermediate", "intermediate", amd.authorities(middle={"subject": "SEV-Milano"})),
        )
    ),
    *(
        _snp(f"{thing}", f"chain.authority.{role}", Reason.CHAIN, lazy=lazy)
        for thing, role, lazy in (
            ("a root that may not sign lists", "root", amd.authorities(root={"crl_sign": False})),
            (
                "an intermediate that may certify authorities",
                "intermediate",
                amd.authorities(middle={"path_length": 1}),
            ),
            ("a VEK that is an authority", "leaf", amd.vek_of_an_authority),
        )
    ),
    _snp(
        "an intermediate that the root did not sign",
        "chain.signature.intermediate",
        Reason.CHAIN,
        lazy=amd.authorities(middle={"foreign": True}),
    ),
    _snp(
        "an intermediate that was signed with another salt",
        "chain.signature.intermediate",
        Reason.CHAIN,
        lazy=amd.authorities(middle={"salt": 32}),
    ),
    _snp("a VEK that has expired", "chain.dates.leaf", Reason.EXPIRED, lazy=parts.expired_vek),
    _snp("a VEK of another subject", "chain.names.leaf", Reason.CHAIN, lazy=parts.misnamed_vek),
    _snp(
        "a VEK that the intermediate did not sign",
        "chain.signature.leaf",
        Reason.CHAIN,
        lazy=parts.unsigned_vek,
    ),
    *(
        _snp(what, f"endorsements.{name}", Reason.CHAIN, options={"endorsements": {name: None}})
        for what, name in (
            ("no VEK", "vek"),
            ("no intermediate", "intermediate"),
            ("no root", "root"),
        )
    ),
    _snp(
        "an intermediate that AMD revoked",
        "revocation.intermediate",
        Reason.REVOKED,
        lazy=parts.revoked_intermediate,
    ),
    _snp(
        "a revocation list that has ended",
        "revocation.dates",
        Reason.REVOCATION_UNKNOWN,
        lazy=parts.stale_list,
    ),
    _snp(
        "a revocation list of somebody else",
        "revocation.signature",
        Reason.REVOCATION_UNKNOWN,
        lazy=parts.foreign_list,
    ),
    _snp(
        "no revocation list, which the owner requires",
        "snp.revocation",
        Reason.REVOCATION_UNKNOWN,
        options={"endorsements": {"crl": None}},
    ),
    _snp(
        "a VEK for another TCB",
        "vek.tcb",
        Reason.TCB,
        {"reported_tcb": _tcb(snp=25), "current_tcb": _tcb(snp=25), "committed_tcb": _tcb(snp=25)},
    ),
    _snp("a VEK for another chip", "vek.chip_id", Reason.CHIP_ID, {"chip_id": b"\x77" * 64}),
    _snp("a VEK for another product", "vek.product", Reason.CHAIN, lazy=amd.vek_of_another_product),
    _snp(
        "a security version in a second spelling",
        "snp.malformed",
        Reason.MALFORMED,
        says="want one canonical INTEGER",
        lazy=parts.long_integer,
    ),
    vector(
        "SEV-SNP",
        "a VLEK's report that names a chip",
        "aws-snp-nitrotpm",
        "vek.chip_id",
        Reason.CHIP_ID,
        options={"snp": {"chip_id": b"\x77" * 64}},
    ),
    vector(
        "SEV-SNP",
        "a VLEK that names a chip",
        "aws-snp-nitrotpm",
        "snp.malformed",
        Reason.MALFORMED,
        says="is a VLEK that names a chip",
        lazy=amd.vlek_of_a_chip,
    ),
    vector(
        "SEV-SNP",
        "a VLEK of another region",
        "aws-snp-nitrotpm",
        "snp.csp_id",
        Reason.CSP_ID,
        fleet={"values": {"snp": {"csp_ids": ["CN=cc-us-east-2.amazonaws.com"]}}},
    ),
    _snp("reported TCB below the floor", "tcb.reported", Reason.TCB, lazy=parts.low_reported),
    _snp(
        "committed TCB below the floor",
        "tcb.committed",
        Reason.TCB,
        {"committed_tcb": _tcb(microcode=218)},
        fleet={"values": {"snp": {"provisional_firmware": True}}},
    ),
    _snp("launch TCB below the floor", "tcb.launch", Reason.TCB, {"launch_tcb": _tcb(microcode=218)}),
    _snp(
        "firmware that the host can still roll back",
        "tcb.provisional",
        Reason.TCB,
        {"current_version": (1, 56, 0)},
    ),
    _snp(
        "a chip that reports more than it runs",
        "tcb.current",
        Reason.TCB,
        lazy=amd.reports_more_than_it_runs,
    ),
    _snp(
        "a processor that has no name here",
        "report.product",
        Reason.PRODUCT,
        {"cpuid": (0x19, 0x50, 0x01)},
        also=("chain.product",),
    ),
    _snp(
        "a product that the owner did not list",
        "snp.product",
        Reason.PRODUCT,
        also=("snp.known_weak", "tcb.reported", "tcb.committed", "tcb.launch"),
        fleet={"values": {"snp": {"products": fleets.snp_values(["Genoa"])["products"]}}},
    ),
    _snp(
        "a known-weak product without the owner's reason",
        "snp.known_weak",
        Reason.KNOWN_WEAK,
        fleet={
            "values": {
                "snp": {"products": {"Milan": {"min_tcb": dict(snp_report.TCBS["Milan"]), "opt_in": []}}}
            }
        },
    ),
    _snp("DEBUG on", "policy.debug", Reason.DEBUG, {"policy": snp_report.POLICY | 1 << 19}),
    _snp("MIGRATE_MA on", "policy.migration", Reason.MIGRATION, {"policy": snp_report.POLICY | 1 << 18}),
    _snp(
        "a reserved policy bit",
        "policy.reserved",
        Reason.GUEST_POLICY,
        {"policy": snp_report.POLICY | 1 << 26},
    ),
    _snp(
        "policy bit 17 clear",
        "policy.reserved",
        Reason.GUEST_POLICY,
        {"policy": snp_report.POLICY & ~(1 << 17)},
    ),
    _snp("SMT, which the owner forbids", "policy.smt", Reason.GUEST_POLICY, fleet=_policy(smt="forbidden")),
    _snp(
        "CXL, which the owner forbids",
        "policy.cxl",
        Reason.GUEST_POLICY,
        {"policy": snp_report.POLICY | 1 << 21},
    ),
    _snp("an older guest ABI", "policy.abi", Reason.GUEST_POLICY, fleet=_policy(min_abi="1.0")),
    *(
        _snp(
            f"{bit} off in the policy, which the owner requires",
            f"policy.{bit}",
            Reason.GUEST_POLICY,
            fleet=_policy(require=[bit]),
        )
        for bit in (
            "single_socket",
            "aes_256_xts",
            "rapl_disabled",
            "ciphertext_hiding",
            "page_swap_disabled",
        )
    ),
    _snp(
        "ALIAS_CHECK_COMPLETE off (BadRAM), on Milan with the owner's reason",
        "platform.alias_check_complete",
        Reason.PLATFORM,
        {"platform_info": 0x5},
        fleet={
            "values": {
                "snp": {
                    "products": {
                        "Milan": {
                            "min_tcb": dict(snp_report.TCBS["Milan"]),
                            "opt_in": [
                                *fleets.opt_in("Milan", "simulated: no seed to extract"),
                                {"weakness": "cve-2024-21944", "reason": "simulated: no memory to alias"},
                            ],
                        }
                    }
                }
            }
        },
    ),
    *(
        _snp(
            f"{bit} off on the platform, which the owner requires",
            f"platform.{bit}",
            Reason.PLATFORM,
            fleet={"values": {"snp": {"platform_require": [bit]}}},
        )
        for bit in ("tsme", "rapl_disabled", "ciphertext_hiding", "tio")
    ),
    _snp(
        "ecc off on the platform, which the owner requires",
        "platform.ecc",
        Reason.PLATFORM,
        {"platform_info": snp_report.PLATFORM_INFO & ~(1 << 2)},
        fleet={"values": {"snp": {"platform_require": ["ecc"]}}},
    ),
    _snp("privilege level 1", "snp.vmpl", Reason.VMPL, {"vmpl": 1}),
    _snp("another connection's binder", "binding.report_data", Reason.BINDING, {"report_data": b"\x01" * 64}),
    _snp(
        "firmware that nobody listed",
        "firmware.measurement",
        Reason.MEASUREMENT,
        {"measurement": b"\xf2" * 48},
    ),
    _snp("an ID key that nobody listed", "snp.id_key", Reason.SIGNING_KEYS, {"id_key_digest": b"\x01" * 48}),
    _snp("AUTHOR_KEY_EN without a key", "snp.author_key", Reason.SIGNING_KEYS, {"author_key_en": 1}),
    _snp("a migration agent", "snp.migration_agent", Reason.MIGRATION, {"report_id_ma": bytes(32)}),
    _snp(
        "a guest version below the floor",
        "snp.guest_svn",
        Reason.GUEST_SVN,
        fleet={"values": {"snp": {"min_guest_svn": 1}}},
    ),
    _snp(
        "mitigation bits missing (version 5)",
        "snp.mitigations",
        Reason.MITIGATIONS,
        {"version": 5, "mitigations": (3, 1)},
        fleet={"values": {"snp": {"required_mitigations": "0x3"}}},
    ),
)
