"""Running until told to stop: what `serve`, `reconcile` and `netboot` share."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import pwd
import resource
import signal
import sys
from collections.abc import Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any

from netboot import store
from netboot.key_files import BadKey
from netboot.listening import CannotListen
from netboot.log import Bridge, Log
from netboot.notice_targets import BadNotify
from netboot.privileges import CannotBecome
from netboot.server import Died, Netboot
from netboot.settings import Settings
from netboot.state_directory import Locked
from netboot.store import Corrupt
from netboot.tracing import CannotTrace
from reconciler.commands.forging import forge_from
from reconciler.commands.signing import floor_of
from reconciler.errors import BadSource, Unavailable
from reconciler.reviewer import ChildReviewer
from reconciler.sentence import Sentence
from reconciler.service import Busy, ReconcileSettings, Service
from reconciler.source import Source

COLLECTOR = (700, 10, 1000)
"""Thresholds of the garbage collector; only the last is not Python's own, which is 10. A full collection walks the whole
inventory and plan: for ten thousand machines 0.1 to 0.2 s, with nearly every commit, in which no machine is answered."""

MENDED_BY_A_PERSON = (
    BadKey, BadNotify, Locked, Busy, Corrupt, CannotBecome, CannotListen, CannotTrace, Died, Unavailable, store.Unavailable
)  # fmt: skip


def netboot_settings(given: Mapping[str, Any]) -> Settings:
    names = (
        "state", "artifacts", "loaders", "listen", "interface", "dhcp_port", "proxy_port", "tftp_port", "dns_port", "http_port",
        "new_site", "age_identity", "reply_to_source", "router_advertisement", "tftp_single_port", "user", "open_status",
        "webhook_secret_file", "https_port", "certificate", "private_key", "trusted_proxies", "syslog_port", "notify",
        "traces",
    )  # fmt: skip
    return Settings(**{name: given[name] for name in names})


def reconcile_settings(given: Mapping[str, Any]) -> ReconcileSettings:
    try:
        source = Source(given["repo"], given["branch"], given["path"])
    except BadSource as error:
        raise Sentence(str(error), 2) from None
    return ReconcileSettings(
        source,
        given["state"],
        given["artifacts"],
        given["poll"],
        floor=floor_of(given["trust_floor"]),
        forge=forge_from(given),
    )


def serve(netboot: Settings | None, reconcile: ReconcileSettings | None, floor: Path | None = None) -> None:
    """Either half, or both; until SIGINT or SIGTERM. Raises Sentence for everything a person can mend.

    `floor`: the file that the reconciler's is from, for who works out answers for pages.
    """
    log = Log()
    logging.basicConfig(handlers=[Bridge(log)], level=logging.WARNING)
    sys.unraisablehook = lambda lost: log.error("not-caught", reason=repr(lost.exc_value), where=repr(lost.object))
    _raise_file_limit()
    gc.set_threshold(*COLLECTOR)
    try:
        asyncio.run(_serve(netboot, reconcile, log, floor))
    except MENDED_BY_A_PERSON as error:
        raise Sentence(_ended(str(error))) from None
    except OSError as error:
        raise Sentence(f"{_named(error)} cannot be used: {error.strerror or error}; check its owner and the disk.") from None
    finally:
        log.flush()


async def _serve(netboot: Settings | None, reconcile: ReconcileSettings | None, log: Log, floor: Path | None) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        server = Netboot(netboot, log) if netboot else None
        if server is not None and netboot is not None:
            await stack.enter_async_context(server.running())
            _at_home(netboot.user)
            if reconcile is not None:
                server.world.reviewer = stack.enter_context(contextlib.closing(ChildReviewer(netboot.state, log, floor)))
        # Not before: it runs git, which with --user must not be root's.
        service = stack.enter_context(contextlib.closing(Service(reconcile, log))) if reconcile else None
        waits: list[Coroutine[object, object, object]] = [stopped.wait()]  # not before: Python complains of one never awaited
        if server is not None:
            waits.append(server.died())
        if service is not None:
            waits.append(service.run())
        await _first(waits)


async def _first(waits: Iterable[Coroutine[object, object, object]]) -> None:
    """Until one of them returns or raises; then the others are cancelled."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _at_home(user: str) -> None:
    """git and ssh look for their keys where the environment says, and root's are none of theirs."""
    if user:
        os.environ |= {"HOME": pwd.getpwnam(user).pw_dir, "USER": user, "LOGNAME": user}


def _raise_file_limit() -> None:
    """Every connection and every TFTP transfer is a descriptor or two; the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # a hard limit beyond what the kernel allows now
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _named(error: OSError) -> str:
    return str(error.filename) if error.filename else "A file or socket"


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith(".") else f"{sentence}."
