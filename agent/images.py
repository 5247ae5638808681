"""An action's image, brought into the engine: pulled from its registry, or loaded from an archive that the server has.

Shell. Laws: an image is run only if it is the one that git named, by digest where a digest is given; an archive reaches the
engine in one pass without a copy of ours, and its end is held back until its SHA-256 is known to be right, so that nothing of a
wrong one is ever loaded. What may pass is tried five times; what will not is told at once.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from agent.client import Unavailable as NoServer
from agent.engine import Engine, Refused, Unavailable
from agent.pinned import connect
from agent.supervisor import write_whole
from agent.workflow import Action, Archive

PAUSES = (2.0, 4.0, 8.0, 16.0)
"""Seconds between five tries: a registry that is restarted is back within them."""
SILENCE = 60.0
"""Seconds for which the server may say nothing while it sends an archive."""
CHUNK = 256 << 10
HELD_BACK = 1 << 20
"""Bytes of an archive that the engine gets only when the digest is right: more than a tar's padding, which it may not read."""

_FINAL = re.compile(
    r"not found|manifest unknown|denied|unauthorized|no basic auth credentials|no matching manifest|invalid reference"
    r"|no space left|x509:|HTTP response to HTTPS client|/blobs/json: no such file|manifest\.json: no such file",
    re.IGNORECASE,
)
_ADVICE = {
    "HTTP response to HTTPS client": "the registry speaks plain HTTP: name it in the Site's `images.insecureRegistries`",
    "no space left": "images live in memory here: give the machine more, or take smaller images",
    "json: no such file": "dockerd takes archives of `docker save` only: `skopeo copy oci-archive:… docker-archive:…`",
    "denied": "look at the name, and whether the site's `images.pullSecrets` opens the registry",
    "unauthorized": "look at the login that the site's `images.pullSecrets` has for the registry",
    "no basic auth credentials": "give the site `images.pullSecrets` for the registry",
}
_LOADED = re.compile(r"Loaded image(?: ID)?: (\S+)")

Say = Callable[[str], None]


class NotHad(Exception):
    """The image cannot be had; the message is a sentence for a person."""


class Wrong(Exception):
    """What the server sends is not what git named."""


