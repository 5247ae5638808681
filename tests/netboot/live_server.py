"""A whole server of this process on loopback, for those who ask by sockets."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from netboot.binaries import Binary
from netboot.log import Log
from netboot.plan import Dump
from netboot.plans import PlanStore
from netboot.server import Netboot
from netboot.settings import Settings
from tests.netboot.forges import SECRET
from tests.netboot.live_machine import served
from tests.netboot.site import KERNEL


class Live:
    """A server in a thread of its own, as long as the `with`. Its plan is that of one machine at 127.0.0.1, unless said."""

    def __init__(self, folder: Path, plan: Dump | None = None, **more: Any) -> None:
        """`more`: settings."""
        (folder / "secret").write_bytes(SECRET)
        (folder / "artifacts").mkdir()
        (folder / "artifacts/vmlinuz").write_bytes(KERNEL)
        PlanStore(folder / "state/plans").publish(plan or served())
        self._settings = Settings(
            state=folder / "state", new_site=True, webhook_secret_file=folder / "secret", listen="127.0.0.1",
            artifacts=folder / "artifacts", dhcp_port=-1, tftp_port=-1, http_port=0, https_port=-1,
            **more,
        )  # fmt: skip
        self._started: Future[Netboot] = Future()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    async def _run(self) -> None:
        try:
            server = Netboot(self._settings, Log(io.StringIO()))
            server.world.binaries["undionly.kpxe"] = Binary("undionly.kpxe", b"a program", "0" * 64, "/undionly.kpxe")
            async with server.running():
                self._started.set_result(server)
                await self._over.wait()
        except BaseException as error:
            self._started.set_exception(error)

    def wait(self, work: Coroutine[Any, Any, None]) -> None:
        """In the server's own loop."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def __enter__(self) -> Netboot:
        self._thread.start()
        return self._started.result(20)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)
        self._loop.close()
