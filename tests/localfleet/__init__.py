"""The whole tunnel on one machine's loopback, and the neighbours it needs there.

`dns`, `visitor`, `origin`, `publisher` and `site_certificate` are small but real: wire formats,
sockets, signatures. None of them is reachable from the commands that are installed.
"""
