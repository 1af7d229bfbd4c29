"""The table answers with a machine, or with the nearest one."""

from __future__ import annotations

import pytest

from infra import capabilities
from infra.capabilities import CloudName


def choose(
    cloud: CloudName, region: str, zone: str = "", machine_type: str = "", tee: str = ""
) -> tuple[capabilities.Machine | None, list[tuple[str, str]]]:
    return capabilities.choose(cloud=cloud, region=region, zone=zone, machine_type=machine_type, tee=tee)


@pytest.mark.parametrize(
    ("cloud", "region", "tee", "machine_type", "zone", "product", "grade"),
    [
        ("aws", "us-east-2", "sev-snp", "m6a.large", "us-east-2a", "Milan", "V"),
        ("azure", "westeurope", "sev-snp", "Standard_DC2as_v5", "1", "Milan", "P"),
        ("gcp", "europe-west4", "tdx", "c3-standard-4", "europe-west4-a", None, "H"),
    ],
)
def test_each_cloud_has_its_default(
    cloud: CloudName, region: str, tee: str, machine_type: str, zone: str, product: str | None, grade: str
) -> None:
    machine, wrong = choose(cloud, region)
    assert not wrong
    assert machine is not None
    found = (machine.tee, machine.type, machine.zone, machine.product, machine.grade)
    assert found == (tee, machine_type, zone, product, grade)


def test_the_type_decides_the_tee_and_the_product() -> None:
    machine, _ = choose("gcp", "us-central1", machine_type="n2d-standard-4")
    assert machine is not None
    assert (machine.tee, machine.grade) == ("sev-snp", "V")
    newer, _ = choose("azure", "eastus", machine_type="Standard_DC4as_v6")
    assert newer is not None
    assert newer.product == "Genoa"


@pytest.mark.parametrize(
    ("cloud", "region", "zone", "machine_type", "tee", "key", "nearest"),
    [
        ("aws", "us-east-1", "", "", "", "region", "'us-east-2'"),
        ("aws", "us-east-2", "", "m6a.lagre", "", "type", "'m6a.large'"),
        ("aws", "us-east-2", "", "r6a.8xlarge", "", "type", "'r6a.xlarge'"),
        ("aws", "us-east-2", "", "", "tdx", "tee", "'sev-snp'"),
        ("aws", "us-east-2", "us-west-2a", "", "", "zone", "us-east-2a"),
        ("azure", "westeurope", "4", "", "", "zone", "1, 2, 3"),
        ("azure", "westeuropa", "", "", "", "region", "'westeurope'"),
        ("azure", "eastus", "", "Standard_DC2as_v4", "", "type", "'Standard_DC2as_v6'"),
        ("gcp", "europe-west4", "", "n2d-standard-2", "tdx", "tee", "'sev-snp', or the type 'c3-standard-4'"),
        ("gcp", "europe-west4", "", "c3-standard-5", "tdx", "type", "'c3-standard-"),
    ],
)
def test_a_wrong_combination_names_the_nearest_valid_one(
    cloud: CloudName, region: str, zone: str, machine_type: str, tee: str, key: str, nearest: str
) -> None:
    machine, wrong = choose(cloud, region, zone, machine_type, tee)
    assert machine is None
    assert key in {name for name, _ in wrong}
    assert any(nearest in message for name, message in wrong if name == key), wrong


def test_every_row_is_dated_by_its_source_and_offers_something() -> None:
    for offer in capabilities.OFFERS:
        assert offer.types
        assert offer.regions
        assert offer.source
        for machine_type in offer.types:
            machine, wrong = choose(offer.cloud, offer.regions[0], machine_type=machine_type, tee=offer.tee)
            assert not wrong
            assert machine is not None
            assert machine.product == offer.product
