"""Carry one TPM command at a time: the kernel's device, or the socket of a software TPM. I/O.

`/dev/tpmrm0` is the kernel's resource manager: keys and sessions of other programs do not get in the way,
and ours go with the file. swtpm's data socket takes and gives the bare bytes of commands, one connection at
a time.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from runtime.attestation.attester.tpm.wire import HEADER_BYTES, MAX_RESPONSE_BYTES
from runtime.errors import MalformedError, UnreachableError, UnsupportedTeeError

_BACKLOG_PAUSE_S = 0.01
RESOURCE_MANAGER = Path("/dev/tpmrm0")
SOCKET_TIMEOUT_S = 20.0  # making an RSA key takes seconds; the kernel's own limits are longer still


class Device(Protocol):
    """A way to a TPM, closed until it is entered."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

    def present(self) -> bool:
        """Tell whether there is anything to open."""
        ...

    def exchange(self, command: bytes) -> bytes:
        """Return the response to a command.

        Raises: UnreachableError, UnsupportedTeeError, MalformedError.
        """
        ...


class FileDevice:
    """A character device: one write is one command, one read its response."""

    def __init__(self, path: Path = RESOURCE_MANAGER) -> None:
        self.path, self._descriptor = path, -1

    def __enter__(self) -> Self:
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            message = (
                f"{self.path} cannot be opened: {error.strerror}; is there a TPM, and are we in group tss?"
            )
            raise UnsupportedTeeError(message) from error
        return self

    def __exit__(self, *_: object) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        with suppress(OSError):
            os.close(descriptor)

    def present(self) -> bool:
        return self.path.exists()

    def exchange(self, command: bytes) -> bytes:
        try:
            written = os.write(self._descriptor, command)
            answer = os.read(self._descriptor, MAX_RESPONSE_BYTES)
        except OSError as error:
            message = f"{self.path} does not answer: {error.strerror}"
            raise UnreachableError(message) from error
        if written != len(command):
            raise MalformedError(str(self.path), f"took {written} of {len(command)} bytes")
        return answer


class SocketDevice:
    """swtpm's data socket: a path, or a port of this machine."""

    def __init__(self, address: Path | int, *, timeout_s: float = SOCKET_TIMEOUT_S) -> None:
        self.address, self.timeout_s = address, timeout_s
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        family = socket.AF_INET if isinstance(self.address, int) else socket.AF_UNIX
        target = ("127.0.0.1", self.address) if isinstance(self.address, int) else str(self.address)
        made = socket.socket(family, socket.SOCK_STREAM)
        made.settimeout(self.timeout_s)
        deadline = time.monotonic() + self.timeout_s
        while True:
            try:
                made.connect(target)
            except OSError as error:
                # swtpm lets one wait: EAGAIN means that it has not come to the one before us yet.
                if error.errno == errno.EAGAIN and time.monotonic() < deadline:
                    time.sleep(_BACKLOG_PAUSE_S)
                    continue
                made.close()
                message = f"the software TPM at {self.address} does not answer: {error}"
                raise UnreachableError(message) from error
            self._socket = made
            return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def present(self) -> bool:
        if not isinstance(self.address, int):
            return self.address.is_socket()
        try:
            with self:
                return True
        except UnreachableError:
            return False

    def exchange(self, command: bytes) -> bytes:
        if self._socket is None:
            message = f"the software TPM at {self.address} is not connected"
            raise UnreachableError(message)
        try:
            self._socket.sendall(command)
            header = self._exactly(self._socket, HEADER_BYTES)
            size = int.from_bytes(header[2:6], "big")
            if not HEADER_BYTES <= size <= MAX_RESPONSE_BYTES:
                raise MalformedError("TPM response", f"responseSize is {size}", offset=2)
            return header + self._exactly(self._socket, size - HEADER_BYTES)
        except OSError as error:
            message = f"the software TPM at {self.address} does not answer: {error}"
            raise UnreachableError(message) from error

    def _exactly(self, source: socket.socket, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = source.recv(size - len(data))
            if not part:
                raise ConnectionResetError(0, "it closed the connection")
            data += part
        return bytes(data)
