"""A tunnel client's data plane alone: `python -m bench.client_side`, told by a line of JSON. I/O."""

from __future__ import annotations

import asyncio
import gc
import json
import sys

from bench.material import HOST
from runtime import event_loop
from runtime.limits import Limits
from runtime.tunnel.data import JoinTicket, Origin, OriginTable, connect
from runtime.tunnel.routing import SessionId


async def serve(told: dict[str, str], *, port: int, origin: int) -> None:
    """Join one worker and serve one hostname until the connection ends."""
    origins = OriginTable(
        {HOST: Origin(kind="tls", host="127.0.0.1", port=origin, ssl_context=None)}, frozenset({HOST})
    )
    connection = await connect(
        ("127.0.0.1", port),
        ticket=JoinTicket(
            session=SessionId(bytes.fromhex(told["session"])),
            epoch=1,
            worker=0,
            counter=1,
            secret=bytes.fromhex(told["secret"]),
            certificate_sha256=bytes.fromhex(told["certificate_sha256"]),
        ),
        origins=origins,
        limits=Limits(),
        deadline_s=10,
    )
    gc.collect()
    gc.freeze()
    error = await connection.closed
    if error is not None:
        raise error


def main() -> None:
    """Read what to do, then do it."""
    told = json.loads(sys.stdin.readline())
    port, origin = int(told.pop("port")), int(told.pop("origin"))
    with asyncio.Runner(loop_factory=event_loop.factory()) as runner:
        runner.run(serve(told, port=port, origin=origin))


if __name__ == "__main__":
    main()
