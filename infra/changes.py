"""What differs between two fleet documents, in words, and which differences let more in. Pure.

Members, images and waivers are matched by name, firmware by what it is, everything else by its place. What
is known to let less in is written down here, and so is what lets nothing in or out; whatever else differs
loosens: a value that is replaced lets in what it did not, and who signs is never told too little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runtime.documents.fleet import GRADES

Effect = Literal["loosens", "tightens", "changes"]

# Places of the schema by their last word. A number that may only be reached, one that may not be exceeded,
# the end of a life, a list of what is accepted, one of what is demanded, and words of which one lets more in.
_FLOORS = frozenset(
    {"bootloader", "tee", "snp", "microcode", "fmc", "min_guest_svn", "min_evaluation_number", "min_svn"}
)
_CEILINGS = frozenset({"max_age_s", "max_skew_s", "out_of_date_grace_days"})
_ENDS = frozenset({"not_after", "expires_at"})  # one spelling of time, so text compares as time does
_ACCEPTED = frozenset(
    {"report_versions", "signers", "csp_ids", "statuses", "mrseam", "regions", "projects", "zones", "allow"}
    | {"id_key_digests", "author_key_digests", "snp_launch", "rtmr1", "rtmr2", "hostnames"}
)
_DEMANDED = frozenset({"platform_require", "require", "refused_advisories"})
_LOOSE: Mapping[str, object] = {
    "smt": "allowed",
    "cxl": "allowed",
    "console": "allowed",
    "revocation": "when_present",
    "ak_certificates": "when_present",
    "ak_revocation": "when_present",
    "event_log": "when_present",
    "provisional_firmware": True,
    "purpose": "test",
}
# No check looks at these: which document it is, from when, and words for people.
_NEITHER = frozenset({"$.schema", "$.fleet", "$.version", "$.issued_at", "$.tunnel_name"})
KEYED: Mapping[str, tuple[str, ...]] = {  # lists of objects, and what names one
    "members": ("name",),
    "images": ("id",),
    "firmware": ("format", "register", "value"),
    "waivers": ("name",),
    "opt_in": ("weakness",),
}
_WORDS = {
    "members": "member",
    "images": "image",
    "firmware": "firmware value",
    "waivers": "waiver",
    "opt_in": "accepted weakness",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference."""

    path: str  # $.members[client-1].hostnames
    effect: Effect
    text: str  # for people, with the place


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return every difference between two documents that were read without a problem, as JSON values."""
    return tuple(_objects(before, after, "$"))


def _objects(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        here = f"{path}.{name}"
        if name not in before:
            yield _change(here, "loosens", f"{here} is new: {_show(after[name])}")
        elif name not in after:
            effect: Effect = "tightens" if _is_reference(path) else "loosens"
            yield _change(here, effect, f"{here} is gone (was {_show(before[name])})")
        elif before[name] != after[name]:
            yield from _values(name, before[name], after[name], here)


def _is_reference(path: str) -> bool:
    return path.startswith(("$.reference_values", "$.images"))


def _values(name: str, before: Any, after: Any, path: str) -> Iterator[Change]:
    if name in KEYED:
        yield from _lists(name, before, after, path)
    elif isinstance(before, dict) and isinstance(after, dict):
        yield from _objects(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _sets(name, before, after, path)
    else:
        effect = _effect(name, before, after, path)
        yield _change(path, effect, f"{path}: {_show(before)} → {_show(after)}")


def _lists(name: str, before: list[Any], after: list[Any], path: str) -> Iterator[Change]:
    def keyed(entries: list[Any]) -> dict[tuple[str, ...], Any]:  # `fleet.read` refused two of one key
        return {tuple(str(entry[part]) for part in KEYED[name]): entry for entry in entries}

    old, new = keyed(before), keyed(after)
    place = "" if path.count(".") == 1 else f" at {path}"  # a list of the document needs none
    for key in sorted({*old, *new}):
        shown = " ".join(key)
        here = f"{path}[{shown}]"
        if key not in old:
            yield _change(here, "loosens", f"{_WORDS[name]} {shown}{place} is new: {_about(name, new[key])}")
        elif key not in new:
            yield _change(here, "tightens", f"{_WORDS[name]} {shown}{place} is gone")
        else:
            yield from _objects(old[key], new[key], here)


def _about(name: str, entry: Mapping[str, Any]) -> str:
    match name:
        case "members":
            granted = ", ".join(entry["hostnames"]) or "no hostname"
            return f"a {entry['role']} on {entry['instance']['kind']} {entry['instance']['value']}, {granted}"
        case "waivers":
            until = f"{entry['member']} until {entry['not_after']}"
            return f"{entry['check']} may fail for {until}: {entry['reason']}"
        case "opt_in":
            return str(entry["reason"])
        case "images":
            shown = (f"{register} {_show(value)}" for register, value in entry["measurements"].items())
            return f"accepted until {entry['not_after']}, {', '.join(shown)}"
        case _:
            return f"{entry['name']}, accepted until {entry['not_after']}"


def _sets(name: str, before: list[Any], after: list[Any], path: str) -> Iterator[Change]:
    added = [entry for entry in after if entry not in before]
    gone = [entry for entry in before if entry not in after]
    for word, entries, tighter in (("also", added, _DEMANDED), ("no longer", gone, _ACCEPTED)):
        effect: Effect = "tightens" if name in tighter else "loosens"
        for entry in entries:
            yield _change(path, effect, f"{path}: {word} {_show(entry)}")


def _effect(name: str, before: Any, after: Any, path: str) -> Effect:
    """Tell which way a single value went."""
    if path in _NEITHER or name == "reason" or (path.startswith("$.firmware[") and name == "name"):
        return "changes"
    return "tightens" if _tightens(name, before, after, path) else "loosens"


def _tightens(name: str, before: Any, after: Any, path: str) -> bool:
    """Tell whether nothing passes with `after` that did not with `before`; False where no rule says so."""
    if path.startswith("$.least_grade."):
        return GRADES.index(after) < GRADES.index(before)
    if name in _LOOSE:  # one of two words
        return bool(before == _LOOSE[name])
    if name in _FLOORS:
        return bool(after > before)
    if name in _CEILINGS | _ENDS:
        return bool(after < before)
    return _narrows(name, before, after)


def _narrows(name: str, before: Any, after: Any) -> bool:
    """As `_tightens`, for values of a form of their own."""
    match name:
        case "member":  # of a waiver: everybody's becomes one member's
            return bool(before == "*")
        case "required_mitigations":
            return not int(before, 16) & ~int(after, 16)
        case "xfam_allowed":
            return not int(after, 16) & ~int(before, 16)
        case "min_abi":
            old, new = ([int(part) for part in text.split(".")] for text in (before, after))
            return new > old
        case "mrseam":  # a list in place of whatever Intel signs
            return isinstance(before, str)
        case "endorsed_firmware":
            return after is None
        case _:
            return False


def _change(path: str, effect: Effect, text: str) -> Change:
    return Change(path=path, effect=effect, text=text)


def _show(value: Any) -> str:
    """Return it whole, however long: what is cut off is what somebody would hide."""
    return value if isinstance(value, str) else str(value)
