"""Name the image files that a stack publishes, as `sha256sum --check` reads them. I/O.

Usage: python -m pipelines.wanted STACK
"""

from __future__ import annotations

import sys

from infra import planning, stacks
from runtime.errors import TunnelError


def lines(stack: str) -> list[str]:
    """Return `digest  path` of every file. Raises: TunnelError."""
    settings = stacks.read(stack, None)
    plan = planning.load(settings.fleet, settings.stack)
    # A cloud's stack publishes its own cloud's images only, the dns stack none.
    return sorted(
        f"{image.sha256}  {image.path}"
        for image in plan.images
        if image.path and settings.role in ("all", image.cloud)
    )


def main(arguments: list[str]) -> int:
    """Answer on stdout; return the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m pipelines.wanted STACK\n")
        return 2
    try:
        found = lines(arguments[0])
    except TunnelError as error:
        sys.stderr.write(f"wanted: {error}\n")
        return 2
    sys.stdout.write("".join(f"{line}\n" for line in found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
