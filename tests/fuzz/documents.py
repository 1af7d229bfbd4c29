"""What people write and owners sign: strict JSON, envelopes, settings, fleet, routes, manifest."""

from __future__ import annotations

import json
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.documents import dsse, fleet, manifest, routes, settings, strict_json
from runtime.errors import DocumentError, MalformedError
from tests.documents.damage import example
from tests.fuzz.target import Target

_KEY = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
_OWNER = (_KEY.public_key().public_bytes_raw(),)
_PAYLOADS = (b"", b'{"version": 1}', example("routes"))


def _json(data: bytes) -> None:
    value = strict_json.parse(data, "fuzz")
    assert json.loads(data) == value, "read otherwise than by everybody else"
    assert strict_json.parse(strict_json.canonical(value), "fuzz") == value


def _json_seeds() -> list[bytes]:
    texts = (
        '{"a": [1, -2.5e3, true, null, "\\u00e9\\ud83d\\ude00"], "b": {}}',
        '{"a": 1, "a": 2}',
        "[NaN]",
        '"\\ud800"',
        "[" * 33 + "]" * 33,
        "12345678901234567890",
        "1e400",
    )
    return [text.encode() for text in texts]


def _envelope(data: bytes) -> None:
    assert dsse.open_envelope(data, dsse.FLEET_TYPE, _OWNER) in _PAYLOADS, "nobody signed this"


def _envelope_seeds() -> list[bytes]:
    stranger = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
    signed = [dsse.sign(payload, dsse.FLEET_TYPE, _KEY) for payload in _PAYLOADS]
    return [*signed, dsse.sign(b"{}", dsse.FLEET_TYPE, stranger), dsse.sign(b"{}", dsse.ROUTES_TYPE, _KEY)]


def _same_twice(read: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        assert read(data) == read(data)

    return run


def _document(name: str, read: Callable[[bytes], object], *examples: str) -> Target:
    return Target(
        name=name,
        read=_same_twice(read),
        seeds=lambda: [form for each in examples for form in (example(each), _short(example(each)))],
        max_size=16384,
        refuses=(DocumentError, MalformedError),
    )


def _fleet_seeds() -> list[bytes]:
    """Return the example with one member and one platform's values each: a quarter of its size."""
    whole = json.loads(example("fleet"))
    less = whole | {"members": whole["members"][:1], "firmware": []}
    values = whole["reference_values"].items()
    forms = [less | {"reference_values": {platform: wanted}} for platform, wanted in values]
    return [json.dumps(form, separators=(",", ":")).encode() for form in forms]


def _short(data: bytes) -> bytes:
    return json.dumps(json.loads(data), separators=(",", ":")).encode()


TARGETS = (
    Target(name="strict_json", read=_json, seeds=_json_seeds),
    Target(
        name="dsse",
        read=_envelope,
        seeds=_envelope_seeds,
        max_size=16384,
        refuses=(DocumentError, MalformedError),
    ),
    _document("settings", settings.read, "settings-server", "settings-client"),
    Target(
        name="fleet",
        read=_same_twice(fleet.read),
        seeds=_fleet_seeds,
        refuses=(DocumentError, MalformedError),
    ),
    _document("routes", routes.read, "routes"),
    _document("manifest", manifest.read, "image-manifest"),
)
