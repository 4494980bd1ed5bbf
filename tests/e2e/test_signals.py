"""Metrics and log events of the demo, as a real collector received them: they lead to the spans that were sent."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.backends import Running
    from tests.e2e.demo import DemoRun

WITHIN_S: Final = 30  # the collector writes every 200 ms
HISTOGRAMS: Final = {
    "gen_ai.client.token.usage",
    "gen_ai.client.operation.duration",
    "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.client.operation.time_per_output_chunk",
    "gen_ai.execute_tool.duration",
    "gen_ai.invoke_agent.duration",
    "gen_ai.invoke_agent.inference_calls",
    "gen_ai.invoke_agent.tool_calls",
}


def test_the_metrics_of_the_demo_arrive_and_their_exemplars_are_its_spans(
    demo: DemoRun, backends: Running
) -> None:
    spans = {(span.trace_id, span.span_id) for span in demo.spans}

    def ours() -> dict[str, set[tuple[str, str]]]:
        found: dict[str, set[tuple[str, str]]] = {}
        for metric in _of(backends, "resourceMetrics", "scopeMetrics", "metrics"):
            for point in metric.get("histogram", {}).get("dataPoints", ()):
                led = {(exemplar["traceId"], exemplar["spanId"]) for exemplar in point.get("exemplars", ())}
                if led & spans:
                    found.setdefault(metric["name"], set()).update(led)
        return found

    found = _awaited(ours, lambda found: set(found) >= HISTOGRAMS)
    assert set(found) >= HISTOGRAMS
    assert set().union(*found.values()) <= spans


def test_the_failures_of_the_demo_arrive_as_events_of_their_spans(demo: DemoRun, backends: Running) -> None:
    failed = {
        (span.trace_id, span.span_id)
        for span in demo.spans
        if any(event.name == "exception" for event in span.events)
        and any(key == "gen_ai.operation.name" for key, _ in span.attributes)
    }
    assert failed

    def ours() -> set[tuple[str, str]]:
        return {
            (record["traceId"], record["spanId"])
            for record in _of(backends, "resourceLogs", "scopeLogs", "logRecords")
            if record.get("eventName") == "gen_ai.client.operation.exception"
            and record["severityText"] == "WARN"
        } & {(span.trace_id, span.span_id) for span in demo.spans}

    assert _awaited(ours, lambda found: found == failed) == failed


def _of(backends: Running, *path: str) -> Iterator[dict[str, Any]]:
    """Return what stands at the end of *path* in every complete line that the collector has written."""
    for line in backends.signals_file.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            groups: list[Any] = [json.loads(line)]
            for name in path:
                groups = [inner for group in groups for inner in group.get(name, ())]
            yield from groups


def _awaited(read: Callable[[], Any], enough: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + WITHIN_S
    while not enough(found := read()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found
