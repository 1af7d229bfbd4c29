"""Is this report true: signed by a genuine AMD chip, endorsed for that chip and its firmware? Pure.

Hardware truth only; what the owner wants of it is `policy`'s. Nothing here can be waived, and every failed
check of this stage is in the refusal.

An attacker controls every byte of the evidence, the endorsements among them. The goal is that Claims come
into being only under a pinned root, for the very chip and firmware that AMD certified. Not defended: a
signing key that was extracted from a chip (`known_weak`), and whoever owns the machine's memory bus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec

from runtime.attestation import certificates
from runtime.attestation.certificates import RevocationList
from runtime.attestation.findings import EvidenceRefusedError, Findings, Reason
from runtime.attestation.snp_claims import Claims, EndorsementRef, Tcb, TrustRoot
from runtime.attestation.tees.snp import cert_table, report, vek
from runtime.attestation.tees.snp import path as amd_path
from runtime.attestation.tees.snp.path import Names, Path
from runtime.attestation.tees.snp.report import Report
from runtime.attestation.wire import Evidence
from runtime.documents.reference_values import SnpProduct
from runtime.errors import MalformedError

_KINDS: dict[str, Literal["VCEK", "VLEK"]] = {"vcek": "VCEK", "vlek": "VLEK"}


class SnpTee:
    """AMD SEV-SNP on bare metal or any cloud: the report carries no cloud's name."""

    def endorsements_needed(self, evidence: Evidence) -> tuple[EndorsementRef, ...]:
        """Name what does not travel with the evidence and can be fetched from AMD. Raises: MalformedError.

        A VLEK is given out by its cloud only; a version 2 report does not say where its endorsements are.
        """
        parsed = report.parse(evidence.parts["snp_report"])
        product, have = parsed.product, offered(evidence, parsed.signer)
        if product is None:
            return ()
        line = f"/{parsed.signer}/v1/{product}"
        paths = {"intermediate": f"{line}/cert_chain", "root": f"{line}/cert_chain", "crl": f"{line}/crl"}
        if parsed.signer == "vcek":
            paths["vek"] = f"{line}/{_chip_path(parsed, product)}"
        return tuple(EndorsementRef(name=name, path=path) for name, path in paths.items() if name not in have)

    def verify(self, evidence: Evidence, roots: tuple[TrustRoot, ...], now: int) -> Claims:
        """Return what the hardware said. Raises: EvidenceRefusedError, MalformedError."""
        findings = Findings()
        # 1. The report is a report.
        parsed = report.parse(evidence.parts["snp_report"])
        # 2. The path of certificates is there.
        path, crl = _certificates(findings, evidence, parsed)
        # 3. Its root is pinned, and the product is the one that the chip signed.
        root = amd_path.pinned(findings, path.root, roots)
        product = _product(findings, parsed, root)
        # 4. The path holds, now, for this product and kind of signer.
        amd_path.check_path(findings, path, names(product, parsed.signer), now)
        if crl is not None:
            amd_path.check_revocation(findings, path, crl, now)
        # 5. The leaf signed the report.
        _check_signature(findings, path, parsed)
        # 6. The leaf was made for this product, chip or cloud, and firmware.
        tcbs = _check_leaf(findings, path, parsed, product)
        if root is None:  # a failed check says why; everything hangs on it
            raise EvidenceRefusedError(findings.failed())
        findings.settle()
        return _claims(parsed, product, root, tcbs, path, crl)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaf:
    current: Tcb
    reported: Tcb
    committed: Tcb
    launch: Tcb
    csp_id: str | None


def offered(evidence: Evidence, signer: Literal["vcek", "vlek"]) -> dict[str, bytes]:
    """Return the endorsements by their names in Evidence; the certificate table fills what is missing.

    The report says which kind of key signed it, and only a leaf of that kind is taken from the table.
    """
    table = evidence.endorsements.get("cert_table")
    entries = cert_table.parse(table) if table is not None else {}
    names = {"vek": signer, "intermediate": "ask", "root": "ark", "crl": "crl"}
    found = {name: entries[entry] for name, entry in names.items() if entry in entries}
    return found | {name: value for name, value in evidence.endorsements.items() if name in names}


def _certificates(
    findings: Findings, evidence: Evidence, parsed: Report
) -> tuple[Path, RevocationList | None]:
    have = offered(evidence, parsed.signer)
    for name in ("vek", "intermediate", "root"):
        findings.require(
            name in have,
            f"endorsements.{name}",
            Reason.CHAIN,
            expected=f"the certificate ({_KINDS[parsed.signer]} path)",
            actual="missing",
            source="what came along with the evidence",
            remedy="the Attester sends its endorsements; it may not have reached AMD's key service",
        )
    findings.settle()
    path = Path(
        root=certificates.load_authority(have["root"], "root certificate"),
        intermediate=certificates.load_authority(have["intermediate"], "intermediate certificate"),
        leaf=certificates.load(have["vek"], "VEK certificate"),
    )
    return path, certificates.load_crl(have["crl"]) if "crl" in have else None


