"""The program in the image: our package alone, wheels without what no import reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from images import app
from runtime.errors import UnreachableError

SOURCE = Path(app.__file__).parent.parent


def test_only_runtime_is_copied(tmp_path: Path) -> None:
    app.copy_runtime(SOURCE, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["runtime"]
    assert (tmp_path / "runtime/documents/schemas/settings.schema.json").is_file()
    names = {path.name for path in tmp_path.rglob("*")}
    assert not names & {"__pycache__", "examples"}


def test_wheels_are_trimmed(tmp_path: Path) -> None:
    for name, text in (
        ("pkg/__init__.py", ""), ("pkg/fast.pyx", ""), ("pkg/tests/test_x.py", ""), ("bin/tool", ""),
        ("pkg-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: pkg\nVersion: 1\n\nlong text"),
        ("pkg-1.dist-info/RECORD", "machine's own paths"),
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    app.trim(tmp_path)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["pkg-1.dist-info/METADATA", "pkg/__init__.py"]
    assert (tmp_path / left[0]).read_text() == "Metadata-Version: 2.1\nName: pkg\nVersion: 1\n"


def test_a_wheel_without_a_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("attrs==26.1.0\n")
    with pytest.raises(UnreachableError, match="wheels"):
        app.install_wheels(tmp_path / "requirements.txt", tmp_path / "cache", tmp_path / "site")


def test_the_image_installs_what_the_member_installs() -> None:
    def pins(name: str) -> set[str]:
        lines = (SOURCE / "requirements" / name).read_text().splitlines()
        return {line.split(" ")[0] for line in lines if "==" in line and not line.startswith((" ", "#"))}

    assert pins("runtime.txt") <= pins("image.txt")
    assert {pin.split("==")[0] for pin in pins("image.txt") - pins("runtime.txt")} <= {"aiofastnet", "uvloop"}
