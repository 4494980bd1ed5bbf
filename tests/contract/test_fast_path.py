"""Spans made our own fast way against the SDK's own: the official encoding of the same runs, byte for byte once parsed."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, Tracer, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
)

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.otel import recorded
from otel_callbacks.testing import FixedClock, engine_with


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    """What a test leaves behind in the context is not the next one's."""
    token = context_api.attach(Context())
    yield
    context_api.detach(token)


class Ids(IdGenerator):
    """The same ids every time, of an application's own."""

    def __init__(self) -> None:
        self._traces, self._spans = random.Random(7), random.Random(8)

    def generate_trace_id(self) -> int:
        return self._traces.getrandbits(128) | 1

    def generate_span_id(self) -> int:
        return self._spans.getrandbits(64) | 1


class Adding(Sampler):
    """Adds an attribute and a trace state, as samplers may."""

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Any] | None = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        added: Mapping[str, Any] = {**(attributes or {}), "sampler.name": name}
        return SamplingResult(Decision.RECORD_AND_SAMPLE, added, TraceState([("vendor", "1")]))

    def get_description(self) -> str:
        return "Adding"


class RecordOnly(Adding):
    """Records without sampling: processors see the span, exporters do not."""

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_ONLY, super().should_sample(*args, **kwargs).attributes)


class Writing(SpanProcessor):
    """Writes at the start and just before the end, and reads what is there."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        current = trace.get_current_span(parent_context).get_span_context()
        self.seen.append(
            (span.name, span.kind, span.start_time, dict(span.attributes), current, span.is_recording())
        )
        span.set_attribute("processor.start", "set")
        span.set_attributes({"processor.list": ["a", "b"], "processor.number": 1.5})
        span.add_event("processor.event", {"n": 1}, timestamp=5)

    def _on_ending(self, span: Any) -> None:
        span.add_event(
            "late", timestamp=6
        )  # attributes cannot be set any more, and an ended span takes no event
        self.seen.append((span.name, span.end_time, span.is_recording()))

    def on_end(self, span: ReadableSpan) -> None:
        self.seen.append((span.name, span.status.status_code, dict(span.attributes or {}), span.end_time))


class SubclassedTracer(Tracer):
    """The SDK's tracer in all but its class, so that it is asked by the API."""


class SubclassedProvider(TracerProvider):
    """Makes tracers that are not exactly the SDK's."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        made = super().get_tracer(*args, **kwargs)
        assert isinstance(made, Tracer)
        made.__class__ = SubclassedTracer
        return made


Configuration = dict[str, Any]
CONFIGURATIONS: Final[dict[str, Callable[[], Configuration]]] = {
    "as it comes": dict,
    "always off": lambda: {"sampler": ALWAYS_OFF},
    "parent based on": lambda: {"sampler": ParentBased(ALWAYS_ON)},
    "parent based off": lambda: {"sampler": ParentBased(ALWAYS_OFF)},
    "a sampler that adds": lambda: {"sampler": Adding()},
    "a sampler that adds, parent based": lambda: {"sampler": ParentBased(Adding())},
    "recorded only": lambda: {"sampler": RecordOnly()},
    "short values": lambda: {"span_limits": SpanLimits(max_span_attribute_length=7)},
    "short values everywhere": lambda: {"span_limits": SpanLimits(max_attribute_length=5)},
    "no limits": lambda: {
        "span_limits": SpanLimits(
            max_span_attributes=SpanLimits.UNSET, max_events=SpanLimits.UNSET, max_links=SpanLimits.UNSET
        )
    },
    "few events": lambda: {"span_limits": SpanLimits(max_events=2)},
    "no events": lambda: {"span_limits": SpanLimits(max_events=0)},
    "short events": lambda: {"span_limits": SpanLimits(max_event_attributes=1)},
    "no links": lambda: {"span_limits": SpanLimits(max_links=0)},
    "a resource": lambda: {
        "resource": Resource({"service.name": "shop"}, schema_url="https://example.com/1")
    },
}
FIXED: Final = Resource({"service.name": "test"})


def runs(handler: OTelCallbackHandler, tracer: trace.Tracer) -> None:
    """An application's day: nested runs, a stream, notes, failures, an id used again, spans by hand in between."""
    ids = [uuid.UUID(int=number) for number in range(1, 40)]
    for root, child, tool in zip(ids[0::3], ids[1::3], ids[2::3], strict=True):
        handler.on_chain_start(
            None,
            {},
            run_id=root,
            tags=["a tag", "another one"],
            metadata={"key": "a long value", "n": 1},
            name="root",
        )
        handler.on_chat_model_start(
            {"kwargs": {"base_url": "http://h:1"}}, [[]], run_id=child, parent_run_id=root, tags=[],
            invocation_params={"model": "model name", "temperature": 0.5, "stop": ["a stop sequence"]},
        )  # fmt: skip
        for _ in range(3):
            handler.on_llm_new_token("x", run_id=child)
            handler.on_custom_event("event", None, run_id=child)
        current = trace.get_current_span()
        current.set_attribute("by hand", "a long value")
        current.add_event("by hand", {"one": "a long value", "two": 2}, timestamp=7)
        current.add_link(SpanContext(1, 2, is_remote=True), {"key": "a long value"})
        tracer.start_span("client call", start_time=1).end(2)
        handler.on_llm_error(ConnectionError("the server is gone"), run_id=child)
        handler.on_tool_start({"name": "tool"}, "in", run_id=tool, parent_run_id=root, tags=[])
        trace.get_current_span().update_name("renamed")
        trace.get_current_span().set_status(StatusCode.OK)
        handler.on_tool_error(ValueError("v"), run_id=tool)
        handler.on_chain_end({}, run_id=root)
        handler.on_chain_start(None, {}, run_id=root, tags=[], name="the same id")
        handler.on_chain_end({}, run_id=root)


