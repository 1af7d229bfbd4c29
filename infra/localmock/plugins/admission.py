"""Where a stand-in provider may serve: the stack `local`, on a backend of files. Pure.

A stand-in that answered for a real stack would let `pulumi up` say that machines exist which do not, and
write that into the state that everybody shares.
"""

from __future__ import annotations

from infra.fleet import LOCAL


def refusal(provider_urn: str, backend: str) -> str:
    """Return why this provider may not serve, or nothing.

    `provider_urn` is the engine's, `urn:pulumi:STACK::PROJECT::pulumi:providers:NAME::...`; `backend` is
    the value of PULUMI_BACKEND_URL, which the engine hands on to its plugins.
    """
    parts = provider_urn.split("::")
    stack = parts[0].removeprefix("urn:pulumi:") if parts[0].startswith("urn:pulumi:") else ""
    if stack != LOCAL:
        return (
            f"stack is {stack!r}, want {LOCAL!r}: this is the local fleet's stand-in, not the cloud's "
            "provider; take infra/localmock/plugins/bin off PATH"
        )
    if not backend.startswith("file://"):
        return (
            f"PULUMI_BACKEND_URL is {backend!r}, want file://...: the local fleet keeps its state in a folder"
        )
    return ""
