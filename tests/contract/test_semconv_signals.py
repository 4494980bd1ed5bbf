"""Metrics and log events, as they are emitted, against the conventions' own data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace import TracerProvider

from otel_callbacks import OTelCallbackHandler, record_evaluation, semconv
from otel_callbacks.core.content import Taken
from otel_callbacks.semconv import EventName, Instrument
from tests.signals import Signals

DATA: Final[dict[str, Any]] = json.loads((Path(__file__).parent / "genai_semconv_signals.json").read_text())
THEIRS: Final = tuple(
    instrument for instrument in semconv.INSTRUMENTS if instrument.name.startswith("gen_ai.")
)
_TEXT: Final = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
TYPES: Final[Mapping[str, Any]] = {
    "string": lambda value: type(value) is str,
    "int": lambda value: type(value) is int,
    "double": lambda value: type(value) is float,
    "boolean": lambda value: type(value) is bool,
    "string[]": lambda value: isinstance(value, tuple) and all(type(item) is str for item in value),
    "any": lambda value: isinstance(value, (list, tuple, dict, str)),
}


@pytest.mark.parametrize("instrument", THEIRS, ids=lambda instrument: instrument.name)
def test_a_metric_has_the_unit_the_buckets_and_the_attributes_of_the_conventions(
    instrument: Instrument,
) -> None:
    asked = DATA["metrics"][instrument.name]
    assert (instrument.unit, asked["instrument"]) == (asked["unit"], "histogram")
    assert list(instrument.buckets) == asked["advised_buckets"]
    computed = {semconv.TOKEN_TYPE} if instrument is semconv.TOKEN_USAGE else set()
    assert set(instrument.attributes) | computed == set(asked["attributes"])
    assert instrument.name not in DATA["deprecated"]["metrics"]


def test_every_metric_of_a_client_that_callbacks_can_show_is_there() -> None:
    clients = {
        name
        for name in DATA["metrics"]
        if name.startswith("gen_ai.") and not name.startswith("gen_ai.server.")
    }
    assert {instrument.name for instrument in THEIRS} == clients


def test_own_metrics_stand_apart_from_the_conventions() -> None:
    own = [*semconv.INSTRUMENTS, semconv.OPEN_RUNS, semconv.ODD_EVENTS]
    assert {instrument.name.split(".")[0] for instrument in own} == {"gen_ai", "langchain", "otel_callbacks"}


@pytest.mark.parametrize("event", EventName)
def test_an_event_is_in_the_conventions_and_not_deprecated(event: EventName) -> None:
    assert event.value in DATA["events"]
    assert event.value not in DATA["deprecated"]["events"]


# -- as emitted -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def signals(provider: TracerProvider) -> Signals:
    """What a failed agent says, with a streamed model call, a tool and a retriever below it, and an evaluation."""
    signals = Signals()
    handler = OTelCallbackHandler(provider, signals.meters, signals.loggers, raise_errors=True)
    agent, chat, tool, retriever = uuid4(), uuid4(), uuid4(), uuid4()
    metadata = {"ls_integration": "langchain_create_agent", "lc_agent_name": "helper"}
    handler.on_chain_start(None, {}, run_id=agent, name="helper", tags=[], metadata=metadata)
    handler.on_chat_model_start(
        {"id": ["langchain_openai", "ChatOpenAI"], "kwargs": {"base_url": "https://models.example:8443/v1"}},
        [],
        run_id=chat,
        parent_run_id=agent,
        metadata={"ls_provider": "openai", "thread_id": "t"},
        invocation_params={
            "model": "m", "temperature": 0, "top_p": 1, "top_k": 3, "max_tokens": 5, "stop": ["a"], "seed": 1, "n": 2,
            "frequency_penalty": 0, "presence_penalty": 1, "stream": True, "response_format": {"type": "json_object"},
        },
    )  # fmt: skip
    for _ in range(3):
        handler.on_llm_new_token("x", run_id=chat)
    run = handler._bound.open_run(chat) if handler._bound is not None else None
    assert run is not None
    run.content = Taken(
        _TEXT, _TEXT, [{"type": "text", "content": "be brief"}], [{"type": "function", "name": "f"}]
    )
    message = {
        "id": "r1", "response_metadata": {"model_name": "m-1", "finish_reason": "stop"},
        "usage_metadata": {
            "input_tokens": 1, "output_tokens": 2, "input_token_details": {"cache_read": 1, "cache_creation": 1},
            "output_token_details": {"reasoning": 1},
        },
    }  # fmt: skip
    handler.on_llm_error(
        TimeoutError("late"), run_id=chat, response={"generations": [[{"message": message}]]}
    )
    handler.on_tool_start({"name": "search"}, "in", run_id=tool, parent_run_id=agent)
    handler.on_tool_error(ValueError("v"), run_id=tool)
    handler.on_retriever_start(
        {}, "q", run_id=retriever, parent_run_id=agent, metadata={"ls_embedding_model": "e"}
    )
    handler.on_retriever_end([], run_id=retriever)
    handler.on_chain_error(KeyError("k"), run_id=agent)
    assert record_evaluation(
        chat,
        "helpfulness",
        score=1,
        label="good",
        explanation="it helped",
        response_id="r1",
        error_type="timeout",
    )
    return signals


def test_every_point_says_what_is_required_and_nothing_unknown(signals: Signals) -> None:
    emitted = {name for name in signals.metrics() if name.startswith("gen_ai.")}
    assert emitted == {instrument.name for instrument in THEIRS} - {semconv.WORKFLOW_DURATION.name}
    for name in emitted:
        asked = DATA["metrics"][name]["attributes"]
        required = {key for key, about in asked.items() if about["level"] == "required"}
        for point in signals.points(name):
            assert required <= set(point.attributes) <= set(asked), name
            for key, value in point.attributes.items():
                assert TYPES[DATA["attributes"][key]["type"]](value), (key, value)
            enum = DATA["attributes"][semconv.TOKEN_TYPE]["enum"]
            assert point.attributes.get(semconv.TOKEN_TYPE, "input") in enum


def test_a_point_has_the_type_of_the_conventions_and_a_duration_is_in_seconds(signals: Signals) -> None:
    for name, metric in signals.metrics().items():
        if not name.startswith("gen_ai."):
            continue
        kind: str = DATA["metrics"][name]["value_type"]
        points: Any = metric.data.data_points
        for point in points:
            total: Any = point.sum
            assert type(total).__name__ == {"int": "int", "double": "float"}[kind], name
            assert tuple(point.explicit_bounds) == tuple(DATA["metrics"][name]["advised_buckets"])
            assert math.isfinite(total)
            assert kind == "int" or total < 60


@pytest.mark.parametrize("event", EventName)
def test_an_event_says_what_is_required_and_nothing_unknown(signals: Signals, event: EventName) -> None:
    asked = DATA["events"][event.value]["attributes"]
    found = signals.events(event.value)
    assert found
    for said in found:
        assert {key for key, about in asked.items() if about["level"] == "required"} <= set(said.attributes)
        assert set(said.attributes) <= set(asked)
        for key, value in said.attributes.items():
            assert TYPES[DATA["attributes"][key]["type"]](value), (key, value)


def test_the_details_say_all_that_the_span_says_of_the_call(signals: Signals) -> None:
    (said,) = signals.events(EventName.INFERENCE_DETAILS)
    wanted = {
        name for name in DATA["events"][EventName.INFERENCE_DETAILS.value]["attributes"]
        if name.startswith(("gen_ai.request.", "gen_ai.response.", "server.", "gen_ai.input", "gen_ai.output"))
    }  # fmt: skip
    missing = wanted - set(said.attributes)
    assert missing <= {"gen_ai.request.previous_response.id", "gen_ai.request.reasoning.level"}
