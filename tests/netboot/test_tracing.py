"""Traces at a receiver of OTLP over HTTP, of our own making, as the specification of OTLP 1.x has it."""

from __future__ import annotations

import asyncio
import io
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from netboot.events import BootClosed
from netboot.log import Log
from netboot.traces import Span as Told
from netboot.traces import trace_id
from netboot.tracing import MOST, TRIES, CannotTrace, Tracing
from tests.netboot.live_machine import Agent
from tests.netboot.live_server import Live
from tests.netboot.site import logged

pytestmark = pytest.mark.shell
SPAN = Told(1, 2, 0, "boot", 1.0, 2.0)


class Receiver(ThreadingHTTPServer):
    """Takes what is posted to /v1/traces, after `refusals` answers of 400."""

    def __init__(self, refusals: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.refusals = refusals
        self.requests: list[ExportTraceServiceRequest] = []
        self.taken = threading.Semaphore(0)
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[Span]:
        return [
            span for asked in self.requests for resource in asked.resource_spans for scope in resource.scope_spans
            for span in scope.spans
        ]  # fmt: skip


class _Asked(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        refused = self.server.asked <= self.server.refusals
        right = (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
        self.send_response(400 if refused or not right else 200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()
        if right and not refused:
            self.server.requests.append(ExportTraceServiceRequest.FromString(body))
            self.server.taken.release()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiving(refusals: int = 0) -> Iterator[Receiver]:
    with Receiver(refusals) as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


def facts(span: Span) -> dict[str, str]:
    return {each.key: each.value.string_value for each in span.attributes}


def test_one_boot_is_one_trace_at_the_receiver(tmp_path: Path) -> None:
    with receiving() as receiver, (live := Live(tmp_path, traces=receiver.url)) as server:
        agent = Agent.of(server)
        agent.begin()
        agent.end({"state": "FAILED", "reason": "exit code 1"}, exit_code=1)
        over = BootClosed(at=server.world.now(), boot=agent.boot, reason="it was reset")
        asyncio.run_coroutine_threadsafe(server.world.ledger.commit((over,)), live._loop).result(20)
        assert receiver.taken.acquire(timeout=20)
        spans = {span.name: span for span in receiver.spans()}
    assert {trace_id(agent.boot).to_bytes(16)} == {span.trace_id for span in spans.values()}
    assert {"boot", "script", "agent", "run", "action"} == spans.keys()
    top, run, action = spans["boot"], spans["run"], spans["action"]
    assert (b"", top.span_id, run.span_id) == (top.parent_span_id, run.parent_span_id, action.parent_span_id)
    assert ("node-01", agent.boot) == (facts(top)["gitboot.machine"], facts(top)["gitboot.boot"])
    assert (Status.STATUS_CODE_ERROR, "exit code 1") == (action.status.code, action.status.message)
    for span in spans.values():
        assert top.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano <= top.end_time_unix_nano
    (resource,) = receiver.requests[0].resource_spans
    assert {"service.name": "gitboot"} == {each.key: each.value.string_value for each in resource.resource.attributes}


def play(url: str, spans: int, until: str, pause: float = 0.0) -> tuple[Counter[tuple[str, str]], list[str]]:
    """What was counted, and what was logged, when something was counted as `until`."""
    counts, log = Counter[tuple[str, str]](), Log(io.StringIO())

    async def run() -> None:
        tracing = Tracing(url, counts, log, pause)
        for _ in range(spans):
            tracing.note([SPAN])
        sending = asyncio.create_task(tracing.run())
        while not counts["trace", until] and not sending.done():
            await asyncio.sleep(0.01)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    asyncio.run(asyncio.wait_for(run(), 60))
    return counts, [line["event"] for line in logged(log)]


def test_what_is_refused_is_sent_again_and_that_is_said_once() -> None:
    with receiving(refusals=3) as receiver:
        counts, said = play(receiver.url + "/", 2, "sent")
    assert {("trace", "sent"): 2} == counts
    assert ["traces-not-taken", "traces-taken"] == said
    assert 2 == len(receiver.spans())


def test_what_nobody_takes_is_lost_in_the_end_and_counted() -> None:
    with receiving(refusals=TRIES) as receiver:
        counts, said = play(receiver.url, 1, "dropped")
    assert {("trace", "dropped"): 1} == counts
    assert (TRIES, ["traces-not-taken"]) == (receiver.asked, said)


def test_an_exporter_that_raises_is_one_that_did_not_deliver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some releases do when nobody listens: what requests raises is an OSError."""

    def export(*_: object) -> None:
        raise OSError("refused")

    monkeypatch.setattr(OTLPSpanExporter, "export", export)
    counts, said = play("http://127.0.0.1:1", 1, "dropped")
    assert ({("trace", "dropped"): 1}, ["traces-not-taken"]) == (counts, said)


def test_what_waits_is_bounded_and_a_trace_is_taken_whole_or_not() -> None:
    counts = Counter[tuple[str, str]]()

    async def run() -> None:
        tracing = Tracing("http://127.0.0.1:1", counts, Log(io.StringIO()))
        tracing.note([SPAN] * (MOST - 1))
        tracing.note([SPAN] * 2)
        tracing.note([])
        tracing.note([SPAN])

    asyncio.run(run())
    assert {("trace", "dropped"): 2} == counts


@pytest.mark.parametrize("url", ["collector:4318", "ftp://collector", "http://", "/v1/traces"])
def test_what_is_no_address_is_refused_with_one_that_is(url: str) -> None:
    async def run() -> None:
        with pytest.raises(CannotTrace, match=r"such as http://127\.0\.0\.1:4318"):
            Tracing(url, Counter(), Log(io.StringIO()))

    asyncio.run(run())


def test_without_its_packages_it_is_said_how_to_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    async def run() -> None:
        with pytest.raises(CannotTrace, match=r"pip install 'gitboot\[otel\]'"):
            Tracing("http://127.0.0.1:1", Counter(), Log(io.StringIO()))

    asyncio.run(run())
