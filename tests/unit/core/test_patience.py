"""Redactors have so much time in one run; what they are not asked about any more is withheld, and it is said once."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.outputs import Generation, LLMResult

from otel_callbacks import OTelCallbackHandler, semconv
from otel_callbacks.core.patience import TOO_SLOW, Patience
from otel_callbacks.core.redact import WITHHELD, Redactor, redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SECOND = 1_000_000_000


class Clock:
    """A clock that stands still until somebody works."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def slow(self, seconds: float, answer: Callable[[str], Any] = str.upper) -> Redactor:
        """Return a redactor that takes so long."""

        def redactor(text: str) -> Any:
            self.now_ns += int(seconds * SECOND)
            return answer(text)

        return redactor


def patient(clock: Clock, *redactors: Redactor, lost: Callable[[int], object] = lambda _: None) -> Any:
    return Patience(SECOND, clock).with_(redactors, lost)


def test_redactors_are_asked_until_their_time_is_up_and_then_no_more() -> None:
    clock = Clock()
    seen: list[str] = []
    lost: list[int] = []

    def seeing(text: str) -> str:
        seen.append(text)
        return text + "!"

    asked = patient(clock, clock.slow(0.4), seeing, lost=lost.append)
    assert [redact(text, asked) for text in "abcd"] == ["A!", "B!", "C!", TOO_SLOW]
    assert (seen, lost) == (["A", "B", "C"], [SECOND])
    assert redact("e", asked) == TOO_SLOW
    assert lost == [SECOND]


def test_one_call_that_takes_too_long_is_the_last_one() -> None:
    clock = Clock()
    asked = patient(clock, clock.slow(60))
    assert [redact(text, asked) for text in "ab"] == ["A", TOO_SLOW]


def fails(_text: str) -> Any:
    raise ValueError


@pytest.mark.parametrize("answer", [fails, lambda _: None, lambda _: 5])
def test_one_that_is_slow_and_fails_is_both(answer: Any) -> None:
    clock = Clock()
    lost: list[int] = []
    asked = patient(clock, clock.slow(2, answer), str.upper, lost=lost.append)
    assert [redact(text, asked) for text in "ab"] == [WITHHELD, TOO_SLOW]
    assert lost == [SECOND]


def test_time_that_no_redactor_took_is_nobodys() -> None:
    clock = Clock()
    asked = patient(clock, str.upper)
    for text in "abc":
        clock.now_ns += 5 * SECOND
        assert redact(text, asked) == text.upper()


def slow_handler(provider: TracerProvider, clock: Clock, redactor: Redactor) -> OTelCallbackHandler:
    handler = OTelCallbackHandler(provider, capture_content=True, redactors=[redactor], raise_errors=True)
    patience = handler._policy.patience
    object.__setattr__(handler._policy, "patience", Patience(patience.budget_ns, clock))
    return handler


def chat(handler: OTelCallbackHandler) -> None:
    run_id = uuid.uuid4()
    asked = [[HumanMessage("CANARY one"), HumanMessage("CANARY two")]]
    handler.on_chat_model_start({}, asked, run_id=run_id, tags=["a"])
    handler.on_text("CANARY three", run_id=run_id)
    handler.on_llm_end(LLMResult(generations=[[Generation(text="CANARY four")]]), run_id=run_id)
    failed = uuid.uuid4()
    handler.on_tool_start({"name": "tool"}, "", run_id=failed, tags=[], inputs={"q": "CANARY"})
    handler.on_tool_error(ValueError("CANARY five"), run_id=failed)


def said(span: ReadableSpan) -> str:
    return str(span.to_json())


def test_what_a_slow_redactor_did_not_see_does_not_leave_and_the_next_run_begins_afresh(
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "otel_callbacks")
    clock = Clock()

    def slow(text: str) -> str:
        clock.now_ns += 2 * SECOND if "two" in text or "five" in text else 1
        return text.replace("CANARY", "[customer]")

    handler = slow_handler(provider, clock, slow)
    for _ in range(3):
        chat(handler)
    spans = exporter.get_finished_spans()
    assert len(spans) == 6
    assert not [span for span in spans if "CANARY" in said(span)]
    for model, tool in zip(spans[::2], spans[1::2], strict=True):
        # The newest message is read first, so "two" was: it came late, and is what it was made. Nothing was asked about since.
        assert "[customer] two" in said(model)
        assert TOO_SLOW in str((model.attributes or {})[semconv.INPUT_MESSAGES])
        assert TOO_SLOW in str((model.attributes or {})[semconv.OUTPUT_MESSAGES])
        assert "[customer] one" not in said(model)
        assert "[customer] five" in said(tool)  # another run, with time of its own
        assert (tool.attributes or {})[semconv.TOOL_CALL_ARGUMENTS] == '{"q":"[customer]"}'
    engine: Any = handler._engine()
    assert engine.counts == {"redactor_slow": 6}
    (line,) = [record.getMessage() for record in caplog.records]
    assert "redactors took more than 1000 ms in one run" in line
    assert "OTEL_CALLBACKS_REDACTION_BUDGET_MS" in line


def test_the_budget_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_CALLBACKS_REDACTION_BUDGET_MS", "250")
    assert OTelCallbackHandler()._policy.patience.budget_ns == 250_000_000
    monkeypatch.setenv("OTEL_CALLBACKS_REDACTION_BUDGET_MS", "0")
    assert OTelCallbackHandler()._policy.patience.budget_ns == SECOND


def test_without_redactors_no_clock_is_read(provider: TracerProvider) -> None:
    def never() -> int:
        raise AssertionError

    handler = OTelCallbackHandler(provider, capture_content=True, raise_errors=True)
    object.__setattr__(handler._policy, "patience", Patience(SECOND, never))
    chat(handler)
