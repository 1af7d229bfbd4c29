"""`python -m images`: bake, compare, lock, release, launch-digest. I/O."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from images import bake, lock, mirrors
from runtime.errors import TunnelError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit."""
    options = _parser().parse_args(arguments)
    try:
        options.verb(options)
    except TunnelError as error:
        print(f"images: {error}", file=sys.stderr)
        if hint := getattr(error, "hint", ""):
            print(f"hint: {hint}", file=sys.stderr)
        sys.exit(error.exit_status)


def _bake(options: argparse.Namespace) -> None:
    source = Path(options.source).resolve()
    order = bake.Order(
        variant=options.variant,
        out=Path(options.out).resolve(),
        cache=Path(options.cache).resolve(),
        source=source,
    )
    print(bake.bake(order))


def _lock(_: argparse.Namespace) -> None:
    folder = bake.SOURCE / "images"
    wanted = lock.wanted((folder / "packages.toml").read_text())
    roots = mirrors.roots(os.environ, tuple(wanted.suites), mirrors.configured())
    packages = lock.resolved(mirrors.resolve(wanted, roots), wanted, roots)
    (folder / "packages.lock").write_text(lock.write(packages))
    print(f"{len(packages)} packages")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m images", description="bake and measure the VM image")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    baking = verbs.add_parser("bake", help="make disk.raw, disk.vhd, disk.tar.gz and the manifest")
    baking.add_argument("--variant", choices=("release", "test"), default="release")
    baking.add_argument("--out", required=True, metavar="DIR")
    baking.add_argument("--cache", default=".cache/images", metavar="DIR")
    baking.add_argument("--source", default=str(bake.SOURCE), metavar="DIR", help="another checkout")
    baking.set_defaults(verb=_bake)
    locking = verbs.add_parser("lock", help="write images/packages.lock again, from the machine's mirrors")
    locking.set_defaults(verb=_lock)
    return parser


if __name__ == "__main__":
    main()
