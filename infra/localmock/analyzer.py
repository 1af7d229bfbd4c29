"""The guardrails, run as Pulumi runs them: a process with the pack, asked over gRPC. I/O (process, loopback).

The pack starts while the program still loads its SDKs; a second run asks the same process.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc  # type: ignore[import-untyped]  # publishes no types
from google.protobuf import json_format, struct_pb2  # type: ignore[import-untyped]  # publishes no types
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from infra.localmock.engine import Registered, RunResult
from infra.planning import ROOT
from runtime.errors import Problem, TunnelError

PACK = ROOT / "infra" / "guardrails"
_PATIENCE_S = 60  # for the pack's process to say where it listens
_UNKNOWN = "can't run policy"  # how the pack tells that a value is not known before `up`


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What the guardrails say of one run."""

    violations: tuple[Problem, ...]
    advice: tuple[Problem, ...]
    undecided: tuple[Problem, ...]  # rules that wait for a value that only `up` tells


class Analyzer:
    """The pack's process; leaving the context ends it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own pack
            [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:0", str(PACK)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._channel: Any = None

    def __enter__(self) -> Analyzer:
        """Return the analyzer; it is ready when it is first asked."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        if self._channel is not None:
            self._channel.close()
        self._process.kill()
        self._process.communicate()

    def judge(self, result: RunResult) -> Verdicts:
        """Return what the guardrails say of a run's resources. Raises: TunnelError where the pack failed."""
        stub = self._stub()
        found: list[Any] = []
        for resource in result.resources:
            if resource.custom:
                found += _asked(stub.Analyze, _request(resource), resource.urn)
        everything = analyzer_pb2.AnalyzeStackRequest(
            resources=[_resource(resource) for resource in result.resources]
        )
        found += _asked(stub.AnalyzeStack, everything, "")
        return _sorted(found, result.resources)

    def _stub(self) -> Any:
        if self._channel is None:
            self._channel = grpc.insecure_channel(f"127.0.0.1:{self._port()}")
        return analyzer_pb2_grpc.AnalyzerStub(self._channel)

    def _port(self) -> int:
        stdout = self._process.stdout
        if stdout is None:
            message = "the guardrails' process has no stdout"
            raise TunnelError(message)
        guard = threading.Timer(_PATIENCE_S, self._process.kill)  # ends the read below
        guard.start()
        line = stdout.readline()
        guard.cancel()
        if not line.strip().isdigit():
            self._process.kill()
            story = self._process.communicate()[1].strip().splitlines()
            message = f"the guardrails did not start: {story[-1] if story else 'no word of why'}"
            raise TunnelError(message)
        return int(line)


def _asked(method: Any, request: Any, urn: str) -> list[Any]:
    try:
        answered = list(method(request).diagnostics)
    except grpc.RpcError as error:
        # An input that no rule expected: what it is, the check of inputs says; it is never let through.
        message = f"cannot be judged: {getattr(error, 'details', str)()}"
        return [
            analyzer_pb2.AnalyzeDiagnostic(
                policyName="guardrails", message=message, enforcementLevel=analyzer_pb2.MANDATORY, urn=urn
            )
        ]
    for diagnostic in answered:
        diagnostic.urn = diagnostic.urn or urn  # who asked about one resource knows which
    return answered


def _request(resource: Registered) -> Any:
    return analyzer_pb2.AnalyzeRequest(
        type=resource.type,
        name=resource.name,
        urn=resource.urn,
        properties=_struct(resource),
        options=analyzer_pb2.AnalyzerResourceOptions(protect=resource.protect),
    )


def _resource(resource: Registered) -> Any:
    return analyzer_pb2.AnalyzerResource(
        type=resource.type,
        name=resource.name,
        urn=resource.urn,
        parent=resource.parent,
        properties=_struct(resource),
        options=analyzer_pb2.AnalyzerResourceOptions(protect=resource.protect),
    )


def _struct(resource: Registered) -> Any:
    return json_format.ParseDict(dict(resource.inputs) if resource.custom else {}, struct_pb2.Struct())


def _sorted(diagnostics: Sequence[Any], resources: Sequence[Registered]) -> Verdicts:
    names = {resource.urn: f"{resource.name} ({resource.type})" for resource in resources}
    kinds: dict[str, set[Problem]] = {"violations": set(), "advice": set(), "undecided": set()}
    for one in diagnostics:
        # The pack's own frame: "[policy] description\nmessage".
        text = one.message.strip().splitlines()[-1] if one.message else one.description
        kind = "violations" if one.enforcementLevel == analyzer_pb2.MANDATORY else "advice"
        if _UNKNOWN in one.message:
            kind = "undecided"
        kinds[kind].add(Problem(f"{names.get(one.urn, 'the stack')} [{one.policyName}]", text))
    return Verdicts(**{kind: tuple(sorted(found, key=str)) for kind, found in kinds.items()})
