"""The PROXY protocol header, version 2: who the visitor is, told to an origin before any other byte. Pure.

Layout (proxy-protocol.txt §2.2, big-endian), for a route that asks for it:

    12 bytes signature | u8 0x21 version 2, command PROXY | u8 family | u16 length of what follows
    family 0x11 TCP over IPv4:  4 source | 4 destination | u16 source port | u16 destination port
    family 0x21 TCP over IPv6: 16 source | 16 destination | u16 source port | u16 destination port
    family 0x00 unspecified:   no addresses
    u8 0x02 PP2_TYPE_AUTHORITY | u16 n | n bytes hostname (§2.2.2): the name in the visitor's ClientHello

The addresses are what the tunnel server says: attested code, but its network's word.
"""

from __future__ import annotations

import struct

from runtime.tunnel.frames import Endpoint, OpenRequest

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  # 12 bytes
_PROXY = 0x21
_UNSPECIFIED, _TCP4, _TCP6 = 0x00, 0x11, 0x21
_AUTHORITY = 0x02
_MAPPED = b"\0" * 10 + b"\xff\xff"  # RFC 4291 §2.5.5.2: how OPEN carries an IPv4 address

_HEAD = struct.Struct(">BBH")
_PORTS = struct.Struct(">HH")
_TLV = struct.Struct(">BH")


def header(request: OpenRequest) -> bytes:
    """Build the header of one stream; at most 308 bytes, so that it fits the first segment."""
    family, addresses = _addresses(request.visitor, request.server)
    name = request.hostname.encode("ascii")
    rest = addresses + _TLV.pack(_AUTHORITY, len(name)) + name
    return SIGNATURE + _HEAD.pack(_PROXY, family, len(rest)) + rest


def _addresses(visitor: Endpoint, server: Endpoint) -> tuple[int, bytes]:
    if not visitor.port or not server.port:
        return _UNSPECIFIED, b""  # the visitor had gone before the server could ask who it was
    ports = _PORTS.pack(visitor.port, server.port)
    if visitor.address.startswith(_MAPPED) and server.address.startswith(_MAPPED):
        return _TCP4, visitor.address[12:] + server.address[12:] + ports
    return _TCP6, visitor.address + server.address + ports
