"""Whose run it is, which tool calls a model asked for, what a graph waits for: read off whatever is handed over."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from langgraph.errors import ParentCommand
from langgraph.types import Command

from otel_callbacks.core import calls, embedding, metadata, notes
from otel_callbacks.core.recent import Recent

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from otel_callbacks import OTelCallbackHandler

USER = uuid.UUID(int=5)


def chain(handler: OTelCallbackHandler, given: Any, parent: uuid.UUID | None = None) -> uuid.UUID:
    run_id = uuid.uuid4()
    handler.on_chain_start(None, {}, run_id=run_id, parent_run_id=parent, name="n", tags=[], metadata=given)
    return run_id


def whose(exporter: InMemorySpanExporter) -> dict[str, Any]:
    said = exporter.get_finished_spans()[-1].attributes or {}
    return {name: said[name] for name in ("gen_ai.conversation.id", "session.id", "user.id") if name in said}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"thread_id": "t", "session_id": "s"}, {"gen_ai.conversation.id": "t", "session.id": "s"}),
        ({"session_id": "s"}, {"gen_ai.conversation.id": "s", "session.id": "s"}),
        ({"thread_id": "", "conversation_id": "c"}, {"gen_ai.conversation.id": "c"}),
        ({"langfuse_session_id": "l", "langfuse_user_id": "u"}, {"gen_ai.conversation.id": "l", "session.id": "l", "user.id": "u"}),
        ({"user_id": 7, "thread_id": USER}, {"gen_ai.conversation.id": str(USER), "user.id": "7"}),
        ({"langgraph_auth_user_id": "u"}, {"user.id": "u"}),
        ({"user_id": None, "thread_id": True, "session_id": ["s"]}, {}),
        ({"user_id": "x" * 300}, {"user.id": "x" * 255 + "…"}),
    ],
)  # fmt: skip
def test_whose_run_it_is(
    handler: OTelCallbackHandler,
    exporter: InMemorySpanExporter,
    given: dict[str, Any],
    expected: dict[str, str],
) -> None:
    handler.on_chain_end({}, run_id=chain(handler, given))
    assert whose(exporter) == expected


def test_a_child_that_says_part_of_it_inherits_the_rest(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    root = chain(handler, {"user_id": "u", "thread_id": "t"})
    handler.on_chain_end({}, run_id=chain(handler, {"thread_id": "other"}, root))
    assert whose(exporter) == {"gen_ai.conversation.id": "other", "user.id": "u"}
    for same in (None, {"user_id": "u", "thread_id": "t"}):
        handler.on_chain_end({}, run_id=chain(handler, same, root))
    assert whose(exporter) == {"gen_ai.conversation.id": "t", "user.id": "u"}
    tool = uuid.uuid4()
    handler.on_tool_start({"name": "t"}, "", run_id=tool, parent_run_id=root, metadata={})
    handler.on_tool_end("", run_id=tool)
    assert whose(exporter) == {"gen_ai.conversation.id": "t", "user.id": "u"}
    handler.on_chain_end({}, run_id=root)


def test_the_users_that_are_remembered_are_bounded(
    handler: OTelCallbackHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "MAX_IDENTITIES", 4)
    for number in range(20):
        handler.on_chain_end({}, run_id=chain(handler, {"user_id": f"user {number}"}))
    assert len(metadata._identities) <= 4


def test_the_calls_of_an_answer_are_read_and_odd_ones_left_out() -> None:
    def answer(*messages: Any) -> Any:
        return {"generations": [[{"message": {"tool_calls": each}} for each in messages]]}

    assert list(calls.asked_for(answer([{"id": "1"}, {"id": None}, "odd", {"id": "2"}], [{"id": "3"}]))) == [
        "1",
        "2",
        "3",
    ]
    assert (
        len(calls.asked_for(answer([{"id": str(n)} for n in range(1_000)], [{"id": "x"}]))) == calls.MAX_CALLS
    )
    odd: list[Any] = [None, "text", {}, answer(), answer(None), answer("ab"), answer([])]
    for nothing in odd:
        assert not calls.asked_for(nothing)


def test_what_is_remembered_lately_is_bounded_by_key_and_in_all() -> None:
    kept: Recent[int, int] = Recent(limit=4)
    assert not kept
    for key in range(100):
        for value in range(20):
            kept.add(key, value)
    assert kept
    assert (kept.of(99), kept.of(0)) == (list(range(12, 20)), [])
    assert len(kept._recent) + len(kept._older) <= 10
    kept.forget(99)
    assert kept.of(99) == []


def test_an_answer_to_an_interrupt_is_known_by_its_class() -> None:
    class NotTheirs:
        resume = "yes"

    NotTheirs.__name__ = "Command"
    assert notes.is_resume(Command(resume="yes"))
    for given in (Command(goto="x"), NotTheirs(), {"resume": 1}, None, "Command"):
        assert not notes.is_resume(given)


def test_a_graph_that_resumes_and_hands_over_says_so_though_langgraph_tells_nothing(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    run_id = uuid.uuid4()
    handler.on_chain_start(None, Command(resume="yes"), run_id=run_id, name="n", tags=[], metadata={})
    handler.on_chain_error(ParentCommand(Command(goto="x")), run_id=run_id)
    (span,) = exporter.get_finished_spans()
    assert [event.name for event in span.events] == ["langgraph.resume"]
    assert (span.attributes or {})["langchain.run.outcome"] == "handed_off"


def test_how_many_answers_are_awaited_is_read_off_the_exception() -> None:
    assert notes.interrupts(ValueError(("a", "b"))) == 2
    assert notes.interrupts(ValueError()) == notes.interrupts(None) == 1


@pytest.mark.parametrize(
    ("answer", "length"),
    [([[0.5, 1, 2]], 3), ([0.5, 1], 2), ([], None), ([[]], None), (None, None), ("abc", None)],
)
def test_how_long_vectors_are(answer: Any, length: int | None) -> None:
    assert embedding.of_answer(answer).get("gen_ai.embeddings.dimension.count") == length


def _retrieval(handler: OTelCallbackHandler, exporter: InMemorySpanExporter, **given: Any) -> tuple[str, Any]:
    run_id = uuid.uuid4()
    handler.on_retriever_start(given.get("serialized"), "q", run_id=run_id, metadata=given.get("metadata"))
    handler.on_retriever_end([], run_id=run_id)
    span = exporter.get_finished_spans()[-1]
    return span.name, (span.attributes or {}).get("gen_ai.retrieval.top_k")


def test_what_is_searched_and_how_much_of_it_is_asked_for(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    own = {"kwargs": {"knowledge_base_id": "KB1", "search_kwargs": {"k": 3}, "k": 9}}
    assert _retrieval(handler, exporter, serialized=own) == ("retrieval KB1", 3)
    assert _retrieval(handler, exporter, metadata={"index_name": "notes", "top_k": 5}) == (
        "retrieval notes",
        5,
    )
    assert _retrieval(handler, exporter) == ("retrieval", None)


def test_agents_that_are_nested_have_each_their_own_name(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    """Metadata of the outer one come down to the inner one, which has none of its own."""
    made = {"ls_integration": "langchain_create_agent", "lc_agent_name": "outer"}

    def start(name: str, parent: uuid.UUID | None, given: Any) -> uuid.UUID:
        run_id = uuid.uuid4()
        handler.on_chain_start(
            None, {}, run_id=run_id, parent_run_id=parent, name=name, tags=[], metadata=given
        )
        return run_id

    outer = start("outer", None, made)
    executor = start("AgentExecutor", outer, {})
    inner = start("LangGraph", outer, made)
    for run_id in (inner, executor, outer):
        handler.on_chain_end({}, run_id=run_id)
    assert [span.name for span in exporter.get_finished_spans()] == [
        "invoke_agent",
        "invoke_agent",
        "invoke_agent outer",
    ]


def test_a_secret_that_is_none_is_not_there(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    given = {"password": None, "api_key": "k", "has_secret": True}
    handler.on_chain_end({}, run_id=chain(handler, given))
    said = exporter.get_finished_spans()[-1].attributes or {}
    told = {name: value for name, value in said.items() if name.startswith("langchain.metadata.")}
    assert told == {"langchain.metadata.api_key": "[redacted]", "langchain.metadata.has_secret": True}
