"""The content policy: where content goes, how much of it, and that what is not wanted is not looked at."""

from __future__ import annotations

import gc
import json
import uuid
import weakref
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from otel_callbacks import semconv
from otel_callbacks.core.content import ATTRIBUTES, FIELDS, Capture, Held, Limits, Taken, Where
from otel_callbacks.core.events import RunKind
from otel_callbacks.core.policy import Policy
from otel_callbacks.core.redact import MASK, WITHHELD
from otel_callbacks.core.runs import Run
from otel_callbacks.semconv import Operation
from tests.property import hostile
from tests.schemas import read

BOTH = Capture(Where.SPAN_AND_EVENT, Limits())
ASKED = [[HumanMessage("question")]]
ANSWER = LLMResult(generations=[[ChatGeneration(message=AIMessage("answer"))]])
IN: Any = [{"role": "user", "parts": [{"type": "text", "content": "question"}]}]
OUT: Any = [{"role": "assistant", "parts": [{"type": "text", "content": "answer"}]}]
CHAIN_OUT: Any = [{**OUT[0], "finish_reason": "stop"}]
TOOLS = {
    "invocation_params": {
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "instructions": "Be kind.",
    }
}


def run_of(kind: RunKind, operation: Operation | None = None, *, below: bool = False) -> Run:
    run = Run(1, str(uuid.uuid4()), kind, None, Policy(), None)
    run.operation = operation
    run.parent_key = 2 if below else None
    return run


def content_of(run: Run) -> dict[str, Any]:
    return {name: value for name, value in run.attributes.items() if name.startswith("gen_ai.")}


@pytest.mark.parametrize("where", Where)
def test_content_of_a_model_goes_where_it_is_wanted(where: Where) -> None:
    run = run_of(RunKind.CHAT_MODEL, Operation.CHAT)
    capture = Capture(where, Limits())
    capture.started(run, ASKED, None, TOOLS)
    capture.ended(run, ANSWER)
    on_span = where in (Where.SPAN_ONLY, Where.SPAN_AND_EVENT)
    assert set(run.attributes) == (
        {semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES, semconv.TOOL_DEFINITIONS, semconv.SYSTEM_INSTRUCTIONS} if on_span else set()
    )  # fmt: skip
    if on_span:
        assert read(semconv.INPUT_MESSAGES, run.attributes[semconv.INPUT_MESSAGES]) == IN
        assert read(semconv.OUTPUT_MESSAGES, run.attributes[semconv.OUTPUT_MESSAGES]) == OUT
        assert read(semconv.TOOL_DEFINITIONS, run.attributes[semconv.TOOL_DEFINITIONS]) == [
            {"type": "function", "name": "f"}
        ]
        assert read(semconv.SYSTEM_INSTRUCTIONS, run.attributes[semconv.SYSTEM_INSTRUCTIONS])
    if where in (Where.EVENT_ONLY, Where.SPAN_AND_EVENT):
        instructions = [{"type": "text", "content": "Be kind."}]
        assert run.content == Taken(IN, OUT, instructions, [{"type": "function", "name": "f"}])
    else:
        assert run.content is None


@pytest.mark.parametrize("where", [Where.NO_CONTENT, Where.EVENT_ONLY])
@pytest.mark.parametrize("kind", [RunKind.TOOL, RunKind.RETRIEVER, RunKind.CHAIN])
def test_what_no_event_says_is_not_looked_at_for_events(where: Where, kind: RunKind) -> None:
    capture = Capture(where, Limits())
    run = run_of(kind, Operation.INVOKE_AGENT)
    given = hostile.hostile()
    capture.started(run, given, given, {})
    capture.ended(run, given)
    assert (run.attributes, run.content, type(given).calls) == ({}, None, 0)


