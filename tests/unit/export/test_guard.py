"""The guard round an exporter: its exceptions stop there, its failures are counted."""

from __future__ import annotations

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
    inner = Exporter(SpanExportResult.SUCCESS, SpanExportResult.FAILURE, ValueError("CANARY"))
    guard = GuardedExporter(inner)
    results = [guard.export([make_span()]) for _ in range(3)]
    assert results == [SpanExportResult.SUCCESS, SpanExportResult.FAILURE, SpanExportResult.FAILURE]
    assert guard.failures == 2
    assert [record.message for record in caplog.records] == ["Exporter failed: ValueError."]
    guard.shutdown()
    assert (inner.ended, guard.force_flush()) == (1, True)


def test_a_class_of_somebody_elses_breaks_no_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    odd = type("Odd\nWARNING: made up" + "x" * 1000, (ValueError,), {})
    GuardedExporter(Exporter(odd())).export([make_span()])
    (line,) = caplog.messages
    assert "\n" not in line
    assert len(line) < 300
