"""Where this VM's settings come from: user data of its cloud, or QEMU's fw_cfg. I/O: the network, sysfs.

Whatever answers here is the host's word: it is measured before it is used, so a host that lies makes a VM
that is nobody. The services: AWS IMDSv2 (a token first; version 1 is never asked), Azure IMDS userData,
Google's metadata server, QEMU `-fw_cfg name=opt/tunnel/settings,file=…`. No proxy, no redirect, no name.
"""

from __future__ import annotations

import base64
import binascii
import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runtime.documents.settings import MAX_SETTINGS_SIZE
from runtime.errors import TunnelError, UnreachableError, UsageError

Platform = Literal["aws", "azure", "gcp", "qemu"]
VENDOR = Path("/sys/class/dmi/id/sys_vendor")
FW_CFG = Path("/sys/firmware/qemu_fw_cfg/by_name/opt/tunnel/settings/raw")
METADATA = ("169.254.169.254", 80)
_VENDORS: Mapping[str, Platform] = {
    "Amazon EC2": "aws",
    "Microsoft Corporation": "azure",
    "Google": "gcp",
    "QEMU": "qemu",
}
_DEADLINE_S = 5.0
_TOKEN_LIFE_S = 60
_MAX_TOKEN_SIZE = 1024  # bytes; IMDSv2's are 56
_MAX_ENCODED_SIZE = 4 * (MAX_SETTINGS_SIZE // 3 + 2)  # bytes of base64


class NoSettingsError(UsageError):
    """The VM was started without settings."""

    code = "no_settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where things are; tests put doubles in their place."""

    vendor: Path = VENDOR
    fw_cfg: Path = FW_CFG
    metadata: tuple[str, int] = METADATA


def platform(places: Places) -> Platform:
    """Tell where this VM runs, by the firmware's vendor string. Raises: UsageError."""
    try:
        vendor = places.vendor.read_text("ascii", "replace").strip()
    except OSError as error:
        message = f"the firmware names no vendor: {error}"
        raise UsageError(message) from error
    found = _VENDORS.get(vendor)
    if found is None:
        message = f"the firmware's vendor is {vendor[:64]!r}, want one of {', '.join(_VENDORS)}"
        raise UsageError(message)
    return found


def fetch(where: Platform, places: Places) -> bytes:
    """Return the settings' bytes, at most one more than settings may have.

    Raises: NoSettingsError, UsageError (not base64 on Azure), UnreachableError (worth asking again).
    """
    if where == "qemu":
        return _fw_cfg(places.fw_cfg)
    return {"aws": _aws, "azure": _azure, "gcp": _gcp}[where](places.metadata)


def _fw_cfg(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_SETTINGS_SIZE + 1)
    except FileNotFoundError as error:
        message = "QEMU has no fw_cfg file opt/tunnel/settings"
        raise NoSettingsError(message) from error
    except OSError as error:
        message = f"fw_cfg cannot be read: {error}"
        raise UnreachableError(message) from error


def _aws(address: tuple[str, int]) -> bytes:
    life = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_LIFE_S)}
    token = _ask(address, "PUT", "/latest/api/token", life, _MAX_TOKEN_SIZE)
    if not token.isascii() or not token.decode("ascii", "replace").isprintable():
        message = "IMDSv2 gave a token that is no token"
        raise UnreachableError(message)
    headers = {"X-aws-ec2-metadata-token": token.decode("ascii")}
    return _ask(address, "GET", "/latest/user-data", headers, MAX_SETTINGS_SIZE)


def _azure(address: tuple[str, int]) -> bytes:
    path = "/metadata/instance/compute/userData?api-version=2021-01-01&format=text"
    encoded = _ask(address, "GET", path, {"Metadata": "true"}, _MAX_ENCODED_SIZE).strip()
    if not encoded:
        message = "Azure's user data is empty"
        raise NoSettingsError(message)
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        message = f"Azure's user data is not base64: {error}"
        raise UsageError(message) from error


def _gcp(address: tuple[str, int]) -> bytes:
    path = "/computeMetadata/v1/instance/attributes/user-data"
    return _ask(address, "GET", path, {"Metadata-Flavor": "Google"}, MAX_SETTINGS_SIZE, flavor="Google")


def _ask(
    address: tuple[str, int],
    method: str,
    path: str,
    headers: Mapping[str, str],
    limit: int,
    *,
    flavor: str | None = None,
) -> bytes:
    """Return at most `limit` and one more bytes. Raises: NoSettingsError for 404, UnreachableError."""
    connection = http.client.HTTPConnection(*address, timeout=_DEADLINE_S)
    try:
        connection.request(method, path, headers=dict(headers))
        answer = connection.getresponse()
        body = answer.read(limit + 1)
        status, said = answer.status, answer.getheader("Metadata-Flavor")
    except (OSError, http.client.HTTPException) as error:
        message = f"the metadata service did not answer {method} {path}: {error!r}"
        raise UnreachableError(message) from error
    finally:
        connection.close()
    if status == http.HTTPStatus.NOT_FOUND:
        message = f"the metadata service has no {path}"
        raise NoSettingsError(message)
    if status != http.HTTPStatus.OK:
        message = f"the metadata service answered {status} to {method} {path}"
        raise UnreachableError(message)
    if flavor is not None and said != flavor:
        message = f"what answered {path} is not Google's metadata server"
        raise UnreachableError(message)
    return body


def refusal(error: TunnelError) -> str:
    """Return an error as one line of printable ASCII: settings are the host's, and so may be their words."""
    text = " ".join(str(error).split()).encode("ascii", "backslashreplace").decode("ascii")
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)[:400]
