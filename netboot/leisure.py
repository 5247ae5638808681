"""Work that would hold up everybody, done a slice at a time.

Shell. The law: between two slices machines are answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")


async def at_leisure(work: Generator[None, None, T]) -> T:
    """What it returns. It stops wherever others may do something."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: T = done.value
            return result
        await asyncio.sleep(0)
