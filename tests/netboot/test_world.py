"""The world of the servers: what every decision is handed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from netboot import world as module
from tests.netboot.site import world


class Clock:
    wall, steady = 1000.0, 50.0

    @classmethod
    def time(cls) -> float:
        return cls.wall

    @classmethod
    def monotonic(cls) -> float:
        return cls.steady


def test_a_decision_after_the_server_was_stopped_knows_that_nobody_could_be_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "time", Clock)

    async def scenario() -> None:
        async with world(tmp_path) as here:
            assert (1000.0, 1000.0) == (here.now(), here.observed.listening)
            monkeypatch.setattr(Clock, "wall", 1001.0)
            monkeypatch.setattr(Clock, "steady", 51.0)
            assert (1001.0, 1000.0) == (here.now(), here.observed.listening)
            monkeypatch.setattr(Clock, "wall", 1033.0)
            monkeypatch.setattr(Clock, "steady", 83.0)
            assert (1033.0, 1033.0) == (here.now(), here.observed.listening)

    asyncio.run(scenario())
