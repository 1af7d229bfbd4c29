"""Intel's signed statements about TCB levels: TCB Info and QE Identity, from JSON to values. Pure.

Intel Trusted Services API, "TCB Info V3" (id TDX) and "Enclave Identity V2" (id TD_QE). These are read only
after Intel's signature over the very bytes held; still every value has one type, one length and one range.
Names that Intel may add are passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from runtime.errors import MalformedError

MAX_LEVELS = 128  # of one list; Intel's have under 20
MAX_MODULES = 16
MAX_ADVISORIES = 256
COMPONENTS = 16

T = TypeVar("T")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


class TcbStatus(StrEnum):
    """What Intel says of a TCB level, in Intel's words."""

    UP_TO_DATE = "UpToDate"
    SW_HARDENING_NEEDED = "SWHardeningNeeded"
    CONFIGURATION_NEEDED = "ConfigurationNeeded"
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "ConfigurationAndSWHardeningNeeded"
    OUT_OF_DATE = "OutOfDate"
    OUT_OF_DATE_CONFIGURATION_NEEDED = "OutOfDateConfigurationNeeded"
    REVOKED = "Revoked"


_STATUSES: Mapping[str, TcbStatus] = MappingProxyType({str(status): status for status in TcbStatus})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a level means: status, since when, and the advisories that speak of it."""

    status: TcbStatus
    date: int  # Unix seconds: fixes published before are in this level
    advisories: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformLevel:
    """The least SVNs of a level of the platform; 16 components each."""

    sgx: tuple[int, ...]
    pce_svn: int
    tdx: tuple[int, ...]
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class SvnLevel:
    """The least ISVSVN of a level of the quoting enclave or of a TDX module."""

    isv_svn: int
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A TDX module that Intel signs: who it is, and its levels (none for the module of TDX 1.0)."""

    id: str  # TDX_01, TDX_03, ...; empty for the module of TDX 1.0
    mrsigner: bytes  # 48
    attributes: bytes  # 8
    mask: bytes  # 8
    levels: tuple[SvnLevel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbInfo:
    """Intel's word about one family of platforms (FMSPC)."""

    issued: int  # Unix seconds
    next_update: int  # Unix seconds
    fmspc: bytes  # 6
    pce_id: bytes  # 2, as in the certificate
    evaluation_number: int
    base_module: Module
    modules: tuple[Module, ...]
    levels: tuple[PlatformLevel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QeIdentity:
    """Intel's word about the TD quoting enclave."""

    issued: int  # Unix seconds
    next_update: int  # Unix seconds
    evaluation_number: int
    miscselect: int
    miscselect_mask: int
    attributes: bytes  # 16
    attributes_mask: bytes  # 16
    mrsigner: bytes  # 32
    isv_prod_id: int
    levels: tuple[SvnLevel, ...]


def read_json(data: bytes, what: str) -> Any:
    """Read JSON whose size the caller has bounded: no name twice, no NaN. Raises: MalformedError."""
    try:
        return _JSON.decode(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedError(what, "is not UTF-8", offset=error.start) from error
    except json.JSONDecodeError as error:
        raise MalformedError(what, f"is not JSON: {error.msg}", offset=error.pos) from error
    except (ValueError, RecursionError) as error:
        raise MalformedError(what, str(error)[:200]) from error


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "has a name twice in one object"
        raise ValueError(message)
    return found


def _refuse(text: str) -> Any:
    message = f"has the number {text}, which JSON does not know"
    raise ValueError(message)


_JSON = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_refuse)


def kind(value: Any, what: str) -> tuple[str, int]:
    """Return what a signed body says that it is: id and version. Raises: MalformedError."""
    fields = _Fields(value, what, "$")
    return fields.text("id", 16), fields.number("version", 0xFFFF)


def tcb_info(value: Any) -> TcbInfo:
    """Read the body of TCB Info V3 for TDX. Raises: MalformedError."""
    fields = _Fields(value, "TCB info", "$")
    fields.number("tcbType", 0)  # how SVNs compare; 0, component by component, is all there is
    return TcbInfo(
        issued=fields.time("issueDate"),
        next_update=fields.time("nextUpdate"),
        fmspc=fields.octets("fmspc", 6),
        pce_id=fields.octets("pceId", 2),
        evaluation_number=fields.number("tcbEvaluationDataNumber", 0xFFFFFFFF),
        base_module=_module(fields.inner("tdxModule"), base=True),
        modules=fields.list("tdxModuleIdentities", MAX_MODULES, lambda entry: _module(entry, base=False))
        if fields.has("tdxModuleIdentities")
        else (),
        levels=fields.list("tcbLevels", MAX_LEVELS, _platform_level),
    )


def qe_identity(value: Any) -> QeIdentity:
    """Read the body of Enclave Identity V2 for the TD quoting enclave. Raises: MalformedError."""
    fields = _Fields(value, "QE identity", "$")
    return QeIdentity(
        issued=fields.time("issueDate"),
        next_update=fields.time("nextUpdate"),
        evaluation_number=fields.number("tcbEvaluationDataNumber", 0xFFFFFFFF),
        miscselect=int.from_bytes(fields.octets("miscselect", 4), "big"),
        miscselect_mask=int.from_bytes(fields.octets("miscselectMask", 4), "big"),
        attributes=fields.octets("attributes", 16),
        attributes_mask=fields.octets("attributesMask", 16),
        mrsigner=fields.octets("mrsigner", 32),
        isv_prod_id=fields.number("isvprodid", 0xFFFF),
        levels=fields.list("tcbLevels", MAX_LEVELS, _svn_level),
    )


class _Fields:
    """One JSON object: a member is what is asked for, or the document is malformed."""

    def __init__(self, value: Any, what: str, path: str) -> None:
        self.what, self.path = what, path
        if not isinstance(value, dict):
            raise MalformedError(what, f"{path} is no object")
        self.value: dict[str, Any] = value

    def has(self, name: str) -> bool:
        return name in self.value

    def fail(self, name: str, wanted: str) -> MalformedError:
        return MalformedError(self.what, f"{self.path}.{name} is not {wanted}")

    def inner(self, name: str) -> _Fields:
        return _Fields(self.value.get(name), self.what, f"{self.path}.{name}")

    def text(self, name: str, most: int) -> str:
        found = self.value.get(name)
        if not isinstance(found, str) or not 1 <= len(found) <= most or not found.isascii():
            raise self.fail(name, f"1 to {most} ASCII characters")
        return found

    def number(self, name: str, most: int) -> int:
        found = self.value.get(name)
        if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= most:
            raise self.fail(name, f"an integer from 0 to {most}")
        return found

    def octets(self, name: str, size: int) -> bytes:
        text = self.text(name, 2 * size)
        try:
            found = bytes.fromhex(text)
        except ValueError as error:
            raise self.fail(name, "hexadecimal") from error
        if len(found) != size:  # the text is no longer, so that there is no room for spaces either
            raise self.fail(name, f"{size} bytes in hexadecimal")
        return found

    def time(self, name: str) -> int:
        # `times.parse` takes ten times as long, and a TCB info has twenty times in it.
        text = self.text(name, 20)
        try:
            if _TIME.fullmatch(text):
                return int(datetime.fromisoformat(text).timestamp())
        except ValueError as error:
            raise self.fail(name, "a time that exists") from error
        raise self.fail(name, "a time in UTC")

    def list(self, name: str, most: int, read: Callable[[_Fields], T]) -> tuple[T, ...]:
        found = self.value.get(name)
        if not isinstance(found, list) or not 1 <= len(found) <= most:
            raise self.fail(name, f"a list of 1 to {most}")
        return tuple(
            read(_Fields(entry, self.what, f"{self.path}.{name}[{index}]"))
            for index, entry in enumerate(found)
        )

    def advisories(self) -> tuple[str, ...]:
        found = self.value.get("advisoryIDs", [])
        if not isinstance(found, list) or len(found) > MAX_ADVISORIES:
            raise self.fail("advisoryIDs", f"a list of at most {MAX_ADVISORIES}")
        if not all(isinstance(name, str) and 1 <= len(name) <= 64 and name.isascii() for name in found):
            raise self.fail("advisoryIDs", "a list of names")
        return tuple(found)

    def components(self, name: str) -> tuple[int, ...]:
        # Read without a reader for each: a TCB info has some five hundred of these.
        found = self.value.get(name)
        if not isinstance(found, list) or len(found) != COMPONENTS:
            raise self.fail(name, f"a list of {COMPONENTS}")
        svns: list[Any] = [entry.get("svn") if isinstance(entry, dict) else None for entry in found]
        if set(map(type, svns)) != {int} or min(svns) < 0 or max(svns) > 0xFF:
            wrong = next(n for n, svn in enumerate(svns) if type(svn) is not int or not 0 <= svn <= 0xFF)
            raise self.fail(f"{name}[{wrong}].svn", "an integer from 0 to 255")
        return tuple(svns)


def _verdict(level: _Fields) -> Verdict:
    status = _STATUSES.get(level.text("tcbStatus", 64))
    if status is None:
        raise level.fail("tcbStatus", "a status that Intel defines")
    return Verdict(status=status, date=level.time("tcbDate"), advisories=level.advisories())


def _svn_level(level: _Fields) -> SvnLevel:
    return SvnLevel(isv_svn=level.inner("tcb").number("isvsvn", 0xFFFF), verdict=_verdict(level))


def _platform_level(level: _Fields) -> PlatformLevel:
    tcb = level.inner("tcb")
    return PlatformLevel(
        sgx=tcb.components("sgxtcbcomponents"),
        pce_svn=tcb.number("pcesvn", 0xFFFF),
        tdx=tcb.components("tdxtcbcomponents"),
        verdict=_verdict(level),
    )


def _module(fields: _Fields, *, base: bool) -> Module:
    return Module(
        id="" if base else fields.text("id", 16),
        mrsigner=fields.octets("mrsigner", 48),
        attributes=fields.octets("attributes", 8),
        mask=fields.octets("attributesMask", 8),
        levels=() if base else fields.list("tcbLevels", MAX_LEVELS, _svn_level),
    )