WRITTEN: dict[str, tuple[RunKind, Operation | None]] = {
    **dict.fromkeys(ATTRIBUTES, (RunKind.CHAT_MODEL, Operation.CHAT)),
    **dict.fromkeys(("tool_arguments", "tool_results"), (RunKind.TOOL, Operation.EXECUTE_TOOL)),
    **dict.fromkeys(("retrieval_query", "retrieval_documents"), (RunKind.RETRIEVER, Operation.RETRIEVAL)),
}
GIVEN: dict[RunKind, tuple[Any, Any]] = {
    RunKind.CHAT_MODEL: (ASKED, ANSWER),
    RunKind.CHAIN: ("question", "answer"),
    RunKind.TOOL: ({"q": "x"}, "done"),
    RunKind.RETRIEVER: ("question", [Document("text")]),
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("kind", GIVEN)
def test_a_field_alone_is_captured_where_no_other_is_allowed(field: str, kind: RunKind) -> None:
    run = run_of(kind, Operation.INVOKE_AGENT if kind is RunKind.CHAIN else None)
    capture = Capture(Where.SPAN_AND_EVENT, Limits(), fields=[field])
    given, output = GIVEN[kind]
    capture.started(run, given, None, TOOLS)
    capture.ended(run, output)
    expected = kind is WRITTEN[field][0] or (kind is RunKind.CHAIN and field.endswith("_messages"))
    assert set(run.attributes) == ({FIELDS[field]} if expected else set())
    if kind is RunKind.CHAT_MODEL and expected:
        assert isinstance(run.content, Taken)
        assert [name for name in ATTRIBUTES if getattr(run.content, name) is not None] == [field]
    else:
        assert run.content is None


@pytest.mark.parametrize("kind", RunKind)
def test_a_field_that_is_not_allowed_is_not_looked_at_and_no_hook_sees_it(kind: RunKind) -> None:
    seen: list[Taken] = []

    def hook(_run: Run, taken: Taken) -> Taken:
        seen.append(taken)
        return taken

    run, given = run_of(kind, Operation.INVOKE_AGENT), hostile.hostile()
    capture = Capture(Where.SPAN_AND_EVENT, Limits(), hook=hook, fields=())
    capture.started(run, given, given, {"invocation_params": {"tools": given, "system": given}})
    capture.ended(run, given)
    capture.closed(run)
    assert (run.attributes, run.content, type(given).calls, seen) == ({}, None, 0, [])


def test_errors_lose_what_they_quote_unless_every_field_is_allowed() -> None:
    assert Capture(Where.SPAN_ONLY, Limits()).recorded
    assert not Capture(Where.SPAN_ONLY, Limits(), fields=["input_messages", "output_messages"]).recorded
    assert not Capture(Where.NO_CONTENT, Limits()).recorded


def test_a_text_model_has_prompts() -> None:
    run = run_of(RunKind.LLM, Operation.TEXT_COMPLETION)
    BOTH.started(run, ["question"], None, {})
    BOTH.ended(run, {"generations": [[{"text": "answer"}]]})
    assert run.content == Taken(IN, OUT)


@pytest.mark.parametrize(
    ("operation", "below", "heard"),
    [(Operation.INVOKE_AGENT, True, True), (Operation.INVOKE_WORKFLOW, True, True), (None, False, True), (None, True, False)],
)  # fmt: skip
def test_agents_workflows_and_roots_have_messages(
    operation: Operation | None, below: bool, heard: bool
) -> None:
    run = run_of(RunKind.CHAIN, operation, below=below)
    BOTH.started(run, {"messages": [HumanMessage("question")]}, None, {})
    BOTH.ended(run, {"messages": [HumanMessage("question"), AIMessage("answer")]})
    assert run.content is None  # no event tells of a chain
    if heard:
        assert read(semconv.INPUT_MESSAGES, run.attributes[semconv.INPUT_MESSAGES]) == IN
        assert read(semconv.OUTPUT_MESSAGES, run.attributes[semconv.OUTPUT_MESSAGES]) == CHAIN_OUT
    else:
        assert run.attributes == {}


ARGUMENTS: list[tuple[Any, Any]] = [
    ({"q": "x", "n": 1}, {"q": "x", "n": 1}),
    ('{"q": "x"}', {"q": "x"}),
    ("plain", {"input": "plain"}),
    ("{'q': 'x'}", {"input": "{'q': 'x'}"}),
    ([1, 2], {"input": [1, 2]}),
    (5, {"input": 5}),
    ({"password": "hunter2", "n": {"api_key": 5, "is": {"secret": True, "token": None}}},
     {"password": MASK, "n": {"api_key": MASK, "is": {"secret": True, "token": None}}}),
    ({"sk-" + "a1" * 20: "x", "n": float("nan")}, {MASK: "x", "n": "NaN"}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), ARGUMENTS)
def test_a_tools_arguments_are_an_object(given: Any, expected: Any) -> None:
    run = run_of(RunKind.TOOL, Operation.EXECUTE_TOOL)
    BOTH.started(run, given, None, {})
    assert read(semconv.TOOL_CALL_ARGUMENTS, run.attributes[semconv.TOOL_CALL_ARGUMENTS]) == expected


RESULTS: list[tuple[Any, Any]] = [
    ("done", {"result": "done"}),
    ('{"ok": true}', {"ok": True}),
    ({"ok": True}, {"ok": True}),
    (ToolMessage("done", tool_call_id="c"), {"result": "done"}),
    (ToolMessage([{"type": "text", "text": "done"}], tool_call_id="c"), {"result": [{"type": "text", "content": "done"}]}),
    ([Document("text", id="d")], {"result": [{"id": "d", "metadata": {}, "page_content": "text", "type": "Document"}]}),
    (hostile.Colour.RED, {"result": "red"}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), RESULTS)
def test_a_tools_result_is_an_object(given: Any, expected: Any) -> None:
    run = run_of(RunKind.TOOL, Operation.EXECUTE_TOOL)
    BOTH.ended(run, given)
    assert read(semconv.TOOL_CALL_RESULT, run.attributes[semconv.TOOL_CALL_RESULT]) == expected


@pytest.mark.parametrize("kind", RunKind)
def test_where_nothing_was_said_nothing_is_written(kind: RunKind) -> None:
    run = run_of(kind)
    BOTH.started(run, None, None, {})
    BOTH.ended(run, None)
    assert (run.attributes, run.content) == ({}, None)


def test_a_retrievers_query_and_documents() -> None:
    run = run_of(RunKind.RETRIEVER, Operation.RETRIEVAL)
    BOTH.started(run, "what?", None, {})
    BOTH.ended(run, [Document("one", id="1"), Document("two", id="2")])
    assert run.attributes[semconv.RETRIEVAL_QUERY] == "what?"
    assert read(semconv.RETRIEVAL_DOCUMENTS, run.attributes[semconv.RETRIEVAL_DOCUMENTS]) == [
        {"id": "1", "content": "one"},
        {"id": "2", "content": "two"},
    ]
    BOTH.ended(run, [])
    assert run.attributes[semconv.RETRIEVAL_DOCUMENTS] == "[]"


# -- limits --------------------------------------------------------------------------------------------------------------

SMALL = Capture(Where.SPAN_AND_EVENT, Limits(string=1_000, attribute=2_048, span=6_000))


def test_a_conversation_is_cut_to_what_an_attribute_may_have() -> None:
    run = run_of(RunKind.CHAT_MODEL, Operation.CHAT)
    SMALL.started(run, [[HumanMessage(f"{number}" + "ü" * 700) for number in range(50)]], None, {})
    text = run.attributes[semconv.INPUT_MESSAGES]
    assert isinstance(text, str)
    assert len(text.encode()) <= 2_048
    said = read(semconv.INPUT_MESSAGES, text)
    assert said[0]["role"] == "omitted"
    assert "older messages omitted" in said[0]["parts"][0]["content"]
    assert said[-1]["parts"][0]["content"].startswith("49")
    assert run.attributes[semconv.CONTENT_TRUNCATED] is True
    assert run.content.input_messages == said


def test_all_content_of_a_span_has_a_limit_and_the_answer_has_room() -> None:
    capture = Capture(Where.SPAN_ONLY, Limits(string=100_000, attribute=100_000, span=6_000))
    run = run_of(RunKind.CHAT_MODEL, Operation.CHAT)
    capture.started(
        run, [[HumanMessage("q" * 50_000)]], None, {"invocation_params": {"instructions": "i" * 50_000}}
    )
    capture.ended(run, LLMResult(generations=[[ChatGeneration(message=AIMessage("a" * 50_000))]]))
    sizes = {name: len(str(value).encode()) for name, value in content_of(run).items()}
    assert sum(sizes.values()) <= 6_000
    assert sizes[semconv.OUTPUT_MESSAGES] >= 1_400


def test_one_text_has_a_limit() -> None:
    run = run_of(RunKind.CHAT_MODEL, Operation.CHAT)
    Capture(Where.SPAN_ONLY, Limits(string=100)).started(run, [[HumanMessage("q" * 500)]], None, {})
    (message,) = read(semconv.INPUT_MESSAGES, run.attributes[semconv.INPUT_MESSAGES])
    assert message["parts"][0]["content"] == "q" * 100 + "…[truncated 400 characters]"
    assert run.attributes[semconv.CONTENT_TRUNCATED] is True


def test_tools_and_retrievers_have_limits_as_well() -> None:
    tool, retriever = run_of(RunKind.TOOL), run_of(RunKind.RETRIEVER)
    SMALL.started(tool, {"q": "x" * 900, "list": ["y" * 900] * 5}, None, {})
    SMALL.ended(tool, "z" * 50_000)
    SMALL.started(retriever, "w" * 50_000, None, {})
    SMALL.ended(retriever, [Document(f"{number}" + "v" * 500) for number in range(100)])
    for run in (tool, retriever):
        assert run.attributes[semconv.CONTENT_TRUNCATED] is True
        assert all(len(str(value).encode()) <= 2_048 for value in content_of(run).values())
    read(semconv.TOOL_CALL_ARGUMENTS, tool.attributes[semconv.TOOL_CALL_ARGUMENTS])
    found = read(semconv.RETRIEVAL_DOCUMENTS, retriever.attributes[semconv.RETRIEVAL_DOCUMENTS])
    assert found[0]["content"].startswith("0v")  # the best come first
    assert found[-1] == {"type": "omitted", "name": f"…[{100 - len(found) + 1} more]"}


def test_a_limit_below_any_frame_says_nothing_but_that_something_was_cut() -> None:
    tiny = Capture(Where.SPAN_AND_EVENT, Limits(string=10, attribute=1, span=4))
    for kind, given, output in (
        (RunKind.CHAT_MODEL, ASKED, ANSWER),
        (RunKind.TOOL, {"q": "x"}, "y"),
        (RunKind.RETRIEVER, "q", [Document("x")]),
    ):
        run = run_of(kind)
        tiny.started(run, given, None, {})
        tiny.ended(run, output)
        assert run.attributes[semconv.CONTENT_TRUNCATED] is True
        assert all(len(str(value)) <= 40 for value in content_of(run).values())


# -- what is foreign -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RunKind)
@pytest.mark.parametrize(
    "make", [hostile.hostile, hostile.HostileDict, hostile.HostileList, hostile.LyingClass]
)
def test_hostile_objects_are_not_run(kind: RunKind, make: Any) -> None:
    for given in (
        make(),
        [make()],
        [[make()]],
        {"messages": [make()]},
        {"a": make()},
        HumanMessage([{"type": "text", "x": make()}]),
    ):
        run = run_of(kind, Operation.INVOKE_AGENT)
        BOTH.started(run, given, make(), {"invocation_params": make()})
        BOTH.ended(run, given)
        assert hostile.CANARY not in str(run.attributes)


def test_cycles_surrogates_depth_and_huge_numbers_are_json() -> None:
    cyclic: dict[str, Any] = {
        "x": "\ud800",
        "n": float("inf"),
        "big": 10**5_000,
        "deep": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]],
    }
    cyclic["self"] = cyclic
    run = run_of(RunKind.TOOL)
    BOTH.started(run, cyclic, None, {})
    said = read(semconv.TOOL_CALL_ARGUMENTS, run.attributes[semconv.TOOL_CALL_ARGUMENTS])
    assert said["self"] == "<cycle>"
    assert said["x"] == "\ufffd"
    json.dumps(said).encode()


