"""The stand-ins for providers, at the level of their gRPC service and their folder."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]  # publishes no types
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2  # type: ignore[import-untyped]  # publishes no types
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from infra import stacks
from infra.localmock.plugins.admission import refusal
from infra.localmock.plugins.provider import Provider
from infra.localmock.plugins.world import InjectedError, World, kind_of, name_of
from infra.planning import ROOT
from runtime.errors import TunnelError

pytestmark = pytest.mark.filterwarnings("ignore:.*has been deprecated in favor of:DeprecationWarning")

URN = "urn:pulumi:local::confidential-tunnels::tunnel:aws:Machine$aws:ec2/eip:Eip::aws-1-address"
BUCKET = "urn:pulumi:local::confidential-tunnels::tunnel:aws:Images$aws:s3/bucket:Bucket::images"
PROVIDER = "urn:pulumi:local::confidential-tunnels::pulumi:providers:aws::default_7_51_1"
FILES = "file:///tmp/backend"


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "fleet.json").write_text(json.dumps(stacks.read("local", None).fleet))
    return World(tmp_path)


def faults(world: World, *wanted: tuple[str, str]) -> None:
    asked = [{"operation": operation, "match": match} for operation, match in wanted]
    (world._folder / "faults.json").write_text(json.dumps(asked))


# -- the world ------------------------------------------------------------------------------------


def test_a_thing_is_made_changed_read_and_removed(world: World) -> None:
    made = world.create(URN, {"domain": "vpc"})
    assert (made.type, made.outputs["publicIp"]) == ("aws:ec2/eip:Eip", "127.0.0.11")
    assert world.read(made.id) == made
    changed = world.update(made.id, {"domain": "vpc", "tags": {"a": "b"}})
    assert changed.outputs["publicIp"] == "127.0.0.11"
    assert changed.outputs["tags"] == {"a": "b"}
    assert world.things() == (changed,)
    world.delete(made.id)
    assert world.read(made.id) is None
    world.delete(made.id)  # gone already
    with pytest.raises(TunnelError, match="does not exist"):
        world.update(made.id, {})


def test_an_input_that_goes_goes_from_the_outputs_too(world: World) -> None:
    made = world.create(URN, {"domain": "vpc", "tags": {"a": "b"}})
    assert "tags" not in world.update(made.id, {"domain": "vpc"}).outputs


def test_a_replacement_is_somebody_else(world: World) -> None:
    first = world.create(URN, {"domain": "vpc"})
    second = world.create(URN, {"domain": "vpc"})
    world.delete(first.id)
    third = world.create(URN, {"domain": "vpc"})
    assert len({first.id, second.id, third.id}) == 3
    assert {thing.id for thing in world.things()} == {second.id, third.id}


def test_the_folder_is_the_memory(world: World) -> None:
    made = world.create(URN, {"domain": "vpc"})
    assert World(world._folder).things() == (made,)


@pytest.mark.parametrize("operation", ["create", "update", "delete", "read"])
def test_a_fault_strikes_once_and_changes_nothing(world: World, operation: str) -> None:
    made = world.create(BUCKET, {"forceDestroy": True})
    faults(world, (operation, "images"))
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: world.create(BUCKET, {}),
        "update": lambda: world.update(made.id, {}),
        "delete": lambda: world.delete(made.id),
        "read": lambda: world.read(made.id),
    }
    with pytest.raises(InjectedError, match=f"fails to {operation} images"):
        calls[operation]()
    assert world.things() == (made,)
    calls[operation]()


def test_a_fault_after_the_fact_leaves_what_was_made(world: World) -> None:
    faults(world, ("create", "images!"))
    with pytest.raises(InjectedError):
        world.create(BUCKET, {})
    assert len(world.things()) == 1


def test_urns() -> None:
    assert kind_of(URN) == "aws:ec2/eip:Eip"
    assert kind_of("urn:pulumi:local::p::aws:s3/bucket:Bucket::a::b") == "aws:s3/bucket:Bucket"
    assert name_of("urn:pulumi:local::p::aws:s3/bucket:Bucket::a::b") == "a::b"


# -- who is served ----------------------------------------------------------------------------------


def test_the_local_stack_on_files_is_served() -> None:
    assert refusal(PROVIDER, FILES) == ""


@pytest.mark.parametrize(
    ("urn", "backend", "words"),
    [
        (PROVIDER.replace(":local:", ":aws-prod:"), FILES, "stack is 'aws-prod', want 'local'"),
        (PROVIDER.replace(":local:", ":local2:"), FILES, "stack is 'local2'"),
        ("", FILES, "stack is ''"),
        ("local", FILES, "stack is ''"),
        (PROVIDER, "", "PULUMI_BACKEND_URL is ''"),
        (PROVIDER, "https://pulumi.example", "want file://"),
        (PROVIDER, "s3://state", "want file://"),
    ],
)
def test_nobody_else_is(urn: str, backend: str, words: str) -> None:
    assert words in refusal(urn, backend)


# -- the service ------------------------------------------------------------------------------------


@pytest.fixture
def stub(world: World) -> Iterator[Any]:
    yield from _serve(world, FILES)


def _serve(world: World, backend: str) -> Iterator[Any]:
    server = grpc.server(ThreadPoolExecutor(4))
    provider = Provider("aws", "7.51.1", world, backend)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    server.stop(None).wait()


def struct(**values: Any) -> Any:
    return json_format.ParseDict(values, struct_pb2.Struct())


def test_the_engines_greetings(stub: Any) -> None:
    assert stub.Handshake(provider_pb2.ProviderHandshakeRequest()).accept_secrets
    assert stub.GetPluginInfo(empty_pb2.Empty()).version == "7.51.1"
    assert (
        stub.CheckConfig(provider_pb2.CheckRequest(urn=PROVIDER, news=struct(region="x"))).inputs["region"]
        == "x"
    )
    assert stub.Configure(provider_pb2.ConfigureRequest(urn=PROVIDER)).supportsPreview


@pytest.mark.parametrize("call", ["CheckConfig", "Configure"])
def test_a_foreign_stack_gets_no_service(stub: Any, call: str) -> None:
    urn = PROVIDER.replace(":local:", ":aws-prod:")
    request = (
        provider_pb2.CheckRequest(urn=urn)
        if call == "CheckConfig"
        else provider_pb2.ConfigureRequest(urn=urn)
    )
    with pytest.raises(grpc.RpcError, match="aws-prod"):
        getattr(stub, call)(request)


def test_a_shared_backend_gets_no_service(world: World) -> None:
    served = _serve(world, "s3://state")
    stub = next(served)
    with pytest.raises(grpc.RpcError, match="PULUMI_BACKEND_URL"):
        stub.Configure(provider_pb2.ConfigureRequest(urn=PROVIDER))
    next(served, None)


def test_wrong_inputs_are_refused_with_their_path(stub: Any) -> None:
    answer = stub.Check(provider_pb2.CheckRequest(urn=URN, news=struct(domain="vpcc", tags={"a": 1})))
    assert {failure.property: failure.reason for failure in answer.failures} == {
        "domain": "is 'vpcc', want one of vpc; did you mean 'vpc'?",
        "tags.a": "is 1, want str",
    }


@pytest.mark.parametrize(
    ("old", "new", "diffs", "replaces"),
    [
        ({"domain": "vpc"}, {"domain": "vpc"}, [], []),
        ({"domain": "vpc"}, {"domain": "vpc", "tags": {"a": "b"}}, ["tags"], []),
        ({"domain": "vpc", "region": "a"}, {"domain": "vpc", "region": "b"}, ["region"], ["region"]),
        ({"domain": "vpc", "__defaults": []}, {"domain": "vpc"}, [], []),
    ],
)
def test_differences(
    stub: Any, old: dict[str, Any], new: dict[str, Any], diffs: list[str], replaces: list[str]
) -> None:
    answer = stub.Diff(provider_pb2.DiffRequest(urn=URN, old_inputs=struct(**old), news=struct(**new)))
    assert (list(answer.diffs), list(answer.replaces)) == (diffs, replaces)
    some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
    assert answer.changes == (some if diffs else none)


def test_a_resources_life(stub: Any, world: World) -> None:
    preview = stub.Create(provider_pb2.CreateRequest(urn=URN, properties=struct(domain="vpc"), preview=True))
    assert (preview.id, world.things()) == ("", ())
    made = stub.Create(provider_pb2.CreateRequest(urn=URN, properties=struct(domain="vpc")))
    assert made.properties["publicIp"] == "127.0.0.11"
    read = stub.Read(provider_pb2.ReadRequest(id=made.id, urn=URN))
    assert (read.id, read.inputs["domain"]) == (made.id, "vpc")
    news = struct(domain="vpc", tags={"a": "b"})
    shown = stub.Update(provider_pb2.UpdateRequest(id=made.id, urn=URN, news=news, preview=True))
    assert shown.properties["tags"]["a"] == "b"
    changed = stub.Update(provider_pb2.UpdateRequest(id=made.id, urn=URN, news=news))
    assert changed.properties["tags"]["a"] == "b"
    stub.Delete(provider_pb2.DeleteRequest(id=made.id, urn=URN))
    assert stub.Read(provider_pb2.ReadRequest(id=made.id, urn=URN)).id == ""


def test_a_fault_reaches_the_engine(stub: Any, world: World) -> None:
    faults(world, ("create", "aws-1-address"))
    with pytest.raises(grpc.RpcError, match=r"fails to create aws-1-address"):
        stub.Create(provider_pb2.CreateRequest(urn=URN, properties=struct(domain="vpc")))
    assert world.things() == ()


def test_data_sources_have_no_answer(stub: Any) -> None:
    answer = stub.Invoke(provider_pb2.InvokeRequest(tok="aws:ec2/getAmi:getAmi"))
    assert "aws:ec2/getAmi:getAmi" in answer.failures[0].reason


@pytest.mark.integration
@pytest.mark.parametrize("package", ["aws", "azure-native", "gcp"])
def test_each_executable_prints_its_port_and_serves(world: World, package: str) -> None:
    environment = {
        "TUNNEL_LOCAL_PYTHON": sys.executable,
        "TUNNEL_LOCAL_CLOUD": str(world._folder),
        "PULUMI_BACKEND_URL": FILES,
        "PYTHONPATH": str(ROOT),
        "PATH": "/usr/bin:/bin",
    }
    program = ROOT / "infra" / "localmock" / "plugins" / "bin" / f"pulumi-resource-{package}"
    with subprocess.Popen([program, "127.0.0.1:1"], env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
                stub = provider_pb2_grpc.ResourceProviderStub(channel)
                assert stub.GetPluginInfo(empty_pb2.Empty()).version
        finally:
            process.kill()


def test_an_executable_that_nobody_set_up_says_so(world: World) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.localmock.plugins", "aws"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert b"make up-local" in done.stderr
