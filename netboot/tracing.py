"""Traces on their way to a receiver of OpenTelemetry's: OTLP over HTTP, by the packages of `gitboot[otel]`.

Shell. The law: nobody waits for it. What is to be sent is bounded, is tried again for minutes, and is then lost and counted;
with the server it ends within seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from netboot.log import Log
from netboot.traces import Span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

MOST = 20_000
"""Spans that wait."""
BATCH = 500
TIMEOUT, PAUSE, TRIES = 5.0, 30.0, 10
"""Seconds for one request, seconds between two of them that failed, and how often the same spans are sent."""
MISSING = "--traces needs the packages of OpenTelemetry, which come with `pip install 'gitboot[otel]'`; or leave --traces out."


class CannotTrace(Exception):
    """Traces cannot be sent as they are asked for; the message is a sentence."""


class Tracing:
    """`note` what ended, while `run` sends it."""

    def __init__(self, url: str, counts: Counter[tuple[str, str]], log: Log, pause: float = PAUSE) -> None:
        """Raises CannotTrace. What `url` lacks of a path is the usual one."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CannotTrace(f"--traces is the address of a receiver, such as http://127.0.0.1:4318, and not {url!r}.")
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError:
            raise CannotTrace(MISSING) from None
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # what it would say is said here, once
        self._url = url
        self._exporter = OTLPSpanExporter(parts._replace(path=parts.path.strip("/") or "v1/traces").geturl(), timeout=TIMEOUT)
        self._counts = counts
        self._log = log
        self._pause = pause
        self._waiting: deque[Span] = deque()
        self._there = asyncio.Event()
        self._trouble = False

    def note(self, spans: Sequence[Span]) -> None:
        """The whole of them or none."""
        if len(self._waiting) + len(spans) > MOST:
            self._counts["trace", "dropped"] += len(spans)
            return
        self._waiting.extend(spans)
        if spans:
            self._there.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self._there.wait()
                self._there.clear()
                while self._waiting:
                    await self._deliver([self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))])
        except asyncio.CancelledError:  # a thread may be at it still, and is not to try again
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # theirs has no type
            raise

    async def _deliver(self, spans: Sequence[Span]) -> None:
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self._pause)
            done = await asyncio.to_thread(self._export, spans)
            self._say(done)
            if done:
                self._counts["trace", "sent"] += len(spans)
                return
        self._counts["trace", "dropped"] += len(spans)

    def _export(self, spans: Sequence[Span]) -> bool:
        """Whether they were taken. Some versions of the exporter raise what requests raises, and spans that no exporter can
        write are lost like those that nobody takes."""
        try:
            return self._exporter.export(_told(spans)).name == "SUCCESS"
        except Exception:
            return False

    def _say(self, done: bool) -> None:
        if done == self._trouble:
            self._trouble = not done
            host = urlsplit(self._url).netloc.rpartition("@")[2]
            if done:
                self._log.info("traces-taken", receiver=host)
            else:
                self._log.warning("traces-not-taken", receiver=host, reason="it does not answer, or refuses them; tried again")


def _told(spans: Sequence[Span]) -> list[ReadableSpan]:
    """The same, as the exporter takes them."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

    resource, scope = Resource({"service.name": "gitboot"}), InstrumentationScope("gitboot", version("gitboot"))

    def context(trace: int, span: int) -> SpanContext | None:
        return SpanContext(trace, span, False, TraceFlags(TraceFlags.SAMPLED)) if span else None

    return [
        ReadableSpan(
            span.name,
            context(span.trace, span.id),
            context(span.trace, span.parent),
            resource,
            span.facts,
            status=Status(StatusCode.UNSET) if span.failure is None else Status(StatusCode.ERROR, span.failure),
            start_time=int(span.began * 1e9),
            end_time=int(span.ended * 1e9),
            instrumentation_scope=scope,
        )
        for span in spans
    ]
