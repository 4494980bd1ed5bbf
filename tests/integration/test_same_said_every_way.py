"""The same scenario has the same tree, attributes, events and links, however it is called and whoever reports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_callbacks
from otel_callbacks import AsyncOTelCallbackHandler, OTelCallbackHandler
from otel_callbacks.demo import ModelServer
from otel_callbacks.demo.flows import FLOWS, Flow
from otel_callbacks.demo.models import Models, Service
from tests.scenarios import SCENARIOS, Scenario, Way

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

# Other in every run: ids, and what a clock or the server's port says.
VOLATILE: Final = (
    "langchain.run.id",
    "langchain.run.parent_id",
    "langgraph.checkpoint_ns",
    "langgraph.checkpoint_id",
    "langgraph.status",  # LangGraph tells it, as the checkpoint, to handlers in the configuration only
    "gen_ai.response.id",
    "gen_ai.response.time_to_first_chunk",
    "server.port",
)
# Of a model that really streamed, because it was read piece by piece.
STREAMED: Final = ("gen_ai.request.stream", "langchain.run.chunks")
SHARED: Final[Any] = {"tags": ["blue"], "metadata": {"user_id": "u", "session_id": "s", "share": 0.5}}

Said = tuple[Any, ...]


def _way(span: ReadableSpan, by_id: dict[int, ReadableSpan]) -> tuple[str, ...]:
    names: list[str] = []
    above: ReadableSpan | None = span
    while above is not None:
        names.append(above.name)
        above = by_id.get(above.parent.span_id) if above.parent is not None else None
    return tuple(reversed(names))


def said(spans: Sequence[ReadableSpan]) -> list[str]:
    """Return everything that *spans* say, but for what differs from run to run, in an order of its own."""
    by_id = {span.get_span_context().span_id: span for span in spans}  # type: ignore[union-attr] # each has one
    everything = [
        repr((
            _way(span, by_id),
            span.kind.name,
            span.status.status_code.name,
            span.status.description,
            sorted((k, v) for k, v in (span.attributes or {}).items() if k not in (*VOLATILE, *STREAMED)),
            [
                (event.name, sorted((k, v) for k, v in (event.attributes or {}).items() if k not in VOLATILE and k != "exception.stacktrace"))
                for event in span.events
            ],
            [(_way(by_id[link.context.span_id], by_id), sorted((link.attributes or {}).items())) for link in span.links],
        ))
        for span in spans
    ]  # fmt: skip
    return sorted(everything)


def fresh() -> tuple[TracerProvider, InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


async def told(scenario: Scenario, way: Way, reporter: str) -> list[str]:
    provider, exporter = fresh()
    shared: dict[str, Any] = SHARED
    if reporter == "instrument":
        otel_callbacks.instrument(provider)
        try:
            await scenario(way, SHARED)
        finally:
            otel_callbacks.uninstrument()
    else:
        kind = OTelCallbackHandler if reporter == "handler" else AsyncOTelCallbackHandler
        await scenario(way, {**shared, "callbacks": [kind(provider, raise_errors=True)]})
    return said(exporter.get_finished_spans())


WAYS: Final = [
    Way(asynchronous=asynchronous, streamed=streamed)
    for asynchronous in (False, True)
    for streamed in (False, True)
]


# In synchronous code LangChain calls the asynchronous handler on a loop of its own, where nothing can be made current.
REPORTED: Final = [
    (reporter, way)
    for reporter in ("handler", "instrument", "asynchronous handler")
    for way in WAYS
    if way.asynchronous or reporter != "asynchronous handler"
]


def _named(value: object) -> str:
    if isinstance(value, Way):
        return f"{'a' if value.asynchronous else ''}{'stream' if value.streamed else 'invoke'}"
    return str(value)


@pytest.mark.parametrize(("reporter", "way"), REPORTED, ids=_named)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_a_scenario_says_the_same(scenario: Scenario, reporter: str, way: Way) -> None:
    expected = await told(scenario, Way(), "handler")
    assert len(expected) > 1
    assert await told(scenario, way, reporter) == expected


def _run(flow: Flow, config: Any) -> None:
    """Run it on a server of its own: one that has answered before counts cached tokens."""
    with ModelServer() as server, Models(Service(server.base_url)) as models:
        flow.run(models, config)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_a_flow_of_the_demo_says_the_same(flow: Flow) -> None:
    provider, exporter = fresh()
    config: Any = {**SHARED, "callbacks": [OTelCallbackHandler(provider, raise_errors=True)]}
    _run(flow, config)
    by_handler = said(exporter.get_finished_spans())
    provider, exporter = fresh()
    otel_callbacks.instrument(provider)
    try:
        _run(flow, SHARED)
    finally:
        otel_callbacks.uninstrument()
    assert said(exporter.get_finished_spans()) == by_handler
