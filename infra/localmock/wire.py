"""Property values as Pulumi sends them: secrets, unknowns, numbers. Pure.

Signatures and the unknown's text: github.com/pulumi/pulumi, sdk/go/common/resource/sig and
plugin/rpc.go.
"""

from __future__ import annotations

from typing import cast

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"  # a value that only `up` will tell
SIGNATURE = "4dabf18193072939515e22adb298388d"  # key that marks a special object
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the mark of a secret, not one

SHOWN_UNKNOWN = "(known after up)"
SHOWN_SECRET = "[secret]"  # noqa: S105 - what is shown in its place


def plain(value: object) -> object:
    """Return the value without the marks of secrets; unknowns stay marked, whole numbers become integers."""
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        if members.get(SIGNATURE) == SECRET:
            return plain(members.get("value", UNKNOWN))
        return {key: plain(member) for key, member in members.items()}
    if isinstance(value, list):
        return [plain(member) for member in cast("list[object]", value)]
    # Protocol buffers know doubles only: 60 arrives as 60.0.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shown(value: object) -> object:
    """Return the value as a person may see it: secrets masked, unknowns in words."""
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        if members.get(SIGNATURE) == SECRET:
            return SHOWN_SECRET
        return {key: shown(member) for key, member in sorted(members.items()) if not key.startswith("__")}
    if isinstance(value, list):
        return [shown(member) for member in cast("list[object]", value)]
    return SHOWN_UNKNOWN if value == UNKNOWN else plain(value)


def is_unknown(value: object) -> bool:
    """Tell whether any part of the value is unknown."""
    if isinstance(value, dict):
        return any(is_unknown(member) for member in cast("dict[str, object]", value).values())
    if isinstance(value, list):
        return any(is_unknown(member) for member in cast("list[object]", value))
    return value == UNKNOWN
