"""Ways to a TPM: a file, a socket, and what becomes of those that do not answer, or not with a response."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from runtime.attestation.attester.tpm.device import FileDevice, SocketDevice
from runtime.errors import MalformedError, TunnelError, UnreachableError, UnsupportedTeeError
from tests.fakes import swtpm

COMMAND = bytes.fromhex("80010000000a00000000")


@contextlib.contextmanager
def answering(path: Path, answer: bytes | None) -> Generator[SocketDevice]:
    """A socket that answers one command with these bytes and closes; None: it never answers."""
    done = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                if answer is None:
                    done.wait(30)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield SocketDevice(path, timeout_s=0.2 if answer is None else 20.0)
        finally:
            done.set()
            thread.join()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", UnreachableError),
        (COMMAND[:9], UnreachableError),
        (bytes.fromhex("80010000000900000000"), MalformedError),
        (bytes.fromhex("8001ffffffff00000000"), MalformedError),
        (bytes.fromhex("80010000001000000000"), UnreachableError),
        (None, UnreachableError),
    ],
    ids=["nothing", "half a header", "too small", "huge", "less than it says", "silence"],
)
def test_a_socket_that_answers_wrongly(
    tmp_path: Path, answer: bytes | None, error: type[TunnelError]
) -> None:
    with answering(tmp_path / "s", answer) as device, device, pytest.raises(error):
        device.exchange(COMMAND)


def test_an_answer_in_pieces_is_one_answer(tmp_path: Path) -> None:
    with answering(tmp_path / "s", bytes.fromhex("80010000000c00000000abcd")) as device, device:
        assert device.exchange(COMMAND)[-2:] == b"\xab\xcd"


def test_nobody_there(tmp_path: Path) -> None:
    device = SocketDevice(tmp_path / "nothing")
    assert not device.present()
    with pytest.raises(UnreachableError, match="does not answer"), device:
        pass
    with pytest.raises(UnreachableError, match="not connected"):
        device.exchange(COMMAND)
    file = FileDevice(tmp_path / "nothing")
    assert not file.present()
    with pytest.raises(UnsupportedTeeError, match="group tss"), file:
        pass


def test_a_port_is_an_address_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        device = SocketDevice(server.getsockname()[1])
        assert device.present()


def test_a_file_takes_one_command_and_gives_one_response(tmp_path: Path) -> None:
    path = tmp_path / "tpm"
    path.write_bytes(b"#" * len(COMMAND) + b"answer")  # a file's position moves on as a device's does not
    device = FileDevice(path)
    assert device.present()
    with device:
        assert device.exchange(COMMAND) == b"answer"
    assert path.read_bytes() == COMMAND + b"answer"


def test_a_file_that_is_closed_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "tpm").touch()
    device = FileDevice(tmp_path / "tpm")
    with device:
        pass
    with pytest.raises(UnreachableError):
        device.exchange(COMMAND)


def test_a_device_that_takes_a_part_is_malformed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tpm").touch()
    monkeypatch.setattr(os, "write", lambda _, data: len(data) - 1)
    with FileDevice(tmp_path / "tpm") as device, pytest.raises(MalformedError, match="took 9 of 10"):
        device.exchange(COMMAND)


@swtpm.NEEDED
def test_swtpm_is_there_again_after_each_connection() -> None:
    with swtpm.running() as device:
        assert device.present()
        for _ in range(3):
            with device:
                assert device.exchange(bytes.fromhex("80010000000c0000017b0008"))[6:10] == bytes(
                    4
                )  # GetRandom
