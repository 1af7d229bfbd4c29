"""Tell Azure that the VM has started, without its agent: else it is stopped as failed after 40 minutes. I/O.

The wire server's protocol, as Azure documents for images without an agent: read the goal state, post a health
report that names its container and instance. It says nothing and learns nothing else.
"""

from __future__ import annotations

import http.client
import re

from runtime.errors import UnreachableError

WIRE_SERVER = ("168.63.129.16", 80)
_VERSION = {"x-ms-version": "2012-11-30"}
_MAX_SIZE = 64 * 1024  # bytes; a goal state is about 2 KiB
_DEADLINE_S = 10.0
_IDENTIFIER = r"[A-Za-z0-9._-]{1,128}"
_REPORT = (
    '<?xml version="1.0" encoding="utf-8"?><Health><GoalStateIncarnation>{incarnation}</GoalStateIncarnation>'
    "<Container><ContainerId>{container}</ContainerId><RoleInstanceList><Role><InstanceId>{instance}</InstanceId>"
    "<Health><State>Ready</State></Health></Role></RoleInstanceList></Container></Health>"
)


def report(address: tuple[str, int] = WIRE_SERVER) -> None:
    """Report once. Raises: UnreachableError."""
    goal = _ask(address, "GET", "/machine/?comp=goalstate", None).decode("utf-8", "replace")
    found = {
        "incarnation": re.search(r"<Incarnation>([0-9]{1,20})</Incarnation>", goal),
        "container": re.search(rf"<ContainerId>({_IDENTIFIER})</ContainerId>", goal),
        "instance": re.search(rf"<InstanceId>({_IDENTIFIER})</InstanceId>", goal),
    }
    if missing := [name for name, match in found.items() if match is None]:
        message = f"Azure's goal state has no {', '.join(missing)}"
        raise UnreachableError(message)
    body = _REPORT.format(**{name: match[1] for name, match in found.items() if match})
    _ask(address, "POST", "/machine?comp=health", body)


def _ask(address: tuple[str, int], method: str, path: str, body: str | None) -> bytes:
    headers = dict(_VERSION) | ({} if body is None else {"Content-Type": "text/xml;charset=utf-8"})
    connection = http.client.HTTPConnection(*address, timeout=_DEADLINE_S)
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        data, status = answer.read(_MAX_SIZE), answer.status
    except (OSError, http.client.HTTPException) as error:
        message = f"Azure's wire server did not answer {method}: {error!r}"
        raise UnreachableError(message) from error
    finally:
        connection.close()
    if not 200 <= status < 300:
        message = f"Azure's wire server answered {status} to {method} {path}"
        raise UnreachableError(message)
    return data
