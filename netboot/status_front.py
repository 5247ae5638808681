"""A status document as it is sent: whole or a part, with the digest that asks for it again only if it is another one.

Shell. The law: one tag stands for one text, to the byte (RFC 9110, section 8.8.1), and a page that is not the last one says
where the next one is (RFC 8288).
"""

from __future__ import annotations

import hashlib
import json
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from netboot.errors import Malformed
from netboot.run_documents import Document
from netboot.selection import NoField, Selection, select
from netboot.status_documents import to_bytes

ALWAYS_ASK = "private, no-cache"
"""To be kept, and asked for each time it is used."""


def part_of(request: Request, whole: bytes | Document) -> Response:
    """`whole`: the document, maybe as text already. Raises 400 for what cannot be understood, 404 for an unknown field."""
    headers = {"Cache-Control": ALWAYS_ASK}
    try:
        asked = Selection.of(request.query_params.multi_items())
        if asked.whole and isinstance(whole, bytes):
            data = whole
        else:
            part = select(json.loads(whole) if isinstance(whole, bytes) else whole, asked)
            data = to_bytes(part.document)
            if part.next:
                headers["Link"] = f'<{_next(request, part.next)}>; rel="next"'
    except Malformed as error:
        raise HTTPException(400, error.reason) from None
    except NoField as error:
        raise HTTPException(404, error.reason) from None
    headers["ETag"] = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    if _has(request.headers.get("if-none-match", ""), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type="application/json", headers=headers)


def _next(request: Request, after: str) -> str:
    given = {**request.query_params, "after": after}
    return f"{request.url.path}?{urlencode(given)}"


def _has(said: str, tag: str) -> bool:
    """RFC 9110, section 13.1.2: a weak tag that a proxy made of ours counts, too."""
    return said.strip() == "*" or tag in (each.strip().removeprefix("W/") for each in said.split(","))
