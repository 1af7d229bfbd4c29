"""Grouped bars as SVG, legible in a light and in a dark page. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

_COLOURS = ("#2563eb", "#93b4f5", "#d97706", "#059669", "#9333ea", "#6b7280")
_WIDTH, _HEIGHT = 900, 360
_LEFT, _TOP, _BOTTOM = 60, 70, 40


def bars(title: str, unit: str, groups: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> str:
    """Draw one bar per series in each group; a figure that is None leaves its place empty."""
    most = max((value for values in series.values() for value in values if value), default=1.0)
    room = _HEIGHT - _TOP - _BOTTOM
    step = (_WIDTH - _LEFT - 20) / max(1, len(groups))
    width = step * 0.8 / max(1, len(series))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="12" fill="#6b7280">',
        f"<title>{escape(title)}</title>",
        f'<text x="{_LEFT}" y="22" font-size="16">{escape(title)}</text>',
    ]
    for share in (0.25, 0.5, 0.75, 1.0):
        y = _TOP + room * (1 - share)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="#9ca3af" '
            f'stroke-opacity="0.4"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{most * share:.3g}</text>'
        )
    parts.append(f'<text x="{_LEFT}" y="62">{escape(unit)}</text>')
    for number, (name, values) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        at = _LEFT + 140 * number
        parts.append(
            f'<rect x="{at}" y="32" width="10" height="10" fill="{colour}"/>'
            f'<text x="{at + 15}" y="41">{escape(name)}</text>'
        )
        for group, value in enumerate(values):
            if value is None:
                continue
            x = _LEFT + step * (group + 0.1) + width * number
            height = room * value / most
            top = _TOP + room - height
            parts.append(
                f'<rect x="{x:.1f}" y="{top:.1f}" width="{width * 0.92:.1f}" height="{height:.1f}" '
                f'fill="{colour}"><title>{escape(name)}: {value:.3g}</title></rect>'
                f'<text x="{x + width * 0.46:.1f}" y="{top - 3:.1f}" font-size="9" '
                f'text-anchor="middle">{value:.3g}</text>'
            )
    for group, name in enumerate(groups):
        parts.append(
            f'<text x="{_LEFT + step * (group + 0.5):.1f}" y="{_HEIGHT - 16}" text-anchor="middle">'
            f"{escape(name)}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])
