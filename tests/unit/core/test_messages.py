"""Messages, prompts, answers and states of chains become the conventions' messages, of whatever class they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from langgraph.types import Command
from pydantic import BaseModel

from otel_callbacks.callbacks import types as ours
from otel_callbacks.core import messages
from otel_callbacks.core.scrub import Scrub
from tests.schemas import check


def scrub(budget: int = 100_000) -> Scrub:
    return Scrub(budget, 10_000, ())


def said(role: str, text: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}], **more}


CALL = {"name": "f", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
CALLED = {"type": "tool_call", "name": "f", "id": "c1", "arguments": {"a": 1}}
MESSAGES: list[tuple[str, Any, dict[str, Any]]] = [
    ("human", HumanMessage("hi", name="bob"), said("user", "hi", name="bob")),
    ("system", SystemMessage("be"), said("system", "be")),
    ("ai", AIMessage("hi"), said("assistant", "hi")),
    ("chunk", AIMessageChunk(content="hi"), said("assistant", "hi")),
    ("chat", ChatMessage(content="hi", role="critic"), said("critic", "hi")),
    ("tool", ToolMessage("done", tool_call_id="c1"),
     {"role": "tool", "parts": [{"type": "tool_call_response", "response": "done", "id": "c1"}]}),
    ("function", FunctionMessage(content="done", name="f"), {"role": "tool", "parts": [{"type": "tool_call_response", "response": "done"}], "name": "f"}),
    ("calls", AIMessage("", tool_calls=[CALL]), {"role": "assistant", "parts": [CALLED]}),
    ("calls in blocks as well", AIMessage([{"type": "text", "text": "a"}, {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}], tool_calls=[CALL]),
     {"role": "assistant", "parts": [{"type": "text", "content": "a"}, CALLED]}),
    ("invalid calls", AIMessage("", invalid_tool_calls=[{"name": "f", "args": "{", "id": "c", "error": "e", "type": "invalid_tool_call"}]),
     {"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "id": "c", "arguments": "{"}]}),
    ("reasoning beside", AIMessage("hi", additional_kwargs={"reasoning_content": "hm"}),
     {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "hi"}]}),
    ("function_call", AIMessage("", additional_kwargs={"function_call": {"name": "f", "arguments": '{"a": 1}'}}),
     {"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "arguments": {"a": 1}}]}),
    ("our human", ours.HumanMessage("hi"), said("user", "hi")),
    ("our ai", ours.AIMessage("", tool_calls=[CALL]), {"role": "assistant", "parts": [CALLED]}),  # type: ignore[list-item] # a dict
    ("our tool", ours.ToolMessage("done", tool_call_id="c1"), {"role": "tool", "parts": [{"type": "tool_call_response", "response": "done", "id": "c1"}]}),
    ("our chat", ours.ChatMessage("hi", role="critic"), said("critic", "hi")),
    ("dict", {"role": "user", "content": "hi"}, said("user", "hi")),
    ("dict of openai", {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]},
     {"role": "assistant", "parts": [CALLED]}),
    ("dict of a tool", {"role": "tool", "tool_call_id": "c1", "content": '{"ok": true}'},
     {"role": "tool", "parts": [{"type": "tool_call_response", "response": {"ok": True}, "id": "c1"}]}),
    ("typed dict", {"type": "human", "content": "hi"}, said("user", "hi")),
    ("pair", ("human", "hi"), said("user", "hi")),
    ("text", "hi", said("user", "hi")),
    ("empty", AIMessage(""), {"role": "assistant", "parts": []}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "expected"), [row[1:] for row in MESSAGES], ids=[row[0] for row in MESSAGES]
)
def test_a_message_is_read(message: Any, expected: dict[str, Any]) -> None:
    found, left_out = messages.conversation([message], scrub())
    assert found == [expected]
    assert left_out == 0
    check("gen_ai.input.messages", found)


@pytest.mark.parametrize("odd", [None, 5, object(), {}, {"role": "clerk"}, ("a", "b", "c"), (1, 2), []])
def test_what_is_no_message_has_its_place(odd: Any) -> None:
    found, _ = messages.conversation([HumanMessage("a"), odd], scrub())
    assert found == [said("user", "a"), {"role": "unknown", "parts": []}]
    assert messages.conversation(odd if not isinstance(odd, tuple) else None, scrub())[0] == []


def test_when_the_budget_is_spent_it_is_the_oldest_that_are_left_out() -> None:
    given = [HumanMessage(f"{number} " + "x" * 20) for number in range(10)]
    found, left_out = messages.conversation(given, scrub(44))
    assert (found, left_out) == ([said("user", "8 " + "x" * 20), said("user", "9 " + "x" * 20)], 8)


REASONS = [
    ("stop", "stop"),
    ("tool_calls", "tool_call"),
    ("end_turn", "stop"),
    ("MAX_TOKENS", "length"),
    ("SAFETY", "content_filter"),
    ("odd", "odd"),
]


@pytest.mark.parametrize(("theirs", "ours_"), REASONS)
def test_a_finish_reason_is_said_in_the_conventions_words(theirs: str, ours_: str) -> None:
    result = LLMResult(
        generations=[[ChatGeneration(message=AIMessage("a"), generation_info={"finish_reason": theirs})]]
    )
    found = messages.generations(result, scrub())
    assert found == [said("assistant", "a", finish_reason=ours_)]
    check("gen_ai.output.messages", found)
    beside = LLMResult(
        generations=[[ChatGeneration(message=AIMessage("a", response_metadata={"stop_reason": theirs}))]]
    )
    assert messages.generations(beside, scrub()) == found


def test_each_candidate_is_a_message() -> None:
    assert messages.generations(
        LLMResult(generations=[[Generation(text="a"), Generation(text="b")]]), scrub()
    ) == [
        said("assistant", "a"),
        said("assistant", "b"),
    ]
    assert messages.generations(ours.LLMResult([[ours.ChatGeneration(ours.AIMessage("a"))]]), scrub()) == [
        said("assistant", "a")
    ]


@pytest.mark.parametrize(
    "odd", [None, 5, {}, {"generations": None}, {"generations": [[]]}, {"generations": []}]
)
def test_an_odd_result_says_nothing(odd: Any) -> None:
    assert messages.generations(odd, scrub()) == []


def test_a_generation_that_says_nothing_is_none_unless_it_says_why() -> None:
    """A model that failed has an answer without words in LangChain's report of the failure."""
    failed = LLMResult(
        generations=[[ChatGeneration(message=AIMessage("", response_metadata={"status_code": 429}))]]
    )
    assert messages.generations(failed, scrub()) == []
    assert messages.generations({"generations": [[None, {"message": 5}]]}, scrub()) == []
    done = LLMResult(
        generations=[[ChatGeneration(message=AIMessage(""), generation_info={"finish_reason": "length"})]]
    )
    assert messages.generations(done, scrub()) == [
        {"role": "assistant", "parts": [], "finish_reason": "length"}
    ]


