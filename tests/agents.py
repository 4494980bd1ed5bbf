"""Agents whose models say what a test wants: what an application would build with LangChain, LangGraph and a real model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.types import Command, interrupt

if TYPE_CHECKING:
    from collections.abc import Sequence

QUESTION: Any = {"messages": [("human", "What is it?")]}


class Script(GenericFakeChatModel):
    """Answers what it was told to, one message after the other, and takes any tools."""

    def bind_tools(self, *_args: Any, **_kwargs: Any) -> Any:
        return self


def calls(*asked: tuple[str, str]) -> AIMessage:
    """Return a message that asks for tools, each given as (name, id of the call)."""
    return AIMessage(
        "", tool_calls=[{"name": name, "args": {"q": "x"}, "id": call_id} for name, call_id in asked]
    )


def model(*answers: AIMessage | str) -> Script:
    return Script(
        messages=iter([AIMessage(answer) if isinstance(answer, str) else answer for answer in answers])
    )


def agent(name: str | None, *answers: AIMessage | str, tools: Sequence[Any] = (), **options: Any) -> Any:
    return create_agent(model(*answers), [look_up, *tools], name=name, **options)


@tool
def look_up(q: str) -> str:
    """Look something up."""
    return q


@tool
def ask_human(q: str) -> str:
    """Ask somebody."""
    return str(interrupt(f"may I {q}?"))


def hand_off(to: str) -> Any:
    """Return a tool that lets another agent of the same graph go on, as langgraph-swarm's and -supervisor's do."""

    @tool(f"transfer_to_{to}")
    def transfer(q: str) -> Command[Any]:
        """Let another agent go on."""
        return Command(goto=to, graph=Command.PARENT)

    return transfer
