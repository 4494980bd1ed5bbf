"""While a model's run is open, an instrumentation of its client reports no second span for the same call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import OTelCallbackHandler

util_genai = pytest.importorskip(
    "opentelemetry.util.genai.handler", reason="opentelemetry-util-genai is not installed (group neighbours)"
)
from langchain_core.language_models.fake_chat_models import FakeListChatModel  # noqa: E402 - after the skip

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage


class _InstrumentedClient(FakeListChatModel):
    """A model whose client is instrumented with util-genai, as the openai package's is."""

    telemetry: Any

    def _call(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> str:
        invocation = self.telemetry.inference("openai", request_model="m")
        invocation.stop()
        return super()._call(messages, *args, **kwargs)


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def model(spans: InMemorySpanExporter) -> tuple[_InstrumentedClient, OTelCallbackHandler]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    telemetry = util_genai.TelemetryHandler(tracer_provider=provider)
    return _InstrumentedClient(responses=["hi"], telemetry=telemetry), OTelCallbackHandler(provider)


def _names(spans: InMemorySpanExporter) -> list[str]:
    return sorted(span.name for span in spans.get_finished_spans())


def test_the_instrumented_client_reports_nothing_inside_a_run(
    model: tuple[_InstrumentedClient, OTelCallbackHandler], spans: InMemorySpanExporter
) -> None:
    chat, handler = model
    chat.invoke("hello", config={"callbacks": [handler]})
    assert _names(spans) == ["chat"]


def test_the_instrumented_client_reports_for_itself_outside_of_runs(
    model: tuple[_InstrumentedClient, OTelCallbackHandler], spans: InMemorySpanExporter
) -> None:
    chat, _ = model
    chat.invoke("hello")
    assert _names(spans) == ["chat m"]


async def test_a_context_left_behind_by_a_run_suppresses_nothing(
    model: tuple[_InstrumentedClient, OTelCallbackHandler], spans: InMemorySpanExporter
) -> None:
    """The task that awaited the run keeps its context; the next call made by hand must be reported."""
    chat, handler = model
    await chat.ainvoke("hello", config={"callbacks": [handler]})
    chat.telemetry.inference("openai", request_model="by-hand").stop()
    assert _names(spans) == ["chat", "chat by-hand"]
