"""What is remembered of runs of one shape is bounded, and never mixes up what only looks equal."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from otel_callbacks.core import request, shapes

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from otel_callbacks import OTelCallbackHandler


def chat(handler: OTelCallbackHandler, **parameters: Any) -> None:
    run_id = uuid.uuid4()
    handler.on_chat_model_start({}, [[]], run_id=run_id, invocation_params=parameters)
    handler.on_llm_end(None, run_id=run_id)


def chain(handler: OTelCallbackHandler, name: str, tags: list[Any], metadata: dict[str, Any]) -> None:
    run_id = uuid.uuid4()
    handler.on_chain_start(None, {}, run_id=run_id, tags=tags, metadata=metadata, name=name)
    handler.on_chain_end({}, run_id=run_id)


def test_equal_parameters_of_other_types_are_other_requests(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    for temperature in (1, 1.0, True):
        chat(handler, model="m", temperature=temperature, seed=temperature)
    said = [dict(span.attributes or {}) for span in exporter.get_finished_spans()]
    assert [type(span.get("gen_ai.request.temperature")) for span in said] == [float, float, type(None)]
    assert [span.get("gen_ai.request.seed") for span in said] == [1, 1, None]


def test_a_run_does_not_change_what_is_said_of_the_next_of_its_shape(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    for user in ("a", "b"):
        chain(handler, "same", ["t"], {"user": user} if user == "a" else {})
    first, second = (dict(span.attributes or {}) for span in exporter.get_finished_spans())
    assert first["langchain.metadata.user"] == "a"
    assert "langchain.metadata.user" not in second


@pytest.mark.parametrize("kind", ["chain", "request"])
def test_what_is_remembered_is_bounded(
    handler: OTelCallbackHandler, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes, "MAX_SHAPES", 8)
    monkeypatch.setattr(request, "MAX_KNOWN", 8)
    for number in range(50):
        if kind == "chain":
            chain(handler, f"name {number}", [], {})
        else:
            chat(handler, model=f"m{number}")
    assert len(shapes.shapes if kind == "chain" else request._known) <= 8


def test_an_answer_of_very_many_choices_is_read_in_part(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    run_id = uuid.uuid4()
    handler.on_chat_model_start({}, [[]], run_id=run_id)
    choice = {"generation_info": {"finish_reason": "stop"}}
    handler.on_llm_end({"generations": [[choice] * 1_000]}, run_id=run_id)
    (span,) = exporter.get_finished_spans()
    reasons = (span.attributes or {})["gen_ai.response.finish_reasons"]
    assert isinstance(reasons, tuple)
    assert len(reasons) == 64


def test_the_first_of_several_names_for_one_parameter_wins(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    chat(handler, max_output_tokens=3, max_completion_tokens=2, max_tokens=1)
    (span,) = exporter.get_finished_spans()
    assert (span.attributes or {})["gen_ai.request.max_tokens"] == 1


@pytest.mark.parametrize("blank", ["", "  "])
def test_chains_without_a_name_are_named_by_what_was_serialised(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter, blank: str
) -> None:
    for name in ("first", "second"):
        run_id = uuid.uuid4()
        handler.on_chain_start({"name": name}, {}, run_id=run_id, tags=[], metadata={}, name=blank)
        handler.on_chain_end({}, run_id=run_id)
    assert [span.name for span in exporter.get_finished_spans()] == ["first", "second"]