class State(BaseModel):
    messages: list[Any]
    other: int = 0


@dataclass
class Plain:
    a: int
    b: str


INPUTS: list[tuple[str, Any, list[dict[str, Any]]]] = [
    ("text", "hi", [said("user", "hi")]),
    ("messages", [HumanMessage("hi"), AIMessage("yo")], [said("user", "hi"), said("assistant", "yo")]),
    ("a message", HumanMessage("hi"), [said("user", "hi")]),
    ("state", {"messages": [HumanMessage("hi")], "n": 1}, [said("user", "hi")]),
    ("state of pairs", {"messages": [("user", "hi")]}, [said("user", "hi")]),
    ("state of dicts", {"messages": [{"role": "user", "content": "hi"}]}, [said("user", "hi")]),
    ("state of one", {"messages": {"role": "user", "content": "hi"}}, [said("user", "hi")]),
    ("state of text", {"messages": "hi"}, [said("user", "hi")]),
    ("pydantic state", State(messages=[HumanMessage("hi")]), [said("user", "hi")]),
    ("input", {"input": "hi", "chat_history": []}, [said("user", "hi")]),
    ("question", {"question": "hi"}, [said("user", "hi")]),
    ("only", {"topic": "cats"}, [said("user", "cats")]),
    ("several", {"a": 1, "b": "x"}, [said("user", '{"a":1,"b":"x"}')]),
    ("one number", {"a": 1}, [said("user", '{"a":1}')]),
    ("a list", ["a", "b"], [said("user", '["a","b"]')]),
    ("a number", 5, [said("user", "5")]),
    ("a dataclass", Plain(1, "x"), [said("user", '{"a":1,"b":"x"}')]),
    ("a password", {"user": "x", "password": "hunter2"}, [said("user", '{"user":"x","password":"[redacted]"}')]),
    ("nothing", None, []),
    ("no messages", {"messages": []}, []),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), [row[1:] for row in INPUTS], ids=[row[0] for row in INPUTS])
