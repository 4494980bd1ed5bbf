"""The main job: what the demo sends through the collector is what Jaeger and Tempo hold, span by span."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.alterations import JAEGER_REMARKS
from tests.e2e.sources import SOURCES, Source

if TYPE_CHECKING:
    from tests.e2e.backends import Running
    from tests.e2e.demo import DemoRun

INTERNAL, CLIENT = 1, 3
UNSET, ERROR = 0, 2


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_every_trace_of_the_demo_reads_back_as_it_was_sent(
    source: Source, demo: DemoRun, backends: Running
) -> None:
    assert {
        trace_id: lines
        for trace_id, sent in demo.traces.items()
        if (lines := source.differences(backends, sent))
    } == {}


def test_the_demo_sends_what_the_comparison_is_about(demo: DemoRun) -> None:
    """Equality of little proves little: several traces, all kinds of run, a failure, events, depth."""
    spans = demo.spans
    assert len(demo.traces) >= 4
    assert len(spans) >= 30
    assert {INTERNAL, CLIENT} <= {span.kind for span in spans}
    assert {UNSET, ERROR} <= {span.status_code for span in spans}
    assert any(span.events for span in spans)
    assert {"chat", "execute_tool", "invoke_agent"} <= {
        value for span in spans for key, (_, value) in span.attributes if key == "gen_ai.operation.name"
    }
    parents = {span.span_id: span.parent_id for span in spans}
    assert max(_depth(span_id, parents) for span_id in parents) >= 4


def test_every_trace_of_the_demo_has_one_root_and_no_lost_parent(demo: DemoRun) -> None:
    for sent in demo.traces.values():
        ids = {span.span_id for span in sent}
        assert [span.parent_id for span in sent if span.parent_id not in ids] == [""]


def test_jaeger_remarks_on_no_span_of_the_demo(demo: DemoRun, backends: Running) -> None:
    """It would on a parent that is missing, a child outside its parent's time, an id that came twice."""
    (jaeger,) = (source for source in SOURCES if source.name == "jaeger-as-shown")
    remarks = [
        (span.name, value)
        for trace_id, sent in demo.traces.items()
        for span in jaeger.read_back(backends, trace_id, len(sent))
        for key, value in span.attributes
        if key == JAEGER_REMARKS
    ]
    assert remarks == []


def _depth(span_id: str, parents: dict[str, str]) -> int:
    depth = 1
    while parents.get(span_id):
        span_id, depth = parents[span_id], depth + 1
    return depth
