"""The table's floors make a valid part of a fleet document, and list only what is used."""

from __future__ import annotations

import pytest

from infra import capabilities
from infra.capabilities import CloudName, Machine
from infra.reference_values import reference_values
from runtime.documents import reference_values as typed


def machine(
    cloud: CloudName, region: str, machine_type: str = "", tee: str = "sev-snp", zone: str = ""
) -> Machine:
    found, wrong = capabilities.choose(
        cloud=cloud, region=region, zone=zone, machine_type=machine_type, tee=tee
    )
    assert found is not None, wrong
    return found


def test_the_floors_are_those_of_the_bulletins() -> None:
    machines = [machine("aws", "us-east-2"), machine("azure", "eastus", "Standard_DC2as_v6")]
    made = reference_values(machines, {"Milan": {"arxiv-2605.12990": "a reason of its own"}}, simulated=False)
    found = typed.formats(made)
    milan, genoa = found["aws-snp-nitrotpm"].snp, found["azure-snp"].snp
    assert milan is not None
    assert genoa is not None
    values = milan
    assert values.products["Milan"].min_tcb == {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219}
    assert values.products["Milan"].opt_in == {"arxiv-2605.12990": "a reason of its own"}
    assert genoa.products["Genoa"].min_tcb == {"bootloader": 10, "tee": 0, "snp": 23, "microcode": 84}
    assert genoa.products["Genoa"].opt_in == {}
    assert milan.signers == {"vlek"}
    assert genoa.signers == {"vcek"}
    assert values.platform_require == {"alias_check_complete"}
    assert not values.provisional_firmware


def test_vlek_is_accepted_for_the_regions_in_use_only() -> None:
    only_aws = reference_values([machine("aws", "eu-west-1")], {}, simulated=False)["aws-snp-nitrotpm"]["snp"]
    assert only_aws["signers"] == ["vlek"]
    assert only_aws["csp_ids"] == ["CN=cc-eu-west-1.amazonaws.com"]
    snp = machine("gcp", "us-central1")
    only_gcp = reference_values([snp], {}, simulated=False)["gcp-snp"]["snp"]
    assert (only_gcp["signers"], only_gcp["csp_ids"]) == (["vcek"], [])


def test_no_machine_no_values() -> None:
    assert reference_values([], {}, simulated=False) == {}
    assert set(reference_values([], {}, simulated=True)["sev-snp"]["snp"]["products"]) == {"Milan", "Genoa"}


def test_each_cloud_and_tee_has_its_own_format_in_a_document_that_is_read() -> None:
    machines = [
        machine("gcp", "us-central1", tee="tdx"),
        machine("azure", "eastus", tee="tdx"),
        machine("gcp", "us-central1"),
        machine("aws", "us-east-2"),
        machine("azure", "eastus"),
    ]
    found = typed.formats(
        reference_values(machines, {"Milan": {"arxiv-2605.12990": "a reason"}}, simulated=False)
    )
    assert list(found) == ["aws-snp-nitrotpm", "azure-snp", "azure-tdx", "gcp-snp", "gcp-tdx"]
    parts = {
        name: {
            part for part in ("snp", "tdx", "nitrotpm", "azure", "gce") if getattr(values, part) is not None
        }
        for name, values in found.items()
    }
    assert parts == {
        "aws-snp-nitrotpm": {"snp", "nitrotpm"},
        "azure-snp": {"snp", "azure"},
        "azure-tdx": {"tdx", "azure"},
        "gcp-snp": {"snp", "gce"},
        "gcp-tdx": {"tdx", "gce"},
    }


@pytest.mark.parametrize(
    ("cloud", "region", "disabled"), [("azure", "eastus", False), ("gcp", "us-central1", True)]
)
def test_a_host_cannot_inject_ve_but_where_the_paravisor_takes_it(
    cloud: CloudName, region: str, disabled: bool
) -> None:
    made = reference_values([machine(cloud, region, tee="tdx")], {}, simulated=False)[f"{cloud}-tdx"]["tdx"]
    assert made["sept_ve_disable"] is disabled
    # The strictest that these clouds pass; a document's owner loosens it by name.
    assert (made["statuses"], made["out_of_date_grace_days"]) == (["UpToDate"], 0)
    assert (made["mrconfigid"], made["mrowner"], made["mrownerconfig"]) == ("0" * 96,) * 3


def test_google_s_zones_are_those_of_the_machines_and_its_project_is_the_owner_s_to_name() -> None:
    machines = [machine("gcp", "us-central1", tee="tdx", zone=f"us-central1-{letter}") for letter in "cac"]
    gce = reference_values(machines, {}, simulated=False)["gcp-tdx"]["gce"]
    assert (gce["zones"], gce["projects"]) == (["us-central1-a", "us-central1-c"], [])
    assert gce["endorsed_firmware"] == {"min_svn": 1}


def test_several_regions_of_aws_are_several_names_of_its_vlek() -> None:
    machines = [machine("aws", "us-east-2"), machine("aws", "eu-west-1"), machine("aws", "us-east-2")]
    made = reference_values(machines, {}, simulated=False)["aws-snp-nitrotpm"]
    assert made["snp"]["csp_ids"] == ["CN=cc-eu-west-1.amazonaws.com", "CN=cc-us-east-2.amazonaws.com"]
    assert made["nitrotpm"] == {"regions": ["eu-west-1", "us-east-2"], "max_age_s": 300, "max_skew_s": 60}