@contextmanager
def remote_parent(flags: int) -> Iterator[None]:
    context = SpanContext(
        5, 6, is_remote=True, trace_flags=TraceFlags(flags), trace_state=TraceState([("k", "v")])
    )
    with trace.use_span(NonRecordingSpan(context)):
        yield


def exported(
    kind: type[TracerProvider],
    configuration: Configuration,
    *,
    parent: int | None,
    processor: SpanProcessor | None,
) -> ExportTraceServiceRequest:
    """Return what the official encoder makes of `runs` on a provider of that class."""
    exporter = InMemorySpanExporter()
    provider = kind(**{"id_generator": Ids(), "resource": FIXED, "shutdown_on_exit": False, **configuration})
    if processor is not None:
        provider.add_span_processor(processor)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    engine_with(provider, FixedClock(tick_ns=1_000))
    handler = OTelCallbackHandler(provider, raise_errors=True)
    if parent is None:
        runs(handler, provider.get_tracer("application"))
    else:
        with remote_parent(parent):
            runs(handler, provider.get_tracer("application"))
    assert handler.open_runs == 0
    encoded = encode_spans(exporter.get_finished_spans()).SerializeToString()
    return cast("ExportTraceServiceRequest", ExportTraceServiceRequest.FromString(encoded))


def test_the_two_providers_go_two_ways() -> None:
    assert recorded.pipeline(TracerProvider().get_tracer("x")) is not None
    assert recorded.pipeline(SubclassedProvider().get_tracer("x")) is None


def comparable(request: ExportTraceServiceRequest) -> list[Any]:
    """Return the spans with their attributes in the order of their names: there is no other order in OTLP."""
    spans = []
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                for holder in (span, *span.events, *span.links):
                    attributes = sorted(holder.attributes, key=lambda pair: pair.key)
                    del holder.attributes[:]
                    holder.attributes.extend(attributes)
                spans.append((resource.resource, resource.schema_url, scope.scope, span))
    return spans


@pytest.mark.logs
@pytest.mark.parametrize(
    "parent", [None, 0, 1, 3], ids=["no parent", "unsampled", "sampled", "sampled and random"]
)
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_run_is_the_span_that_the_sdk_would_have_made(name: str, parent: int | None) -> None:
    fast = exported(TracerProvider, CONFIGURATIONS[name](), parent=parent, processor=None)
    slow = exported(SubclassedProvider, CONFIGURATIONS[name](), parent=parent, processor=None)
    assert comparable(fast) == comparable(slow)


@pytest.mark.logs
@pytest.mark.parametrize(
    "name", ["as it comes", "a sampler that adds", "recorded only", "short values everywhere"]
)
def test_processors_write_and_read_as_on_a_span_of_the_sdk(name: str) -> None:
    ours, theirs = Writing(), Writing()
    fast = exported(TracerProvider, CONFIGURATIONS[name](), parent=None, processor=ours)
    slow = exported(SubclassedProvider, CONFIGURATIONS[name](), parent=None, processor=theirs)
    assert comparable(fast) == comparable(slow)
    assert len(ours.seen) == len(theirs.seen)
    for one, other in zip(ours.seen, theirs.seen, strict=True):
        assert one == other


