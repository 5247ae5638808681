"""Running until told to stop: what `serve`, `reconcile` and `netboot` share."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping
from typing import Any

from netboot.log import Log
from netboot.server import CannotListen, Netboot
from netboot.settings import Settings
from netboot.state_directory import Locked
from netboot.store import Corrupt
from reconciler.errors import BadSource, Unavailable
from reconciler.sentence import Sentence
from reconciler.service import ReconcileSettings, Service
from reconciler.source import Source


def netboot_settings(given: Mapping[str, Any]) -> Settings:
    names = (
        "state", "artifacts", "loaders", "listen", "interface", "dhcp_port", "tftp_port", "dns_port", "http_port", "new_site",
        "reply_to_source",
    )  # fmt: skip
    return Settings(**{name: given[name] for name in names})


def reconcile_settings(given: Mapping[str, Any]) -> ReconcileSettings:
    try:
        source = Source(given["repo"], given["branch"], given["path"])
    except BadSource as error:
        raise Sentence(str(error), 2) from None
    return ReconcileSettings(source, given["state"], given["artifacts"], given["poll"])


def serve(netboot: Settings | None, reconcile: ReconcileSettings | None) -> None:
    """Either half, or both; until SIGINT or SIGTERM. Raises Sentence for everything a person can mend."""
    log = Log()
    try:
        asyncio.run(_serve(netboot, reconcile, log))
    except (Locked, Corrupt, CannotListen, Unavailable) as error:
        raise Sentence(str(error)) from None
    except OSError as error:
        state = (netboot or reconcile).state if (netboot or reconcile) else ""  # type: ignore[union-attr] # one of them is given
        raise Sentence(f"The state directory {state} cannot be used: {error}; check its owner and the disk.") from None
    finally:
        log.flush()


async def _serve(netboot: Settings | None, reconcile: ReconcileSettings | None, log: Log) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        if netboot is not None:
            await stack.enter_async_context(Netboot(netboot, log).running())
        tasks: list[asyncio.Task[object]] = [asyncio.create_task(stopped.wait())]
        if reconcile is not None:
            reconcile.state.mkdir(parents=True, exist_ok=True)
            tasks.append(asyncio.create_task(Service(reconcile, log).run()))
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()
