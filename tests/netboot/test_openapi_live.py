"""schemathesis asks a live server whatever its OpenAPI document allows, and much that it does not.

The server is one of this process, on loopback; readers show a token, for `Host` is no name of loopback.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Ok

from netboot.log import Log
from netboot.openapi import document
from netboot.plans import PlanStore
from netboot.reader_tokens import add_token
from netboot.readers import Admitted, Asked, NotAdmitted, Readers, Token
from netboot.server import Netboot
from netboot.settings import Settings
from tests.netboot.forges import SECRET
from tests.netboot.site import plan

pytestmark = pytest.mark.shell
EXAMPLES = 20
"""Of each operation and each mode; with twice as many nothing else was found, and with twenty it takes ten seconds."""


class Live:
    """A server in a thread of its own, as long as the `with`."""

    def __init__(self, folder: Path) -> None:
        (folder / "secret").write_bytes(SECRET)
        PlanStore(folder / "state/plans").publish(plan())
        self._settings = Settings(
            state=folder / "state", new_site=True, webhook_secret_file=folder / "secret", listen="127.0.0.1",
            dhcp_port=-1, tftp_port=-1, http_port=0, https_port=-1,
        )  # fmt: skip
        self._started: Future[Netboot] = Future()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    async def _run(self) -> None:
        try:
            server = Netboot(self._settings, Log(io.StringIO()))
            async with server.running():
                self._started.set_result(server)
                await self._over.wait()
        except BaseException as error:
            self._started.set_exception(error)

    def __enter__(self) -> Netboot:
        self._thread.start()
        return self._started.result(20)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)
        self._loop.close()


def unlimited(self: Readers, asked: Asked, tokens: Sequence[Token], now: float) -> Admitted | NotAdmitted:
    """A day for each question."""
    return _admit(self, asked, tokens, now + 86400 * next(_days))


_admit, _days = Readers.admit, count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Netboot, str]]:
    folder = tmp_path_factory.mktemp("openapi")
    with pytest.MonkeyPatch.context() as patch, Live(folder) as server:
        patch.setattr("netboot.reading.Readers.admit", unlimited)  # wrong tokens would soon be answered by 429 alone
        yield server, add_token(folder / "state", "schemathesis")


SCHEMA = schemathesis.openapi.from_dict(document())
OPERATIONS: list[APIOperation[Any, Any, Any, Any]] = [each.ok() for each in SCHEMA.get_all_operations() if isinstance(each, Ok)]


def can_be_wrong(operation: APIOperation[Any, Any, Any, Any]) -> bool:
    """Where every text is allowed nothing is."""
    definition = document()["paths"][operation.path][operation.method]
    bodies = definition.get("requestBody", {}).get("content", {}).values()
    given = [*definition.get("parameters", ()), *bodies]
    return any(each.get("schema", {"type": "string"}) != {"type": "string"} for each in given)


assert len(OPERATIONS) == sum(map(len, document()["paths"].values()))
ASKED = [
    *((operation, GenerationMode.POSITIVE) for operation in OPERATIONS),
    *((operation, GenerationMode.NEGATIVE) for operation in OPERATIONS if can_be_wrong(operation)),
]


@pytest.mark.parametrize(("operation", "mode"), ASKED, ids=[f"{each.label} {mode.value}" for each, mode in ASKED])
def test_whatever_is_asked_the_answer_is_one_that_the_document_names(
    server: tuple[Netboot, str], operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode
) -> None:
    netboot, reader = server
    headers = {"Host": "gitboot.lab.example", "Authorization": f"Bearer {reader}"}

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        case.call_and_validate(base_url=f"http://127.0.0.1:{netboot.http_port}", headers=headers)

    ask()
    assert 0 == netboot.world.counts["http", "failed"]
