"""Evaluations of runs: open, ended, of another process; what goes out is redacted and limited."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from opentelemetry import _logs as logs_api
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

import otel_callbacks
from otel_callbacks import OTelCallbackHandler, evaluation, record_evaluation, semconv
from otel_callbacks.semconv import EventName
from tests.scene import ids_of
from tests.signals import Signals


@pytest.fixture
def signals() -> Signals:
    return Signals()


@pytest.fixture
def handler(provider: TracerProvider, signals: Signals) -> OTelCallbackHandler:
    return OTelCallbackHandler(
        provider,
        None,
        signals.loggers,
        redactors=[lambda text: text.replace("Ada", "[name]")],
        raise_errors=True,
    )


def chain(handler: OTelCallbackHandler, *, ended: bool = True) -> Any:
    run_id = uuid4()
    handler.on_chain_start({"name": "chain"}, {}, run_id=run_id)
    if ended:
        handler.on_chain_end({}, run_id=run_id)
    return run_id


def test_the_result_belongs_to_the_span_of_a_run_that_has_ended(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter, signals: Signals
) -> None:
    assert record_evaluation(chain(handler), name="helpfulness", score=0.9)
    (said,) = signals.events()
    (span,) = exporter.get_finished_spans()
    assert said.name == EventName.EVALUATION.value
    assert (said.trace_id, said.span_id) == ids_of(span)
    assert said.attributes == {semconv.EVALUATION_NAME: "helpfulness", semconv.EVALUATION_SCORE: 0.9}


def test_while_the_run_is_open_its_span_has_the_result_as_well(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter, signals: Signals
) -> None:
    run_id = chain(handler, ended=False)
    assert record_evaluation(str(run_id), "tone", label="kind")
    handler.on_chain_end({}, run_id=run_id)
    (span,) = exporter.get_finished_spans()
    (event,) = span.events
    assert (event.name, dict(event.attributes or {})) == (
        EventName.EVALUATION.value,
        {semconv.EVALUATION_NAME: "tone", semconv.EVALUATION_LABEL: "kind"},
    )
    assert len(signals.events()) == 1


def test_without_a_logger_provider_an_open_runs_span_is_enough_and_an_ended_ones_cannot_be(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = OTelCallbackHandler(provider, raise_errors=True)
    open_run = chain(handler, ended=False)
    assert record_evaluation(open_run, "tone", score=1)
    assert not record_evaluation(chain(handler), "tone", score=1)
    handler.on_chain_end({}, run_id=open_run)
    assert [len(span.events) for span in exporter.get_finished_spans()] == [0, 1]


def test_an_explanation_passes_the_redactors_and_is_limited(
    handler: OTelCallbackHandler, signals: Signals
) -> None:
    text = "Ada said sk-12345678 " + "x" * evaluation.MAX_EXPLANATION
    assert record_evaluation(chain(handler), "n", explanation=text, label="of Ada")
    (said,) = signals.events()
    explanation = said.attributes[semconv.EVALUATION_EXPLANATION]
    assert explanation.startswith("[name] said [redacted] xxx")
    assert len(explanation) <= evaluation.MAX_EXPLANATION + 100
    assert said.attributes[semconv.EVALUATION_LABEL] == "of [name]"


def test_a_redactor_that_fails_costs_the_text(provider: TracerProvider, signals: Signals) -> None:
    def fail(_text: str) -> str:
        raise RuntimeError

    handler = OTelCallbackHandler(provider, None, signals.loggers, redactors=[fail], raise_errors=True)
    assert record_evaluation(chain(handler), "n", explanation="CANARY")
    assert "CANARY" not in str(signals.events())


@pytest.mark.parametrize("form", ["context", "digits", "numbers"])
def test_a_run_of_another_process_is_named_by_its_span(
    handler: OTelCallbackHandler, signals: Signals, form: str
) -> None:
    chain(handler)  # a handler of ours, whose redactors and whose provider serve here as well
    trace_id, span_id = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
    forms: dict[str, dict[str, Any]] = {
        "context": {"run_id": SpanContext(trace_id, span_id, is_remote=True)},
        "digits": {"trace_id": f"{trace_id:032x}", "span_id": f"{span_id:016x}"},
        "numbers": {"trace_id": trace_id, "span_id": span_id},
    }
    assert record_evaluation(name="n", score=1, logger_provider=signals.loggers, **forms[form])
    (said,) = signals.events()
    assert (said.trace_id, said.span_id) == (trace_id, span_id)


@pytest.mark.parametrize(
    "arguments",
    [
        {"run_id": uuid4()}, {"run_id": "no id"}, {}, {"trace_id": "x", "span_id": "y"}, {"trace_id": 1},
        {"run_id": SpanContext(0, 0, is_remote=False)},
    ],
)  # fmt: skip
def test_an_unknown_run_is_said_to_be_unknown(signals: Signals, arguments: dict[str, Any]) -> None:
    assert not record_evaluation(name="n", score=1, logger_provider=signals.loggers, **arguments)
    assert signals.events() == []


def test_the_response_of_an_unknown_run_is_enough_for_an_event_and_not_for_a_yes(
    signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "engines", list)  # other tests' redactors would serve here as well
    assert not record_evaluation(name="n", score=1, response_id="r1", logger_provider=signals.loggers)
    (said,) = signals.events()
    assert said.attributes[semconv.RESPONSE_ID] == "r1"


def test_the_global_provider_serves_where_no_handler_has_one(
    provider: TracerProvider, signals: Signals
) -> None:
    handler = OTelCallbackHandler(provider, raise_errors=True)
    run_id = chain(handler)
    logs_api.set_logger_provider(signals.loggers)
    assert record_evaluation(run_id, "n", score=1)
    assert len(signals.events()) == 1


@pytest.mark.parametrize("score", [float("nan"), float("inf"), True, "0.9", 10**400])
def test_a_score_that_is_no_number_is_left_out(
    handler: OTelCallbackHandler, signals: Signals, score: Any
) -> None:
    assert record_evaluation(chain(handler), "n", score=score, label="odd")
    (said,) = signals.events()
    assert semconv.EVALUATION_SCORE not in said.attributes


@pytest.mark.parametrize("arguments", [{"name": "n"}, {"score": 1}, {"name": "", "label": "x"}])
def test_a_result_without_a_name_or_without_anything_to_say_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs a name"):
        record_evaluation(uuid4(), **arguments)


def test_a_provider_that_fails_is_the_packages_to_bear(
    handler: OTelCallbackHandler, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Signals):
        def get_logger(self, *args: Any) -> Any:
            raise OSError("CANARY")

    broken: Any = Broken()
    assert not record_evaluation(chain(handler), "n", score=1, logger_provider=broken)
    assert caplog.messages == ["An evaluation could not be recorded: OSError."]


def test_it_is_one_of_the_public_names() -> None:
    assert otel_callbacks.record_evaluation is record_evaluation
    assert "record_evaluation" in otel_callbacks.__all__
