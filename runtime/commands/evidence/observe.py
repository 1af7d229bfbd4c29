"""`tunnel evidence observe HOST`: the values of a new platform, for the owner to look at and sign. I/O.

Reference Values have to come from somewhere the first time. This asks one server for its endpoint evidence
and prints what a fleet document would say of that machine, each with an end date. Signatures and chains have
to hold, and the evidence has to answer this very exchange, or there is nothing to print; settings are printed
if they were measured. That these are the *right* values nobody says but the owner, who signs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from hmac import compare_digest
from typing import Any

from runtime.attestation import wire
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.member_policy import instance_of, machine_name, settings_register
from runtime.attestation.tees import TEES, MachineClaims, Root
from runtime.commands import verify
from runtime.commands.evidence import files
from runtime.commands.evidence.files import Collected
from runtime.documents import settings, times
from runtime.errors import UsageError
from runtime.web.tunnel_name import endpoint_bound

REASON, NAME = "(why?)", ""  # the owner's to replace: no document takes them, a reason has ten characters
DAYS = 14  # the owner is to replace observed values by those of a manifest
_LOUD = (
    "NOT VERIFIED AGAINST ANYTHING: these values were seen once, on a machine that may be anybody's.",
    "Compare them with the image's manifest and the cloud's console before you sign them.",
)


ABOUT = """
Prints the values of a new platform as a fleet document would have them, for the owner to compare and to
sign. Signatures and chains have to hold, and the evidence has to answer this very request, or there is
nothing to print. That these are the right values nobody says but the owner: as printed no document takes
them.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("host", nargs="?", metavar="ADDRESS[:PORT]", help="one server; port 443 if left out")
    parser.add_argument("--tunnel-name", metavar="NAME", help="the name under which it answers")
    parser.add_argument(
        "--member",
        metavar="NAME",
        default="observed",
        help="what a document will call it; observed if left out",
    )
    parser.add_argument("--file", metavar="FILE", help="what `collect` wrote, instead of asking a server")


def verb(options: argparse.Namespace, roots: tuple[Root, ...], now: int) -> None:
    """Run the verb. Raises: TunnelError."""
    if (options.host is None) == (options.file is None):
        raise UsageError("want either ADDRESS or --file FILE")
    if options.host is not None and options.tunnel_name is None:
        raise UsageError("want --tunnel-name NAME as well", hint="it is tunnel_name in the settings")
    found = _asked(options) if options.file is None else _read(options.file)
    evidence = found.evidence
    claims = TEES[evidence.format].verify(evidence, found.bound.binder, roots, now)
    if claims.unbound:  # true evidence, and of another exchange: it says nothing of who was asked
        raise EvidenceRefusedError(claims.unbound)
    print(json.dumps(observed(found, claims, options.member, now), indent=2))
    for line in _LOUD:
        print(f"tunnel: {line}", file=sys.stderr)


def _asked(options: argparse.Namespace) -> Collected:
    host, port = verify.address(options.host)
    said = asyncio.run(verify.ask(host, port, options.tunnel_name))
    return Collected(
        evidence=wire.decode(said.evidence),
        bound=endpoint_bound(spki=said.spki, nonce=said.nonce, settings_digest=said.settings_digest),
    )


def _read(path: str) -> Collected:
    found = files.read(files.load(path))
    if not isinstance(found, Collected):
        raise UsageError(
            "this evidence has no challenge",
            hint="tunnel evidence collect, or read, with --out FILE makes it",
        )
    return found


def observed(found: Collected, claims: MachineClaims, member: str, now: int) -> dict[str, Any]:
    """Return parts of a fleet document, dated.

    The same values twice: listed for good (`image`, `firmware`), or let pass for a while (`waivers`). What
    an image is called and made of, a firmware's name and a waiver's reason are the owner's to write: as
    printed no document takes them, so that nobody signs them unread.
    """
    until = times.show(now + DAYS * times.DAY_S)
    name, unmeasured = machine_name(claims), _unmeasured_settings(found, claims)
    measured = {
        # As a document spells them: of a TDX guest's registers it may accept several values.
        label: [value.hex()] if label.startswith("rtmr") else value.hex()
        for label, value in _image(claims).items()
        if any(value)
    }
    firmware = [
        {
            "name": NAME,
            "format": found.evidence.format,
            "register": register,
            "value": value.hex(),
            "not_after": until,
        }
        for register, value in _firmware(claims).items()
    ]
    return {
        "observed_at": times.show(now),
        "verified_against": "nothing",
        "format": found.evidence.format,
        "vouched_for_by": sorted({f"{type(root).__name__}:{root.kind}" for root in claims.roots})
        or ["nobody"],
        "member": {
            "name": member,
            **({} if unmeasured else {"settings_sha256": found.bound.settings_digest.hex()}),
            "instance": {"kind": name.kind, "value": instance_of(name)},
        },
        "image": {"not_after": until, "measurements": measured},
        "firmware": firmware,
        "waivers": [
            {
                "name": f"observed-{check.replace('.', '-')}",
                "check": check,
                "member": member,
                "reason": REASON,
                "not_after": until,
            }
            for check in _unlisted(claims)
        ],
        "not_proven": unmeasured,
    }


def _unmeasured_settings(found: Collected, claims: MachineClaims) -> list[str]:
    """Say why the settings that the peer claims are nobody's word; nothing if they were measured."""
    digest, register = found.bound.settings_digest, settings_register(claims)
    if register is None:
        return ["member.settings_sha256: the machine has no register that it extends with its settings"]
    if compare_digest(register.value, settings.register(digest, register.bank)):
        return []
    return [
        f"member.settings_sha256: the machine says {digest.hex()}, which is not what {register.source} has: "
        f"{register.value.hex() or 'no such register'}"
    ]


def _unlisted(claims: MachineClaims) -> list[str]:
    """Return the checks that these values fail under a document that does not list them."""
    checks = [f"image.{label.split('_', 1)[0]}" for label, value in _image(claims).items() if any(value)]
    if claims.snp is not None or claims.tdx is not None:
        checks.append("firmware.measurement")
    return [*checks, *(["firmware.pcr7"] if claims.registers is not None else [])]


def _image(claims: MachineClaims) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    if claims.registers is not None:
        bank = claims.registers.bank
        found |= {f"pcr{index}_{bank}": claims.registers.values.get(index, b"") for index in (4, 11)}
    if claims.tdx is not None and claims.registers is None:
        found |= {f"rtmr{index}": claims.tdx.report.rtmrs[index] for index in (1, 2)}
    return found


def _firmware(claims: MachineClaims) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    if claims.snp is not None:
        found["snp_measurement"] = claims.snp.measurement
    if claims.tdx is not None:
        found["mrtd"] = claims.tdx.report.mrtd
        if claims.registers is None:
            found["rtmr0"] = claims.tdx.report.rtmrs[0]
    if claims.registers is not None:
        found[f"pcr7_{claims.registers.bank}"] = claims.registers.values.get(7, b"")
    return found
