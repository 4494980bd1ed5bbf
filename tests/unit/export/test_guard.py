"""The guard round an exporter: built late, once per process; its exceptions stop there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_callbacks.export.guard import GuardedExporter

from .conftest import make_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan


class Exporter(SpanExporter):
    def __init__(self, *answers: SpanExportResult | Exception) -> None:
        self.answers = list(answers)
        self.ended = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def shutdown(self) -> None:
        self.ended += 1


def test_failures_and_exceptions_are_counted_and_no_message_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inner = Exporter(SpanExportResult.SUCCESS, SpanExportResult.FAILURE, ValueError("http://host?key=CANARY"))
    guard = GuardedExporter(lambda: inner)
    results = [guard.export([make_span()]) for _ in range(3)]
    assert results == [SpanExportResult.SUCCESS, SpanExportResult.FAILURE, SpanExportResult.FAILURE]
    assert guard.failures == 2
    assert [record.message for record in caplog.records] == ["1 spans could not be exported: ValueError."]
    guard.shutdown()
    assert (inner.ended, guard.force_flush()) == (1, True)


def test_nothing_is_built_before_the_first_export() -> None:
    built: list[Exporter] = []

    def build() -> Exporter:
        built.append(Exporter(*[SpanExportResult.SUCCESS] * 2))
        return built[-1]

    guard = GuardedExporter(build)
    guard.shutdown()
    assert not built
    guard.export([])
    guard.export([])
    assert len(built) == 1


def test_an_exporter_from_before_a_fork_is_neither_used_nor_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [Exporter(*[SpanExportResult.SUCCESS] * 2) for _ in range(2)]
    rest = iter(made)
    guard = GuardedExporter(lambda: next(rest))
    guard.export([])
    monkeypatch.setattr(os, "getpid", lambda: -1)
    guard.shutdown()
    guard.export([])
    guard.shutdown()
    assert [(len(each.answers), each.ended) for each in made] == [(1, 0), (1, 1)]
