"""The tunnel: framed streams over attested data connections, and the relay at both of their ends."""
