"""What a verb answers with, for people or as JSON: one document, whatever comes of it. I/O: stdout.

A verb may answer and refuse at once: evidence is shown, and one check of it failed. For people the answer
comes first and the refusal is the story. As JSON both are one object, so the error takes the answer along to
where it is reported (`main.report`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from runtime.errors import TunnelError


def give(
    answer: Mapping[str, Any], lines: Iterable[str], *, as_json: bool, refusal: TunnelError | None = None
) -> None:
    """Print the answer: its members beside `"ok": true`, or its lines. Raises: `refusal`, if there is one."""
    if not as_json:
        print("\n".join(lines))
    elif refusal is None:
        print(json.dumps({"ok": True, **answer}, indent=2))
    else:
        refusal.answer = dict(answer)
    if refusal is not None:
        raise refusal
