"""TFTP at the door: what the path that a loader asks for means here, as the file to send.

Shell. Programs and first configurations are look-ups; a machine's next step is decided, and journalled, before it is sent.
One request can cost itself, never the server.
"""

from __future__ import annotations

import asyncio
import os
import socket
import traceback
from collections.abc import Awaitable
from typing import BinaryIO

from netboot.artifacts import by_digest, stamp_of
from netboot.grub import first_config
from netboot.loader_paths import Content, First, Program, Step, asked
from netboot.script_front import fetch_script
from netboot.scripts import NoScript
from netboot.store import Unavailable
from netboot.tftp import File, NotFound
from netboot.world import World

Address = tuple[str, int]


class TftpFront:
    """`find` is the `TftpServer`'s look-up."""

    def __init__(self, world: World) -> None:
        self._world = world

    def find(self, path: str, peer: Address) -> File | NotFound | Awaitable[File | NotFound]:
        match asked(path):
            case Program(name):
                return self._program(name)
            case First():
                # GRUB's own name for the server it came from: the one that it can reach.
                return File.of(first_config("(tftp,$net_default_server)").encode())
            case step_or_content:
                return self._decided(step_or_content, path, peer[0])

    def _program(self, name: str) -> File | NotFound:
        binary = self._world.binaries.get(name)
        if binary is None:
            return NotFound(f"no network boot program is called {name}; `gitboot doctor` says which there are")
        return File.of(binary.content)

    async def _decided(self, wanted: Step | Content, path: str, peer: str) -> File | NotFound:
        try:
            return await (self._step(wanted, peer) if isinstance(wanted, Step) else self._content(wanted, peer))
        except Unavailable as error:  # nothing was acknowledged: the loader asks again
            return NotFound(str(error))
        except Exception as error:
            self._world.counts["tftp", "failed"] += 1
            where = "".join(traceback.format_exception(error))
            self._world.log.error("request-failed", path=path, reason=repr(error), traceback=where)
            return NotFound("this is a defect of gitboot; its log says more")

    async def _step(self, wanted: Step, peer: str) -> File | NotFound:
        answer = await fetch_script(self._world, wanted.language, wanted.mac, peer, _address_towards(peer))
        return NotFound(answer.reason) if isinstance(answer, NoScript) else File.of(answer.text.encode())

    async def _content(self, wanted: Content, peer: str) -> File | NotFound:
        """What is not in a served plan is not served."""
        world = self._world
        plans = [world.plans.current, *world.plans.pinned.values()] if world.plans else []
        artifact = by_digest(plan.artifacts for plan in plans).get(wanted.sha256)
        if artifact is None:
            return NotFound("no served plan has an artefact with this sha256")
        content = await asyncio.to_thread(world.artifacts.open, artifact)
        if content is None:
            return NotFound(f"the artefact {artifact.path} has changed or is gone since this plan was made")
        world.artifact_fetched(peer, artifact.path, "GET")
        return _file(content)


def _file(content: BinaryIO) -> File:
    """The very file that was found to have its digest; it breaks off when somebody writes to that file."""
    descriptor = content.fileno()
    stamp = stamp_of(descriptor)

    def read(offset: int, length: int) -> bytes:
        data = os.pread(descriptor, length, offset)
        if stamp_of(descriptor) != stamp:
            raise OSError("the artefact was written to while it was sent")
        return data

    return File(stamp.size, read, content.close)


def _address_towards(peer: str) -> str:
    """The address of ours that packets to `peer` leave from: where it reaches us. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((peer, 9))
        except OSError:
            return ""
        return str(sock.getsockname()[0])
