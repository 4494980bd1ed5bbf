"""Telemetry: no call takes longer than it was told, and none raises."""

from __future__ import annotations

import threading
import time
from typing import Any, cast

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_callbacks.export.fanout import fanout_of
from otel_callbacks.export.guard import GuardedExporter
from otel_callbacks.export.parts import ProcessorPart
from otel_callbacks.export.telemetry import Telemetry


class Processor(SpanProcessor):
    def __init__(self, answer: bool | Exception | threading.Event | None = True) -> None:
        self.answer = answer
        self.calls: list[str] = []

    def _answer(self, call: str) -> bool:
        self.calls.append(call)
        if isinstance(self.answer, threading.Event):
            self.answer.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._answer("flush")

    def shutdown(self) -> None:
        self._answer("shutdown")


@pytest.fixture
def provider() -> TracerProvider:
    return TracerProvider(shutdown_on_exit=False)


def started(
    provider: TracerProvider, *processors: SpanProcessor, exporters: tuple[GuardedExporter, ...] = ()
) -> Telemetry:
    parts = [ProcessorPart(processor) for processor in processors]
    telemetry = Telemetry(
        provider, fanout_of(provider), processors, parts, exporters=exporters, description="test"
    )
    telemetry.start()
    return telemetry


@pytest.mark.parametrize(
    ("answer", "flushed"), [(True, True), (None, True), (False, False), (ValueError("CANARY"), False)]
)
def test_a_flush_says_whether_all_was_flushed(
    provider: TracerProvider, answer: bool | Exception | None, flushed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    other = Processor()
    with started(provider, Processor(answer), other) as telemetry:
        assert telemetry.force_flush() is flushed
        assert provider.force_flush() is flushed
    assert other.calls == ["flush", "flush", "shutdown"]
    assert "CANARY" not in caplog.text


def test_a_flush_that_hangs_ends_in_time_and_says_so(
    provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()
    other = Processor()
    telemetry = started(provider, Processor(release), other)
    assert telemetry.force_flush(timeout_s=0.05) is False
    telemetry.shutdown(timeout_s=0.05)
    release.set()
    assert other.calls == ["flush", "shutdown"]
    assert caplog.messages == ["Not everything was delivered at the shutdown, within 0.05 s."]


@pytest.mark.logs
def test_an_export_that_failed_is_not_a_flush(provider: TracerProvider) -> None:
    exporter = GuardedExporter(cast("Any", None))

    class Exporting(Processor):
        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return (
                exporter.export([]) is not SpanExportResult.SUCCESS
            )  # the SDK's batch processor says True all the same

    with started(provider, Exporting(), exporters=(exporter,)) as telemetry:
        assert telemetry.force_flush() is False


def test_a_shutdown_first_calls_the_functions_then_ends_our_processors(
    provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = Processor(), Processor()
    provider.add_span_processor(theirs)
    telemetry = started(provider, ours)
    order: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    telemetry.on_shutdown += [lambda: order.append(f"hook {ours.calls}"), fail, lambda: order.append("next")]
    telemetry.shutdown()
    telemetry.shutdown()
    assert (order, ours.calls, theirs.calls) == (["hook []", "next"], ["shutdown"], [])
    assert caplog.messages == ["A function of on_shutdown failed: ZeroDivisionError."]
    assert fanout_of(provider).members == ()
    assert telemetry.force_flush()
    assert repr(telemetry) == "<Telemetry: test, shut down>"
    assert telemetry.tracer_provider is provider


def test_what_a_function_of_on_shutdown_ends_is_still_exported(provider: TracerProvider) -> None:
    ended: list[str] = []

    class Collecting(SpanProcessor):
        def on_end(self, span: object) -> None:
            ended.append(span.name)  # type: ignore[attr-defined]

    telemetry = started(provider, Collecting())
    open_span = provider.get_tracer("t").start_span("open")
    telemetry.on_shutdown.append(open_span.end)
    telemetry.shutdown()
    provider.get_tracer("t").start_span("after").end()
    assert ended == ["open"]


def test_a_shutdown_of_the_provider_is_one_of_ours(provider: TracerProvider) -> None:
    ours = Processor()
    telemetry = started(provider, ours)
    hooked: list[int] = []
    telemetry.on_shutdown.append(lambda: hooked.append(1))
    provider.shutdown()
    telemetry.shutdown()
    assert (ours.calls, hooked) == (["shutdown"], [1])


def test_a_second_shutdown_waits_for_the_first(provider: TracerProvider) -> None:
    release = threading.Event()
    telemetry = started(provider, Processor(release))
    first = threading.Thread(target=telemetry.shutdown, args=(30,))
    first.start()
    while telemetry.active:
        time.sleep(0.001)
    telemetry.shutdown(timeout_s=0.01)
    assert first.is_alive()
    release.set()
    telemetry.shutdown(timeout_s=30)
    first.join()


def test_an_interpreter_that_starts_no_threads_any_more_still_flushes(
    provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Processor()
    telemetry = started(provider, ours)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with monkeypatch.context() as going:
        going.setattr(threading.Thread, "start", refuse)
        telemetry.shutdown()
    assert ours.calls == ["shutdown"]


def test_a_forked_child_does_not_wait_for_a_shutdown_of_its_parent(provider: TracerProvider) -> None:
    telemetry = started(provider, Processor())
    telemetry.shutdown()
    telemetry._in_child()  # what a fork calls
    again = threading.Thread(target=telemetry.shutdown, args=(60.0,), daemon=True)
    again.start()
    again.join(30)
    assert not again.is_alive()


def test_a_telemetry_of_nothing_does_nothing(provider: TracerProvider) -> None:
    telemetry = Telemetry(provider)
    telemetry.start()
    assert (telemetry.active, telemetry.force_flush()) == (False, True)
    telemetry.shutdown()
    assert repr(telemetry) == "<Telemetry: nothing is exported>"
