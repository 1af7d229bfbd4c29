"""What single TDX vectors are made of, where one changed field is not enough. Pure, but for keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.attestation.vector import Make
from tests.fakes import event_log, intel, measured_boot
from tests.fakes.amd import FakeAmd
from tests.fakes.intel import FakeIntel
from tests.fakes.intel_certificates import PLATFORM_CA, PROCESSOR_CA, crl
from tests.fakes.machines import FakeMachine
from tests.fakes.td_machine import MACHINE, OTHER_KEY, Machine

Options = dict[str, Any]
OTHER_CA, ROOT_CA = "Intel SGX PCK Other CA", "Intel SGX Root CA"


def collateral(replaced: Mapping[str, str] | None = None, **changes: Any) -> Make:
    """Return what makes collateral with some parts changed and signed again, others replaced."""

    def make(_: FakeMachine, __: FakeAmd) -> Options:
        return {"endorsements": {"tdx_collateral": MACHINE.collateral(replaced, **changes)}}

    return make


def signer(body: str, **changes: Any) -> Make:
    """Return what makes collateral of which one body came with a changed certificate of its signer."""

    def make(_: FakeMachine, __: FakeAmd) -> Options:
        chain = intel.pem(MACHINE.intel.signer(**changes), MACHINE.root).decode()
        made = MACHINE.collateral({f"{body}_issuer_chain": chain})
        return {"endorsements": {"tdx_collateral": made}}

    return make


def signer_under_another_root(body: str) -> Make:
    """Return what makes collateral of which one body was signed under a root that nobody pinned."""

    def make(_: FakeMachine, __: FakeAmd) -> Options:
        other = FakeIntel(signer_key=MACHINE.intel.signer_key)
        chain = intel.pem(other.signer(), other.root()).decode()
        made = MACHINE.collateral({f"{body}_issuer_chain": chain})
        return {"endorsements": {"tdx_collateral": made}}

    return make


def identity_signature(_: FakeMachine, __: FakeAmd) -> Options:
    made = MACHINE.intel.collateral(MACHINE.root)
    replaced = {"qe_identity_signature": made["tcb_info_signature"]}
    return {"endorsements": {"tdx_collateral": MACHINE.collateral(replaced)}}


def expired_root(_: FakeMachine, __: FakeAmd) -> Options:
    """Return evidence and collateral under a pinned root that has ended; all keys are the usual ones."""
    other = Machine(intel=MACHINE.intel)
    other.root = MACHINE.intel.root(days=1)
    return {
        "machine": other,
        "endorsements": {"tdx_collateral": other.collateral()},
        "pins": other.roots,
    }


def other_ca(_: FakeMachine, __: FakeAmd) -> Options:
    """Return a chain whose CA has a name that is none of Intel's; leaf, list and its chain follow it."""
    key = MACHINE.intel.ca_key
    made = MACHINE.collateral(ca=MACHINE.intel.ca(OTHER_CA), pck_crl=crl(OTHER_CA, key))
    tdx = {"ca": {"subject": OTHER_CA}, "pck": {"issuer": OTHER_CA}}
    return {"tdx": tdx, "endorsements": {"tdx_collateral": made}}


def list_of_another_ca(_: FakeMachine, __: FakeAmd) -> Options:
    chain = intel.pem(MACHINE.intel.ca(PROCESSOR_CA), MACHINE.root).decode()
    made = MACHINE.collateral({"pck_crl_issuer_chain": chain})
    return {"endorsements": {"tdx_collateral": made}}


def unsigned_pck_list(_: FakeMachine, __: FakeAmd) -> Options:
    made = MACHINE.collateral(pck_crl=crl(PLATFORM_CA, OTHER_KEY))
    return {"endorsements": {"tdx_collateral": made}}


def unsigned_root_list(_: FakeMachine, __: FakeAmd) -> Options:
    made = MACHINE.collateral(root_crl=crl(ROOT_CA, OTHER_KEY))
    return {"endorsements": {"tdx_collateral": made}}


def stale_root_list(_: FakeMachine, __: FakeAmd) -> Options:
    stale = crl(
        ROOT_CA,
        MACHINE.intel.root_key,
        this_update="2025-01-01T00:00:00Z",
        next_update="2025-12-31T00:00:00Z",
    )
    return {"endorsements": {"tdx_collateral": MACHINE.collateral(root_crl=stale)}}


def ccel_without(rtmr: int) -> Make:
    """Return what makes a CC log that lacks the events of one register."""

    def make(_: FakeMachine, __: FakeAmd) -> Options:
        kept = [entry for entry in measured_boot.CCEL_RECORDS if entry[0] != rtmr + 1]
        return {"parts": {"ccel": event_log.log(*(event_log.record(*entry) for entry in kept))}}

    return make


def key_type(machine: FakeMachine, _: FakeAmd) -> Options:
    """Return a quote that says of its attestation key that it is on P-384."""
    quote = machine.evidence().parts["td_quote"]
    return {"parts": {"td_quote": quote[:2] + b"\3" + quote[3:]}}


def short_chain(_: FakeMachine, __: FakeAmd) -> Options:
    """Return a quote whose chain ends below its root."""
    chain = intel.pem(MACHINE.intel.pck(), MACHINE.intel.ca())
    return {"parts": {"td_quote": MACHINE.intel.quote(chain)}}