@pytest.mark.logs
def test_a_ratio_of_the_traces_is_the_same_traces() -> None:
    """Below an unsampled run we make no spans at all, so the ids of the sampled ones differ; the traces do not."""

    def traces(kind: type[TracerProvider]) -> list[tuple[bytes, str]]:
        configuration = {"sampler": ParentBased(TraceIdRatioBased(0.5))}
        spans = comparable(exported(kind, configuration, parent=None, processor=None))
        return [(span.trace_id, span.name) for *_, span in spans]

    assert traces(TracerProvider) == traces(SubclassedProvider)
    assert len({trace_id for trace_id, _ in traces(TracerProvider)}) < 20


@pytest.mark.logs
def test_over_the_limit_of_attributes_the_first_are_kept_and_as_many_are_counted() -> None:
    """The specification discards what is added to a full span, the SDK of Python what was there: the run's own ids."""
    limits = {"span_limits": SpanLimits(max_span_attributes=5)}
    fast = comparable(exported(TracerProvider, limits, parent=None, processor=None))
    slow = comparable(exported(SubclassedProvider, limits, parent=None, processor=None))
    for (*_, one), (*_, other) in zip(fast, slow, strict=True):
        assert len(one.attributes) == len(other.attributes) <= 5
        assert one.dropped_attributes_count <= other.dropped_attributes_count
        assert (one.dropped_attributes_count > 0) == (other.dropped_attributes_count > 0)
        assert one.name == "client call" or "langchain.run.id" in {pair.key for pair in one.attributes}


def test_a_tracer_that_is_switched_off_makes_no_spans() -> None:
    configurator = getattr(TracerProvider, "_set_tracer_configurator", None)
    if configurator is None:
        pytest.skip("this SDK has no tracer configurators")
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    engine_with(provider, FixedClock(tick_ns=1))
    tracer = provider.get_tracer("application")
    from opentelemetry.sdk import trace as sdk  # noqa: PLC0415 - private parts, not there in every version

    configurator(provider, tracer_configurator=lambda _: sdk._TracerConfig(is_enabled=False))
    handler = OTelCallbackHandler(provider, raise_errors=True)
    with remote_parent(1):
        handler.on_chain_start(None, {}, run_id=uuid.UUID(int=1), tags=[])
        assert trace.get_current_span().get_span_context().span_id == 6
        handler.on_chain_end({}, run_id=uuid.UUID(int=1))
    assert tracer is not None
    assert exporter.get_finished_spans() == ()
    assert handler.open_runs == 0


class MinimalSpan(trace.Span):
    """As little as the API asks for."""

    def __init__(self, context: SpanContext) -> None:
        self.said: dict[str, Any] = {}
        self.events: list[str] = []
        self.names: list[str] = []
        self.status: Any = None
        self.ended: int | None = None
        self._context = context

    def get_span_context(self) -> SpanContext:
        return self._context

    def is_recording(self) -> bool:
        return self.ended is None

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self.said.update(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        self.said[key] = value

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self.events.append(name)

    def update_name(self, name: str) -> None:
        self.names.append(name)

    def set_status(self, status: Any, description: str | None = None) -> None:
        self.status = status

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        self.events.append("link")

    def record_exception(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError

    def end(self, end_time: int | None = None) -> None:
        assert self.ended is None
        self.ended = end_time


class MinimalTracer(trace.Tracer):
    def __init__(self) -> None:
        self.spans: list[MinimalSpan] = []

    def start_span(
        self, name: str, context: Any = None, kind: Any = None, attributes: Any = None, *_: Any, **__: Any
    ) -> Any:
        parent = trace.get_current_span(context).get_span_context()
        trace_id = parent.trace_id if parent.is_valid else 9
        span = MinimalSpan(
            SpanContext(trace_id, len(self.spans) + 1, is_remote=False, trace_flags=TraceFlags(1))
        )
        span.names.append(name)
        span.said.update(attributes or {})
        self.spans.append(span)
        return span

    def start_as_current_span(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


class MinimalProvider(trace.TracerProvider):
    def __init__(self) -> None:
        self.tracer = MinimalTracer()

    def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
        return self.tracer


def test_a_provider_that_is_not_the_sdk_gets_calls_of_the_api() -> None:
    provider = MinimalProvider()
    handler = OTelCallbackHandler(provider, raise_errors=True)
    runs(handler, MinimalTracer())
    assert handler.open_runs == 0
    spans = provider.tracer.spans
    assert len(spans) == 13 * 4
    assert all(span.ended is not None for span in spans)
    root, chat, tool, again = spans[:4]
    assert (root.names, chat.names, tool.names) == (
        ["root"],
        ["chat model name"],
        ["execute_tool tool", "renamed"],
    )
    assert chat.events == ["langchain.custom.event"] * 3 + ["by hand", "link", "exception"]
    assert chat.status.status_code is StatusCode.ERROR
    assert chat.said["langchain.run.chunks"] == 3
    assert again.said["langchain.run.id"] == root.said["langchain.run.id"]
