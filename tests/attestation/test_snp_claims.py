"""A TCB reaches what every part of it reaches."""

from __future__ import annotations

from runtime.attestation.snp_claims import Tcb


def test_tcb_reaches_only_floors_of_its_own_parts() -> None:
    genoa = Tcb(fmc=None, bootloader=10, tee=0, snp=23, microcode=84)
    assert genoa.reaches({"bootloader": 10, "tee": 0, "snp": 23, "microcode": 84})
    assert not genoa.reaches({"snp": 24})
    assert not genoa.reaches({"fmc": 0})
    assert str(genoa) == "bootloader 10 tee 0 snp 23 microcode 84"
