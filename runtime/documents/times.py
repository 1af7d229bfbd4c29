"""The one spelling of time in documents: RFC 3339, UTC, whole seconds, as Unix seconds inside. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

DAY_S = 86_400
LATEST = 253_402_300_799  # the last second of the year 9999, after which no date is written
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def parse(text: str) -> int:
    """Return Unix seconds. Raises: ValueError for a date that does not exist (30 February)."""
    return int(datetime.strptime(text, _FORMAT).replace(tzinfo=UTC).timestamp())


def show(seconds: float) -> str:
    """Return the spelling that `parse` reads."""
    # `strftime` takes four times as long, and an appraisal shows forty times.
    return datetime.fromtimestamp(int(seconds), tz=UTC).isoformat().removesuffix("+00:00") + "Z"
