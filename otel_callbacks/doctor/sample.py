"""A run that never leaves the process: an agent, a model's call and a tool's, to see what a handler makes of them.

Rules for this file: no network and no exporter; what is said in the run is made up, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks.callbacks.types import AIMessage, ChatGeneration, HumanMessage, LLMResult, ToolCall
from otel_callbacks.doctor.heard import listening
from otel_callbacks.handlers import OTelCallbackHandler

_MODEL: Final = {
    "ls_provider": "openai",
    "ls_model_name": "made-up-model",
    "ls_model_type": "chat",
    "ls_temperature": 0.2,
    "thread_id": "made-up-thread",
}
_CALL: Final[ToolCall] = {
    "name": "made_up_tool",
    "args": {"city": "Oslo"},
    "id": "call-1",
    "type": "tool_call",
}


@dataclass(frozen=True, slots=True)
class SampleSpan:
    """One span of the sample: its name, the names above it, its attributes."""

    name: str
    depth: int
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the sample says: spans, parents first; metrics as name and unit; the names of log events."""

    spans: tuple[SampleSpan, ...]
    metrics: tuple[tuple[str, str], ...]
    events: tuple[str, ...]


class _Names(LogRecordProcessor):
    """Keeps the names of the events that arrive."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}

    def on_emit(self, log_record: Any) -> None:
        """Take an event."""
        record = log_record.log_record
        attributes: Any = record.attributes or {}
        self.names[str(getattr(record, "event_name", None) or attributes.get("event.name"))] = None

    emit = on_emit  # its name before SDK 1.35

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Nothing is held."""
        return True


def run() -> Sample:
    """Play the sample on a handler with the environment's settings, and return what it said."""
    exporter, reader, names = InMemorySpanExporter(), InMemoryMetricReader(), _Names()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    loggers = LoggerProvider(shutdown_on_exit=False)
    loggers.add_log_record_processor(names)
    with listening():  # a wrong setting is among the problems already
        play(OTelCallbackHandler(provider, meter_provider=meters, logger_provider=loggers))
        data = reader.get_metrics_data()
    for each in (provider, meters, loggers):
        each.shutdown()
    spans = sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
    depths: dict[int, int] = {}
    return Sample(
        tuple(_sample(span, depths) for span in spans),
        tuple(
            (metric.name, metric.unit or "")
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ),
        tuple(names.names),
    )


def _sample(span: ReadableSpan, depths: dict[int, int]) -> SampleSpan:
    depth = depths.get(span.parent.span_id, -1) + 1 if span.parent is not None else 0
    context = span.get_span_context()
    if context is not None:  # pragma: no branch # an SDK's span has one
        depths[context.span_id] = depth
    return SampleSpan(span.name, depth, dict(span.attributes or {}))


def play(handler: OTelCallbackHandler) -> UUID:
    """Report the sample to *handler*, and return the id of its root run."""
    agent, model, tool = uuid4(), uuid4(), uuid4()
    handler.on_chain_start(
        None,
        {"messages": [HumanMessage(content="made-up question")]},
        run_id=agent,
        metadata={"thread_id": "made-up-thread", "ls_integration": "langchain_create_agent"},
        name="made-up-agent",
    )
    handler.on_chat_model_start(
        {"id": ["langchain_openai", "chat_models", "ChatOpenAI"]},
        [[HumanMessage(content="made-up question")]],
        run_id=model,
        parent_run_id=agent,
        metadata=dict(_MODEL),
        invocation_params={"model": "made-up-model", "temperature": 0.2},
    )
    answer = AIMessage(
        content="",
        tool_calls=[_CALL],
        usage_metadata={"input_tokens": 12, "output_tokens": 5, "total_tokens": 17},
        response_metadata={
            "model_name": "made-up-model-2026",
            "finish_reason": "tool_calls",
            "id": "made-up-1",
        },
    )
    result = LLMResult(generations=[[ChatGeneration(message=answer)]])
    handler.on_llm_end(result, run_id=model, parent_run_id=agent)
    handler.on_tool_start(
        {"name": "made_up_tool", "description": "Made up."},
        '{"city": "Oslo"}',
        run_id=tool,
        parent_run_id=agent,
        inputs={"city": "Oslo"},
        tool_call_id="call-1",
    )
    handler.on_tool_end("made-up result", run_id=tool, parent_run_id=agent)
    handler.on_chain_end({"messages": [answer]}, run_id=agent)
    return agent
