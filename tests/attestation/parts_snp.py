"""What single SEV-SNP vectors are made of, where one changed field is not enough. Pure, but for keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from runtime.attestation.binding import tied_qualifying
from runtime.attestation.snp_claims import TrustRoot
from tests.attestation.vector import Make
from tests.fakes import amd_certificates, measured_boot, nitro, snp_report
from tests.fakes.amd import FakeAmd
from tests.fakes.amd_certificates import ia5
from tests.fakes.machines import BINDER, SETTINGS, FakeMachine

Options = dict[str, Any]


def authorities(root: Mapping[str, Any] | None = None, middle: Mapping[str, Any] | None = None) -> Make:
    """Return what makes a VEK's path with fields of its authorities changed; all below is made to fit."""

    def make(_: FakeMachine, amd: FakeAmd) -> Options:
        top: Options = {"subject": "ARK-Milan", "crl_sign": True, "path_length": None} | dict(root or {})
        below: Options = {"subject": "SEV-Milan", "crl_sign": False, "path_length": 0} | dict(middle or {})
        name, title, key = top.pop("subject"), below.pop("subject"), amd.keys["ark"]
        if below.pop("foreign", False):
            key = amd.keys["asvk"]
        ark = amd_certificates.authority(
            name, amd.keys["ark"], name, amd.keys["ark"], amd.serial("ark", "Milan"), **top
        )
        ask = amd_certificates.authority(
            title, amd.keys["ask"], name, key, amd.serial("ask", "Milan"), **below
        )
        pin = TrustRoot(kind="test", vendor="amd", product="Milan", sha256=sha256(ark).digest())
        crl = amd_certificates.crl(name, amd.keys["ark"])
        return {
            "chip": amd.chip("gcp-host", "Milan", issuer=title),
            "endorsements": {"root": ark, "intermediate": ask, "crl": crl},
            "pins": (pin,),
        }

    return make


def vek_of_an_authority(_: FakeMachine, amd: FakeAmd) -> Options:
    return {"chip": amd.chip("gcp-host", "Milan", ca=True)}


def vek_of_another_product(_: FakeMachine, amd: FakeAmd) -> Options:
    return {"chip": amd.chip("gcp-host", "Milan", extensions={"2": ia5("Genoa-B0")})}


def reports_more_than_it_runs(_: FakeMachine, amd: FakeAmd) -> Options:
    more = {**snp_report.TCBS["Milan"], "microcode": 220}
    right = snp_report.raw_tcb("Milan", snp_report.TCBS["Milan"])
    chip = amd.chip("gcp-host", "Milan", tcb=more, days=2555)
    return {"chip": chip, "snp": {"current_tcb": right, "committed_tcb": right, "launch_tcb": right}}


def pinned_for_another_product(machine: FakeMachine, amd: FakeAmd) -> Options:
    milan = amd.root("Milan")
    wrong = dataclasses.replace(milan, product="Genoa")
    return {"roots": tuple(wrong if root == milan else root for root in machine.roots)}


def vlek_of_a_chip(_: FakeMachine, amd: FakeAmd) -> Options:
    named = {"4": b"\x77" * 64, "5": ia5(f"CN=cc-{nitro.REGION}.amazonaws.com")}
    return {"chip": amd.chip("aws-host", "Milan", signer="vlek", extensions=named, days=730)}


def long_signature(machine: FakeMachine, _: FakeAmd) -> Options:
    """Return a report whose R has a bit above the 384 of its curve; the quote speaks of this report."""
    report = bytearray(machine.evidence().parts["snp_report"])
    report[snp_report.SIGNED_BYTES + 71] = 1
    quote = measured_boot.quote_parts(tied_qualifying(BINDER, bytes(report)), SETTINGS, {})
    return {"parts": {"snp_report": bytes(report), **quote}}
