"""The image manifest: a real image has every measurement and its files."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.documents import manifest
from tests.documents.damage import accepts_or_refuses, changed, damaged, example, problems, rewritten, without

EXAMPLE = example("image-manifest")


def test_reads_the_example() -> None:
    read = manifest.read(EXAMPLE)
    assert read.digest == sha256(EXAMPLE).digest()
    assert (read.version, read.variant) == ("0.1.0", "release")
    assert len(read.measurements["pcr4_sha384"]) == 48
    assert read.artefacts[0] == manifest.Artefact(
        file="disk.raw",
        format="raw",
        sha256=bytes.fromhex(json.loads(EXAMPLE)["artefacts"][0]["sha256"]),
        size=115_343_360,
    )


@pytest.mark.parametrize("variant", ["release", "test"])
@pytest.mark.parametrize("name", ["pcr4_sha256", "pcr11_sha256", "pcr4_sha384", "pcr11_sha384", "root_hash"])
def test_a_real_image_has_every_measurement(variant: str, name: str) -> None:
    document = json.loads(without("image-manifest", "measurements", name))
    document["variant"] = variant
    message = problems(manifest.read, json.dumps(document).encode())["$.measurements"]
    assert message == f"{name} is missing, a {variant} image has it"


def test_a_real_image_has_files_and_a_simulated_one_needs_nothing() -> None:
    empty = json.loads(changed("image-manifest", "artefacts", to=[]))
    assert "$.artefacts" in problems(manifest.read, json.dumps(empty).encode())
    empty["variant"], empty["measurements"] = "simulated", {}
    assert manifest.read(json.dumps(empty).encode()).artefacts == ()


def test_a_file_is_listed_once() -> None:
    artefact = json.loads(EXAMPLE)["artefacts"][0]
    found = problems(
        manifest.read, changed("image-manifest", "artefacts", to=[artefact, {**artefact, "format": "vhd"}])
    )
    assert found == {"$.artefacts": "disk.raw is there twice"}


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(damaged(EXAMPLE) | rewritten(EXAMPLE) | st.binary(max_size=60))
def test_a_damaged_manifest_is_read_or_refused(data: bytes) -> None:
    accepts_or_refuses(manifest.read, data)
