"""Who may stand above other certificates (RFC 5280, sections 4.2.1.3 and 4.2.1.9). Pure."""

from __future__ import annotations

from cryptography.x509.oid import ExtensionOID

from runtime.attestation.certificates import Certificate

# The extensions that are looked at; a critical one besides would go unheeded (RFC 5280, section 4.2).
HEEDED = frozenset({ExtensionOID.KEY_USAGE.dotted_string, ExtensionOID.BASIC_CONSTRAINTS.dotted_string})


def is_authority(certificate: Certificate, *, below: int) -> bool:
    """Tell whether it may sign certificates with `below` authorities between itself and the leaf."""
    constraints, usage = certificate.basic_constraints, certificate.key_usage
    return (
        constraints is not None
        and constraints.ca
        and (constraints.path_length is None or constraints.path_length >= below)
        and usage is not None
        and usage.key_cert_sign
        and certificate.critical <= HEEDED
    )
