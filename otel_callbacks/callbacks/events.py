"""The events as data: what each is called, what switches it off, and how a failed start is taken back.

Rules for this file: one table; managers, dispatch and tests read it, nobody repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One kind of event; it is equal to itself alone, so that plans are quickly found by it.

    Attributes:
        name: The handler's method.
        ignore: The handler's property that switches the event off; None: nothing does.
        closes: Whether it is the last of a run: then cancellation must not keep it from the handlers.
        undo: For a start, the event that closes the run again when the start itself raises.
        fallback: The event sent in its place to a handler whose method raises NotImplementedError.
    """

    name: str
    ignore: str | None = None
    closes: bool = False
    undo: Event | None = None
    fallback: Event | None = None


LLM_NEW_TOKEN: Final = Event("on_llm_new_token", "ignore_llm")
LLM_END: Final = Event("on_llm_end", "ignore_llm", closes=True)
LLM_ERROR: Final = Event("on_llm_error", "ignore_llm", closes=True)
STREAM_EVENT: Final = Event("on_stream_event", "ignore_llm")
LLM_START: Final = Event("on_llm_start", "ignore_llm", undo=LLM_ERROR)
CHAT_MODEL_START: Final = Event(
    "on_chat_model_start", "ignore_chat_model", undo=LLM_ERROR, fallback=LLM_START
)
CHAIN_END: Final = Event("on_chain_end", "ignore_chain", closes=True)
CHAIN_ERROR: Final = Event("on_chain_error", "ignore_chain", closes=True)
CHAIN_START: Final = Event("on_chain_start", "ignore_chain", undo=CHAIN_ERROR)
AGENT_ACTION: Final = Event("on_agent_action", "ignore_agent")
AGENT_FINISH: Final = Event("on_agent_finish", "ignore_agent")
TOOL_END: Final = Event("on_tool_end", "ignore_agent", closes=True)
TOOL_ERROR: Final = Event("on_tool_error", "ignore_agent", closes=True)
TOOL_START: Final = Event("on_tool_start", "ignore_agent", undo=TOOL_ERROR)
RETRIEVER_END: Final = Event("on_retriever_end", "ignore_retriever", closes=True)
RETRIEVER_ERROR: Final = Event("on_retriever_error", "ignore_retriever", closes=True)
RETRIEVER_START: Final = Event("on_retriever_start", "ignore_retriever", undo=RETRIEVER_ERROR)
TEXT: Final = Event("on_text")
RETRY: Final = Event("on_retry", "ignore_retry")
CUSTOM_EVENT: Final = Event("on_custom_event", "ignore_custom_event")

EVENTS: Final[Mapping[str, Event]] = MappingProxyType(
    {
        event.name: event
        for event in (
            LLM_START,
            CHAT_MODEL_START,
            LLM_NEW_TOKEN,
            STREAM_EVENT,
            LLM_END,
            LLM_ERROR,
            CHAIN_START,
            CHAIN_END,
            CHAIN_ERROR,
            AGENT_ACTION,
            AGENT_FINISH,
            TOOL_START,
            TOOL_END,
            TOOL_ERROR,
            RETRIEVER_START,
            RETRIEVER_END,
            RETRIEVER_ERROR,
            TEXT,
            RETRY,
            CUSTOM_EVENT,
        )
    }
)
"""By name of the handler's method; all that there are."""
