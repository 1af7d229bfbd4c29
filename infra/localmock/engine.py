"""An in-process engine: Pulumi's ResourceMonitor and Engine services, as the SDK calls them. I/O (loopback).

The program is run by the SDK's own language server, exactly as Pulumi runs it; only the far side of the
wire is ours. It keeps no state, makes no diff and asks no provider: it answers what `Answer` says.
"""

from __future__ import annotations

import gc
import runpy
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc  # type: ignore[import-untyped]  # publishes no types
from google.protobuf import (  # type: ignore[import-untyped]  # publishes no types
    empty_pb2,
    json_format,
    struct_pb2,
)
from pulumi.automation._server import LanguageServer  # what the automation API itself runs programs with
from pulumi.runtime.proto import engine_pb2, language_pb2, resource_pb2

from infra.localmock.wire import plain
from infra.planning import PROJECT, ROOT
from runtime.errors import Problem

STACK_TYPE = "pulumi:pulumi:Stack"
_REFERENCE_TYPE = "pulumi:pulumi:StackReference"
_ORGANIZATION = "organization"  # the name that a self-managed backend gives
_PARALLEL = 8
_WARNING = 2  # LogSeverity of engine.proto


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """One resource as the program registered it."""

    urn: str
    type: str
    name: str
    parent: str  # a URN; empty for the stack
    custom: bool  # a cloud's resource; else a component of ours
    protect: bool
    inputs: Mapping[str, Any]  # as on the wire: secrets and unknowns marked

    @property
    def plain_inputs(self) -> dict[str, Any]:
        """Return the inputs without marks."""
        return {key: plain(value) for key, value in self.inputs.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """Everything that one run of the program registered, said and answered."""

    stack: str
    dry: bool
    resources: tuple[Registered, ...]  # sorted by URN: registration has no order
    outputs: Mapping[str, Any]
    problems: tuple[Problem, ...]
    messages: tuple[str, ...]  # warnings and errors that the program logged
    error: str  # empty: the program ended well


Answer = Callable[[Registered], tuple[str, Mapping[str, Any]]]  # id and computed outputs, of a simulated `up`
Check = Callable[[str, Mapping[str, Any]], list[Problem]]


class Engine:
    """The far side of one run."""

    def __init__(
        self, *, stack: str, dry: bool, answer: Answer, check: Check, others: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._stack, self._dry = stack, dry
        self._answer, self._check, self._others = answer, check, others
        self._lock = threading.Lock()
        self.resources: dict[str, Registered] = {}
        self.problems: list[Problem] = []
        self.messages: list[str] = []
        self.outputs: dict[str, Any] = {}
        self._root = ""

    def services(self) -> list[Any]:
        """Return the two gRPC services; a call that is not among them is answered UNIMPLEMENTED."""
        empty, messages = empty_pb2.Empty, resource_pb2
        monitor = {
            "GetDeploymentInfo": (self._deployment, empty),
            "RegisterResource": (self._register, messages.RegisterResourceRequest),
            "RegisterResourceOutputs": (self._register_outputs, messages.RegisterResourceOutputsRequest),
            "ReadResource": (self._read, messages.ReadResourceRequest),
            "Invoke": (self._invoke, messages.ResourceInvokeRequest),
            "SignalAndWaitForShutdown": (_nothing, empty),
        }
        engine = {
            "Log": (self._log, engine_pb2.LogRequest),
            "SetRootResource": (self._set_root, engine_pb2.SetRootResourceRequest),
            "GetRootResource": (self._get_root, engine_pb2.GetRootResourceRequest),
        }
        return [_service("pulumirpc.ResourceMonitor", monitor), _service("pulumirpc.Engine", engine)]

    def _deployment(self, _request: Any, _context: Any) -> Any:
        return resource_pb2.DeploymentInfo(
            project=PROJECT,
            stack=self._stack,
            organization=_ORGANIZATION,
            dryRun=self._dry,
            parallel=_PARALLEL,
            supportedFeatures=[
                resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
                resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
                resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
            ],
        )

    def _register(self, request: Any, context: Any) -> Any:
        urn = self._urn(request.parent, request.type, request.name)
        found = Registered(
            urn=urn,
            type=request.type,
            name=request.name,
            parent=request.parent,
            custom=request.custom,
            protect=request.protect,
            inputs=json_format.MessageToDict(request.object),
        )
        with self._lock:
            if urn in self.resources:
                context.abort(grpc.StatusCode.ALREADY_EXISTS, f"two resources have the URN {urn}")
            self.resources[urn] = found
        outputs, identity = dict(found.inputs), ""
        if found.custom and not found.type.startswith("pulumi:"):
            problems = self._check(found.type, found.plain_inputs)
            with self._lock:
                # Collected, not refused: one run tells every mistake.
                self.problems += [
                    Problem(f"{found.name} ({found.type}){p.path[1:]}", p.message) for p in problems
                ]
            if not self._dry:
                identity, computed = self._answer(found)
                outputs.update(computed)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identity, object=_struct(outputs))

    def _register_outputs(self, request: Any, _context: Any) -> Any:
        if self.resources[request.urn].type == STACK_TYPE:
            self.outputs = json_format.MessageToDict(request.outputs)
        return empty_pb2.Empty()

    def _read(self, request: Any, context: Any) -> Any:
        if request.type != _REFERENCE_TYPE:
            context.abort(grpc.StatusCode.NOT_FOUND, f"a local run cannot read {request.type} {request.id}")
        stack = request.id.rpartition("/")[2]
        if stack not in self._others:
            context.abort(
                grpc.StatusCode.NOT_FOUND, f"the stack {stack} has no outputs: preview it with a file"
            )
        outputs = {"name": request.id, "outputs": dict(self._others[stack]), "secretOutputNames": []}
        urn = self._urn(request.parent, request.type, request.name)
        return resource_pb2.ReadResourceResponse(urn=urn, properties=_struct(outputs))

    def _invoke(self, request: Any, context: Any) -> Any:
        context.abort(
            grpc.StatusCode.NOT_FOUND, f"a local run knows no answer to the data source {request.tok}"
        )

    def _log(self, request: Any, _context: Any) -> Any:
        if request.severity >= _WARNING:
            with self._lock:
                self.messages.append(request.message)
        return empty_pb2.Empty()

    def _set_root(self, request: Any, _context: Any) -> Any:
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def _get_root(self, _request: Any, _context: Any) -> Any:
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def _urn(self, parent: str, kind: str, name: str) -> str:
        above = parent.split("::")[2] if parent else ""
        path = kind if above in {"", STACK_TYPE} else f"{above}${kind}"
        return f"urn:pulumi:{self._stack}::{PROJECT}::{path}::{name}"


def run_program(
    *,
    stack: str,
    config: Mapping[str, str],
    dry: bool,
    answer: Answer,
    check: Check,
    others: Mapping[str, Mapping[str, Any]],
) -> RunResult:
    """Run the fleet's program once; `others` is the outputs of the stacks it may refer to."""
    engine = Engine(stack=stack, dry=dry, answer=answer, check=check, others=others)
    server = grpc.server(ThreadPoolExecutor(_PARALLEL * 4))
    server.add_generic_rpc_handlers(tuple(engine.services()))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    request = language_pb2.RunRequest(
        project=PROJECT,
        stack=stack,
        organization=_ORGANIZATION,
        monitor_address=address,
        args=[address],
        config=dict(config),
        dryRun=dry,
        parallel=_PARALLEL,
    )
    collecting = gc.isenabled()
    gc.disable()  # importing the SDKs makes millions of objects and no garbage: a seventh of the run's time
    try:
        language_server: Any = LanguageServer(_program)  # its methods carry no types
        response = language_server.Run(request, None)
    finally:
        if collecting:
            gc.enable()
        server.stop(None)
    return RunResult(
        stack=stack,
        dry=dry,
        resources=tuple(engine.resources[urn] for urn in sorted(engine.resources)),
        outputs=engine.outputs,
        problems=tuple(sorted(engine.problems, key=str)),
        messages=tuple(engine.messages),
        error=str(response.error),
    )


def _program() -> None:
    # As Pulumi's executor does with `main: infra/`.
    runpy.run_path(str(ROOT / "infra"), run_name="__main__")


def _service(name: str, methods: Mapping[str, tuple[Callable[[Any, Any], Any], Any]]) -> Any:
    handlers = {
        method: grpc.unary_unary_rpc_method_handler(
            function,
            request_deserializer=request.FromString,
            response_serializer=_serialize,
        )
        for method, (function, request) in methods.items()
    }
    return grpc.method_handlers_generic_handler(name, handlers)


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _nothing(_request: Any, _context: Any) -> Any:
    return empty_pb2.Empty()


def _struct(value: Mapping[str, Any]) -> Any:
    return json_format.ParseDict(dict(value), struct_pb2.Struct())