def _product(findings: Findings, parsed: Report, root: TrustRoot | None) -> SnpProduct:
    signed = parsed.product
    if parsed.cpuid is None:
        # Version 2 carries no CPUID: the product is that of the chain. Turin never made such reports.
        signed = None if root is None or root.product == "Turin" else root.product
    else:
        findings.require(
            signed is not None,
            "report.product",
            Reason.PRODUCT,
            expected="Milan, Genoa or Turin",
            actual=f"family {parsed.cpuid[0]:#04x} model {parsed.cpuid[1]:#04x}",
            source="the CPUID that the chip signed",
            remedy="this processor is not supported; a part without a name has no default",
        )
    findings.require(
        root is None or root.product == signed,
        "chain.product",
        Reason.CHAIN,
        expected=str(signed or "Milan or Genoa"),
        actual="no pinned root" if root is None else root.product,
        source="the pinned root",
        remedy="offer the chain of the chip's own product line",
    )
    if signed is None:  # a failed check says why: of the product, or of the root that would have told it
        raise EvidenceRefusedError(findings.failed())
    return signed


def names(product: SnpProduct, signer: Literal["vcek", "vlek"]) -> Names:
    """Return the common names of a product line's path."""
    middle = f"SEV-{product}" if signer == "vcek" else f"SEV-VLEK-{product}"
    return Names(root=f"ARK-{product}", intermediate=middle, leaf=f"SEV-{_KINDS[signer]}")


def _check_signature(findings: Findings, path: Path, parsed: Report) -> None:
    key = path.leaf.public_key
    findings.require(
        isinstance(key, ec.EllipticCurvePublicKey) and report.signed_by(parsed, key),
        "report.signature",
        Reason.SIGNATURE,
        expected=f"an ECDSA P-384 signature by this {_KINDS[parsed.signer]}",
        actual="one that does not verify",
        source="the report's signature",
        remedy="the report was altered, or another chip or firmware version signed it: send the matching VEK",
    )


def _check_leaf(findings: Findings, path: Path, parsed: Report, product: SnpProduct) -> _Leaf:
    try:
        certified = vek.read(path.leaf, product, parsed.signer)
        leaf = _Leaf(
            current=report.tcb(parsed.current_tcb, product),
            reported=report.tcb(parsed.reported_tcb, product),
            committed=report.tcb(parsed.committed_tcb, product),
            launch=report.tcb(parsed.launch_tcb, product),
            csp_id=certified.csp_id,
        )
    except MalformedError:
        findings.settle()  # under a wrong chain it is the chain that is wrong
        raise
    source = "AMD's certificate for the signing key"
    findings.require(
        certified.product_line == product,
        "vek.product",
        Reason.CHAIN,
        expected=product,
        actual=certified.product_name,
        source=source,
        remedy="send the VEK of this chip",
    )
    findings.require(
        certified.tcb == leaf.reported,
        "vek.tcb",
        Reason.TCB,
        expected=f"the reported TCB ({leaf.reported})",
        actual=str(certified.tcb),
        source=source,
        remedy="fetch the VEK again: firmware was updated since",
    )
    wanted = bytes(vek.CHIP_ID_BYTES) if certified.chip_id is None else certified.chip_id
    findings.require(
        parsed.chip_id == wanted,
        "vek.chip_id",
        Reason.CHIP_ID,
        expected=f"{wanted.hex()[:32]}… ({'no chip' if certified.chip_id is None else 'the certified chip'})",
        actual=f"{parsed.chip_id.hex()[:32]}…",
        source="CHIP_ID of the report",
        remedy="the key was made for another chip, or the host masks CHIP_ID (MASK_CHIP_ID must be off)",
    )
    return leaf


def _chip_path(parsed: Report, product: SnpProduct) -> str:
    parts = report.tcb(parsed.reported_tcb, product)
    chip = parsed.chip_id[:8] if product == "Turin" else parsed.chip_id
    names = {
        "fmc": "fmcSPL",
        "bootloader": "blSPL",
        "tee": "teeSPL",
        "snp": "snpSPL",
        "microcode": "ucodeSPL",
    }
    query = "&".join(f"{names[part]}={value:02}" for part, value in parts.components().items())
    return f"{chip.hex()}?{query}"


def _claims(
    parsed: Report, product: SnpProduct, root: TrustRoot, leaf: _Leaf, path: Path, crl: RevocationList | None
) -> Claims:
    chain = (path.root, path.intermediate, path.leaf)
    return Claims(
        tee="snp",
        product=product,
        report_version=parsed.version,
        guest_svn=parsed.guest_svn,
        policy=parsed.policy,
        platform_info=parsed.platform_info,
        vmpl=parsed.vmpl,
        report_data=parsed.report_data,
        measurement=parsed.measurement,
        host_data=parsed.host_data,
        id_key_digest=parsed.id_key_digest,
        author_key_digest=parsed.author_key_digest,
        author_key_en=parsed.author_key_en,
        report_id_ma=parsed.report_id_ma,
        chip_id=parsed.chip_id,
        signer=parsed.signer,
        csp_id=leaf.csp_id,
        current_tcb=leaf.current,
        reported_tcb=leaf.reported,
        committed_tcb=leaf.committed,
        launch_tcb=leaf.launch,
        current_version=parsed.current_version,
        committed_version=parsed.committed_version,
        mitigations=parsed.mitigations,
        root=root,
        revocation_checked=crl is not None,
        endorsed_until=min(
            *(certificate.not_after + 1 for certificate in chain),
            *(() if crl is None else (crl.next_update,)),
        ),
        newest_endorsement=max(
            *(certificate.not_before for certificate in chain),
            *(() if crl is None else (crl.this_update,)),
        ),
    )
