"""Every span of the demo and of many shapes of agents, against the conventions' data: what is required is there, from the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import OTelCallbackHandler, semconv, traced_embeddings
from otel_callbacks.demo import ModelServer
from otel_callbacks.demo.flows import FLOWS
from otel_callbacks.demo.models import Models, Service
from otel_callbacks.semconv import Operation
from tests.contract.test_semconv import DATA, SPANS, THEIRS, TYPES, Recording
from tests.scenarios import SCENARIOS, Way

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

CONFIG: Final[Any] = {"metadata": {"thread_id": "t", "user_id": "u"}, "tags": ["tag"]}
# That a chain is a sequence to which the application gave a name, or a graph inside another, its first step tells.
LATE: Final = frozenset({Operation.INVOKE_WORKFLOW.value})


async def everything() -> list[tuple[ReadableSpan, dict[str, Any]]]:
    """Return every span, and what a sampler was given at its start."""
    exporter, sampler = InMemorySpanExporter(), Recording()
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handler = OTelCallbackHandler(provider, raise_errors=True)
    config: Any = {**CONFIG, "callbacks": [handler]}
    with ModelServer() as server, Models(Service(server.base_url)) as models:
        for flow in FLOWS:
            flow.run(models, config)
        traced_embeddings(models.embeddings(), handler).embed_query("x")
    for scenario in SCENARIOS:
        for way in (Way(), Way(asynchronous=True)):
            await scenario(way, config)
    given = {start[semconv.RUN_ID]: start for start in sampler.given if semconv.RUN_ID in start}
    return [
        (span, given[(span.attributes or {})[semconv.RUN_ID]])
        for span in exporter.get_finished_spans()
        if semconv.RUN_ID in (span.attributes or {})
    ]


async def test_what_is_required_is_always_there_and_what_is_said_has_its_type() -> None:
    seen: set[str] = set()
    for span, start in await everything():
        said: dict[str, Any] = dict(span.attributes or {})
        for name, value in said.items():
            if name.startswith(THEIRS):
                assert name not in DATA["deprecated"]["attributes"], name
                assert TYPES[DATA["attributes"][name]["type"]](value), (span.name, name, value)
        operation = said.get(semconv.OPERATION_NAME)
        if operation is None:
            continue
        seen.add(operation)
        asked = DATA["spans"][SPANS[Operation(operation)]]["attributes"]
        assert span.kind.name.lower() == DATA["spans"][SPANS[Operation(operation)]]["kind"]
        assert span.name.split(" ")[0] == operation
        if operation in LATE and semconv.OPERATION_NAME not in start:
            assert semconv.WORKFLOW_NAME in said, span.name
        for name, about in asked.items():
            if about["level"] == "required":
                assert name in said, (span.name, name)
                assert name in start or operation in LATE, (span.name, name)
            if about.get("sampling") and name in said and operation not in LATE:
                assert start.get(name) == said[name], (span.name, name)
            if name == semconv.CONVERSATION_ID and "thread_id" not in span.name:
                assert said[name] in ("t", "thread 1"), span.name
    assert seen == {operation.value for operation in Operation} - {Operation.TEXT_COMPLETION.value}
