"""Write docs/checks.md from the negative vectors: `python -m tests.attestation.checks`. I/O: one file."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from tests.attestation.vectors import VECTORS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "checks.md"
_HEAD = """# What a strict verifier checks, and the vector that proves each

Made by `python -m tests.attestation.checks`; held by `tests/attestation/test_vectors.py`. Each row is
evidence in the real format, really signed under throw-away roots, that is right in everything but one
thing; the test asks the production verifier and wants exactly this check, but for those in brackets,
which the same one thing cannot but fail as well. An id that ends in `malformed` means that the parser
refused the bytes of that part, in the words beside it; `malformed` alone, that there was nothing to
appraise. A check's id, what was expected, what was found, who vouches for it and what to do are in every
refusal.

"""
WITHOUT: Mapping[str, str] = {
    "format.parts": "the document's schema asks for Reference Values of every part that a format has: a "
    "document without them is malformed, and this says it again, should the two ever part",
    "td.mrtd": "the rules of `tees.tdx` stand for themselves and hold MRTD against a list; under a fleet "
    "document that is `firmware.measurement`, which also knows what Google endorses",
    "nitro.revocation.*": "AWS' certificates below the first authority live for hours or days, and no "
    "evidence format carries a revocation list of AWS'",
}
_NONE = """## No vector, because

| check | why it cannot fail, or not alone |
|---|---|
"""
_COLUMNS = "| what is wrong | evidence | check | reason |\n|---|---|---|---|\n"


def page() -> str:
    """Return the page."""
    out = [_HEAD]
    for section, vectors in groupby(VECTORS, key=lambda vector: vector.section):
        rows = list(vectors)
        out.append(f"## {section} ({len(rows)})\n\n{_COLUMNS}")
        for row in rows:
            says = f": {row.says}" if row.says else ""
            also = f" ({', '.join(row.also)})" if row.also else ""
            out.append(f"| {row.what} | `{row.format}` | `{row.check}`{says}{also} | `{row.reason}` |\n")
        out.append("\n")
    out += [_NONE, *(f"| `{check}` | {why} |\n" for check, why in WITHOUT.items())]
    return "".join(out).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
