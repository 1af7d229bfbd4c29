"""Predict PCR4, PCR11 and the command-line event of PCR9, and what TDX's RTMR1 and RTMR2 are made of. Pure.

PCR4: TCG PC Client Platform Firmware Profile §3.3.4.5 (what firmware loads, calls). PCR11: systemd-stub(7), a
pair of events for each section, name and contents, in the stub's own order whatever the file's. PCR9: the
kernel's EFI stub measures its command line as UTF-16 with the final NUL. RTMR index = CC measurement register
index - 1 (UEFI 2.10 §38.4.1): PCR 2 to 6 go to RTMR1, PCR 8 to 15 to RTMR2.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from images.measure import portable_executable as pe
from images.measure.portable_executable import Hash
from runtime.errors import MalformedError

CALLING = b"Calling EFI Application from Boot Option"
SEPARATOR = bytes(4)
# src/fundamental/uki.h of systemd 257: the order of measuring; only those a UKI has are measured.
SECTIONS = (
    ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What booting one UKI will measure, by one hash."""

    pcr4: bytes  # Secure Boot off: firmware measures the UKI, then the stub's kernel
    pcr4_secure_boot: bytes  # Secure Boot on: the stub's kernel is not measured
    pcr11: bytes
    uki: bytes  # Authenticode
    linux: bytes  # Authenticode of the kernel inside
    cmdline_event: bytes  # PCR9
    section_events: tuple[bytes, ...]  # PCR11, in order


def extend(register: bytes, digest: bytes, algorithm: Hash) -> bytes:
    """Return the register after one event."""
    return hashlib.new(algorithm, register + digest).digest()


def replay(digests: tuple[bytes, ...], algorithm: Hash) -> bytes:
    """Return a register that began with zeros."""
    register = bytes(hashlib.new(algorithm).digest_size)
    for digest in digests:
        register = extend(register, digest, algorithm)
    return register


def predict(uki: bytes, algorithm: Hash) -> Prediction:
    """Predict for one UKI. Raises: MalformedError."""
    image = pe.read(uki)
    sections = {section.name: section.data for section in image.sections}
    if missing := {".linux", ".cmdline"} - set(sections):
        raise MalformedError("UKI", f"has no {', '.join(sorted(missing))}")

    def digest(data: bytes) -> bytes:
        return hashlib.new(algorithm, data).digest()

    whole = pe.authenticode(image, algorithm)
    linux = pe.authenticode(pe.read(sections[".linux"]), algorithm)
    called = (digest(CALLING), digest(SEPARATOR), whole)
    events: list[bytes] = []
    for name in SECTIONS:
        if name in sections:
            events += [digest(name.encode() + b"\0"), digest(sections[name])]
    return Prediction(
        pcr4=replay((*called, linux), algorithm),
        pcr4_secure_boot=replay(called, algorithm),
        pcr11=replay(tuple(events), algorithm),
        uki=whole,
        linux=linux,
        cmdline_event=digest(_utf16(sections[".cmdline"])),
        section_events=tuple(events),
    )


def _utf16(cmdline: bytes) -> bytes:
    try:
        return (cmdline.rstrip(b"\0 \n").decode("ascii") + "\0").encode("utf-16-le")
    except UnicodeDecodeError as error:
        raise MalformedError("UKI", ".cmdline is not ASCII") from error
