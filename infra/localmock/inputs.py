"""Hold a resource's inputs against the SDK's own types: names, required fields, kinds, enumerations.

Pure but for importing the SDK module of the type. Every problem is returned, none raised; a value that
only `up` will tell passes.
"""
# The SDK keeps the wire name and type of every field in `pulumi._types` and offers no other way to them.

from __future__ import annotations

import difflib
import enum
import importlib
import importlib.util
import inspect
import json
import re
import sys
import typing
from collections.abc import Awaitable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import pulumi
from pulumi import _types

from infra.localmock.wire import UNKNOWN
from infra.localmock.words import allowed_words
from runtime.errors import Problem

_PACKAGES: Mapping[str, str] = {
    "aws": "pulumi_aws",
    "azure-native": "pulumi_azure_native",
    "command": "pulumi_command",
    "gcp": "pulumi_gcp",
}
_MODULES = re.compile(r'resource_modules="""\n(.*?)\n"""', re.DOTALL)

# Enumerations of the SDK that lag behind their cloud: infra/capabilities.py is the rule there.
_STALE_ENUMS = frozenset({"VirtualMachineSizeTypes", "InstanceType"})


def check(token: str, inputs: Mapping[str, Any]) -> list[Problem]:
    """Return every problem of the inputs of a resource of this type token; paths start with $."""
    package = token.partition(":")[0]
    if package not in _PACKAGES:
        return [Problem("$", f"unknown provider {package!r}{_nearest(package, _PACKAGES)}")]
    if token not in _tokens(package):
        return [Problem("$", f"unknown resource type {token!r}{_nearest(token, _tokens(package))}")]
    problems: list[Problem] = []
    _object(_inputs_class(token), inputs, "$", problems)
    return problems


@cache
def _tokens(package: str) -> Mapping[str, tuple[str, str]]:
    """Return each type token's module and class, read as text: importing a whole SDK takes minutes."""
    found = importlib.util.find_spec(_PACKAGES[package])
    if found is None or found.origin is None:
        message = f"{_PACKAGES[package]} is not installed"
        raise ModuleNotFoundError(message)
    listed = _MODULES.search(Path(found.origin).read_text("utf-8"))
    modules = json.loads(listed.group(1)) if listed is not None else []
    return {token: (module["fqn"], name) for module in modules for token, name in module["classes"].items()}


@cache
def _inputs_class(token: str) -> type:
    module_name, name = _tokens(token.partition(":")[0])[token]
    resource = getattr(importlib.import_module(module_name), name)
    module = sys.modules[resource.__module__]
    # Where a nested input has the name <Class>Args, the resource's own inputs are called <Class>InitArgs.
    for candidate in (f"{name}InitArgs", f"{name}Args"):
        found = vars(module).get(candidate)
        if isinstance(found, type) and found.__module__ == module.__name__:
            return found
    message = f"{module.__name__} has no inputs class for {name}"
    raise LookupError(message)


@cache
def _fields(inputs: type) -> Mapping[str, tuple[Any, bool]]:
    """Return each wire name's type and whether it is required."""
    types = cast("Mapping[str, Any]", _types.input_type_types(inputs))
    parameters = inspect.signature(inputs).parameters
    names = _types.input_type_py_to_pulumi_names(inputs)
    return {
        wire: (types[wire], name in parameters and parameters[name].default is inspect.Parameter.empty)
        for name, wire in names.items()
    }


