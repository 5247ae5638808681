"""Loop devices for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.agent.actions.devices import Loop, loop_device


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    """A new empty disk of as many bytes."""
    with ExitStack() as devices:
        number = iter(range(100))
        yield lambda size: devices.enter_context(loop_device(tmp_path / f"disk-{next(number)}.img", size))
