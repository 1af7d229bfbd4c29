"""The boot step: measured before used, refused in one line, patient with silence only."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import pytest

from runtime.boot import settings, source
from runtime.errors import DocumentError, TunnelError, UnreachableError, UnsupportedTeeError

SERVER = (files("runtime.documents") / "examples/settings-server.json").read_bytes()
CLIENT = (files("runtime.documents") / "examples/settings-client.json").read_bytes()


class Machine:
    """What the step did, in order."""

    def __init__(self, folder: Path, data: bytes | None) -> None:
        self.folder, self.log, self.now = folder, list[tuple[str, object]](), 0.0
        (folder / "vendor").write_text("QEMU\n")
        if data is not None:
            (folder / "raw").write_bytes(data)
        (folder / "run").mkdir()
        self.places = source.Places(vendor=folder / "vendor", fw_cfg=folder / "raw")

    def run(self, measure: Callable[[bytes], None] | None = None) -> None:
        def record(digest: bytes) -> None:
            assert not list((self.folder / "run").iterdir()), "used before it was measured"
            self.log.append(("measure", digest))

        def pause(seconds: float) -> None:
            self.now += seconds

        steps = settings.Steps(
            measure=measure or record,
            open_ports=lambda ports: self.log.append(("ports", ports)),
            say=lambda line: self.log.append(("say", line)),
            pause=pause,
            monotonic=lambda: self.now,
        )
        settings.run(self.places, steps, self.folder / "run")


def test_a_server_is_measured_then_opened_then_handed_on(tmp_path: Path) -> None:
    machine = Machine(tmp_path, SERVER)
    machine.run()
    assert machine.log[0] == ("measure", sha256(SERVER).digest())
    assert machine.log[1] == ("ports", (443, 7443, 7444, 7445))
    assert (tmp_path / "run/settings.json").read_bytes() == SERVER
    assert (tmp_path / "run/platform").read_text() == "qemu"
    assert not (tmp_path / "run/bundle.json").exists()


def test_a_client_opens_nothing_and_hands_its_bundle_on(tmp_path: Path) -> None:
    body = json.loads(CLIENT)
    body["client"]["bundle"] = {"urls": ["https://x.example/b.tar"], "sha256": "ab" * 32, "port": 8080}
    machine = Machine(tmp_path, json.dumps(body).encode())
    machine.run()
    assert [kind for kind, _ in machine.log] == ["measure", "say"]
    assert json.loads((tmp_path / "run/bundle.json").read_bytes()) == body["client"]["bundle"]


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "not json": b"#!/bin/sh\nreboot\n",
    "cloud-config": b"#cloud-config\nruncmd: [reboot]\n",
    "oversize": b" " * 16_385,
    "unknown key": json.dumps(json.loads(SERVER) | {"command": "reboot"}).encode(),
    "twice": SERVER.replace(b'"fleet"', b'"fleet": "other", "fleet"', 1),
    "path": json.dumps(json.loads(SERVER) | {"member": "../../etc"}).encode(),
    "escape": json.dumps(json.loads(SERVER) | {"member": "\x1b[2Jok"}).encode(),
    "right to left": json.dumps(json.loads(SERVER) | {"fleet": "ex\u202eample"}).encode(),
    "look-alike": json.dumps(json.loads(SERVER) | {"tunnel_name": "tunnel.ex\u0430mple.com"}).encode(),
    "not utf-8": SERVER[:-3] + b"\xff\xfe}",
    "nul": SERVER.replace(b"gcp-1", b"gcp-1\\u0000"),
    "deep": b"[" * 10_000,
    "bundle by file": json.dumps(
        json.loads(CLIENT)
        | {
            "client": json.loads(CLIENT)["client"]
            | {"bundle": {"urls": ["file:///etc/passwd"], "sha256": "ab" * 32, "port": 8080}}
        }
    ).encode(),
    "bundle on a low port": json.dumps(
        json.loads(CLIENT)
        | {
            "client": json.loads(CLIENT)["client"]
            | {"bundle": {"urls": ["https://x.example/"], "sha256": "ab" * 32, "port": 80}}
        }
    ).encode(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_bad_settings_are_refused_before_anything_happens(tmp_path: Path, name: str) -> None:
    machine = Machine(tmp_path, HOSTILE[name])
    with pytest.raises(DocumentError) as caught:
        machine.run()
    assert machine.log == []
    assert list((tmp_path / "run").iterdir()) == []
    line = settings.refused(caught.value)
    assert line.startswith("refused: document: ")
    assert line.isascii()
    assert line.isprintable()


def test_no_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(source.NoSettingsError):
        Machine(tmp_path, None).run()


def test_a_machine_that_cannot_measure_does_not_go_on(tmp_path: Path) -> None:
    def measure(_: bytes) -> None:
        message = "PCR 14 is not zero"
        raise UnsupportedTeeError(message)

    machine = Machine(tmp_path, SERVER)
    with pytest.raises(UnsupportedTeeError):
        machine.run(measure)
    assert machine.log == []
    assert list((tmp_path / "run").iterdir()) == []


def test_silence_is_waited_for_ten_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path, SERVER)
    asked = 0

    def fetch(where: source.Platform, places: source.Places) -> bytes:
        nonlocal asked
        asked += 1
        message = "no answer"
        raise UnreachableError(message)

    monkeypatch.setattr(source, "fetch", fetch)
    with pytest.raises(UnreachableError):
        machine.run()
    assert settings.PATIENCE_S < machine.now < settings.PATIENCE_S + 20
    assert machine.log == [("say", "waiting for the settings: no answer")]  # once, not sixty times
    assert asked > 50


def test_what_was_handed_on_is_never_replaced(tmp_path: Path) -> None:
    machine = Machine(tmp_path, SERVER)
    machine.run()
    with pytest.raises(FileExistsError):
        Machine.run(machine, measure=lambda _: None)


def test_the_firewall_gets_numbers_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nft"
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {tmp_path}/said\n')
    program.chmod(0o755)
    monkeypatch.setattr(settings, "_NFT", str(program))
    settings.open_ports((7443, 443, 443))
    assert (tmp_path / "said").read_text() == "add|element|inet|tunnel|ports|{ 443, 7443 }|"
    program.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    with pytest.raises(TunnelError, match="no"):
        settings.open_ports((1,))
