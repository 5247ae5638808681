"""Bodies of requests, within bounds.

Shell. Law: what is too long is not read to its end, and what does not come is not waited for.
"""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

BODY_SECONDS = 30.0
"""In which a body must have come: a chunk of log at 10 KB/s."""


async def limited(request: Request, most: int) -> bytes:
    """The body, or 413: what is too long is not even read; or 408 when it does not come."""
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > most:
                    raise HTTPException(413, f"At most {most} bytes at once.", {"Connection": "close"})
    except TimeoutError:
        raise HTTPException(408, f"The body did not come within {BODY_SECONDS:.0f} seconds.", {"Connection": "close"}) from None
    except ClientDisconnect:
        raise HTTPException(400, "The connection ended before the body did.") from None
    return bytes(data)
