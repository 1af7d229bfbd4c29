"""Give a certificate and its key to Python's `ssl`, which reads files only, without a disk. I/O: memfd."""

from __future__ import annotations

import os
import ssl

from runtime.errors import UsageError


def load_chain(context: ssl.SSLContext, certificate_pem: bytes, key_pem: bytes) -> None:
    """Load a certificate chain and its key without writing either to a disk. Raises UsageError."""
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)  # `ssl` reads files only; this one is memory
    try:
        os.write(descriptor, certificate_pem.rstrip() + b"\n" + key_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError("the certificate and its key do not load or do not fit") from error
    finally:
        os.close(descriptor)


def _no_password() -> bytes:
    raise ValueError("the key is encrypted")
