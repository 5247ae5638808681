"""TFTP at the door: what the path that a loader asks for means here, as the file to send.

Shell. Programs and first configurations are look-ups, a machine's own files too; its next step is decided, and journalled,
before it is sent.
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
from netboot.loader_paths import Content, First, Owned, Program, Step, asked
from netboot.plan import Artifact
from netboot.raspberry import file_for, mac_of
from netboot.script_front import fetch_script
from netboot.scripts import Asked, NoScript, mac_at
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
            case Program(name) if (binary := self._world.binaries.get(name)) is not None:
                return File.of(binary.content)
            case First():
                # GRUB's own name for the server it came from: the one that it can reach.
                return File.of(first_config("(tftp,$net_default_server)").encode())
            case wanted:
                return self._decided(wanted, path, peer[0])

    async def _decided(self, wanted: Step | Content | Program | Owned, path: str, peer: str) -> File | NotFound:
        try:
            match wanted:
                case Step():
                    return await self._step(wanted, peer)
                case Content():
                    return await self._content(wanted, peer)
            return await self._named(wanted, peer)
        except Unavailable as error:  # nothing was acknowledged: the loader asks again
            return NotFound(str(error))
        except Exception as error:
            self._world.counts["tftp", "defect"] += 1
            where = "".join(traceback.format_exception(error))
            self._world.log.error("request-failed", path=path, reason=repr(error), traceback=where)
            return NotFound("this is a defect of gitboot; its log says more")

    async def _step(self, wanted: Step, peer: str) -> File | NotFound:
        answer = await fetch_script(self._world, wanted.language, Asked(wanted.mac, peer), _address_towards(peer))
        return NotFound(answer.reason) if isinstance(answer, NoScript) else File.of(answer.text.encode())

    async def _content(self, wanted: Content, peer: str) -> File | NotFound:
        """What is not in a served plan is not served."""
        world = self._world
        plans = [world.plans.current, *world.plans.pinned.values()] if world.plans else []
        artifact = by_digest(plan.artifacts for plan in plans).get(wanted.sha256)
        if artifact is None:
            return NotFound("no served plan has an artefact with this sha256")
        return await self._artifact(artifact, peer)

    async def _named(self, wanted: Program | Owned, peer: str) -> File | NotFound:
        """A file of the machine's own: by the prefix it asks with, or by its address."""
        world, plans = self._world, self._world.plans
        if plans is not None:
            by_address = world.sightings.mac_at(peer) or mac_at(plans.current, peer)
            mac = mac_of(plans, wanted.owner) if isinstance(wanted, Owned) else by_address
            file = file_for(plans, world.observed, mac, wanted.name)
            if isinstance(file, str):
                return File.of(file.encode())
            if file is not None and file.sha256:
                return await self._artifact(file, peer)
        if isinstance(wanted, Owned):
            return NotFound(f"git names no {wanted.name} for {wanted.owner}")
        return NotFound(f"no network boot program is called {wanted.name}; `gitboot doctor` says which there are")

    async def _artifact(self, artifact: Artifact, peer: str) -> File | NotFound:
        world = self._world
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
