"""The attested channel: TLS first, attest after, bound to the exporter (docs/protocol.md).

`hello` and `handshake` are pure; `transport` is TLS on a socket; `session` drives one with the other.
"""
