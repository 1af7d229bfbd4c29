"""The transcripts of docs/evidence.md: real evidence, read from the corpus when the page is made or checked.

`python -m tests.commands.evidence.transcripts` writes the page.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.commands import main
from tests.corpus import cases

PAGE = Path(__file__).resolve().parents[3] / "docs/evidence.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One command over one case, and the words around it."""

    title: str
    words: str
    case: str
    parts: Mapping[str, str]
    endorsements: Mapping[str, str]  # paths from the case; ../../roots/ are the corpus's
    at: str
    more: tuple[str, ...] = ()
    status: int = 0


_MILAN = {"intermediate": "../../roots/amd-milan-ask.pem", "root": "../../roots/amd-milan-ark.pem"}
TRANSCRIPTS = (
    Transcript(
        title="An Azure machine with SEV-SNP",
        words="AMD vouches for the chip, the chip's report for Microsoft's paravisor. What booted, it "
        "could say (grade P), but this quote came without the registers' values: no grade. Milan's "
        "weakness, and what nobody stated, are said.",
        case="azure-snp-vtpm/milan-v3-super-protocol-ak-chain",
        parts={
            "hcl_report": "hcl-report.bin",
            "tpm_quote": "tpm-quote.msg",
            "tpm_signature": "tpm-quote.tpmt-signature",
        },
        endorsements={
            "vek": "vcek.der",
            **_MILAN,
            "ak_certificate": "ak-cert-0-leaf.der",
            "ak_authority_1": "ak-cert-1-intermediate.der",
            "ak_authority_2": "ak-cert-2-ca.der",
            "ak_root": "azure-virtual-tpm-root-2023.pem",
        },
        at="2026-09-21T01:00:00Z",
        more=("--nonce", "c3bf041b342cb79b1b1c6ba595d339cbcf183b98204b78fda2273216aead70b4"),
    ),
    Transcript(
        title="A TDX guest",
        words="The CPU's module measured what booted. Grade V, until the owner's document lists its RTMR0.",
        case="tdx/v4-emr-with-collateral",
        parts={"td_quote": "quote.bin"},
        endorsements={"tdx_collateral": "collateral.json"},
        at="2025-06-30T00:00:00Z",
    ),
    Transcript(
        title="An EC2 instance with NitroTPM",
        words="AWS' hypervisor alone says what booted: grade N.",
        case="nitro-tpm/ec2-vaportpm",
        parts={"nitrotpm_document": "document.cbor"},
        endorsements={},
        at="2026-02-03T10:12:03Z",
        more=("--nonce", "230af3f7c0ec43ccf99a4cab47ac61469a36ea74b1e79740fdf8ccfc8f56161a"),
    ),
    Transcript(
        title="A Nitro enclave",
        words="No member is one; its document is examined under a name of its own.",
        case="nitro/enclave-valid",
        parts={"enclave_document": "document.cbor"},
        endorsements={},
        at="2022-10-13T08:58:02Z",
    ),
    Transcript(
        title="A TDX guest with debug on, on a host that is out of date: refused",
        words="Both are told at once, each with what to change.",
        case="tdx/v4-spr-debug-enabled",
        parts={"td_quote": "quote.bin"},
        endorsements={"tdx_collateral": "collateral.json"},
        at="2026-04-01T00:00:00Z",
        status=10,
    ),
    Transcript(
        title="A TDX host below every level that Intel lists: refused",
        words="",
        case="tdx/v5-emr-trustee",
        parts={"td_quote": "quote.bin"},
        endorsements={"tdx_collateral": "collateral.json"},
        at="2026-04-01T00:00:00Z",
        status=10,
    ),
)


def arguments(one: Transcript) -> list[str]:
    """Return the command's arguments, with paths as from inside the case's folder."""
    options = [f"--part={name}={path}" for name, path in one.parts.items()]
    options += [f"--endorsement={name}={path}" for name, path in one.endorsements.items()]
    return ["evidence", "verify", *options, *one.more, f"--at={one.at}"]


def run(one: Transcript, corpus: Path) -> tuple[int, str]:
    """Run the command in the case's folder; return its status and what it printed, stderr last."""
    out, err = io.StringIO(), io.StringIO()
    with _inside(corpus / one.case), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main.run(arguments(one))
    return status, out.getvalue() + err.getvalue()


@contextlib.contextmanager
def _inside(folder: Path) -> Generator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def page(corpus: Path) -> str:
    """Return the page."""
    lines = [
        "# Evidence, read and explained",
        "",
        "What `tunnel evidence verify` says of real evidence. The commands run in the folder of each case",
        "of the evidence corpus; a test runs them again and compares this page. `--at` examines old evidence",
        "as of its own time, for which there is no document; a member is appraised with `--document`, now.",
        "",
        "Without a fleet document nothing is accepted: the best that comes out is that every part is true,",
        "whose word each statement is, and what is left open. The exit status is 10 where a check fails.",
    ]
    for one in TRANSCRIPTS:
        status, text = run(one, corpus)
        assert status == one.status, f"{one.title}: {status}\n{text}"
        command = " \\\n    ".join(shlex.quote(part) for part in arguments(one)[2:])
        lines += ["", f"## {one.title}", ""]
        lines += [one.words, ""] if one.words else []
        lines += ["```", f"$ tunnel evidence verify {command}", text.rstrip(), "```"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    found = cases.folder()
    assert found is not None, "no evidence corpus: set EVIDENCE_CORPUS"
    PAGE.write_text(page(found))
