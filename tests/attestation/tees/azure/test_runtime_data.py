"""The runtime JSON: read strictly, one attestation key, no second spelling of anything that counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.tees.azure import runtime_data
from runtime.errors import MalformedError
from tests.fakes import azure, tpm

AK = tpm.rsa_key("ak").public_key()
MACHINE = azure.runtime()["vm-configuration"]


def test_every_field_is_read() -> None:
    found = runtime_data.parse(azure.runtime_json())
    assert found.keys == ("HCLAkPub", "HCLEkPub")
    assert found.ak.public_numbers() == AK.public_numbers()
    assert found.vm_unique_id == azure.VM_UNIQUE_ID
    assert found.user_data == azure.USER_DATA
    assert (found.secure_boot, found.console_enabled) == (False, True)


def test_early_paravisors() -> None:
    keys = [azure.jwk(AK, use="encrypt")]
    found = runtime_data.parse(azure.runtime_json(**{"keys": keys, "user-data": None}))
    assert found.user_data is None


def test_other_members_of_the_machine_are_passed_over() -> None:
    found = runtime_data.parse(azure.runtime_json(**{"vm-configuration": MACHINE | {"new": [1]}}))
    assert found.vm_unique_id == azure.VM_UNIQUE_ID


def test_8_kib_are_the_most() -> None:
    data = azure.runtime_json()
    assert runtime_data.parse(data.ljust(8192)).keys == ("HCLAkPub", "HCLEkPub")
    with pytest.raises(MalformedError, match="8193"):
        runtime_data.parse(data.ljust(8193))


def machine(**changes: Any) -> dict[str, Any]:
    return {"vm-configuration": MACHINE | changes}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"extra": 1}, "unknown members"),
        ({"keys": None}, "keys is no array"),
        ({"keys": []}, "keys has 0 entries"),
        ({"keys": [azure.jwk(AK, f"k{number}") for number in range(9)]}, "keys has 9 entries"),
        ({"keys": [1]}, "is no object"),
        ({"keys": [azure.jwk(AK)] * 2}, "HCLAkPub twice"),
        ({"keys": [azure.jwk(AK, "HCLEkPub")]}, "has no HCLAkPub"),
        ({"keys": [azure.jwk(AK, "")]}, "kid is no name"),
        ({"keys": [azure.jwk(AK) | {"kid": 1}]}, "kid is no name"),
        ({"keys": [azure.jwk(AK) | {"d": "AQAB"}]}, "has the members"),
        ({"keys": [azure.jwk(AK, use="verify")]}, "key_ops"),
        ({"keys": [azure.jwk(AK) | {"kty": "EC"}]}, "kty"),
        ({"keys": [azure.jwk(AK) | {"n": azure.jwk(AK)["n"] + "="}]}, "n: is not base64url"),
        ({"vm-configuration": None}, "vm-configuration is no object"),
        (machine(vmUniqueId=None), "no UUID"),
        (machine(vmUniqueId=azure.VM_UNIQUE_ID + "\n"), "no UUID"),
        (machine(**{"tpm-enabled": False}), "tpm-enabled is false"),
        (machine(**{"tpm-enabled": 1}), "tpm-enabled is neither"),
        (machine(**{"secure-boot": "no"}), "secure-boot is neither"),
        (machine(**{"console-enabled": None}), "console-enabled is neither"),
        ({"user-data": "00"}, "user-data is not 64 bytes"),
        ({"user-data": 5}, "user-data is not 64 bytes"),
        ({"user-data": "0" * 127 + " "}, "user-data is not 64 bytes"),
    ],
)
def test_what_is_not_strict_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(MalformedError, match=text):
        runtime_data.parse(azure.runtime_json(**changes))


def test_a_name_that_comes_twice_is_refused() -> None:
    data = azure.runtime_json()
    with pytest.raises(MalformedError, match="twice"):
        runtime_data.parse(data.replace(b'"keys":', b'"keys":[],"keys":', 1))


@pytest.mark.parametrize("data", [b"[]", b"", b"\xff", b"{}", b"x" * 9000])
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        runtime_data.parse(data)


@given(st.integers(0, 1200), st.binary(max_size=4))
def test_nothing_but_our_error_comes_out(at: int, junk: bytes) -> None:
    data = azure.runtime_json()
    try:
        runtime_data.parse(data[:at] + junk + data[at + len(junk) :])
    except MalformedError:
        return