class Images:
    """The images of one engine. `server` has the archives; in clear will do, for each is held to its digest, and none is a
    secret to whoever reaches the server. `state` remembers, as long as the system runs, which archives were loaded.
    """

    def __init__(
        self,
        engine: Engine,
        server: str,
        state: Path,
        pause: Callable[[float], None] = time.sleep,
        pins: frozenset[str] = frozenset(),
    ) -> None:
        self._engine = engine
        self._server = server
        self._pins = pins
        self._state = state
        self._pause = pause

    def get(self, action: Action, say: Say, login: Mapping[str, str] | None = None) -> str:
        """The id of the action's image in the engine. `say` hears about progress, `login` opens the registry. Raises NotHad."""
        began = time.monotonic()
        if action.archive is None:
            image = self._pull(action.image, say, login)
        elif known := self._loaded(action.archive, action.image):
            return known
        else:
            image = self._load(action.archive, action.image, say)
        say(f"{action.image} is here after {time.monotonic() - began:.0f} s")
        return image

    # Registries

    def _pull(self, image: str, say: Say, login: Mapping[str, str] | None) -> str:
        say(f"pulling {image}")
        self._insist(lambda: self._pull_once(image, login), f"{image} cannot be pulled", say)
        return self._pulled(image)

    def _pull_once(self, image: str, login: Mapping[str, str] | None) -> None:
        for line in self._engine.pull(image, login):
            if error := line.get("error"):
                raise Refused(500, str(error))

    def _pulled(self, image: str) -> str:
        """Raises NotHad if what is there is not what the digest in the name says."""
        repository, _, digest = image.partition("@")
        found = self._engine.image(f"{_without_tag(repository)}@{digest}" if digest else image)
        if found is None:
            raise NotHad(f"{image} was pulled, and the engine does not have it")
        if digest and not any(str(known).endswith(f"@{digest}") for known in found.get("RepoDigests") or ()):
            raise NotHad(f"what was pulled as {image} has another digest: {', '.join(found.get('RepoDigests') or ['none'])}")
        return str(found["Id"])

    # Archives

    def _loaded(self, archive: Archive, image: str) -> str:
        """The id of an image of an archive that was loaded since the system started, and that the engine still has; or ""."""
        known = self._remembered(archive).get(image, "")
        return known if known and self._engine.image(known) else ""

    def _load(self, archive: Archive, image: str, say: Say) -> str:
        say(f"loading {image} from {archive.url} ({archive.size / 1e6:.0f} MB)")
        self._insist(lambda: self._load_once(archive), f"{archive.url} cannot be loaded", say)
        if found := self._loaded(archive, image):
            return found
        names = ", ".join(sorted(self._remembered(archive))) or "none that has a name"
        raise NotHad(f"the archive {archive.url} does not hold the image {image}; it holds {names}")

    def _load_once(self, archive: Archive) -> None:
        names: list[str] = []
        for line in self._engine.load(verified(_chunks(self._server, self._pins, archive), archive)):
            if error := line.get("error"):
                raise Refused(500, str(error))
            if told := _LOADED.match(str(line.get("stream", ""))):
                names += told[1].split(",")
        # podman says `localhost/a` for what has no registry in its name, and finds it as `a` too
        found = {name.removeprefix("localhost/"): self._engine.image(name) for name in names}
        self._state.mkdir(parents=True, exist_ok=True)
        write_whole(self._memory(archive), {name: image["Id"] for name, image in found.items() if image})

    def _memory(self, archive: Archive) -> Path:
        return self._state / f"{archive.sha256}.json"

    def _remembered(self, archive: Archive) -> dict[str, str]:
        try:
            known: dict[str, str] = json.loads(self._memory(archive).read_bytes())
        except FileNotFoundError:
            return {}
        return known

    def _insist(self, fetch: Callable[[], None], trouble: str, say: Say) -> None:
        """Five tries at what may pass. Raises NotHad."""
        for pause in (*PAUSES, None):
            try:
                fetch()
                return
            except (Refused, Unavailable, NoServer, Wrong) as error:
                if pause is None or _is_final(error):
                    raise NotHad(f"{trouble}: {error}{_advice(str(error))}") from error
                say(f"{trouble}: {error}; trying again in {pause:.0f} s")
                self._pause(pause)


def verified(chunks: Iterator[bytes], archive: Archive) -> Iterator[bytes]:
    """The chunks, the last `HELD_BACK` bytes of them only if the whole is what git named.

    Raises Wrong, or client.Unavailable when there is too little: asking again may help.
    """
    digest, size, held = sha256(), 0, deque[bytes]()
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        held.append(chunk)
        while sum(map(len, held)) - len(held[0]) >= HELD_BACK:
            yield held.popleft()
    if size < archive.size:
        raise NoServer(f"the server sent {size} of {archive.size} bytes")
    if digest.hexdigest() != archive.sha256:
        raise Wrong(f"the server sent something with SHA-256 {digest.hexdigest()}, and git named {archive.sha256}")
    yield from held


def _chunks(server: str, pins: frozenset[str], archive: Archive) -> Iterator[bytes]:
    """Raises client.Unavailable, or Wrong when the server has no such file."""
    connection = connect(server, pins, SILENCE)
    try:
        connection.request("GET", urlsplit(server).path.rstrip("/") + archive.url)
        response = connection.getresponse()
        if response.status != 200:
            raise (NoServer if response.status >= 500 else Wrong)(f"the server answers HTTP {response.status}")
        while chunk := response.read(CHUNK):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise NoServer(f"the server does not answer: {error or type(error).__name__}") from error
    finally:
        connection.close()


def _is_final(error: Exception) -> bool:
    told_no = isinstance(error, Refused) and (error.status in range(400, 500) or bool(_FINAL.search(str(error))))
    return told_no or isinstance(error, Wrong)


def _advice(error: str) -> str:
    return next((f"; {advice}" for sign, advice in _ADVICE.items() if sign in error), "")


def _without_tag(repository: str) -> str:
    """`host:5000/a:1` → `host:5000/a`."""
    path, slash, last = repository.rpartition("/")
    return path + slash + last.partition(":")[0]
