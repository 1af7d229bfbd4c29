"""What a DNS server answers for a set of records; rotation is its only state. No I/O.

RFC 1034 §4.3.2 for authoritative data without delegations and wildcards, RFC 2308 for negative
answers, RFC 6891 for EDNS. Records come in the shape of the fleet program's outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rrset

from runtime.errors import DocumentError, Problem

UDP_SIZE = 512  # bytes, RFC 1035 §4.2.1: without EDNS
EDNS_SIZE = 1232  # bytes, the DNS flag day 2020 value: no IP fragments anywhere
TCP_SIZE = 65_535  # bytes, RFC 1035 §4.2.2
NEGATIVE_TTL_S = 1  # a name that is added has to be seen at once
MAX_CHAIN = 8  # CNAMEs followed in one answer

Key = tuple[dns.name.Name, dns.rdatatype.RdataType]


class Zone:
    """A replaceable set of records. Each answer starts one record further (round robin)."""

    def __init__(self, records: Sequence[Mapping[str, Any]] = ()) -> None:
        """Take `[{name, type, ttl, values}]`. Raises: DocumentError."""
        self._sets: dict[Key, dns.rrset.RRset] = {}
        self._turns: dict[Key, int] = {}
        self.set_records(records)

    def set_records(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Replace every record, or none. Raises: DocumentError with every problem."""
        sets: dict[Key, dns.rrset.RRset] = {}
        problems: list[Problem] = []
        for index, record in enumerate(records):
            try:
                rrset = _rrset(record)
            except (KeyError, TypeError, ValueError, dns.exception.DNSException) as error:
                problems.append(Problem(f"$[{index}]", f"is no record: {error!r}"))
                continue
            key = (rrset.name, rrset.rdtype)
            if key in sets:
                problems.append(Problem(f"$[{index}]", f"{record['name']} {record['type']} is there twice"))
            sets[key] = rrset
        if problems:
            raise DocumentError("records", problems)
        self._sets = sets

    def answer(self, query: bytes, *, tcp: bool) -> bytes | None:
        """Return the response's wire bytes; None where only silence is right (not a query at all)."""
        try:
            message = dns.message.from_wire(query)
        except (dns.exception.DNSException, ValueError):
            return _format_error(query)
        if message.flags & dns.flags.QR:
            return None
        response = dns.message.make_response(message, our_payload=EDNS_SIZE)
        self._fill(message, response)
        size = (
            TCP_SIZE
            if tcp
            else UDP_SIZE
            if message.edns < 0
            else max(UDP_SIZE, min(message.payload, EDNS_SIZE))
        )
        return _wire(response, size)

    def _fill(self, query: dns.message.Message, response: dns.message.Message) -> None:
        if query.edns > 0:
            response.set_rcode(dns.rcode.BADVERS)
        elif query.opcode() != dns.opcode.QUERY:
            response.set_rcode(dns.rcode.NOTIMP)
        elif len(query.question) != 1:
            response.set_rcode(dns.rcode.FORMERR)
        elif query.question[0].rdclass != dns.rdataclass.IN:
            response.set_rcode(dns.rcode.REFUSED)
        else:
            self._resolve(query.question[0].name, query.question[0].rdtype, response)

    def _resolve(
        self, asked: dns.name.Name, kind: dns.rdatatype.RdataType, response: dns.message.Message
    ) -> None:
        name, apex = asked, self._apex(asked)
        if apex is None:
            response.set_rcode(dns.rcode.REFUSED)
            return
        response.flags |= dns.flags.AA
        for _ in range(MAX_CHAIN):
            rrset = self._rotated(name, kind)
            if rrset is not None:
                response.answer.append(rrset)
                return
            alias = self._sets.get((name, dns.rdatatype.CNAME))
            if alias is None:
                break
            response.answer.append(alias)
            target = alias[0]
            if not isinstance(target, dns.rdtypes.ANY.CNAME.CNAME):
                break
            name = target.target
            if self._apex(name) is None:
                return
        response.authority.append(_start_of_authority(self._apex(name) or apex))
        if not self._exists(name):
            response.set_rcode(dns.rcode.NXDOMAIN)

    def _rotated(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.rrset.RRset | None:
        key = (name, kind)
        rrset = self._sets.get(key)
        if rrset is None:
            return None
        turn = self._turns.get(key, 0)
        self._turns[key] = turn + 1
        values = list(rrset)
        first = turn % len(values)
        return dns.rrset.from_rdata_list(rrset.name, rrset.ttl, values[first:] + values[:first])

    def _apex(self, name: dns.name.Name) -> dns.name.Name | None:
        """Return the zone we answer for: the last two labels of any record's name (demo.test.)."""
        owners = {owner.split(min(3, len(owner)))[1] for owner, _ in self._sets}
        return next((apex for apex in owners if name.is_subdomain(apex)), None)

    def _exists(self, name: dns.name.Name) -> bool:
        # An empty non-terminal (a name with records only below it) exists too: RFC 8020.
        return any(owner.is_subdomain(name) for owner, _ in self._sets)


def _rrset(record: Mapping[str, Any]) -> dns.rrset.RRset:
    values = list(record["values"])
    if not values:
        message = "values is empty"
        raise ValueError(message)
    name = dns.name.from_text(str(record["name"]).lower())
    return dns.rrset.from_text(name, int(record["ttl"]), dns.rdataclass.IN, str(record["type"]), *values)


def _start_of_authority(apex: dns.name.Name) -> dns.rrset.RRset:
    text = f"ns.{apex} hostmaster.{apex} 1 60 60 60 {NEGATIVE_TTL_S}"
    return dns.rrset.from_text(apex, NEGATIVE_TTL_S, dns.rdataclass.IN, dns.rdatatype.SOA, text)


def _wire(response: dns.message.Message, size: int) -> bytes:
    # dnspython shuffles by default; turning each set by one is what makes the shares equal.
    try:
        return response.to_wire(max_size=size, want_shuffle=False)
    except dns.exception.TooBig:
        response.answer.clear()
        response.authority.clear()
        response.flags |= dns.flags.TC  # the resolver asks again over TCP
        return response.to_wire(max_size=size, want_shuffle=False)


def _format_error(query: bytes) -> bytes | None:
    if len(query) < 12 or query[2] & 0x80:
        return None
    # The header alone: QR and the query's opcode and RD, no sections.
    return query[:2] + bytes([0x80 | query[2] & 0x79, dns.rcode.FORMERR]) + bytes(8)
