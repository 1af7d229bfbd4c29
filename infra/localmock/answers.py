"""What a cloud would answer to each resource of a simulated `up`: ids, addresses, name servers. Pure.

Everything is derived from names, so two runs answer the same. A server that listens on an address of its
own is reached there; else the addresses are of RFC 2544's range for benchmarks, which nobody routes.
"""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from infra.fleet import FleetPlan
from infra.localmock.engine import Registered

_BENCHMARK_IPV4 = int(ipaddress.IPv4Address("198.18.0.0"))  # /15
_DOCUMENTATION_IPV6 = int(ipaddress.IPv6Address("2001:db8::"))  # /32
# The prefix of an EC2 id: the first letters that AWS gives each kind.
_AWS_IDS: Mapping[str, str] = {
    "aws:ec2/instance:Instance": "i",
    "aws:ec2/vpc:Vpc": "vpc",
    "aws:ec2/subnet:Subnet": "subnet",
    "aws:ec2/eip:Eip": "eipalloc",
    "aws:ec2/securityGroup:SecurityGroup": "sg",
    "aws:ec2/natGateway:NatGateway": "nat",
    "aws:ec2/internetGateway:InternetGateway": "igw",
    "aws:ec2/routeTable:RouteTable": "rtb",
    "aws:ebs/snapshotImport:SnapshotImport": "snap",
    "aws:ec2/ami:Ami": "ami",
}


class Answers:
    """The answers of one fleet's clouds."""

    def __init__(self, plan: FleetPlan) -> None:
        self._listen = {spec.name: spec.listen for spec in plan.machines}

    def __call__(self, asked: Registered) -> tuple[str, Mapping[str, Any]]:
        """Return the id and the computed outputs of one resource."""
        match asked.type.partition(":")[0]:
            case "aws":
                return self._aws(asked)
            case "azure-native":
                return self._azure(asked)
            case "gcp":
                return self._gcp(asked)
            case _:
                return _digest(asked)[:20], {}

    def _aws(self, asked: Registered) -> tuple[str, Mapping[str, Any]]:
        digest = _digest(asked)
        prefix = _AWS_IDS.get(asked.type, "r")
        identity, name = f"{prefix}-{digest[:17]}", f"{asked.name}-{digest[:7]}"
        match asked.type:
            case "aws:ec2/eip:Eip":
                return identity, {"allocationId": identity, "publicIp": self._ipv4(asked)}
            case "aws:ec2/instance:Instance":
                computed = (
                    {"ipv6Addresses": [self._ipv6(asked)]} if "ipv6AddressCount" in asked.inputs else {}
                )
                return identity, computed
            case "aws:ec2/vpc:Vpc":
                return identity, {"ipv6CidrBlock": f"2001:db8:{digest[:2]}:{digest[2:4]}00::/56"}
            case "aws:route53/zone:Zone":
                zone = f"Z{digest[:20].upper()}"
                return zone, {"zoneId": zone, "nameServers": _name_servers(digest)}
            case "aws:s3/bucket:Bucket":
                return name, {"bucket": name, "arn": f"arn:aws:s3:::{name}"}
            case "aws:iam/role:Role":
                return name, {"name": name, "arn": f"arn:aws:iam::000000000000:role/{name}"}
            case _:
                return identity, {}

    def _azure(self, asked: Registered) -> tuple[str, Mapping[str, Any]]:
        digest, kind = _digest(asked), asked.type.rpartition(":")[2]
        name = str(asked.plain_inputs.get("zoneName", f"{asked.name}{digest[:8]}"))
        identity = f"/subscriptions/{uuid.UUID(int=0)}/{kind}/{name}"
        match asked.type:
            case "azure-native:network:PublicIPAddress":
                version = asked.plain_inputs.get("publicIPAddressVersion")
                address = self._ipv6(asked) if version == "IPv6" else self._ipv4(asked)
                return identity, {"name": name, "ipAddress": address}
            case "azure-native:compute:VirtualMachine":
                return identity, {"name": name, "vmId": str(uuid.UUID(hex=digest[:32]))}
            case "azure-native:dns:Zone":
                return identity, {"name": name, "nameServers": _name_servers(digest)}
            case "azure-native:storage:StorageAccount":
                return identity, {"name": name, "primaryEndpoints": {"blob": f"https://{name}.blob.example/"}}
            case "azure-native:storage:Blob":
                return identity, {"name": name, "url": f"https://blob.example/{name}"}
            case _:
                return identity, {"name": name}

    def _gcp(self, asked: Registered) -> tuple[str, Mapping[str, Any]]:
        digest, inputs = _digest(asked), asked.plain_inputs
        name = str(inputs.get("name", f"{asked.name}-{digest[:7]}"))
        identity = f"projects/local/{name}"
        match asked.type:
            case "gcp:compute/address:Address":
                address = self._ipv6(asked) if inputs.get("ipVersion") == "IPV6" else self._ipv4(asked)
                return identity, {"name": name, "address": address}
            case "gcp:compute/instance:Instance":
                return identity, {"name": name, "instanceId": str(10**18 + int(digest[:14], 16))}
            case "gcp:dns/managedZone:ManagedZone":
                return identity, {"name": name, "nameServers": _name_servers(digest)}
            case "gcp:storage/bucketObject:BucketObject":
                return identity, {"name": name, "outputName": name}
            case _:
                return identity, {"name": name, "selfLink": f"https://compute.example/{identity}"}

    def _ipv4(self, asked: Registered) -> str:
        own = self._own_address(asked, 4)
        return own or str(ipaddress.IPv4Address(_BENCHMARK_IPV4 + int(_digest(asked)[:4], 16)))

    def _ipv6(self, asked: Registered) -> str:
        own = self._own_address(asked, 6)
        return own or str(ipaddress.IPv6Address(_DOCUMENTATION_IPV6 + int(_digest(asked)[:16], 16)))

    def _own_address(self, asked: Registered, version: int) -> str:
        member = asked.name.removesuffix("-ipv6").removesuffix("-address").removesuffix("-vm")
        addresses = [ipaddress.ip_address(text) for text in self._listen.get(member, ())]
        own = [found for found in addresses if found.version == version and not found.is_unspecified]
        return str(own[0]) if own else ""


def _digest(asked: Registered) -> str:
    return sha256(asked.urn.encode()).hexdigest()


def _name_servers(digest: str) -> list[str]:
    return [f"ns-{number}.{digest[:6]}.example." for number in (1, 2)]
