"""`python -m images`: bake, compare, lock, release, verify, launch-digest. I/O."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from images import bake, lock, mirrors, release
from images.measure import snp_launch
from runtime.errors import TunnelError, UsageError
from runtime.keys import owner_key


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


def _compare(options: argparse.Namespace) -> None:
    if differing := release.compare(Path(options.one), Path(options.two)):
        message = f"{', '.join(differing)} differ between {options.one} and {options.two}"
        raise UsageError(message)
    names = sorted(path.name for path in Path(options.one).iterdir())
    print(f"equal byte for byte: {', '.join(names)}")


def _release(options: argparse.Namespace) -> None:
    key = owner_key.load(Path(options.key)) if options.key else None
    locked = lock.read((bake.SOURCE / "images/packages.lock").read_text())
    release.finish(Path(options.out), locked, Path(options.cache) / "debs", key)
    print(
        f"{options.out}: {release.SUMS}" + (f", {release.SIGNED}" if key else ", unsigned: no key was given")
    )


def _verify(options: argparse.Namespace) -> None:
    found = release.verify(Path(options.out), owner_key.read_public(options.key))
    names = ", ".join(artefact.file for artefact in found.artefacts)
    print(f"{found.variant} image {found.version}, manifest {found.digest.hex()}, signed; as signed: {names}")


def _launch_digest(options: argparse.Namespace) -> None:
    found = snp_launch.digest(
        Path(options.firmware).read_bytes(),
        vcpus=options.vcpus,
        signature=int(options.signature, 16),
        hypervisor=options.hypervisor,
    )
    print(found.hex())


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
    comparing = verbs.add_parser("compare", help="two bakes, byte for byte")
    comparing.add_argument("one", metavar="DIR")
    comparing.add_argument("two", metavar="DIR")
    comparing.set_defaults(verb=_compare)
    releasing = verbs.add_parser("release", help="checksums, the locked packages, a signed manifest")
    releasing.add_argument("--out", required=True, metavar="DIR")
    releasing.add_argument("--cache", default=".cache/images", metavar="DIR")
    releasing.add_argument("--key", metavar="FILE", help="the owner's key; without it nothing is signed")
    releasing.set_defaults(verb=_release)
    verifying = verbs.add_parser("verify", help="hold a release against its owner's signature")
    verifying.add_argument("--out", required=True, metavar="DIR", help="the release's folder")
    verifying.add_argument("--key", required=True, metavar=owner_key.PUBLIC_FORM, help=owner_key.PUBLIC_HELP)
    verifying.set_defaults(verb=_verify)
    launching = verbs.add_parser("launch-digest", help="what SEV-SNP will measure of a cloud's firmware")
    launching.add_argument("--firmware", required=True, metavar="FILE")
    launching.add_argument("--vcpus", required=True, type=int, metavar="N")
    launching.add_argument("--hypervisor", choices=("aws", "qemu"), default="aws")
    launching.add_argument("--signature", default="0", metavar="HEX", help="CPUID leaf 1 EAX, for QEMU")
    launching.set_defaults(verb=_launch_digest)
    return parser


if __name__ == "__main__":
    main()
