"""Azure's instance metadata service: a TD quote for a TDREPORT. I/O: HTTP to a link-local address.

The paravisor owns the TDX module's door, so a guest hands its TDREPORT to the host and gets a quote back
(`kinvolk/azure-cvm-tooling`, az-tdx-vtpm). The answer is believed as far as its signatures go.
"""

from __future__ import annotations

import asyncio
import base64
import binascii

import aiohttp

from runtime.attestation.formats import FORMATS
from runtime.documents import strict_json
from runtime.errors import DocumentError, MalformedError, UnreachableError

DEADLINE_S = 5.0
ATTEMPTS = 3
PAUSE_S = 0.3  # between attempts
_MAX_ANSWER = 64 * 1024
_AGAIN = frozenset({429, 500, 502, 503, 504})
_WHAT = "answer of the metadata service"


async def td_quote(base: str, td_report: bytes) -> bytes:
    """Return the quote that the host has made of a TDREPORT. Raises: UnreachableError, MalformedError."""
    body = {"report": base64.urlsafe_b64encode(td_report).rstrip(b"=").decode()}
    last = "no answer"
    timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(PAUSE_S)
            try:
                async with session.post(
                    f"{base}/acc/tdquote", json=body, headers={"Metadata": "true"}, allow_redirects=False
                ) as response:
                    if response.status == 200:
                        return _quote(await response.content.read(_MAX_ANSWER + 1))
                    last = f"HTTP {response.status}"
                    if response.status not in _AGAIN:
                        break
            except (aiohttp.ClientError, TimeoutError) as error:
                last = f"{type(error).__name__}: {error}"
    message = f"the metadata service at {base} makes no TD quote: {last}; is this an Azure confidential VM?"
    raise UnreachableError(message)


def _quote(data: bytes) -> bytes:
    if len(data) > _MAX_ANSWER:
        raise MalformedError(_WHAT, f"is over {_MAX_ANSWER} bytes")
    try:
        answer = strict_json.parse(data, _WHAT, max_size=_MAX_ANSWER)
        text = answer["quote"]
        quote = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (DocumentError, KeyError, TypeError, ValueError, binascii.Error) as error:
        raise MalformedError(_WHAT, "has no quote in base64url") from error
    limit = FORMATS["azure-tdx"].parts["td_quote"]
    if not 0 < len(quote) <= limit:
        raise MalformedError(_WHAT, f"has a quote of {len(quote)} bytes, want 1 to {limit}")
    return quote
