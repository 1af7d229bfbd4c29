"""The JSON Schema of a stack's file, for editors: made of the same tables that the reader uses. Pure.

It says what a value looks like; what contradicts what, only `tunnel-fleet plan` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from infra import capabilities, config, members
from infra.fields import form, limits
from infra.stack_names import ROLES
from runtime.documents.fleet import GRADES

Schema = dict[str, Any]


def build() -> Schema:
    """Return the schema of Pulumi.<stack>.yaml."""
    fleet = _fleet()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:confidential-tunnels:stack:1",
        "title": "A stack of a fleet of tunnels",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": {
                    "tunnel:role": {"enum": list(ROLES), "description": "what of the fleet this stack holds"},
                    "tunnel:protect": {"type": "boolean", "description": "false before a teardown"},
                    "tunnel:fleet": fleet,
                },
                "required": ["tunnel:fleet"],
            }
        },
        "required": ["config"],
    }


def _fleet() -> Schema:
    properties = {
        "name": _form("label", "the fleet's name, in every tag and document"),
        "environment": _form("label", "the end of the stacks' names: aws-ENVIRONMENT, dns-ENVIRONMENT"),
        "purpose": _one_of(("production", "test"), "test accepts simulated TEEs"),
        "owner_keys": _list(_form("ed25519"), "one, or two during a rotation", most=2),
        "document": _object(
            {
                "urls": _list(_form("url"), "where the signed document is published"),
                "endorsements": _list(_form("url"), "where an endorsements bundle is published"),
                "min_version": _integer(1, 2**53 - 1, "an older document is refused"),
                "life_days": _integer(1, config.MAX_LIFE_DAYS, "how long one document lives"),
            },
            ("urls", "min_version", "life_days"),
        ),
        "tunnel_name": _form("name", "every server; tunnel clients ask it"),
        "visitor_name": _form("name", "serving servers; sites point at it"),
        "sites": _list(_form("name"), "the names that visitors use"),
        "ports": _object({name: _integer(1, 65535) for name in ("visitors", "sessions", "data")}, ()),
        "resolver": {"anyOf": [{"const": "system"}, _form("socket")]},
        "workers": _integer(1, 64, "processes of a server that carry streams"),
        "limits": _object({name: _bounds(name) for name in limits()}, ()),
        "access_log": _one_of(config.ACCESS, "a line for each visitor, with or without addresses"),
        "servers": _list(_member(members.SERVER_KEYS, members.SERVER_OPTIONAL), "tunnel servers"),
        "clients": _list(_member(members.CLIENT_KEYS, members.CLIENT_OPTIONAL), "tunnel clients", least=0),
        "images": _list(_image(), "one, or two during a rollout", most=config.MAX_GENERATIONS),
        "dns": _dns(),
        "least_grade": _object({role: _one_of(GRADES) for role in config.ROLES}, config.ROLES),
        "opt_in": _object(
            {
                product: _object(
                    {name: {"type": "string", "minLength": 10, "maxLength": 500} for name in ids}, ()
                )
                for product, ids in config.WEAK_PRODUCTS.items()
            },
            (),
        ),
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
    }
    return _object(properties, config.REQUIRED)


def _member(required: Sequence[str], optional: Sequence[str]) -> Schema:
    types = sorted({name for offer in capabilities.OFFERS for name in offer.types})
    regions = sorted({name for offer in capabilities.OFFERS for name in offer.regions})
    known: Mapping[str, Schema] = {
        "name": _form("label", "what the owner calls it; a copy's number is put behind it"),
        "cloud": _one_of(capabilities.CLOUD_NAMES),
        "region": _one_of(regions),
        "zone": {"type": "string"},
        "zones": _list({"type": "string"}, "what copies are spread over"),
        "count": _integer(1, members.MAX_COUNT, "how many machines this entry stands for"),
        "type": _one_of(types, f"machine types of the table of {capabilities.CHECKED}"),
        "tee": _one_of(capabilities.TEE_NAMES),
        "admin": _form("socket"),
        "state": _one_of(members.STATES, "joining and draining ones are in the tunnel name only"),
        "renamed_from": _form("label", "its name before: it keeps its address"),
        "listen": _list(_form("address"), "every address by default"),
        "hostnames": _list(_form("hostname"), "what it may publish"),
        "egress": _one_of(members.EGRESS, "how it reaches out"),
        "routes": {
            "oneOf": [
                _object({"file": {"type": "string", "pattern": "^/"}}, ("file",)),
                _object({"urls": _list(_form("url"))}, ("urls",)),
            ]
        },
        "reconnect_cap_s": {"type": "number", "minimum": 0.1, "maximum": 300},
        "bundle": _object(
            {"urls": _list(_form("url")), "sha256": _form("sha256"), "port": _integer(1024, 65535)},
            ("urls", "sha256", "port"),
        ),
    }
    return _object({name: known[name] for name in (*required, *optional)}, required)


def _image() -> Schema:
    properties = {
        "generation": _integer(1, 9999, "rises with every rollout"),
        "manifest": {"type": "string", "description": "path of the image's manifest"},
        "sha256": _form("sha256"),
        "artefacts": {"type": "string", "description": "folder of the baked files"},
        "state": _one_of(members.STATES),
    }
    return _object(properties, ("generation", "manifest", "sha256"))


def _dns() -> Schema:
    zone = _object(
        {
            "name": _form("name"),
            "providers": _list(_one_of(config.PROVIDERS), "one, or several that serve the same records"),
            "adopt": _object(
                {name: {"type": "string"} for name in config.PROVIDERS}, (), "ids of zones that exist already"
            ),
        },
        ("name", "providers"),
    )
    properties = {
        "zones": _list(zone, "a zone below another is delegated by it"),
        "ttl": _integer(1, config.MAX_TTL_S, "seconds"),
        "caa": _list(_form("name"), "who may issue certificates; an empty list: nobody", least=0),
        "health_checks": {"type": "boolean"},
    }
    return _object(properties, ("zones",))


def _form(name: str, description: str = "") -> Schema:
    wanted = form(name)
    text = f"{description}: {wanted.want}" if description else wanted.want
    return {
        "type": "string",
        "pattern": f"^({wanted.pattern})$",
        "maxLength": wanted.longest,
        "description": text,
    }


def _object(properties: Mapping[str, Schema], required: Sequence[str], description: str = "") -> Schema:
    made: Schema = {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }
    return made | ({"description": description} if description else {})


def _list(items: Schema, description: str = "", *, least: int = 1, most: int | None = None) -> Schema:
    made: Schema = {"type": "array", "items": items, "minItems": least}
    made |= {} if most is None else {"maxItems": most}
    return made | ({"description": description} if description else {})


def _one_of(words: Sequence[str], description: str = "") -> Schema:
    return {"enum": list(words)} | ({"description": description} if description else {})


def _integer(low: int, high: int, description: str = "") -> Schema:
    made: Schema = {"type": "integer", "minimum": low, "maximum": high}
    return made | ({"description": description} if description else {})


def _bounds(name: str) -> Schema:
    bounds = limits()[name]
    kind = "integer" if bounds.whole else "number"
    return {"type": kind, "minimum": bounds.low, "maximum": bounds.high}
