"""What is counted of a run: instruments, values and attributes, without any of OpenTelemetry."""

from __future__ import annotations

from threading import Thread
from typing import Any

import pytest

from otel_callbacks import semconv
from otel_callbacks.core.events import RunEnded, RunKind
from otel_callbacks.core.measure import OTHER, Measure, count_call
from otel_callbacks.core.runs import MAX_CHUNK_TIMES, Run
from otel_callbacks.semconv import Operation

SECOND = 1_000_000_000
CHAT: dict[str, Any] = {
    semconv.OPERATION_NAME: "chat",
    semconv.PROVIDER_NAME: "openai",
    semconv.REQUEST_MODEL: "m",
    semconv.SERVER_ADDRESS: "models.example",
    semconv.SERVER_PORT: 443,
}


def run(operation: Operation | None = Operation.CHAT, parent: Run | None = None, /, **attributes: Any) -> Run:
    made = Run(1, "1", RunKind.CHAT_MODEL, parent, None, None)
    made.operation = operation
    made.start_ns, made.offset_ns = 10 * SECOND, 1_000 * SECOND
    made.attributes = dict(attributes)
    return made


def counted(
    made: Run, measure: Measure | None = None, seconds: float = 2.0
) -> dict[str, list[tuple[Any, Any]]]:
    ended = RunEnded(made.start_ns + made.offset_ns + int(seconds * SECOND))
    found: dict[str, list[tuple[Any, Any]]] = {}
    for instrument, value, attributes in (measure or Measure()).observations(made, ended):
        found.setdefault(instrument.name, []).append((value, dict(attributes)))
    return found


def test_a_model_call_counts_its_duration_and_its_tokens_by_type() -> None:
    said = CHAT | {
        semconv.RESPONSE_MODEL: "m-1",
        semconv.USAGE_INPUT_TOKENS: 3,
        semconv.USAGE_OUTPUT_TOKENS: 4,
    }
    assert counted(run(**said)) == {
        "gen_ai.client.operation.duration": [(2.0, CHAT | {semconv.RESPONSE_MODEL: "m-1"})],
        "gen_ai.client.token.usage": [
            (3, CHAT | {semconv.RESPONSE_MODEL: "m-1", semconv.TOKEN_TYPE: "input"}),
            (4, CHAT | {semconv.RESPONSE_MODEL: "m-1", semconv.TOKEN_TYPE: "output"}),
        ],
    }


def test_what_is_not_known_is_not_counted() -> None:
    assert list(counted(run(**CHAT, **{semconv.USAGE_INPUT_TOKENS: "3"}))) == [
        "gen_ai.client.operation.duration"
    ]


def test_the_kind_of_a_failure_is_that_of_its_duration_only() -> None:
    found = counted(run(**CHAT, **{semconv.ERROR_TYPE: "ValueError", semconv.USAGE_INPUT_TOKENS: 1}))
    (_, duration), (_, tokens) = (
        found["gen_ai.client.operation.duration"][0],
        found["gen_ai.client.token.usage"][0],
    )
    assert (duration[semconv.ERROR_TYPE], semconv.ERROR_TYPE in tokens) == ("ValueError", False)


def test_a_stream_counts_the_wait_for_the_first_chunk_and_each_gap() -> None:
    made = run(**CHAT)
    made.first_chunk_ns = made.start_ns + SECOND // 2
    for after in (1, 2, 4):
        made.note_chunk(made.start_ns + after * SECOND)
    found = counted(made, seconds=5)
    assert found["gen_ai.client.operation.time_to_first_chunk"] == [(0.5, CHAT)]
    assert found["gen_ai.client.operation.time_per_output_chunk"] == [(1.0, CHAT), (2.0, CHAT)]


def test_a_handler_that_is_listed_twice_counts_each_chunk_once() -> None:
    made = run(**CHAT)
    made.copies = 2
    for after in (1, 1, 2, 2, 4, 4):
        made.note_chunk(after * SECOND)
    assert [value for value, _ in counted(made)["gen_ai.client.operation.time_per_output_chunk"]] == [
        1.0,
        2.0,
    ]


def test_the_times_of_an_endless_stream_are_bounded() -> None:
    made = run(**CHAT)
    for time in range(MAX_CHUNK_TIMES + 10):
        made.note_chunk(time)
    assert len(made.chunk_times_ns or ()) == MAX_CHUNK_TIMES


def test_a_price_is_counted_where_it_is_known() -> None:
    found = counted(run(**CHAT, **{semconv.COST: 0.25}))
    assert found["langchain.client.operation.cost"] == [(0.25, CHAT)]


@pytest.mark.parametrize(
    ("operation", "said", "metric", "attributes"),
    [
        ("retrieval", {semconv.REQUEST_MODEL: "e"}, "gen_ai.client.operation.duration", {semconv.REQUEST_MODEL: "e"}),
        (
            "execute_tool",
            {semconv.TOOL_NAME: "search", semconv.TOOL_TYPE: "function", semconv.AGENT_NAME: "a"},
            "gen_ai.execute_tool.duration",
            {semconv.TOOL_NAME: "search", semconv.TOOL_TYPE: "function", semconv.AGENT_NAME: "a"},
        ),
        ("execute_tool", {}, "gen_ai.execute_tool.duration", {semconv.TOOL_NAME: OTHER}),
        ("invoke_agent", {semconv.AGENT_NAME: "a"}, "gen_ai.invoke_agent.duration", {semconv.AGENT_NAME: "a"}),
        ("invoke_workflow", {semconv.WORKFLOW_NAME: "w"}, "gen_ai.invoke_workflow.duration", {semconv.WORKFLOW_NAME: "w"}),
    ],
)  # fmt: skip
def test_each_operation_has_a_duration_of_its_own(
    operation: str, said: dict[str, Any], metric: str, attributes: dict[str, Any]
) -> None:
    found = counted(run(Operation(operation), **{semconv.OPERATION_NAME: operation, "other": "x"}, **said))
    ((value, recorded),) = found.pop(metric)
    assert value == 2.0
    assert {key: recorded[key] for key in recorded if key != semconv.OPERATION_NAME} == attributes
    assert set(found) <= {"gen_ai.invoke_agent.inference_calls", "gen_ai.invoke_agent.tool_calls"}


