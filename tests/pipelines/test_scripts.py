"""The pipelines' scripts against stand-ins: identity endpoint, file server, GitLab's archive, `pulumi`."""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.planning import ROOT
from tests.infra.release import release_fleet
from tests.pipelines.job import Project, Ran

pytestmark = pytest.mark.integration

AWS = {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/fleet", "AWS_REGION": "us-east-2"}
AZURE = {"AZURE_CLIENT_ID": "c-1", "AZURE_TENANT_ID": "t-1", "AZURE_SUBSCRIPTION_ID": "s-1"}
GCP = {
    "GCP_WORKLOAD_PROVIDER": "projects/1/locations/global/workloadIdentityPools/forge/providers/ours",
    "GCP_SERVICE_ACCOUNT": "fleet@project.example",
}
PULUMI = """#!/bin/sh
echo "pulumi $*" >> "$STANDINS/asked"
case "$1 $2" in 'stack output') cat "$STANDINS/outputs.json" ;; *) exit "${PULUMI_STATUS:-0}" ;; esac
"""
STATE = {"PULUMI_BACKEND_URL": "s3://state"}


class Forge(ThreadingHTTPServer):
    """Answers every GET with what the test laid out, and remembers path and headers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.body = b""
        self.seen: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        forge = self.server
        assert isinstance(forge, Forge)
        forge.seen.append((self.path, dict(self.headers)))
        self.send_response(200 if forge.body else 404)
        self.send_header("Content-Length", str(len(forge.body)))
        self.end_headers()
        self.wfile.write(forge.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def forge() -> Iterator[Forge]:
    with Forge() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.stand_in("pulumi", PULUMI)
    project.stand_in("az", '#!/bin/sh\necho "az $*" >> "$STANDINS/asked"\n')
    return project


def let_in(project: Project, clouds: str, environment: dict[str, str]) -> tuple[Ran, dict[str, str]]:
    ran = project.run(f"pipelines/credentials {clouds} > lines", environment)
    lines = (project.root / "lines").read_text().splitlines()
    return ran, dict(line.split("=", 1) for line in lines)


def test_github_s_endpoint_is_asked_once_per_cloud_for_its_audience(project: Project, forge: Forge) -> None:
    forge.body = json.dumps({"value": "an.identity.token"}).encode()
    ours = {
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{forge.url}/token?v=1",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "bearer-1",
    }
    ran, names = let_in(project, "aws gcp azure aws", {**ours, **AWS, **GCP, **AZURE})
    assert ran.status == 0, ran.said
    assert [path for path, _ in forge.seen] == [
        "/token?v=1&audience=sts.amazonaws.com",
        f"/token?v=1&audience=https://iam.googleapis.com/{GCP['GCP_WORKLOAD_PROVIDER']}",
        "/token?v=1&audience=api://AzureADTokenExchange",
    ]
    assert all(headers["Authorization"] == "bearer bearer-1" for _, headers in forge.seen)
    token = Path(names["AWS_WEB_IDENTITY_TOKEN_FILE"])
    assert token.read_text() == "an.identity.token"
    assert token.stat().st_mode & 0o077 == 0
    federation = json.loads(Path(names["GOOGLE_APPLICATION_CREDENTIALS"]).read_text())
    assert federation["type"] == "external_account"
    assert Path(federation["credential_source"]["file"]).read_text() == "an.identity.token"
    assert names["ARM_USE_OIDC"] == "true"
    # What a log may show holds no token.
    assert "an.identity.token" not in (project.root / "lines").read_text() + ran.said


def test_gitlab_s_tokens_are_taken_from_the_environment(project: Project) -> None:
    ran, names = let_in(
        project, "aws azure", {**AWS, **AZURE, "AWS_ID_TOKEN": "one", "AZURE_ID_TOKEN": "two"}
    )
    assert ran.status == 0, ran.said
    assert Path(names["AWS_WEB_IDENTITY_TOKEN_FILE"]).read_text() == "one"
    assert names["ARM_OIDC_TOKEN"] == "two"
    assert any(line.startswith("az login --service-principal --username c-1") for line in project.asked)


@pytest.mark.parametrize(
    ("clouds", "environment", "wanted"),
    [
        ("aws", {**AWS, "AWS_ID_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "k"}, "AWS_SECRET_ACCESS_KEY is set"),
        ("azure", {**AZURE, "AZURE_ID_TOKEN": "x", "ARM_CLIENT_SECRET": "k"}, "ARM_CLIENT_SECRET is set"),
        ("gcp", {**GCP, "GCP_ID_TOKEN": "x", "GOOGLE_CREDENTIALS": "{}"}, "GOOGLE_CREDENTIALS is set"),
        ("aws", {"AWS_ID_TOKEN": "x"}, "AWS_ROLE_ARN is not set"),
        ("aws", AWS, "this job has no identity token"),
        (
            "aws",
            {**AWS, "AWS_ROLE_ARN": "a\nPATH=/evil", "AWS_ID_TOKEN": "x"},
            "AWS_ROLE_ARN has a character",
        ),
        (
            "gcp",
            {**GCP, "GCP_SERVICE_ACCOUNT": 'a"b', "GCP_ID_TOKEN": "x"},
            "GCP_SERVICE_ACCOUNT has a character",
        ),
        ("aws-prod", AWS, "cloud is aws-prod, want aws, azure or gcp"),
    ],
)
def test_long_lived_keys_and_what_is_missing_are_refused(
    project: Project, clouds: str, environment: dict[str, str], wanted: str
) -> None:
    ran, names = let_in(project, clouds, environment)
    assert ran.status == 2
    assert wanted in ran.said
    assert names == {}


def test_an_endpoint_that_refuses_lets_nobody_in(project: Project, forge: Forge) -> None:
    ours = {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{forge.url}/token?v=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "b"}
    ran, names = let_in(project, "aws", {**ours, **AWS})
    assert ran.status != 0
    assert names == {}


@pytest.mark.parametrize(
    ("verb", "command"),
    [
        (
            "preview",
            "pulumi preview --non-interactive --diff --stack aws-prod --policy-pack infra/guardrails",
        ),
        ("up", "pulumi up --non-interactive --yes --stack aws-prod --policy-pack infra/guardrails"),
        ("drift", "pulumi preview --non-interactive --diff --refresh --expect-no-changes --stack aws-prod"),
    ],
)
def test_a_stack_runs_under_the_engine(project: Project, verb: str, command: str) -> None:
    (project.root / "Pulumi.aws-prod.yaml").write_text("config: {}\n")
    ran = project.run(f"pipelines/stack {verb} aws-prod", STATE)
    assert ran.status == 0, ran.said
    assert project.asked == ["pulumi login --non-interactive s3://state", command]
    assert project.run(f"pipelines/stack {verb} aws-prod", {**STATE, "PULUMI_STATUS": "1"}).status == 1


@pytest.mark.parametrize(
    ("stack", "environment", "status", "wanted"),
    [
        ("gcp-prod", STATE, 0, "the fleet has no stack gcp-prod"),
        ("dns-prod", STATE, 2, "FLEET_ENVIRONMENT names no fleet"),
        ("local", STATE, 2, "stack is local"),
        ("aws-", STATE, 2, "stack is aws-,"),
        ("aws-prod", {}, 2, "PULUMI_BACKEND_URL is not set"),
        ("aws-prod", {"PULUMI_BACKEND_URL": "file:///state"}, 2, "would be lost with this machine"),
    ],
)
def test_what_is_no_stack_of_a_fleet_never_reaches_the_engine(
    project: Project, stack: str, environment: dict[str, str], status: int, wanted: str
) -> None:
    (project.root / "Pulumi.aws-prod.yaml").write_text("config: {}\n")
    ran = project.run(f"pipelines/stack up {stack}", environment)
    assert (ran.status, project.asked) == (status, [])
    assert wanted in ran.said


def a_release_on_aws(project: Project, data: bytes) -> Path:
    """Lay out a stack whose raw file is `data`, and return where it is looked for."""
    fleet = release_fleet()
    manifest = json.loads((ROOT / fleet["images"][0]["manifest"]).read_bytes())
    (raw,) = [artefact for artefact in manifest["artefacts"] if artefact["format"] == "raw"]
    raw |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    pinned = json.dumps(manifest).encode()
    (project.root / "images/manifests/tried.json").write_bytes(pinned)
    fleet["images"][0] |= {
        "manifest": "images/manifests/tried.json",
        "sha256": hashlib.sha256(pinned).hexdigest(),
    }
    config = {"config": {"tunnel:role": "aws", "tunnel:fleet": fleet}}
    (project.root / "Pulumi.aws-prod.yaml").write_text(json.dumps(config))
    return project.root / "images/out" / str(raw["file"])


def test_image_files_are_fetched_once_and_held_against_the_manifest(project: Project, forge: Forge) -> None:
    path = a_release_on_aws(project, b"the image")
    forge.body = b"the image"
    for _ in range(2):
        ran = project.run("pipelines/artefacts aws-prod", {"ARTEFACTS_URL": forge.url})
        assert ran.status == 0, ran.said
    assert path.read_bytes() == b"the image"
    assert [asked for asked, _ in forge.seen] == [f"/images/out/{path.name}"]


def test_an_image_file_of_another_digest_is_refused(project: Project, forge: Forge) -> None:
    a_release_on_aws(project, b"the image")
    forge.body = b"another image"
    ran = project.run("pipelines/artefacts aws-prod", {"ARTEFACTS_URL": forge.url})
    assert ran.status != 0
    assert "FAILED" in ran.said


def test_an_image_file_that_nobody_has_is_named(project: Project) -> None:
    path = a_release_on_aws(project, b"the image")
    ran = project.run("pipelines/artefacts aws-prod", {})
    assert ran.status == 2
    assert f"images/out/{path.name} is not here" in ran.said
    assert project.run("pipelines/artefacts gcp-prod", {}).status == 0


def test_gitlab_s_baseline_is_the_target_branch_s_archive(project: Project, forge: Forge) -> None:
    archive = project.standins / "previews.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("build/previews/local.json", '{"resources": []}')
        made.writestr("build/comment.md", "not a preview")
    forge.body = archive.read_bytes()
    ours = {
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "release/1",
        "CI_JOB_TOKEN": "of-the-job",
        "CI_API_V4_URL": forge.url,
        "CI_PROJECT_ID": "5",
    }
    ran = project.run("pipelines/baseline build/baseline", ours)
    assert ran.status == 0, ran.said
    assert [path.name for path in (project.root / "build/baseline").iterdir()] == ["local.json"]
    ((asked, headers),) = forge.seen
    assert asked == "/projects/5/jobs/artifacts/release%2F1/download?job=preview"
    assert headers["JOB-TOKEN"] == "of-the-job"
    forge.body = b""  # 404: the branch has none yet
    ran = project.run("pipelines/baseline build/other", ours)
    assert ran.status == 0
    assert "release/1 has no previews to compare with" in ran.said


def test_a_stack_whose_file_is_gone_is_told(project: Project) -> None:
    (project.root / "Pulumi.local.yaml").unlink()
    (project.root / "baseline").mkdir()
    (project.root / "baseline/aws-old.json").write_text('{"resources": []}')
    ran = project.run("pipelines/previews out baseline", {})
    assert ran.status == 2
    assert "there is no Pulumi.STACK.yaml here" in ran.said
    assert json.loads((project.root / "out/aws-old.json").read_text()) == {"stack": "aws-old", "gone": True}


def test_the_owner_gets_an_unsigned_document_and_what_it_says(project: Project) -> None:
    document = json.loads((ROOT / "runtime/documents/examples/fleet.json").read_bytes())
    outputs = {"fleetDocument": document, "endpoints": []}
    (project.standins / "outputs.json").write_text(json.dumps(outputs))
    ran = project.run("pipelines/document dns-prod build/document", STATE)
    assert ran.status == 0, ran.said
    made = project.root / "build/document"
    assert json.loads((made / "fleet.unsigned.json").read_text()) == document
    assert json.loads((made / "outputs.json").read_text()) == outputs
    assert (made / "fleet.explained.txt").read_text().strip()
    assert "NOT SIGNED" in ran.said
    assert sorted(path.name for path in made.iterdir()) == [
        *("NEXT.txt", "fleet.explained.txt", "fleet.unsigned.json", "outputs.json")
    ]


def test_a_document_that_wants_the_owner_s_values_is_kept_and_says_so(project: Project) -> None:
    (project.standins / "outputs.json").write_text(json.dumps({"fleetDocument": {"version": "two"}}))
    ran = project.run("pipelines/document dns-prod build/document", STATE)
    assert ran.status == 0
    assert "incomplete as it is" in ran.said
    assert "is not valid" in (project.root / "build/document/fleet.explained.txt").read_text()


def test_a_stack_without_a_document_fails(project: Project) -> None:
    (project.standins / "outputs.json").write_text("{}")
    ran = project.run("pipelines/document aws-prod build/document", STATE)
    assert ran.status != 0
    assert not (project.root / "build/document/NEXT.txt").exists()
