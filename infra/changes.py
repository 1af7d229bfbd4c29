"""What differs between two fleet documents, in words, and which differences let more in. Pure.

Members, images and waivers are matched by name, firmware by what it is, everything else by its place. Of each
word of the owner's it is written down which way is looser; a difference that no rule knows is only named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runtime.documents.fleet import GRADES

Effect = Literal["loosens", "tightens", "changes"]

# Places of the schema by their last word. A number that may only be reached, one that may not be exceeded, a
# list of what is accepted, a list of what is demanded, and words of which one lets more in.
_FLOORS = frozenset(
    {"bootloader", "tee", "snp", "microcode", "fmc", "min_guest_svn", "min_evaluation_number", "min_svn"}
)
_CEILINGS = frozenset({"max_age_s", "max_skew_s", "out_of_date_grace_days"})
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
_ADDED_ALLOWS = frozenset({"members", "images", "firmware", "waivers"})


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
            yield _change(
                here, "loosens" if path != "$" else "changes", f"{here} is new: {_show(after[name])}"
            )
        elif name not in after:
            effect: Effect = "tightens" if _is_reference(path) else "changes"
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
    def keyed(entries: list[Any]) -> dict[str, Any]:
        return {" ".join(str(entry[part])[:64] for part in KEYED[name]): entry for entry in entries}

    old, new = keyed(before), keyed(after)
    place = "" if path.count(".") == 1 else f" at {path}"  # a list of the document needs none
    for key in sorted({*old, *new}):
        here = f"{path}[{key}]"
        if key not in old:
            yield _change(here, "loosens", f"{_WORDS[name]} {key}{place} is new: {_about(name, new[key])}")
        elif key not in new:
            yield _change(here, "tightens", f"{_WORDS[name]} {key}{place} is gone")
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
        case _:
            return f"accepted until {entry['not_after']}"


def _sets(name: str, before: list[Any], after: list[Any], path: str) -> Iterator[Change]:
    added = [entry for entry in after if entry not in before]
    gone = [entry for entry in before if entry not in after]
    for word, entries, loosens in (("also", added, _ACCEPTED), ("no longer", gone, _DEMANDED)):
        other = _DEMANDED if loosens is _ACCEPTED else _ACCEPTED
        for entry in entries:
            effect: Effect = "loosens" if name in loosens else "tightens" if name in other else "changes"
            yield _change(path, effect, f"{path}: {word} {_show(entry)}")


def _effect(name: str, before: Any, after: Any, path: str) -> Effect:
    """Tell which way a single value went."""
    numbers = isinstance(before, int) and isinstance(after, int) and not isinstance(before, bool)
    if path.startswith("$.least_grade"):
        return "loosens" if GRADES.index(after) > GRADES.index(before) else "tightens"
    if name in _LOOSE:
        return "loosens" if after == _LOOSE[name] else "tightens"
    if numbers and name in _FLOORS | _CEILINGS:
        return "loosens" if (after < before) is (name in _FLOORS) else "tightens"
    if name == "not_after":  # one spelling of time, so text compares as time does
        return "loosens" if after > before else "tightens"
    return _mask(name, before, after)


def _mask(name: str, before: Any, after: Any) -> Effect:
    if name == "required_mitigations":
        return "loosens" if int(before, 16) & ~int(after, 16) else "tightens"
    if name == "xfam_allowed":
        return "loosens" if int(after, 16) & ~int(before, 16) else "tightens"
    if name == "min_abi":
        old, new = ([int(part) for part in text.split(".")] for text in (before, after))
        return "loosens" if new < old else "tightens"
    if name == "mrseam":
        return "loosens" if isinstance(after, str) else "tightens"
    if name == "endorsed_firmware":
        return "loosens" if before is None else "tightens" if after is None else "changes"
    return "changes"


def _change(path: str, effect: Effect, text: str) -> Change:
    return Change(path=path, effect=effect, text=text)


def _show(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= 96 else f"{text[:93]}..."
