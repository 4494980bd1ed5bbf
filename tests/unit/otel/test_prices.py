"""Prices of model calls, by the real price list where it is installed, and nothing where it is not or does not know."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from otel_callbacks import OTelCallbackHandler, semconv
from otel_callbacks.otel import prices
from tests.signals import Signals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

COST = "langchain.client.operation.cost"


@pytest.fixture(autouse=True)
def _asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OTEL_CALLBACKS_COST", "true")
    library = prices._library
    library.cache_clear()
    yield
    library.cache_clear()


@pytest.fixture
def _library() -> None:
    pytest.importorskip("genai_prices")


def priced(
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    ls_provider: str = "openai",
    model: str = "gpt-4o",
    usage: dict[str, Any] | None = None,
    **arguments: Any,
) -> tuple[dict[str, Any], Signals]:
    """Return what the span of a call says, and the metrics."""
    signals = Signals()
    handler = OTelCallbackHandler(provider, signals.meters, raise_errors=True, **arguments)
    run_id = uuid4()
    handler.on_chat_model_start(
        {}, [], run_id=run_id, metadata={"ls_provider": ls_provider, "ls_model_name": model}
    )
    usage = {"input_tokens": 1_000, "output_tokens": 100} if usage is None else usage
    handler.on_llm_end({"generations": [[{"message": {"usage_metadata": usage}}]]}, run_id=run_id)
    (span,) = exporter.get_finished_spans()
    return dict(span.attributes or {}), signals


@pytest.mark.usefixtures("_library")
def test_a_call_has_its_price_in_dollars_and_says_by_which_list(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    said, signals = priced(provider, exporter)
    assert said[semconv.COST] == pytest.approx(1_000 * 2.5e-6 + 100 * 10e-6)
    assert said[semconv.COST_SOURCE] == f"genai-prices {version('genai-prices')}"
    (point,) = signals.points(COST)
    assert (point.total, point.count) == (said[semconv.COST], 1)


@pytest.mark.usefixtures("_library")
def test_what_was_read_from_a_cache_is_cheaper(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    usage = {"input_tokens": 1_000, "output_tokens": 100, "input_token_details": {"cache_read": 400}}
    said, _ = priced(provider, exporter, usage=usage)
    assert said[semconv.COST] == pytest.approx(600 * 2.5e-6 + 400 * 1.25e-6 + 100 * 10e-6)


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize(
    ("ls_provider", "model"),
    [
        ("anthropic", "claude-sonnet-4-5"),
        ("google_genai", "gemini-2.5-pro"),
        ("google_vertexai", "gemini-2.5-pro"),
        ("amazon_bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("azure", "gpt-4o"),
        ("mistral", "mistral-large-latest"),
        ("xai", "grok-4"),
        ("groq", "llama-3.3-70b-versatile"),
        ("deepseek", "deepseek-chat"),
        ("cohere", "command-r"),
        ("moonshot", "kimi-k2"),
    ],
)
def test_the_list_knows_the_provider(
    provider: TracerProvider, exporter: InMemorySpanExporter, ls_provider: str, model: str
) -> None:
    assert priced(provider, exporter, ls_provider, model)[0][semconv.COST] > 0


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize(
    ("ls_provider", "model", "usage"),
    [
        ("openai", "no such model", None),
        ("ollama", "gpt-4o", None),
        ("openai", "gpt-4o", {}),
        (
            "openai",
            "gpt-4o",
            {"input_tokens": 1, "output_tokens": 1, "input_token_details": {"cache_read": 9}},
        ),
    ],
)
def test_where_the_price_is_unknown_nothing_is_said(
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    ls_provider: str,
    model: str,
    usage: dict[str, Any] | None,
) -> None:
    said, signals = priced(provider, exporter, ls_provider, model, usage)
    assert not {semconv.COST, semconv.COST_SOURCE} & set(said)
    assert signals.points(COST) == []


@pytest.mark.usefixtures("_library")
def test_a_mapper_of_the_users_has_the_last_word(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    def discount(_run: Any, attributes: dict[str, Any]) -> None:
        attributes[semconv.COST] /= 2

    said, signals = priced(provider, exporter, mappers=[discount])
    assert said[semconv.COST] == pytest.approx(0.00175)
    assert signals.points(COST)[0].total == said[semconv.COST]


@pytest.mark.usefixtures("_library")
def test_only_model_calls_have_a_price(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    handler = OTelCallbackHandler(provider, raise_errors=True)
    run_id = uuid4()
    handler.on_tool_start({"name": "t"}, "", run_id=run_id)
    handler.on_tool_end("", run_id=run_id)
    (span,) = exporter.get_finished_spans()
    assert semconv.COST not in (span.attributes or {})


def test_nothing_is_priced_or_imported_unless_it_is_asked_for(
    provider: TracerProvider, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_CALLBACKS_COST")
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    said, _ = priced(provider, exporter)
    assert semconv.COST not in said


@pytest.mark.logs
def test_a_library_that_is_missing_is_said_once_and_costs_nothing_else(
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    OTelCallbackHandler(provider)
    said, _ = priced(provider, exporter)
    assert said[semconv.USAGE_INPUT_TOKENS] == 1_000
    assert semconv.COST not in said
    (message,) = caplog.messages
    assert "pip install 'otel-callbacks[prices]'" in message


def test_prices_are_added_once_however_often_settings_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "_library", lambda: (None, ""))
    once = prices.before([])
    assert prices.before(once) == once == (prices.add,)
