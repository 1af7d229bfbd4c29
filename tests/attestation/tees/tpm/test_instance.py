"""Google's instance extension: DER in one spelling, and it agrees with the subject."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation import certificates
from runtime.attestation.findings import Findings
from runtime.attestation.tees.tpm import instance
from runtime.errors import MalformedError
from tests.fakes import tpm, tpm_certificates
from tests.fakes.tpm_certificates import element, instance_extension, integer, name

RIGHT = instance_extension()
KEY = tpm.ec_key("ak").public_key()


def test_every_field_is_read() -> None:
    assert instance.parse(RIGHT) == instance.GceInstance(
        zone="us-central1-f",
        project_number=8902345,
        project_id="lockbox",
        instance_id=3414240648225485836,
        instance_name="instance-1",
        production=True,
    )
    assert instance.parse(instance_extension(flags=(False,))).production is False
    assert instance.parse(instance_extension(name="n" * 200)).instance_name == "n" * 200


def fields(*parts: bytes) -> bytes:
    return element(0x30, b"".join(parts))


TEXT, NUMBER = element(0x0C, b"a"), integer(1)
SECURITY = element(0xA0, element(0x30, element(0xA0, integer(0)) + element(0xA1, b"\x01\x01\xff")))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (bytes(1025), "want at most 1024"),
        (bytes(1024), "tag 0x30"),
        (b"", "tag 0x30"),
        (RIGHT + b"\0", "behind its last field"),
        (fields(TEXT, NUMBER, TEXT, NUMBER, TEXT, SECURITY, NUMBER), "behind its last field"),
        (fields(element(0x16, b"a")), "zone has not the tag"),
        (fields(element(0x0C, b"")), "zone is no text"),
        (fields(element(0x0C, b"a b")), "zone is no text"),
        (fields(element(0x0C, b"\xff")), "zone is no text"),
        (fields(element(0x0C, b"a" * 256)), "zone is no text"),
        (fields(TEXT, element(2, b"")), "projectNumber is no unsigned"),
        (fields(TEXT, element(2, b"\0\1")), "projectNumber is no unsigned"),
        (fields(TEXT, element(2, b"\xff")), "projectNumber is no unsigned"),
        (fields(TEXT, element(2, b"\x80")), "projectNumber is no unsigned"),
        (fields(TEXT, element(2, b"\0\x7f")), "projectNumber is no unsigned"),
        (fields(TEXT, element(2, b"\x01" + bytes(8))), "projectNumber is no unsigned"),
        (fields(TEXT, element(2, b"\x01" * 10)), "projectNumber is no unsigned"),
        (b"\x30\x80\0\0", "indefinite"),
        (b"\x30\x81\x01\0", "not DER"),
        (b"\x30\x82\x00\x80" + bytes(128), "not DER"),
        (b"\x30\x83\x00\x01\x00" + bytes(256), "not DER"),
        (b"\x30\x81", "not DER"),
        (b"\x30\x05\0", "needs 5 bytes"),
        (fields(TEXT, NUMBER, TEXT, NUMBER, TEXT), "securityProperties has not the tag"),
        (instance_extension(flags=()), "isProduction has not the tag"),
        (
            fields(TEXT, NUMBER, TEXT, NUMBER, TEXT, element(0xA0, element(0x30, b"") + b"\0")),
            "behind its last field",
        ),
        (
            fields(
                *(TEXT, NUMBER, TEXT, NUMBER, TEXT),
                element(0xA0, element(0x30, element(0xA0, integer(0)) + element(0xA1, b"\x01\x01\x01"))),
            ),
            "isProduction is no BOOLEAN",
        ),
    ],
)
def test_what_is_no_extension_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(MalformedError, match=text):
        instance.parse(data)


def test_the_largest_extension_is_read_and_an_error_has_its_place_in_it() -> None:
    text = element(0x0C, b"a" * 255)
    longest = fields(text, element(2, b"\0" + b"\xff" * 8), text, NUMBER, element(0x0C, b"n" * 224), SECURITY)
    assert len(longest) < 1024
    found = instance.parse(longest)
    assert (found.zone, found.project_number) == ("a" * 255, 2**64 - 1)
    with pytest.raises(MalformedError, match="zone has not the tag") as refused:
        instance.parse(bytes([0x30, 0x82, 0x03, 0xFC]) + bytes(1020))
    assert refused.value.offset == 4
    inner = fields(TEXT, NUMBER, TEXT, NUMBER, TEXT, element(0xA0, element(0x31, b"")))
    with pytest.raises(MalformedError, match="has not the tag 0x30") as refused:
        instance.parse(inner)
    assert refused.value.offset == len(inner) - 2


@pytest.mark.parametrize("number", [0, 1, 127, 128, 255, 256, 300, 32767, 32768, 2**63, 2**64 - 1])
def test_a_number_of_any_size_is_read(number: int) -> None:
    assert instance.parse(instance_extension(instance=number)).instance_id == number


@pytest.mark.parametrize("size", [*range(20, 140), *range(160, 255)])
def test_a_text_of_any_size_is_read(size: int) -> None:
    assert instance.parse(instance_extension(name="n" * size)).instance_name == "n" * size


@pytest.mark.parametrize(
    "data", [b"\x30\x82", b"\x30\x82\xff", b"\x30\x81\x7f", b"\x30\x82\x00\xff" + bytes(255)]
)
def test_a_length_that_is_cut_off_or_too_long_is_not_der(data: bytes) -> None:
    with pytest.raises(MalformedError, match="not DER"):
        instance.parse(data)


def test_an_error_has_its_place_behind_what_was_read() -> None:
    with pytest.raises(MalformedError, match="projectNumber has not the tag") as refused:
        instance.parse(fields(TEXT, TEXT))
    assert refused.value.offset == 2 + len(TEXT)


def test_the_version_is_one_number_and_nothing_else() -> None:
    flag = element(0xA1, b"\x01\x01\xff")
    two = element(0xA0, element(0x30, element(0xA0, integer(0) + integer(0)) + flag))
    with pytest.raises(MalformedError, match="behind its last field"):
        instance.parse(fields(TEXT, NUMBER, TEXT, NUMBER, TEXT, two))


def failed(path: tpm_certificates.FakePath) -> set[str]:
    leaf = certificates.load(path.ders()[0], "leaf")
    findings = Findings()
    instance.check(findings, leaf, instance.read(leaf))
    return {check.id for check in findings.failed()}


@pytest.mark.parametrize(
    ("extension", "wanted"),
    [
        ({}, set[str]()),
        ({"zone": "us-central1-a"}, {"ak.instance"}),
        ({"project": "another"}, {"ak.instance"}),
        ({"instance": 1}, {"ak.instance"}),
        ({"flags": (False, True)}, {"ak.production"}),
    ],
)
def test_subject_and_extension_say_the_same(extension: dict[str, Any], wanted: set[str]) -> None:
    assert failed(tpm_certificates.google(KEY, instance_extension(**extension))) == wanted


def test_a_subject_without_an_instance_is_refused() -> None:
    assert failed(tpm_certificates.google(KEY).but(0, subject=name("someone"))) == {"ak.instance"}


def test_a_certificate_without_the_extension_is_refused() -> None:
    leaf = certificates.load(tpm_certificates.google(KEY).but(0, extensions={}).ders()[0], "leaf")
    with pytest.raises(MalformedError, match="is missing"):
        instance.read(leaf)


@given(st.integers(0, len(RIGHT)), st.binary(max_size=20))
def test_nothing_but_our_error_comes_out(cut: int, junk: bytes) -> None:
    for data in (RIGHT[:cut] + junk, RIGHT[:cut] + junk + RIGHT[cut + len(junk) :]):
        try:
            instance.parse(data)
        except MalformedError:
            continue