def _object(inputs: type, value: object, path: str, problems: list[Problem]) -> None:
    if not isinstance(value, Mapping):
        problems.append(Problem(path, f"is {value!r}, want an object ({inputs.__name__})"))
        return
    members, fields = cast("Mapping[str, object]", value), _fields(inputs)
    for name, member in members.items():
        if name.startswith("__"):  # the SDK's own, such as __defaults
            continue
        if name not in fields:
            problems.append(
                Problem(f"{path}.{name}", f"unknown field of {inputs.__name__}{_nearest(name, fields)}")
            )
            continue
        here = f"{path}.{name}"
        known = len(problems)
        _value(fields[name][0], member, here, problems)
        if len(problems) > known:
            continue  # the type has said it
        words = allowed_words(inputs, name)
        if words and isinstance(member, str) and member not in {*words, UNKNOWN}:
            problems.append(Problem(here, _not_one_of(member, words)))
    problems += [
        Problem(f"{path}.{name}", f"is missing, {inputs.__name__} requires it")
        for name, (_, required) in fields.items()
        if required and members.get(name) is None
    ]


def _value(wanted: Any, value: object, path: str, problems: list[Problem]) -> None:
    if value is None or value == UNKNOWN:
        return
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is typing.Union:
        _union(arguments, value, path, problems)
    elif origin in (list, Sequence):
        _list(arguments[0], value, path, problems)
    elif origin in (dict, Mapping):
        _map(arguments[1], value, path, problems)
    elif isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        _enum(wanted, value, path, problems)
    elif isinstance(wanted, type) and _types.is_input_type(wanted):
        _object(wanted, value, path, problems)
    else:
        _scalar(wanted, value, path, problems)


def _union(arguments: Sequence[Any], value: object, path: str, problems: list[Problem]) -> None:
    members = [member for member in arguments if _carried(member)]
    enums = [member for member in members if isinstance(member, type) and issubclass(member, enum.Enum)]
    if enums:
        # "Any text or this enumeration": what the enumeration lacks is a slip more often than a novelty.
        members = enums
    attempts: list[list[Problem]] = []
    for member in members:
        attempt: list[Problem] = []
        _value(member, value, path, attempt)
        attempts.append(attempt)
    if attempts:
        problems += sorted(attempts, key=_count)[0]


def _count(problems: list[Problem]) -> int:
    return len(problems)


def _carried(member: Any) -> bool:
    """Tell whether a member of a union describes a value on the wire: no wrapper, no spelling of Python's."""
    return not (
        member is type(None)
        or member is pulumi.Output
        or typing.get_origin(member) in (pulumi.Output, Awaitable)
        or isinstance(member, typing.ForwardRef)
        or typing.is_typeddict(member)
    )


def _list(wanted: Any, value: object, path: str, problems: list[Problem]) -> None:
    if not isinstance(value, list):
        problems.append(Problem(path, f"is {value!r}, want a list"))
        return
    for index, member in enumerate(cast("list[object]", value)):
        _value(wanted, member, f"{path}[{index}]", problems)


def _map(wanted: Any, value: object, path: str, problems: list[Problem]) -> None:
    if not isinstance(value, Mapping):
        problems.append(Problem(path, f"is {value!r}, want an object"))
        return
    for name, member in cast("Mapping[str, object]", value).items():
        _value(wanted, member, f"{path}.{name}", problems)


def _enum(wanted: type[enum.Enum], value: object, path: str, problems: list[Problem]) -> None:
    words = [str(member.value) for member in wanted]
    if wanted.__name__ not in _STALE_ENUMS and value not in words:
        problems.append(Problem(path, _not_one_of(str(value), words)))


def _scalar(wanted: Any, value: object, path: str, problems: list[Problem]) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    good = {
        str: isinstance(value, str),
        bool: isinstance(value, bool),
        int: number and value == int(cast("float", value)),
        float: number,
    }
    if not good.get(wanted, True):
        problems.append(Problem(path, f"is {value!r}, want {wanted.__name__}"))


def _not_one_of(value: str, words: Sequence[str]) -> str:
    shown = ", ".join(words[:8]) + (", ..." if len(words) > 8 else "")
    return f"is {value!r}, want one of {shown}{_nearest(value, words)}"


def _nearest(value: str, known: typing.Iterable[str]) -> str:
    near = difflib.get_close_matches(value, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
