"""Tools run by their own loader: their time, their words when they fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from images.toolbox import Toolbox, ToolError


def box(root: Path, script: str) -> Toolbox:
    """A toolbox whose loader is a script."""
    loader = root / "usr/lib64/ld-linux-x86-64.so.2"
    loader.parent.mkdir(parents=True)
    loader.write_text(f"#!/bin/sh\n{script}\n")
    loader.chmod(0o755)
    return Toolbox(root, 1234)


def test_a_tool_gets_its_libraries_its_name_and_the_one_time(tmp_path: Path) -> None:
    said = box(tmp_path, 'echo "$@"; echo "$SOURCE_DATE_EPOCH $TZ"; cat').run(
        "usr/bin/kmod", "-b", tmp_path, name="depmod", data=b"input"
    )
    lines = said.decode().splitlines()
    assert f"--library-path {tmp_path}/usr/lib/x86_64-linux-gnu" in lines[0]
    assert lines[0].endswith(f"--argv0 depmod {tmp_path}/usr/bin/kmod -b {tmp_path}")
    assert lines[1:] == ["1234 UTC", "input"]


def test_a_tool_that_fails_is_named_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"usr/bin/x ended with 3: no space"):
        box(tmp_path, "echo no space >&2; exit 3").run("usr/bin/x")
    with pytest.raises(ToolError, match="usr/bin/x"):
        Toolbox(tmp_path / "absent", 0).run("usr/bin/x")
