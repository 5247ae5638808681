"""`slurp`: a disk becomes an image on a server.

Shell. Law: the disk is only read, and refused while something writes to it; a server that did not take all of it is `Failed`.
"""

from __future__ import annotations

import http.client
import ssl
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

from agent.actions import devices
from agent.actions.base import Action, Job, say
from agent.actions.digest import Hashed
from agent.actions.download import CHUNK, SILENCE
from agent.actions.imaging import INTERVAL
from agent.actions.progress import Progress
from agent.actions.settings import Failed, Parameter

PARAMETERS = (
    Parameter("SOURCE_DISK", "The disk or partition to read.", None),
    Parameter("DEST_URL", "The folder on a server that takes files by HTTP PUT, http or https.", None),
    Parameter("IMG_NAME", "What the file is called there.", None),
    Parameter("COMPRESSED", "Whether it is compressed with gzip.", "false"),
    INTERVAL,
)


def act(job: Job) -> None:
    device = devices.device(job, job.settings.text("SOURCE_DISK"))
    if user := devices.in_use(device.path):
        raise Failed(f"{device.path} would change while it is read: {user}")
    url = f"{job.settings.text('DEST_URL').rstrip('/')}/{quote(job.settings.text('IMG_NAME'))}"
    chunks: Iterable[bytes] = _read(job, device)
    compressed = job.settings.flag("COMPRESSED")
    coming = Hashed(_gzip(chunks) if compressed else chunks)
    put(url, coming, None if compressed else device.size)
    job.say(f"{url} has {coming.size} bytes, {coming.digest}")


def put(url: str, chunks: Iterable[bytes], size: int | None) -> None:
    """Raises Failed unless the server says that it has it."""
    where = urlsplit(url)
    if where.scheme not in ("http", "https") or not where.hostname:
        raise Failed(f"{url} is not a URL that begins with http:// or https://")
    if where.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            where.hostname, where.port, timeout=SILENCE, context=context
        )
    else:
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=SILENCE)
    length = {"Content-Length": str(size)} if size is not None else {"Transfer-Encoding": "chunked"}
    headers = {"Content-Type": "application/octet-stream", **length}
    try:
        connection.request("PUT", where.path or "/", iter(chunks), headers, encode_chunked=size is None)
        response = connection.getresponse()
        response.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{url} does not take the image: {error or type(error).__name__}") from error
    finally:
        connection.close()
    if not 200 <= response.status < 300:
        raise Failed(f"{url} does not take the image: it answers HTTP {response.status} {response.reason}")


def _read(job: Job, device: devices.Device) -> Iterator[bytes]:
    progress = Progress(job.name, device.size, job.settings.number("PROGRESS_INTERVAL_SECONDS"))
    done = 0
    with Path(device.path).open("rb", buffering=0) as disk:
        while done < device.size:
            chunk = disk.read(min(CHUNK, device.size - done))
            if not chunk:
                raise Failed(f"{device.path} ends after {done} of its {device.size} bytes")
            done += len(chunk)
            if line := progress.line(done, time.monotonic()):
                say(line)
            yield chunk


def _gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    stream = zlib.compressobj(level=1, wbits=31)
    for chunk in chunks:
        if packed := stream.compress(chunk):
            yield packed
    yield stream.flush()


ACTION = Action("slurp", "Reads a disk and puts its image on a server.", PARAMETERS, act)

if __name__ == "__main__":
    ACTION.program()
