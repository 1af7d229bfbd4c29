"""Small files in the real formats: a package, a PE file, a kernel module."""

from __future__ import annotations

import io
import struct
import tarfile


def tar(entries: list[tuple[str, str, bytes | str, int]]) -> bytes:
    """A tar of (name, kind, data or target, mode)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz") as archive:
        for name, kind, data, mode in entries:
            entry = tarfile.TarInfo(name)
            entry.mode = mode
            entry.type = {
                "file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE,
                "hard": tarfile.LNKTYPE, "device": tarfile.CHRTYPE,
            }[kind]  # fmt: skip
            if isinstance(data, str):
                entry.linkname = data
                archive.addfile(entry)
            else:
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def ar(members: list[tuple[str, bytes]]) -> bytes:
    """An ar archive."""
    out = b"!<arch>\n"
    for name, data in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data
        out += b"\n" * (len(data) % 2)
    return out


def package(entries: list[tuple[str, str, bytes | str, int]]) -> bytes:
    """A Debian package."""
    return ar([("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", tar(entries))])


def pe_file(sections: tuple[tuple[str, bytes], ...] = ((".text", b"code"),), *, room: int = 12) -> bytes:
    """A PE32+ file with room for more section headers."""
    header, optional_size = 0x80, 240
    table = header + 24 + optional_size
    headers_size = -(-(table + room * 40) // 512) * 512
    out = bytearray(headers_size)
    out[:2] = b"MZ"
    struct.pack_into("<I", out, 0x3C, header)
    out[header : header + 4] = b"PE\0\0"
    struct.pack_into("<HH", out, header + 4, 0x8664, len(sections))
    struct.pack_into("<H", out, header + 20, optional_size)
    optional = header + 24
    struct.pack_into("<H", out, optional, 0x20B)
    struct.pack_into("<II", out, optional + 32, 4096, 512)
    struct.pack_into("<I", out, optional + 60, headers_size)
    struct.pack_into("<I", out, optional + 108, 16)
    address = 4096
    for index, (name, data) in enumerate(sections):
        raw = -(-len(data) // 512) * 512
        struct.pack_into("<8sIIII", out, table + index * 40, name.encode(), len(data), address, raw, len(out))
        out += data.ljust(raw, b"\0")
        address += -(-len(data) // 4096) * 4096
    return bytes(out)


def module(depends: str, soft: str = "") -> bytes:
    """The part of a kernel module that says what it needs."""
    return (
        b"\x7fELF\0depends=" + depends.encode() + b"\0" + (f"softdep=pre: {soft}\0".encode() if soft else b"")
    )
