"""Google's endorsement of firmware: under the pinned root, now, signed, about this technology."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.tees.google import launch_endorsement
from runtime.attestation.tees.google.launch_endorsement import GOOGLE_TCB_ROOT, GoogleRoot
from runtime.documents import times
from runtime.errors import MalformedError
from tests.fakes import google, tpm, tpm_certificates

NOW = google.SIGNED_AT + 86_400
ONE, TWO = b"\x01" * 48, b"\x02" * 48
GOOD = google.endorsement(google.golden(snp=[ONE, TWO], tdx=[ONE]))


def refused(data: bytes, *, now: int = NOW, roots: Any = None) -> set[str]:
    with pytest.raises(EvidenceRefusedError) as caught:
        launch_endorsement.verify(data, "snp", (google.pin(),) if roots is None else roots, now)
    return {check.id for check in caught.value.checks}


def test_measurements_version_and_times() -> None:
    claims = launch_endorsement.verify(GOOD, "snp", (google.pin(),), NOW)
    assert (claims.svn, claims.measurements) == (2, frozenset({ONE, TWO}))
    assert claims.newest_endorsement == google.SIGNED_AT
    begins = int(tpm_certificates.NOT_BEFORE.timestamp())
    assert claims.endorsed_until == begins + 3650 * 86_400 + 1
    early = google.endorsement(google.golden(snp=[ONE], field4=google.signer(days=700)))
    ends = launch_endorsement.verify(early, "snp", (google.pin(),), NOW).endorsed_until
    assert ends == begins + 700 * 86_400 + 1
    launch_endorsement.verify(early, "snp", (google.pin(),), ends - 1)
    assert refused(early, now=ends) == {"launch.dates.1"}
    assert launch_endorsement.verify(GOOD, "tdx", (google.pin(),), NOW).measurements == {ONE}
    assert GOOGLE_TCB_ROOT.kind == "hardware"


@pytest.mark.parametrize("path_length", [None, 0, 1])
def test_an_intermediate_may_stand_between(path_length: int | None) -> None:
    key = tpm.rsa_key("google tcb middle")
    middle_name = tpm_certificates.name("GCE-middle")
    middle = google.signer(subject=middle_name, key=key.public_key(), ca=True, path_length=path_length)
    leaf = google.signer(issuer=middle_name, issuer_key=key)
    body = google.golden(snp=[ONE], field4=leaf, field6=google.pem(google.root(), middle))
    assert launch_endorsement.verify(google.endorsement(body), "snp", (google.pin(),), NOW).svn == 2


SHORT = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - breakable, and refused


@pytest.mark.parametrize("key", [tpm.ec_key("google tcb middle"), SHORT], ids=["P-256", "RSA of 1024 bits"])
def test_an_authority_signs_by_rsa_of_2048_bits_at_least(key: Any) -> None:
    middle_name = tpm_certificates.name("GCE-middle")
    middle = google.signer(subject=middle_name, key=key.public_key(), ca=True)
    leaf = google.signer(issuer=middle_name, issuer_key=key)
    body = google.golden(snp=[ONE], field4=leaf, field6=google.pem(google.root(), middle))
    assert refused(google.endorsement(body)) == {"launch.issuer.2"}


def test_a_signer_s_key_is_no_shorter_than_an_authority_s() -> None:
    body = google.golden(snp=[ONE], field4=google.signer(key=SHORT.public_key()))
    assert refused(google.endorsement(body, SHORT)) == {"launch.signature"}


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({"field4": google.signer(issuer_key=tpm.rsa_key("another"))}, {"launch.issuer.1"}),
        ({"field4": google.signer(issuer=tpm_certificates.name("other"))}, {"launch.issuer.1"}),
        ({"field4": google.signer(ca=True)}, {"launch.authority.1"}),
        ({"field4": google.signer(days=1)}, {"launch.dates.1"}),
        ({"field4": google.signer(key=tpm.rsa_key("another").public_key())}, {"launch.signature"}),
        ({"field4": google.signer(hash=hashes.SHA224())}, {"launch.issuer.1"}),
        ({"field6": google.pem(google.root(days=3651))}, {"launch.root"}),
        (
            {"field4": google.signer(key=ec.generate_private_key(ec.SECP256R1()).public_key())},
            {"launch.signature"},
        ),
    ],
)
def test_one_thing_wrong(changes: dict[str, Any], failed: set[str]) -> None:
    assert refused(google.endorsement(google.golden(snp=[ONE], **changes))) == failed


def test_signatures_roots_and_times() -> None:
    body = google.golden(snp=[ONE])
    pkcs1 = google.endorsement(body, pss=padding.PKCS1v15())
    assert refused(pkcs1) == {"launch.signature"}
    assert refused(GOOD, roots=(GOOGLE_TCB_ROOT,)) == {"launch.root"}
    assert refused(GOOD, now=0) == {"launch.dates.0", "launch.dates.1"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        google.data(1, google.golden(snp=[ONE])),
        google.data(2, b"signature"),
        google.endorsement(google.golden(snp=[ONE], field4=None)),
        google.endorsement(google.golden(snp=[ONE], field6=None)),
        google.endorsement(google.golden(snp=[ONE], field7=None)),
        google.endorsement(google.golden(snp=[ONE], field6=b"")),
        google.endorsement(google.golden(snp=[ONE], field6=google.pem(google.root()) * 5)),
        google.endorsement(google.golden(snp=[ONE], field6=google.pem(google.root()) + b"x")),
        google.endorsement(google.golden(snp=[b"\x01" * 47])),
        google.endorsement(google.golden(field7=google.data(2, google.number(1, 1)))),
        google.endorsement(google.golden(snp=[ONE], field1=google.number(1, 1 << 60))),
        bytes(launch_endorsement.MAX_SIZE + 1),
    ],
)
def test_what_is_no_endorsement(data: bytes) -> None:
    with pytest.raises(MalformedError):
        launch_endorsement.verify(data, "snp", (google.pin(),), NOW)


def test_32_kib_are_the_most() -> None:
    def padded(size: int) -> bytes:
        room = size - len(GOOD)
        padding = google.data(99, bytes(room - 5))
        return GOOD + padding + bytes(room - len(padding))

    largest = padded(32 * 1024)
    assert len(largest) == 32768
    assert launch_endorsement.verify(largest, "snp", (google.pin(),), NOW).svn == 2
    with pytest.raises(MalformedError, match="is 32769 bytes, want at most 32768"):
        launch_endorsement.verify(padded(32 * 1024 + 1), "snp", (google.pin(),), NOW)


def test_the_last_moment_that_can_be_said() -> None:
    body = google.golden(snp=[ONE], field1=google.number(1, times.LATEST))
    claims = launch_endorsement.verify(google.endorsement(body), "snp", (google.pin(),), NOW)
    assert claims.newest_endorsement == times.LATEST
    late = google.golden(snp=[ONE], field1=google.number(1, times.LATEST + 1))
    with pytest.raises(MalformedError, match="timestamp is"):
        launch_endorsement.verify(google.endorsement(late), "snp", (google.pin(),), NOW)


def test_without_a_timestamp_the_certificates_are_the_newest() -> None:
    body = google.golden(snp=[ONE], field1=None)
    claims = launch_endorsement.verify(google.endorsement(body), "snp", (google.pin(),), NOW)
    assert claims.newest_endorsement == int(tpm_certificates.NOT_BEFORE.timestamp())


def test_an_algorithm_that_nobody_knows_is_refused_like_any_other() -> None:
    usual, unknown = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2b864886f70d01010b")
    signer = google.signer()
    assert signer.count(usual) == 2
    body = google.golden(snp=[ONE], field4=signer.replace(usual, unknown))
    assert refused(google.endorsement(body)) == {"launch.issuer.1"}


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(GOOD) * 8 - 1))
def test_any_flipped_bit_is_refused_or_malformed(bit: int) -> None:
    wrong = bytearray(GOOD)
    wrong[bit // 8] ^= 1 << bit % 8
    with pytest.raises((EvidenceRefusedError, MalformedError)):
        launch_endorsement.verify(bytes(wrong), "snp", (google.pin(),), NOW)


UNKNOWN = {"extensions": {"1.3.6.1.4.1.99999.1": b"\x05\x00"}, "critical": frozenset({"1.3.6.1.4.1.99999.1"})}


@pytest.mark.parametrize(
    "change",
    [
        {"key_usage": False},
        {"cert_sign": True},
        {"digital_signature": False},
        {"ca": True, "cert_sign": False},
        UNKNOWN,
    ],
)
def test_a_signer_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    body = google.golden(snp=[ONE], field4=google.signer(**change))
    assert refused(google.endorsement(body)) == {"launch.authority.1"}


@pytest.mark.parametrize(
    "change", [{"key_usage": False}, {"cert_sign": False}, {"basic_constraints": False}, UNKNOWN]
)
def test_an_authority_of_another_shape_is_refused_however_it_is_pinned(change: dict[str, Any]) -> None:
    root = google.root(**change)
    pins = (GoogleRoot(kind="test", sha256=sha256(root).digest()),)
    body = google.golden(snp=[ONE], field6=google.pem(root))
    assert refused(google.endorsement(body), roots=pins) == {"launch.authority.0"}


def test_a_path_is_no_longer_than_its_authorities_allow() -> None:
    """Google's own root allows none below it (gce-tcb-verifier, sign/ops/certificates.go)."""
    root = google.root(path_length=0)
    pins = (GoogleRoot(kind="test", sha256=sha256(root).digest()),)
    direct = google.endorsement(google.golden(snp=[ONE], field6=google.pem(root)))
    assert launch_endorsement.verify(direct, "snp", pins, NOW).svn == 2
    key, middle_name = tpm.rsa_key("google tcb middle"), tpm_certificates.name("GCE-middle")
    middle = google.signer(subject=middle_name, key=key.public_key(), ca=True)
    leaf = google.signer(issuer=middle_name, issuer_key=key)
    body = google.golden(snp=[ONE], field4=leaf, field6=google.pem(root, middle))
    assert refused(google.endorsement(body), roots=pins) == {"launch.authority.0"}


def test_it_ends_with_the_first_of_its_certificates() -> None:
    begins = int(tpm_certificates.NOT_BEFORE.timestamp())
    assert launch_endorsement.ends_at(GOOD, "tdx") == begins + 3650 * 86_400
    early = google.endorsement(google.golden(snp=[ONE], field4=google.signer(days=700)))
    assert launch_endorsement.ends_at(early, "snp") == begins + 700 * 86_400
    with pytest.raises(MalformedError):
        launch_endorsement.ends_at(b"\n", "snp")
