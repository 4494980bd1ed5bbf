"""What events carry: LangChain's attribute names, and the prompt that stands for a conversation."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from otel_callbacks.callbacks import (
    AIMessage,
    AIMessageChunk,
    ChatGeneration,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from otel_callbacks.callbacks.types import conversation_text

CALL: Any = {"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (HumanMessage("hi"), "Human: hi"),
        (SystemMessage("be kind"), "System: be kind"),
        (AIMessage("yes"), "AI: yes"),
        (AIMessageChunk("ye"), "AI: ye"),
        (AIMessage("", tool_calls=[CALL]), f"AI: {[CALL]}"),
        (AIMessage("x", additional_kwargs={"function_call": {"name": "f"}}), "AI: x{'name': 'f'}"),
        (ToolMessage("3", tool_call_id="c1"), "Tool: 3"),
        (ChatMessage("arr", role="pirate"), "pirate: arr"),
        (SimpleNamespace(type="function", content="4"), "Function: 4"),
        (SimpleNamespace(type="odd", content="?"), "odd: ?"),
        (SimpleNamespace(), "SimpleNamespace: "),
        (SimpleNamespace(type="ai", content="bare"), "AI: bare"),
        (SimpleNamespace(type="ai", content=None, additional_kwargs=None), "AI: "),
        (HumanMessage(["a", {"type": "text", "text": "b"}, {"type": "image"}, {"text": 3}]), "Human: ab"),
        (HumanMessage([3]), "Human: "),  # type: ignore[list-item]  # whatever a caller may send
    ],
)
def test_a_message_becomes_one_line(message: Any, line: str) -> None:
    assert conversation_text([message]) == line


def test_a_conversation_becomes_its_lines() -> None:
    assert conversation_text([HumanMessage("a"), AIMessage("b")]) == "Human: a\nAI: b"


def test_a_chat_generation_has_its_messages_text() -> None:
    assert ChatGeneration(AIMessage(["a", "b"])).text == "ab"
    assert ChatGeneration(AIMessage("ab")).text == "ab"