def test_a_chain_that_is_no_operation_counts_nothing() -> None:
    assert counted(run(None)) == {}


def test_the_operation_is_that_of_the_start_where_a_sampler_took_the_attributes_away() -> None:
    assert counted(run()) == {
        "gen_ai.client.operation.duration": [
            (2.0, {semconv.OPERATION_NAME: "chat", semconv.PROVIDER_NAME: semconv.PROVIDER_UNKNOWN})
        ]
    }


# -- an agent's calls ------------------------------------------------------------------------------------------------------


def test_a_call_is_counted_for_the_nearest_agent_only() -> None:
    outer = run(Operation.INVOKE_AGENT)
    inner = run(Operation.INVOKE_AGENT, run(Operation.EXECUTE_TOOL, outer))
    node = run(None, inner)
    for operation in (
        Operation.CHAT,
        Operation.TEXT_COMPLETION,
        Operation.EXECUTE_TOOL,
        Operation.RETRIEVAL,
        None,
    ):
        count_call(run(operation, node))
    count_call(run(Operation.CHAT, outer))
    assert (outer.calls, inner.calls) == ([1, 0], [2, 1])
    found = counted(inner)
    assert found["gen_ai.invoke_agent.inference_calls"] == [(2, {})]
    assert found["gen_ai.invoke_agent.tool_calls"] == [(1, {})]


def test_an_agent_that_called_nothing_says_so() -> None:
    found = counted(run(Operation.INVOKE_AGENT, **{semconv.AGENT_NAME: "a"}))
    assert found["gen_ai.invoke_agent.tool_calls"] == [(0, {semconv.AGENT_NAME: "a"})]


def test_a_call_without_an_agent_is_nobodys() -> None:
    parent = run(None)
    count_call(run(Operation.CHAT, parent))
    count_call(run(Operation.CHAT))
    assert parent.calls is None


def test_no_call_is_lost_between_threads() -> None:
    agents = [run(Operation.INVOKE_AGENT) for _ in range(200)]

    def tools() -> None:
        for agent in agents:
            count_call(run(Operation.EXECUTE_TOOL, agent))

    threads = [Thread(target=tools) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {tuple(agent.calls or ()) for agent in agents} == {(0, 8)}


# -- cardinality -------------------------------------------------------------------------------------------------------------


def test_an_attribute_has_few_values_and_the_rest_is_other() -> None:
    measure = Measure(max_values=2)
    seen = [
        counted(run(**CHAT | {semconv.REQUEST_MODEL: f"m{n}", semconv.SERVER_PORT: n}), measure)[
            "gen_ai.client.operation.duration"
        ][0][1]
        for n in range(4)
    ]
    assert [said[semconv.REQUEST_MODEL] for said in seen] == ["m0", "m1", OTHER, OTHER]
    assert [said.get(semconv.SERVER_PORT) for said in seen] == [0, 1, None, None]
    again = counted(run(**CHAT | {semconv.REQUEST_MODEL: "m1", semconv.SERVER_PORT: 0}), measure)
    assert again["gen_ai.client.operation.duration"][0][1][semconv.REQUEST_MODEL] == "m1"


def test_the_sets_of_an_instrument_are_bounded_too() -> None:
    measure = Measure(max_sets=3)
    sets = set()
    for n in range(20):
        said = CHAT | {semconv.REQUEST_MODEL: f"m{n % 5}", semconv.PROVIDER_NAME: f"p{n // 5}"}
        ((_, attributes),) = counted(run(**said), measure)["gen_ai.client.operation.duration"]
        sets.add(tuple(sorted(attributes.items())))
    assert len(sets) == 3 + 1
    assert measure.sets <= 3


def test_the_attributes_of_one_shape_are_one_object() -> None:
    measure = Measure()
    ended = RunEnded(0)
    first, second = (next(iter(measure.observations(run(**CHAT), ended)))[2] for _ in range(2))
    assert first is second


def test_what_a_mapper_made_of_an_attribute_cannot_break_the_count() -> None:
    measure = Measure()
    odd: dict[str, Any] = {semconv.REQUEST_MODEL: ["a", "list"], semconv.SERVER_ADDRESS: ("a", "tuple")}
    for _ in range(2):
        ((_, said),) = counted(run(**CHAT | odd | {semconv.OPERATION_NAME: "chat"}), measure)[
            "gen_ai.client.operation.duration"
        ]
        assert said == {
            semconv.OPERATION_NAME: "chat", semconv.PROVIDER_NAME: "openai", semconv.SERVER_PORT: 443,
        }  # fmt: skip
    assert counted(run(**{semconv.OPERATION_NAME: 1}), measure)  # the start's
