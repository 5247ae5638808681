"""`/hooks/git`: a forge says that somebody pushed.

Shell. Law: all that follows from a message that proves itself is that a file in the state directory changes, which the
reconciler watches, in this process or in another.
"""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from netboot.bodies import limited
from netboot.markers import look_now
from netboot.webhook import LONGEST, BadSecret, secret_of, sender, shows_anything
from netboot.world import World


def read_secret(path: Path | None) -> bytes:
    """b"" where none is configured. Raises BadSecret with a sentence."""
    if path is None:
        return b""
    try:
        return secret_of(path.read_bytes())
    except OSError as error:
        raise BadSecret(
            f"The webhook's secret {path} cannot be read ({error.strerror}); correct --webhook-secret-file."
        ) from None
    except BadSecret as error:
        raise BadSecret(f"{path} is no webhook's secret: {error}.") from None


def hook_routes(world: World) -> list[Route]:
    """Raises BadSecret."""
    secret = read_secret(world.settings.webhook_secret_file)

    async def hook(request: Request) -> Response:
        peer = request.client.host if request.client else ""
        if not secret:
            raise HTTPException(404, "No webhook is set up here: start gitboot with --webhook-secret-file (docs/git.md).")
        body = await limited(request, LONGEST)
        way = sender(secret, request.headers, body)
        if way is None:
            tried = shows_anything(request.headers)
            reason = "It is not signed with the secret of this server" if tried else "It is not signed"
            world.exchange("hook", "refused", peer=peer, reason=reason)
            raise HTTPException(401, f"{reason}: give the forge's webhook the secret in --webhook-secret-file (docs/git.md).")
        try:
            look_now(world.settings.state)
        except OSError as error:
            raise HTTPException(
                503, f"The state directory cannot be written ({error.strerror}).", {"Retry-After": "5"}
            ) from None
        world.exchange("hook", "accepted", peer=peer, by=way)
        return PlainTextResponse("The repository is looked at now.\n", 202)

    return [Route("/hooks/git", hook, methods=["POST"])]
