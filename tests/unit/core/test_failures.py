"""Exceptions: told apart, recorded once, and redacted."""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import CancelledError

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.core import failures
from otel_callbacks.semconv import Outcome


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "outcome", "type_name"),
    [
        (asyncio.CancelledError(), Outcome.CANCELLED, "asyncio.CancelledError"),
        (CancelledError(), Outcome.CANCELLED, "concurrent.futures._base.CancelledError"),
        (GeneratorExit(), Outcome.ABANDONED, "GeneratorExit"),
        (KeyboardInterrupt(), Outcome.CANCELLED, "KeyboardInterrupt"),
        (TimeoutError(), None, "TimeoutError"),
        (None, None, "_OTHER"),
    ],
)
def test_an_exception_means(error: BaseException | None, outcome: Outcome | None, type_name: str) -> None:
    assert failures.outcome_of(error) is outcome
    assert failures.type_of(error) == type_name


def test_two_exceptions_at_one_address_are_two() -> None:
    seen = {
        failures.failure_of(raised(ValueError(f"attempt {number}")), capture=True).identity
        for number in range(50)
    }
    assert len(seen) == 50  # each freed before the next was made, most at the same address


def test_an_exception_is_the_same_with_and_without_capture_further_up() -> None:
    error = ValueError("v")

    def inner() -> None:
        raise error

    def outer() -> None:
        inner()

    identities = []
    for body in (inner, outer):
        try:
            body()
        except ValueError as caught:
            identities.append(failures.failure_of(caught, capture=True).identity)
        error = error.with_traceback(None)
    assert identities[0] == identities[1]


def test_without_capture_there_is_the_type_alone() -> None:
    failure = failures.failure_of(raised(ValueError("secret")), capture=False)
    assert (failure.type, failure.message, failure.stacktrace) == ("ValueError", None, None)


def test_an_empty_message_is_none() -> None:
    assert failures.failure_of(ValueError(), capture=True).message is None


def fails(handler: OTelCallbackHandler, depth: int, error: BaseException) -> None:
    ids = [uuid.uuid4() for _ in range(depth)]
    for number, run_id in enumerate(ids):
        handler.on_chain_start(
            None,
            {},
            run_id=run_id,
            parent_run_id=ids[number - 1] if number else None,
            tags=[],
            name=f"level {number}",
        )
    for run_id in reversed(ids):
        handler.on_chain_error(error, run_id=run_id)


def events(span: ReadableSpan) -> list[str]:
    return [event.name for event in span.events]


def test_an_exception_is_recorded_where_it_was_raised_and_nowhere_above(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    fails(handler, 4, raised(ValueError("v")))
    innermost, *above = exporter.get_finished_spans()
    assert events(innermost) == ["exception"]
    assert [events(span) for span in above] == [[]] * 3
    assert {span.status.description for span in (innermost, *above)} == {"v"}


def test_another_exception_above_is_recorded_as_well(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    parent, child = uuid.uuid4(), uuid.uuid4()
    handler.on_chain_start(None, {}, run_id=parent, tags=[])
    handler.on_tool_start(None, "", run_id=child, parent_run_id=parent, tags=[])
    handler.on_tool_error(raised(ValueError("v")), run_id=child)
    handler.on_chain_error(raised(ValueError("w")), run_id=parent)
    assert [events(span) for span in exporter.get_finished_spans()] == [["exception"]] * 2


def test_errors_are_redacted_in_message_status_and_stack(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = OTelCallbackHandler(
        provider,
        redactors=[lambda text: text.replace("Alice", "A."), lambda text: text.replace(".py", ".?")],
        raise_errors=True,
    )
    fails(handler, 1, raised(ValueError("Alice has sk-abcdefghijkl and https://me:pass@host/")))
    (span,) = exporter.get_finished_spans()
    assert span.status.description == "A. has [redacted] and https://[redacted]@host/"
    stack = str((span.events[0].attributes or {})["exception.stacktrace"])
    assert ".py" not in stack
    assert "test_failures.?" in stack


class GraphInterrupt(Exception):  # noqa: N818 - LangGraph's name
    """As LangGraph has it."""

    __module__ = "langgraph.errors"


def test_control_flow_is_no_error_and_has_no_error_type(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    fails(handler, 1, raised(GraphInterrupt()))
    (span,) = exporter.get_finished_spans()
    assert span.status.status_code.name == "UNSET"
    assert (span.attributes or {})["langchain.run.outcome"] == "interrupted"
    assert "error.type" not in (span.attributes or {})


def test_what_is_open_below_a_cancelled_run_is_cancelled_with_it(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    parent, child = uuid.uuid4(), uuid.uuid4()
    handler.on_chain_start(None, {}, run_id=parent, tags=[])
    handler.on_tool_start(None, "", run_id=child, parent_run_id=parent, tags=[])
    handler.on_chain_error(asyncio.CancelledError(), run_id=parent)
    below = dict(exporter.get_finished_spans()[0].attributes or {})
    assert below["langchain.run.end_reason"] == "parent_ended"
    assert (below["langchain.run.outcome"], below["error.type"]) == ("cancelled", "asyncio.CancelledError")


def test_a_sequence_that_ends_with_a_step_open_was_abandoned(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    parent, step = uuid.uuid4(), uuid.uuid4()
    handler.on_chain_start(None, {}, run_id=parent, tags=[], name="RunnableSequence")
    handler.on_chain_start(None, {}, run_id=step, parent_run_id=parent, tags=["seq:step:1"])
    handler.on_chain_end({}, run_id=parent)
    outcomes = [
        (span.attributes or {}).get("langchain.run.outcome") for span in exporter.get_finished_spans()
    ]
    assert outcomes == ["abandoned", "abandoned"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("a: input_value='x', input_type=str; b: input_value=[1], input_type=list", "a: input_value=*, input_type=str; b: input_value=*, input_type=list"),
        ("a: input_value='x", "a: input_value=*"),
        ("tool 'f' with kwargs {'a': 1} with error: no", "tool 'f' with kwargs * with error: no"),
        ("nothing quoted", "nothing quoted"),
    ],
)  # fmt: skip
def test_what_messages_quote_of_arguments_is_not_captured(message: str, expected: str) -> None:
    said = failures.without_quotes(ValueError(message), message)
    assert said == expected.replace("*", failures.NOT_CAPTURED)


def test_what_a_model_said_is_left_out_of_every_error_that_was_caused_by_it() -> None:
    """As LangChain's output parsers quote it, and whoever wraps their errors."""
    cause, outer = ValueError("parser"), ValueError("outer")
    cause.llm_output = "the answer"  # type: ignore[attr-defined]
    outer.__cause__, cause.__context__ = cause, outer  # a circle has an end
    assert (
        failures.without_quotes(outer, "Cannot parse the answer.") == f"Cannot parse {failures.NOT_CAPTURED}."
    )
