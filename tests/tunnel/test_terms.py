"""The two ends of a data connection have settings of their own: each keeps to what the other one takes."""

from __future__ import annotations

import ssl

import pytest

from runtime.limits import Limits
from tests.tunnel.conftest import Run
from tests.tunnel.rig import Rig, blocks, count_and_send, echo, sha256_of, until

KIB, MIB = 1 << 10, 1 << 20


@pytest.mark.parametrize("kind", ["tls", "http"])
@pytest.mark.parametrize(("server", "client"), [(64 * KIB, 4 * MIB), (4 * MIB, 64 * KIB)])
def test_megabytes_pass_both_ways_whatever_credit_either_end_gives(
    run: Run, kind: str, server: int, client: int
) -> None:
    async def main() -> None:
        size = 6 * MIB + 123
        async with Rig(Limits(credit=server)) as rig:
            rig.client_limits = Limits(credit=client)
            await rig.publish(count_and_send, kind=kind)
            reader, writer = await rig.visit()
            writer.write(b"%d\n" % size)
            up, down = blocks(size, b"up"), blocks(size, b"down")
            for block in up:
                writer.write(block)
                await writer.drain()
            assert await reader.readexactly(32) == sha256_of(up)
            got = [await reader.readexactly(len(block)) for block in down]
            assert sha256_of(got) == sha256_of(down)
            assert rig.counters().refused == {}

    run(main())


def test_a_server_opens_no_more_streams_than_a_client_takes(run: Run) -> None:
    async def main() -> None:
        async with Rig(Limits(max_streams=4096)) as rig:
            rig.client_limits = Limits(max_streams=3)
            await rig.publish(echo, kind="tls")
            visits = [await rig.visit() for _ in range(3)]
            with pytest.raises(ssl.SSLError):
                await rig.visit()
            for reader, writer in visits:  # the one too many cost nobody else anything
                writer.write(b"still here")
                assert await reader.readexactly(10) == b"still here"
            assert rig.counters().refused == {"too_many_streams": 1}
            visits[0][1].close()
            await until(lambda: rig.counters().streams == 2)
            await rig.visit()

    run(main())
