"""What evidence is bound to, kept together, makes the very binder that its parts make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runtime.attestation import binding
from runtime.attestation.binding import Direction, Label
from runtime.channel.bound import Bound
from runtime.errors import MalformedError

PARTS: dict[str, Any] = {
    "label": Label.OWNER,
    "direction": Direction.MEMBER_TO_OWNER,
    "epoch": 0,
    "transcript": b"t" * 32,
    "exporter": b"e" * 32,
    "spki_attester": b"a" * 91,
    "spki_verifier": b"v" * 91,
    "verifier_nonce": b"n" * 32,
    "settings_digest": b"s" * 32,
}
OTHERS: dict[str, Any] = {
    "label": Label.ENDPOINT,
    "direction": Direction.SERVER_TO_CLIENT,
    "epoch": 1,
    "transcript": b"T" * 32,
    "exporter": b"E" * 32,
    "spki_attester": b"A" * 91,
    "spki_verifier": b"V" * 91,
    "verifier_nonce": b"N" * 32,
    "settings_digest": b"S" * 32,
}


def test_the_binder_is_the_one_of_its_parts() -> None:
    bound = Bound(**PARTS)
    assert bound.binder == binding.binder(**PARTS)
    assert {replace(bound, **{name: other}).binder for name, other in OTHERS.items()} == {
        binding.binder(**(PARTS | {name: other})) for name, other in OTHERS.items()
    }


@pytest.mark.parametrize(
    "name", ["transcript", "exporter", "spki_attester", "spki_verifier", "settings_digest"]
)
def test_a_part_that_no_binder_can_have_is_refused_at_once(name: str) -> None:
    wrong: dict[str, Any] = PARTS | {name: b""}
    with pytest.raises(MalformedError):
        Bound(**wrong)