def test_nothing_of_the_application_is_kept_alive_or_changed() -> None:
    class Mine(dict[str, Any]):
        pass

    mine = Mine(q="x", more=[1])
    run = run_of(RunKind.TOOL)
    BOTH.started(run, mine, None, {})
    assert mine == {"q": "x", "more": [1]}
    before = run.attributes[semconv.TOOL_CALL_ARGUMENTS]
    mine["more"].append(2)
    assert run.attributes[semconv.TOOL_CALL_ARGUMENTS] == before
    gone = weakref.ref(mine)
    del mine
    gc.collect()
    assert gone() is None


# -- redactors and the hook ------------------------------------------------------------------------------------------------


def test_redactors_see_each_text_and_fail_closed() -> None:
    def upper(text: str) -> str:
        if "bad" in text:
            raise ValueError(text)
        return text.upper()

    run = run_of(RunKind.TOOL)
    run.redactors = [upper]
    Capture(Where.SPAN_ONLY, Limits()).started(run, {"a": "x", "b": ["bad", "y"], "bad": 1}, None, {})
    assert read(semconv.TOOL_CALL_ARGUMENTS, run.attributes[semconv.TOOL_CALL_ARGUMENTS]) == {
        "A": "X",
        "B": [WITHHELD, "Y"],
        WITHHELD: 1,
    }


