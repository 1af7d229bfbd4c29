"""What one input costs a target, without instruments: CPU seconds, and the most memory held at once."""

from __future__ import annotations

import time
import traceback
import tracemalloc

from tests.fuzz.target import MAX_CPU_S, MAX_MEMORY, Target

_TRIES = 5


def finding(target: Target, data: bytes) -> str | None:
    """Return what is wrong with what `target` does with `data`; None if nothing is.

    The CPU time is the least of five: what the machine does beside it is not the parser's.
    """
    try:
        spent = _cpu(target, data)
    except Exception as error:  # noqa: BLE001 - any other exception is what is looked for
        return describe(error)
    tracemalloc.start()
    try:
        _cpu(target, data)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if held > MAX_MEMORY:
        return f"holds {held} bytes at once, want at most {MAX_MEMORY}"
    for _ in range(_TRIES - 1):
        if spent > MAX_CPU_S:
            spent = min(spent, _cpu(target, data))
    return (
        f"takes {spent * 1000:.0f} ms of CPU, want at most {MAX_CPU_S * 1000:.0f}"
        if spent > MAX_CPU_S
        else None
    )


def _cpu(target: Target, data: bytes) -> float:
    began = time.process_time()
    target.run(data)
    return time.process_time() - began


def describe(error: BaseException) -> str:
    """Return an exception as one line: what, and where in our code it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/runtime/" in frame.filename] or list(frames)
    where = f"{ours[-1].filename.rpartition('/runtime/')[2]}:{ours[-1].lineno}" if ours else "nowhere"
    return f"{type(error).__name__}: {str(error)[:200]} (at {where})"
