"""Charts are well-formed, and keep their places when a figure is missing."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from bench.chart import bars


def test_bars() -> None:
    text = bars("a < b & c", "us", ["1", "64"], {"ours": [1.0, 2.0], "peer": [None, 4.0]})
    root = ET.fromstring(text)  # noqa: S314 - our own, made above
    space = "{http://www.w3.org/2000/svg}"
    bar = [one for one in root.iter(f"{space}rect") if one.find(f"{space}title") is not None]
    assert [one.findtext(f"{space}title") for one in bar] == ["ours: 1", "ours: 2", "peer: 4"]
    assert float(bar[2].attrib["height"]) == 2 * float(bar[1].attrib["height"])
    assert root.findtext(f"{space}title") == "a < b & c"


def test_no_figures_at_all() -> None:
    ET.fromstring(bars("empty", "us", [], {}))  # noqa: S314 - our own
