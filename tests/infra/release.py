"""A fleet as an owner would run it, made of the local stack's own configuration."""

from __future__ import annotations

import copy
from hashlib import sha256
from typing import Any, cast

from infra import stacks
from infra.planning import ROOT

MANIFEST = "runtime/documents/examples/image-manifest.json"


def local() -> dict[str, Any]:
    """A fresh copy of the local stack's fleet object."""
    return copy.deepcopy(cast("dict[str, Any]", stacks.read("local", None).fleet))


def release_fleet() -> dict[str, Any]:
    """The same fleet with a release image, addresses of the clouds, IPv6 on two servers."""
    fleet = local()
    fleet |= {"environment": "prod", "purpose": "production", "resolver": "system", "workers": 2}
    fleet["ports"] = {"visitors": 443}
    fleet["least_grade"] = {"server": "V", "client": "P", "key_receiver": "P"}
    fleet["images"][0] |= {
        "manifest": MANIFEST,
        "sha256": sha256((ROOT / MANIFEST).read_bytes()).hexdigest(),
        "artefacts": "images/out",
    }
    for server in fleet["servers"]:
        server["listen"] = ["0.0.0.0"] if server["name"] == "aws-1" else ["0.0.0.0", "::"]
    return fleet


def everything() -> dict[str, Any]:
    """A fleet that makes every resource that the program knows: clouds, TEEs, ways out, DNS providers."""
    fleet = release_fleet()
    fleet["dns"] = {
        "zones": [
            {"name": "demo.test", "providers": ["route53", "azure_dns", "cloud_dns"]},
            {"name": "t.demo.test", "providers": ["cloud_dns"]},
        ],
        "ttl": 60,
        "caa": ["letsencrypt.org"],
    }
    fleet["sites"] = ["app.demo.test", "demo.test"]
    fleet["clients"] += [
        fleet["clients"][0] | {"name": "client-3", "cloud": "aws", "region": "us-east-2", "tee": "sev-snp"},
        fleet["clients"][0] | {"name": "client-4", "cloud": "azure", "region": "westeurope", "tee": "tdx"},
    ]
    for client in fleet["clients"]:
        client["hostnames"] = ["app.demo.test", "demo.test"]
    fleet["least_grade"]["client"] = "V"
    fleet["servers"][0]["listen"] = ["0.0.0.0", "::"]
    fleet["servers"].append({"name": "gcp-2", "cloud": "gcp", "region": "europe-west4", "tee": "sev-snp"})
    return fleet
