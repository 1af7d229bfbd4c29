"""`tunnel evidence collect`: this machine's evidence over a challenge, into a file. I/O.

The challenge is a nonce of the asker's (or a fresh one), the settings' digest, and a key made for this: as at
the public endpoint, so that the evidence can open no session. Whoever verifies wants the nonce to be theirs.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys

from runtime.attestation.attester import Attester
from runtime.channel.boot_key import BootKey
from runtime.commands.evidence import files
from runtime.commands.evidence.files import Collected
from runtime.documents import settings
from runtime.web.tunnel_name import NONCE_SIZE, endpoint_bound

ABOUT = """
Writes this machine's evidence over a challenge into a file. The challenge is a nonce of whoever will verify
(or a fresh one), the digest of the settings, and a key that is made for this and opens no session.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--nonce", metavar="HEX", help="32 bytes of whoever will verify; fresh if left out")
    parser.add_argument("--settings", metavar="FILE", help="the settings that this machine booted with")
    parser.add_argument("--out", metavar="FILE", help="a new file; stdout if left out")


def verb(options: argparse.Namespace, attester: Attester, now: int) -> None:
    """Run the verb. Raises: TunnelError."""
    if options.out is not None:
        files.want_new(options.out)
    nonce = (
        secrets.token_bytes(NONCE_SIZE)
        if options.nonce is None
        else files.sized(options.nonce, NONCE_SIZE, "--nonce")
    )
    digest = bytes(32) if options.settings is None else settings.digest(files.load(options.settings))
    spki = BootKey.create("collected.invalid", now).spki
    bound = endpoint_bound(spki=spki, nonce=nonce, settings_digest=digest)
    evidence = asyncio.run(attester.collect(bound.binder))
    data = files.write(Collected(evidence=evidence, bound=bound))
    if options.out is None:
        sys.stdout.write(data.decode())
    else:
        files.save(options.out, data)
    print(f"tunnel: {evidence.format}: {files.items(evidence.parts)}", file=sys.stderr)
    print(f"tunnel: endorsements: {files.items(evidence.endorsements)}", file=sys.stderr)
    if options.settings is None:
        print("hint: without --settings it can be examined, and is no member's", file=sys.stderr)