def test_what_a_chain_was_given(given: Any, expected: list[dict[str, Any]]) -> None:
    found = messages.said_to(given, scrub())
    assert found == (expected, 0)
    check("gen_ai.input.messages", found[0])


def answered(text: str, reason: str = "stop") -> dict[str, Any]:
    """Return a chain's answer: Phoenix shows none without a finish reason."""
    return said("assistant", text, finish_reason=reason)


OUTPUTS: list[tuple[str, Any, list[dict[str, Any]]]] = [
    ("text", "hi", [answered("hi")]),
    ("a message", AIMessage("hi"), [answered("hi")]),
    ("a message with its reason", [AIMessage("hi", response_metadata={"finish_reason": "length"})], [answered("hi", "length")]),
    ("a chunk", AIMessageChunk(content="hi"), [answered("hi")]),
    ("state", {"messages": [HumanMessage("q"), AIMessage("", tool_calls=[CALL]), ToolMessage("r", tool_call_id="c1"), AIMessage("hi")]}, [answered("hi")]),
    ("a state that ends in a tool", {"messages": [AIMessage("hi"), ToolMessage("r", tool_call_id="c1")]}, [answered("hi")]),
    ("a state without an answer", {"messages": [HumanMessage("q")]}, [said("user", "q")]),
    ("answer", {"answer": "hi", "context": []}, [answered("hi")]),
    ("several", {"a": 1, "b": 2}, [answered('{"a":1,"b":2}')]),
    ("nothing", None, []),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), [row[1:] for row in OUTPUTS], ids=[row[0] for row in OUTPUTS])
def test_what_a_chain_answered(given: Any, expected: list[dict[str, Any]]) -> None:
    found = messages.said_by(given, scrub())
    assert found == (expected, 0)
    check("gen_ai.output.messages", found[0])


def test_what_a_tool_gave_back() -> None:
    message = ToolMessage("done", tool_call_id="c1")
    assert messages.result_of(message) == "done"
    assert messages.result_of(Command(update={"messages": [HumanMessage("a"), message]})) == "done"
    command: Any = Command(goto="x")
    assert messages.result_of(command) is command
    assert messages.result_of({"a": 1}) == {"a": 1}


def test_documents_have_id_score_and_text() -> None:
    given = [
        Document("one", id="d1", metadata={"score": 0.5}),
        Document("two", metadata={"id": "d2", "relevance_score": float("nan")}),
        ours.Document("three"),
        None,
    ]
    found = messages.documents(given, scrub())
    assert found == [
        {"id": "d1", "score": 0.5, "content": "one"},
        {"id": "d2", "content": "two"},
        {"content": "three"},
        {},
    ]
    check("gen_ai.retrieval.documents", found)
    assert messages.documents(None, scrub()) == []
    assert len(messages.documents(given, scrub(1))) == 1
