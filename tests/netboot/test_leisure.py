"""Long work leaves room for others."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

from netboot.leisure import at_leisure


def test_others_go_on_wherever_long_work_stops() -> None:
    heard = list[str]()

    def work() -> Generator[None, None, str]:
        for number in range(3):
            heard.append(f"slice {number}")
            yield
        return "done"

    async def other() -> None:
        for number in range(2):
            heard.append(f"machine {number}")
            await asyncio.sleep(0)

    async def both() -> str:
        _, result = await asyncio.gather(other(), at_leisure(work()))
        return result

    assert "done" == asyncio.run(both())
    assert ["machine 0", "slice 0", "machine 1", "slice 1", "slice 2"] == heard
