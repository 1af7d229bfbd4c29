"""The simulated clouds that stand-in providers share: a folder, one file per thing. I/O.

    fleet.json         the fleet whose plan says which server listens where
    things/ID.json     what exists: its URN, type, inputs and outputs
    faults.json        what is to go wrong, once each: [{"operation": "create", "match": "aws-1-vm"}]

A thing is made whole or not at all: its file is written beside its place and moved there.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, cast

from infra import planning
from infra.fleet import LOCAL
from infra.localmock.answers import Answers
from infra.localmock.engine import Registered
from runtime.errors import TunnelError

Operation = Literal["create", "update", "delete", "read"]


class InjectedError(TunnelError):
    """A fault that faults.json asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One thing that a cloud has."""

    id: str
    urn: str
    type: str
    inputs: Mapping[str, Any]  # plain: no marks of secrets
    outputs: Mapping[str, Any]


class World:
    """What all three simulated clouds have, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._things = folder, folder / "things"
        self._things.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()

    def create(self, urn: str, inputs: Mapping[str, Any]) -> Thing:
        """Make a thing. Raises: InjectedError before anything is made."""
        kind, name = kind_of(urn), name_of(urn)
        self._fault("create", name)
        with self._lock:
            # A second thing of one URN is the replacement of the first, with an identity of its own.
            earlier = sum(1 for thing in self.things() if thing.urn == urn) + self._gone(urn)
            asked = Registered(
                urn=urn if not earlier else f"{urn}#{earlier + 1}",
                type=kind,
                name=name,
                parent="",
                custom=True,
                protect=False,
                inputs=inputs,
            )
            identity, computed = self._answers()(asked)
            thing = Thing(id=identity, urn=urn, type=kind, inputs=inputs, outputs={**inputs, **computed})
            self._write(thing)
        self._fault("create", f"{name}!")  # asked for with a "!": after it was made, before anybody hears
        return thing

    def read(self, identity: str) -> Thing | None:
        """Return a thing, or nothing where it is gone. Raises: InjectedError."""
        path = self._path(identity)
        thing = _load(path) if path.exists() else None
        if thing is not None:
            self._fault("read", name_of(thing.urn))
        return thing

    def update(self, identity: str, inputs: Mapping[str, Any]) -> Thing:
        """Change a thing's inputs in place. Raises: InjectedError, TunnelError where it is gone."""
        thing = self.read(identity)
        if thing is None:
            message = f"{identity} does not exist"
            raise TunnelError(message)
        self._fault("update", name_of(thing.urn))
        computed = {key: value for key, value in thing.outputs.items() if key not in thing.inputs}
        changed = Thing(
            id=identity, urn=thing.urn, type=thing.type, inputs=inputs, outputs={**inputs, **computed}
        )
        self._write(changed)
        return changed

    def delete(self, identity: str) -> None:
        """Remove a thing; one that is gone already is no error, as in every cloud. Raises: InjectedError."""
        thing = self.read(identity)
        if thing is None:
            return
        self._fault("delete", name_of(thing.urn))
        with self._lock:
            tally = self._tally()
            tally[thing.urn] = tally.get(thing.urn, 0) + 1
            self._replace(self._folder / "gone.json", tally)
            self._path(identity).unlink(missing_ok=True)

    def things(self) -> tuple[Thing, ...]:
        """Return everything that exists, by URN and id."""
        found = [_load(path) for path in self._things.glob("*.json")]
        return tuple(sorted(found, key=lambda thing: (thing.urn, thing.id)))

    def _answers(self) -> Answers:
        fleet = json.loads((self._folder / "fleet.json").read_bytes())
        return Answers(planning.load(fleet, LOCAL))

    def _gone(self, urn: str) -> int:
        return self._tally().get(urn, 0)

    def _tally(self) -> dict[str, int]:
        path = self._folder / "gone.json"
        return cast("dict[str, int]", json.loads(path.read_bytes())) if path.exists() else {}

    def _fault(self, operation: Operation, name: str) -> None:
        path = self._folder / "faults.json"
        if not path.exists():
            return
        with self._lock:
            faults = cast("list[dict[str, str]]", json.loads(path.read_bytes()))
            wanted = {"operation": operation, "match": name}
            if wanted not in faults:
                return
            faults.remove(wanted)
            self._replace(path, faults)
        message = f"the simulated cloud fails to {operation} {name}, as faults.json asked"
        raise InjectedError(message)

    def _path(self, identity: str) -> Path:
        # An id is a cloud's text with slashes and more: its digest is a file name.
        return self._things / f"{sha256(identity.encode()).hexdigest()[:32]}.json"

    def _write(self, thing: Thing) -> None:
        self._replace(
            self._path(thing.id),
            {
                "id": thing.id,
                "urn": thing.urn,
                "type": thing.type,
                "inputs": dict(thing.inputs),
                "outputs": dict(thing.outputs),
            },
        )

    @staticmethod
    def _replace(path: Path, value: object) -> None:
        beside = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.new")
        beside.write_text(json.dumps(value, sort_keys=True, indent=1))
        beside.replace(path)


def kind_of(urn: str) -> str:
    """Return the type token of a URN, without its parents' types."""
    return urn.split("::")[2].rpartition("$")[2]


def name_of(urn: str) -> str:
    """Return the logical name of a URN."""
    return urn.split("::", 3)[3]


def _load(path: Path) -> Thing:
    return Thing(**json.loads(path.read_bytes()))
