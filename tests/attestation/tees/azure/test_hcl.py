"""The HCL report: every byte has its place, and what is left over is zero."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.tees.azure import hcl
from runtime.errors import MalformedError
from tests.fakes import azure

TEXT = azure.runtime_json()
DATA = azure.report_data(TEXT)
SNP = azure.hcl(bytes(0x50) + DATA + b"\x33" * 48, TEXT, azure.SNP)
TDX = azure.hcl(azure.td_report(DATA), TEXT, azure.TDX)


def test_both_kinds_are_read() -> None:
    snp, tdx = hcl.parse(SNP), hcl.parse(TDX)
    assert (snp.kind, len(snp.tee_report), snp.measurement) == ("snp", 1184, b"\x33" * 48)
    assert (tdx.kind, len(tdx.tee_report), tdx.measurement) == ("tdx", 1024, b"\x22" * 48)
    for found in (snp, tdx):
        assert found.runtime_json == TEXT
        assert found.report_data == found.wanted_report_data == DATA
        assert found.runtime_digest == DATA[:32]
        assert found.header_version == 2
    assert hcl.parse(azure.hcl(bytes(1184), TEXT, azure.SNP, version=1, pad=0)).header_version == 1


USED = 32 + 1184 + 20 + len(TEXT)


@pytest.mark.parametrize(
    ("changes", "text", "offset"),
    [
        ({"magic": b"HCLB"}, "HCLA", 0),
        ({"version": 3}, "version is 3", 4),
        ({"version": 0}, "version is 0", 4),
        ({"request": 1}, "request type", 12),
        ({"status": 1}, "request type", 12),
        ({"reserved": b"\1" + bytes(11)}, "request type", 12),
        ({"used": USED - 1}, "do not agree", 8),
        ({"size": 19 + len(TEXT)}, "do not agree", 8),
        ({"json_size": len(TEXT) - 1}, "do not agree", 8),
        ({"json_size": 2000, "used": 3236, "size": 2020}, "do not agree", 8),
        ({"request_version": 2}, "report type", 1220),
        ({"hash_type": 2}, "report type", 1220),
    ],
)
def test_what_is_out_of_place_is_refused(changes: dict[str, Any], text: str, offset: int) -> None:
    with pytest.raises(MalformedError, match=text) as refusal:
        hcl.parse(azure.hcl(bytes(1184), TEXT, azure.SNP, **changes))
    assert refusal.value.offset == offset


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (SNP[:0x4BF], "want more than"),
        (azure.hcl(bytes(1184), b"", azure.SNP, pad=0), "is 1236 bytes, want more than 1236"),
        (azure.hcl(bytes(1184), b"{", azure.SNP, pad=0), "is read"),
        (SNP.ljust(16384, b"\0"), "is read"),
        (SNP.ljust(16385, b"\0"), "is 16385 bytes, want at most 16384"),
        (SNP[:USED], "is read"),
        (SNP[: USED - 1], "do not agree"),
        (SNP + b"\1", "not zero"),
        (bytes(20000), "want at most"),
        (azure.hcl(bytes(1184), TEXT, 3), "report type 3"),
        (azure.hcl(bytes(1184), TEXT, azure.TDX), "TDREPORT type is 0x00"),
        (azure.hcl(azure.td_report(DATA) + b"\1", TEXT, azure.TDX), "behind the TDREPORT"),
    ],
)
def test_sizes_and_kinds(data: bytes, text: str) -> None:
    if text == "is read":
        assert hcl.parse(data).runtime_json in {TEXT, b"{"}
        return
    with pytest.raises(MalformedError, match=text):
        hcl.parse(data)


@given(st.integers(0, 2600), st.binary(max_size=8))
def test_nothing_but_our_error_comes_out(at: int, junk: bytes) -> None:
    for data in (SNP[:at] + junk, SNP[:at] + junk + SNP[at + len(junk) :], TDX[:at] + junk):
        try:
            hcl.parse(data)
        except MalformedError:
            continue