def test_a_hook_gets_what_was_said_and_what_it_makes_of_it_is_recorded() -> None:
    asked: list[Taken] = []

    def hook(run: Run, taken: Taken) -> Taken:
        asked.append(taken)
        run.attributes["gen_ai.input.messages_ref"] = "s3://b/1"
        return Taken(None, OUT, taken.system_instructions, taken.tool_definitions)

    run = run_of(RunKind.CHAT_MODEL, Operation.CHAT)
    capture = Capture(Where.SPAN_AND_EVENT, Limits(), hook)
    capture.started(run, ASKED, None, TOOLS)
    capture.ended(run, {"generations": [[{"text": "changed"}]]})
    capture.closed(run)
    assert asked[0].input_messages == IN
    assert semconv.INPUT_MESSAGES not in run.attributes
    assert json.loads(str(run.attributes[semconv.OUTPUT_MESSAGES])) == OUT
    assert run.content == Taken(None, OUT, asked[0].system_instructions, asked[0].tool_definitions)


@pytest.mark.parametrize("kind", [RunKind.CHAT_MODEL, RunKind.CHAIN])
@pytest.mark.parametrize("where", [Where.NO_CONTENT, Where.SPAN_ONLY])
def test_a_hook_is_asked_whatever_is_captured_and_no_event_has_what_it_got(
    kind: RunKind, where: Where
) -> None:
    asked: list[Taken] = []

    def hook(_run: Run, taken: Taken) -> Taken:
        asked.append(taken)
        return taken

    run = run_of(kind, Operation.INVOKE_AGENT)
    capture = Capture(where, Limits(), hook)
    capture.started(run, ASKED if kind is RunKind.CHAT_MODEL else "question", None, {})
    assert isinstance(
        run.content, Held
    )  # which is no `Taken`: a run that is cut short has nothing for events
    capture.ended(run, ANSWER if kind is RunKind.CHAT_MODEL else "answer")
    capture.closed(run)
    assert asked == [Taken(IN, OUT if kind is RunKind.CHAT_MODEL else CHAIN_OUT)]
    assert getattr(run, "content", ...) is None
    assert bool(run.attributes) is (where is Where.SPAN_ONLY)


def test_a_hook_is_not_asked_about_nothing() -> None:
    def hook(_run: Run, _taken: Taken) -> Taken:
        raise AssertionError

    for kind in RunKind:
        run = run_of(kind)
        capture = Capture(Where.NO_CONTENT, Limits(), hook)
        capture.started(run, None, None, {})
        capture.ended(run, None)


@pytest.mark.parametrize(("longest", "limit"), [(None, 2_048), (500, 500), (9_000, 2_048)])
def test_no_attribute_is_longer_than_its_provider_allows(longest: int | None, limit: int) -> None:
    """It would be cut inside the JSON."""
    capture = Capture(Where.SPAN_ONLY, Limits(attribute=2_048))
    capture.fit(longest)
    run = run_of(RunKind.CHAT_MODEL, Operation.CHAT)
    capture.started(run, [[HumanMessage("x" * 5_000)]], None, {})
    text = str(run.attributes[semconv.INPUT_MESSAGES])
    assert limit * 0.7 < len(text) <= limit
    assert json.loads(text)
