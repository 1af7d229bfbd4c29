"""Pulumi's ResourceProvider service over the simulated world, one instance per cloud. I/O (loopback).

Inputs are held against the SDK's own types, as in a local preview, so the real engine refuses what a cloud
would. What ends in a replacement is `localmock.changes`' table.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import grpc  # type: ignore[import-untyped]  # publishes no types
from google.protobuf import (  # type: ignore[import-untyped]  # publishes no types
    empty_pb2,
    json_format,
    struct_pb2,
)
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from infra.localmock import changes, inputs
from infra.localmock.plugins.admission import refusal
from infra.localmock.plugins.world import Thing, World, kind_of
from infra.localmock.wire import plain
from runtime.errors import TunnelError


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One cloud's stand-in. The names of its methods are the service's."""

    def __init__(self, package: str, version: str, world: World, backend: str) -> None:
        self._package, self._version, self._world, self._backend = package, version, world, backend
        self._loading = threading.Lock()  # importing one SDK from two threads at once can deadlock

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=True, accept_outputs=True
        )

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(self, request: Any, context: Any) -> Any:
        return provider_pb2.GetSchemaResponse(
            schema=json.dumps({"name": self._package, "version": self._version})
        )

    def CheckConfig(self, request: Any, context: Any) -> Any:
        why = refusal(request.urn, self._backend)
        if why:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, why)
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        why = refusal(request.urn, self._backend)
        if why:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, why)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
        )

    def Check(self, request: Any, context: Any) -> Any:
        given = _plain(request.news)
        with self._loading:
            problems = inputs.check(kind_of(request.urn), given)
        failures = [
            provider_pb2.CheckFailure(property=problem.path.removeprefix("$."), reason=problem.message)
            for problem in problems
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        kind = kind_of(request.urn)
        paths = [
            path
            for path in changes.differences(_plain(request.old_inputs), _plain(request.news))
            if not path.startswith("__") and path.partition(".")[0] not in request.ignoreChanges
        ]
        tops = sorted({path.partition(".")[0].partition("[")[0] for path in paths})
        replaces = sorted(
            {path.partition(".")[0].partition("[")[0] for path in paths if changes.forces(kind, path)}
        )
        some = provider_pb2.DiffResponse.DIFF_SOME if paths else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=some, diffs=tops, replaces=replaces)

    def Create(self, request: Any, context: Any) -> Any:
        given = json_format.MessageToDict(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(id="", properties=request.properties)  # the rest is unknown
        thing = self._do(context, lambda: self._world.create(request.urn, _plain(request.properties)))
        return provider_pb2.CreateResponse(id=thing.id, properties=_struct(_outputs(thing, given)))

    def Read(self, request: Any, context: Any) -> Any:
        thing = self._do(context, lambda: self._world.read(request.id))
        if thing is None:
            return provider_pb2.ReadResponse()  # an empty id: it is gone
        return provider_pb2.ReadResponse(
            id=thing.id, properties=_struct(thing.outputs), inputs=_struct(thing.inputs)
        )

    def Update(self, request: Any, context: Any) -> Any:
        given = json_format.MessageToDict(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=_struct({**_plain(request.olds), **given}))
        thing = self._do(context, lambda: self._world.update(request.id, _plain(request.news)))
        return provider_pb2.UpdateResponse(properties=_struct(_outputs(thing, given)))

    def Delete(self, request: Any, context: Any) -> Any:
        self._do(context, lambda: self._world.delete(request.id))
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        reason = f"the local fleet knows no answer to the data source {request.tok}"
        return provider_pb2.InvokeResponse(failures=[provider_pb2.CheckFailure(reason=reason)])

    @staticmethod
    def _do(context: Any, operation: Any) -> Any:
        try:
            return operation()
        except TunnelError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))


def _outputs(thing: Thing, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a thing's outputs with its inputs as they came: what was secret stays so."""
    return {**thing.outputs, **given}


def _plain(message: Any) -> dict[str, Any]:
    return {key: plain(value) for key, value in json_format.MessageToDict(message).items()}


def _struct(value: Mapping[str, Any]) -> Any:
    return json_format.ParseDict(dict(value), struct_pb2.Struct())
