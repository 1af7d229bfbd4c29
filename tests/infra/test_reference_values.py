"""The table's floors make a valid part of a fleet document, and list only what is used."""

from __future__ import annotations

from infra import capabilities
from infra.capabilities import CloudName, Machine
from infra.reference_values import reference_values
from runtime.documents import reference_values as typed


def machine(cloud: CloudName, region: str, machine_type: str = "") -> Machine:
    found, wrong = capabilities.choose(
        cloud=cloud, region=region, zone="", machine_type=machine_type, tee="sev-snp"
    )
    assert found is not None, wrong
    return found


def test_the_floors_are_those_of_the_bulletins() -> None:
    machines = [machine("aws", "us-east-2"), machine("azure", "eastus", "Standard_DC2as_v6")]
    made = reference_values(machines, {"Milan": "a reason of its own"}, simulated=False)
    found = typed.formats(made)
    milan, genoa = found["aws-snp-nitrotpm"].snp, found["azure-snp"].snp
    assert milan is not None
    assert genoa is not None
    values = milan
    assert values.products["Milan"].min_tcb == {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219}
    assert values.products["Milan"].opt_in == "a reason of its own"
    assert genoa.products["Genoa"].min_tcb == {"bootloader": 10, "tee": 0, "snp": 23, "microcode": 84}
    assert genoa.products["Genoa"].opt_in is None
    assert milan.signers == {"vlek"}
    assert genoa.signers == {"vcek"}
    assert values.platform_require == {"alias_check_complete"}
    assert not values.provisional_firmware


def test_vlek_is_accepted_for_the_regions_in_use_only() -> None:
    only_aws = reference_values([machine("aws", "eu-west-1")], {}, simulated=False)["aws-snp-nitrotpm"]["snp"]
    assert only_aws["signers"] == ["vlek"]
    assert only_aws["csp_ids"] == ["CN=cc-eu-west-1.amazonaws.com"]
    snp = capabilities.choose(cloud="gcp", region="us-central1", zone="", machine_type="", tee="sev-snp")[0]
    assert snp is not None
    only_gcp = reference_values([snp], {}, simulated=False)["gcp-snp"]["snp"]
    assert (only_gcp["signers"], only_gcp["csp_ids"]) == (["vcek"], [])


def test_no_machine_no_values() -> None:
    assert reference_values([], {}, simulated=False) == {}
    assert set(reference_values([], {}, simulated=True)["sev-snp"]["snp"]["products"]) == {"Milan", "Genoa"}
