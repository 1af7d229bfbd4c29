"""Defences of how an owner's document gets to where members fetch it, broken on purpose. Pure."""

from __future__ import annotations

from tests.broken.entry import Break

TESTS = ("tests/infra/test_publishing.py",)

BREAKS: tuple[Break, ...] = (
    Break(
        name="what authorises a publisher given to any server",
        file="infra/publishing.py",
        old="context=ssl.create_default_context()",
        new="context=ssl._create_unverified_context()",
        tests=TESTS,
    ),
    Break(
        name="a published document that nobody else can read",
        file="infra/publishing.py",
        old="        if (status, found) != (http.client.OK, envelope):",
        new="        if False:",
        tests=TESTS,
    ),
    Break(
        name="one store's authorisation sent to another",
        file="infra/publishing.py",
        old="headers.get(server, {})",
        new="next(iter(headers.values()), {})",
        tests=TESTS,
    ),
    Break(
        name="a published document that may not be read taken for none",
        file="infra/publishing.py",
        old="(self.first and status in _CLOSED)",
        new="status in _CLOSED",
        tests=TESTS,
    ),
    Break(
        name="a version that goes back where it is published",
        file="infra/commands/document.py",
        old="        if before is not None:\n            _check_succession",
        new="        if False:\n            _check_succession",
        tests=TESTS,
    ),
    Break(
        name="two documents that differ merged as if they did not",
        file="infra/merging.py",
        old='        yield Problem(path, f"is {one!r} in the first document and {other!r} in the second")',
        new="        yield from ()",
        tests=("tests/infra/test_merging.py",),
    ),
    Break(
        name="a word that one of two documents leaves out, taken from the other unsaid",
        file="infra/merging.py",
        old='                yield Problem(here, f"is in the {there} document only")',
        new="                yield from ()",
        tests=("tests/infra/test_merging.py",),
    ),
    Break(
        name="a file of secrets that others may read",
        file="infra/publishing.py",
        old='    data = private_file.read(path, secret="what authorises you", largest=_LARGEST)',
        new="    data = path.read_bytes()",
        tests=TESTS,
    ),
)
