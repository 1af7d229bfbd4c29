"""What Intel says counts only if Intel signed it, for this platform, at this time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.tees.tdx import collateral as parts
from runtime.attestation.tees.tdx.tcb_info import TcbStatus
from runtime.errors import MalformedError
from tests.fakes import intel as fakes
from tests.fakes.intel import NOW, qe_identity, tcb_info
from tests.fakes.intel_certificates import (
    PLATFORM_CA,
    PROCESSOR_CA,
    Platform,
    crl,
)
from tests.fakes.td_machine import COLLATERAL, MACHINE, OTHER_KEY, Machine, accept, collateral, refused

ROOT_NAME = "Intel SGX Root CA"


@pytest.mark.parametrize(
    ("platform", "failed"),
    [({"fmspc": b"\1" * 6}, "collateral.fmspc"), ({"pce_id": b"\1\0"}, "collateral.pce_id")],
)
def test_collateral_of_another_platform(platform: dict[str, Any], failed: str) -> None:
    assert refused(MACHINE.quote(pck={"platform": Platform(**platform)})) == {failed: "collateral"}


@pytest.mark.parametrize("part", ["tcb_info", "qe_identity"])
def test_a_body_that_was_altered_is_not_even_read(part: str) -> None:
    good = json.loads(COLLATERAL)
    other = json.dumps(json.loads(good[part]) | {"id": "SGX"})  # which would fail once more, if it were read
    for text in (good[part].replace('"version":', '"version": '), "no JSON at all", other):
        given = MACHINE.collateral({part: text, f"{part}_signature": good[f"{part}_signature"]})
        assert refused(collateral=given) == {f"collateral.{part}.signature": "collateral_signature"}


@pytest.mark.parametrize(
    ("signer", "failed"),
    [
        ({"subject": "Intel SGX PCK Certificate"}, "names.signer"),
        ({"issuer": PLATFORM_CA}, "names.signer"),
        ({"issuer_key": OTHER_KEY}, "signature.signer"),
        ({"days": 1}, "dates.signer"),
        ({"ca": True}, "authority.signer"),
    ],
)
def test_a_signer_that_is_not_intel_s(signer: dict[str, Any], failed: str) -> None:
    given = collateral(signer=MACHINE.intel.signer(**signer))
    assert set(refused(collateral=given)) == {
        f"collateral.tcb_info.{failed}".replace("tcb_info.dates", "tcb_info.dates")
    }


def test_two_signers_are_both_looked_at() -> None:
    def chain(**changes: Any) -> dict[str, str]:
        pem = fakes.pem(MACHINE.intel.signer(**changes), MACHINE.root).decode()
        return {"qe_identity_issuer_chain": pem}

    assert accept(collateral=MACHINE.collateral(chain())).tcb.status == TcbStatus.UP_TO_DATE
    failed = refused(collateral=MACHINE.collateral(chain(issuer_key=OTHER_KEY)))
    assert failed == {"collateral.qe_identity.signature.signer": "chain"}
    other = Machine()
    pem = fakes.pem(other.intel.signer(), other.root).decode()
    assert "collateral.qe_identity.root" in refused(
        collateral=MACHINE.collateral({"qe_identity_issuer_chain": pem})
    )


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({"tcb_info": tcb_info(id="SGX")}, {"collateral.tcb_info.kind": "collateral"}),
        ({"tcb_info": tcb_info(version=2)}, {"collateral.tcb_info.kind": "collateral"}),
        ({"qe_identity": qe_identity(id="QE")}, {"collateral.qe_identity.kind": "collateral"}),
        ({"qe_identity": qe_identity(version=3)}, {"collateral.qe_identity.kind": "collateral"}),
        ({"tcb_info": tcb_info(nextUpdate="2026-01-15T00:00:00Z")}, {"collateral.tcb_info.dates": "expired"}),
        ({"tcb_info": tcb_info(issueDate="2026-01-15T00:00:01Z")}, {"collateral.tcb_info.dates": "expired"}),
        (
            {"qe_identity": qe_identity(nextUpdate="2026-01-15T00:00:00Z")},
            {"collateral.qe_identity.dates": "expired"},
        ),
        (
            {"qe_identity": qe_identity(issueDate="2026-01-15T00:00:01Z")},
            {"collateral.qe_identity.dates": "expired"},
        ),
    ],
)
def test_collateral_of_another_kind_or_time(changes: dict[str, Any], failed: dict[str, str]) -> None:
    assert refused(collateral=collateral(**changes)) == failed


def test_the_first_second_of_collateral_counts() -> None:
    given = collateral(tcb_info=tcb_info(issueDate="2026-01-15T00:00:00Z"))
    assert accept(collateral=given).newest_endorsement == NOW


def root_crl(*revoked: int, **changes: Any) -> bytes:
    return crl(ROOT_NAME, MACHINE.intel.root_key, revoked, **changes)


def pck_crl(*revoked: int, **changes: Any) -> bytes:
    return crl(PLATFORM_CA, MACHINE.intel.ca_key, revoked, **changes)


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({"root_crl": root_crl(2)}, {"revocation.root_ca_crl": "revoked"}),
        ({"root_crl": root_crl(3)}, {"revocation.root_ca_crl": "revoked"}),
        ({"pck_crl": pck_crl(4)}, {"revocation.pck_crl": "revoked"}),
        ({"root_crl": root_crl(delta=True)}, {"revocation.root_ca_crl.signature": "revocation_unknown"}),
        ({"root_crl": crl(ROOT_NAME, OTHER_KEY)}, {"revocation.root_ca_crl.signature": "revocation_unknown"}),
        ({"pck_crl": crl(PLATFORM_CA, OTHER_KEY)}, {"revocation.pck_crl.signature": "revocation_unknown"}),
        (
            {"pck_crl": crl(PROCESSOR_CA, MACHINE.intel.ca_key)},
            {"revocation.pck_crl.signature": "revocation_unknown"},
        ),
        (
            {"root_crl": root_crl(next_update="2026-01-15T00:00:00Z")},
            {"revocation.root_ca_crl.dates": "expired"},
        ),
        ({"pck_crl": pck_crl(next_update="2026-01-15T00:00:00Z")}, {"revocation.pck_crl.dates": "expired"}),
        ({"pck_crl": pck_crl(this_update="2026-01-15T00:00:01Z")}, {"revocation.pck_crl.dates": "expired"}),
        ({"ca": MACHINE.intel.ca(PROCESSOR_CA)}, {"revocation.pck_crl.issuer": "revocation_unknown"}),
        (
            {"ca": MACHINE.intel.ca(key=OTHER_KEY.public_key())},
            {"revocation.pck_crl.issuer": "revocation_unknown"},
        ),
    ],
)
def test_revocation(changes: dict[str, Any], failed: dict[str, str]) -> None:
    assert refused(collateral=collateral(**changes)) == failed


def test_serials_of_other_certificates_are_nothing_to_us() -> None:
    given = collateral(root_crl=root_crl(4, 5), pck_crl=pck_crl(2, 3, 5))
    assert accept(collateral=given).tcb.status == TcbStatus.UP_TO_DATE


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bytes(parts.MAX_COLLATERAL_SIZE + 1), "at most"),
        (b"[]", "is not an object of"),
        (b"{}", "is not an object of"),
        (json.dumps(list(json.loads(COLLATERAL))).encode(), "is not an object of"),
        (MACHINE.collateral({"more": "x"}), "is not an object of"),
        (MACHINE.collateral({"pck_crl": ""}), "pck_crl is no text"),
        (MACHINE.collateral({"pck_crl": 5}), "pck_crl is no text"),  # type: ignore[dict-item] # on purpose
        (MACHINE.collateral({"pck_crl": "0g"}), "pck_crl is not hexadecimal"),
        (MACHINE.collateral({"tcb_info": "\ud800"}), "tcb_info has a lone surrogate"),
        (MACHINE.collateral({"tcb_info": " " * (parts.MAX_BODY_SIZE + 1)}), "tcb_info is 65537 bytes"),
        (MACHINE.collateral({"tcb_info_signature": "00" * 63}), "tcb_info_signature is 63 bytes, want 64"),
        (MACHINE.collateral({"qe_identity_signature": "00" * 65}), "qe_identity_signature is 65 bytes"),
        (MACHINE.collateral({"root_ca_crl": "3000"}), "revocation list: cannot be read"),
        (MACHINE.collateral({"pck_crl_issuer_chain": "x"}), "something else than 2 certificates"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_malformed_collateral(data: bytes, words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        accept(collateral=data)


def test_the_pck_chain_may_come_along_and_is_not_used() -> None:
    assert (
        accept(collateral=MACHINE.collateral({"pck_certificate_chain": "anything"})).tcb_evaluation_number
        == 19
    )


def test_the_frame_around_a_list_is_not_free() -> None:
    good = pck_crl()
    at = good.rindex(bytes.fromhex("06082a8648ce3d040302")) + 9
    with pytest.raises(MalformedError, match="Inner and outer"):
        accept(collateral=collateral(pck_crl=good[:at] + b"\3" + good[at + 1 :]))


STRANGERS = [
    ({"issuer_key": OTHER_KEY}, {"signature.signer"}),
    ({"subject": "Intel SGX PCK Certificate"}, {"names.signer"}),
    ({"ca": True}, {"authority.signer"}),
]


@pytest.mark.parametrize(("signer", "failed"), STRANGERS)
def test_what_a_stranger_signed_is_not_read(signer: dict[str, Any], failed: set[str]) -> None:
    given = collateral(signer=MACHINE.intel.signer(**signer), tcb_info=tcb_info(id="SGX"))
    assert set(refused(collateral=given)) == {f"collateral.tcb_info.{check}" for check in failed}


def test_what_is_signed_under_another_root_is_not_read() -> None:
    given = MACHINE.collateral(tcb_info=tcb_info(id="SGX"))
    failed = refused(collateral=given, roots=())
    assert "collateral.tcb_info.root" in failed
    assert not any(check.endswith(".kind") for check in failed)


def test_what_is_as_large_as_may_be() -> None:
    assert parts.parse(COLLATERAL.ljust(256 * 1024)) == parts.parse(COLLATERAL)
    with pytest.raises(MalformedError, match="is 262145 bytes, want at most 262144"):
        parts.parse(COLLATERAL.ljust(256 * 1024 + 1))
    body = json.loads(COLLATERAL)["tcb_info"]
    for size, words in (
        (64 * 1024, "collateral.tcb_info.signature"),
        (64 * 1024 + 1, "tcb_info is 65537 bytes"),
    ):
        given = MACHINE.collateral({"tcb_info": body.ljust(size), "tcb_info_signature": "00" * 64})
        with pytest.raises((EvidenceRefusedError, MalformedError), match=words):
            accept(collateral=given)
