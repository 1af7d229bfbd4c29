"""The bake's own rules; that it bakes is shown by the image lane."""

from __future__ import annotations

import os
from pathlib import Path

from images import bake, disk


def _tree(root: Path) -> Path:
    for name in ("images/a.py", "runtime/b.py", "requirements/c.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    return root


def _order(source: Path, variant: str = "release") -> bake.Order:
    return bake.Order(variant=variant, out=source, cache=source, source=source)


def test_the_cache_key_is_the_content_and_the_variant(tmp_path: Path) -> None:
    one, two = _tree(tmp_path / "one"), _tree(tmp_path / "two")
    os.utime(one / "runtime/b.py", (1, 1))
    key = bake._key(_order(one))
    assert key == bake._key(_order(two))
    assert key != bake._key(_order(one, "test"))
    (two / "runtime/b.py").write_text("y")
    assert key != bake._key(_order(two))
    (one / "images/manifests").mkdir()
    (one / "images/manifests/1.json").write_text("{}")  # what a bake made is no input of the next
    assert key == bake._key(_order(one))


def test_a_test_image_says_so_in_its_version(tmp_path: Path) -> None:
    assert bake.Order(variant="test", out=tmp_path, cache=tmp_path).version.endswith("-test")
    assert "test" not in bake.Order(variant="release", out=tmp_path, cache=tmp_path).version


def test_a_disk_is_written_where_its_table_says(tmp_path: Path) -> None:
    parts = []
    for name, data in (("esp", b"e" * 5000), ("root", bytes(disk.MIB) + b"r"), ("verity", b"v")):
        (tmp_path / name).write_bytes(data)
        parts.append(tmp_path / name)
    layout = disk.layout([part.stat().st_size for part in parts], "ab" * 32)
    size = disk.size_of(layout)
    target = tmp_path / "disk"
    bake._write_disk(target, size, layout, list(zip((p.start for p in layout), parts, strict=True)))
    data = target.read_bytes()
    assert len(data) == size
    for partition, part in zip(layout, parts, strict=True):
        assert data[partition.start : partition.start + part.stat().st_size] == part.read_bytes()
    bake._copy_sparse(target, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data


def test_the_command_line_closes_what_the_facts_name() -> None:
    words = bake._CMDLINE.split()
    assert {"systemd.import_credentials=no", "module.sig_enforce=1", "lockdown=integrity", "panic=-1"} <= set(
        words
    )
    assert not [word for word in words if word.startswith(("init=", "rdinit=", "systemd.debug"))]
