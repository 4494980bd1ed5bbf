"""A callback system: handlers, the managers that carry them through nested runs, and the dispatch between the two.

It is the one that LangChain's users know, name for name, and needs nothing but the standard library. Start with
``CallbackManager.configure([handler])`` (or ``AsyncCallbackManager``), start a run with ``on_chain_start`` and its like,
start its children with ``run.get_child()``, and end each with its ``on_..._end`` or ``on_..._error``. Or, shorter, let bodies
and decorators do all of that: ``with manager.chain("plan", inputs) as run:`` and ``@tool``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from otel_callbacks.callbacks.base import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
)
from otel_callbacks.callbacks.configuration import (
    register_configure_hook,
)
from otel_callbacks.callbacks.dispatch import (
    ahandle_event,
    handle_event,
)
from otel_callbacks.callbacks.managers import (
    AsyncCallbackManager,
    BaseCallbackManager,
    CallbackManager,
    Callbacks,
    configure,
)
from otel_callbacks.callbacks.mixins import (
    CallbackManagerMixin,
    ChainManagerMixin,
    LLMManagerMixin,
    RetrieverManagerMixin,
    RunManagerMixin,
    ToolManagerMixin,
)
from otel_callbacks.callbacks.runs import (
    AsyncCallbackManagerForChainRun,
    AsyncCallbackManagerForLLMRun,
    AsyncCallbackManagerForRetrieverRun,
    AsyncCallbackManagerForToolRun,
    AsyncParentRunManager,
    AsyncRunManager,
    BaseRunManager,
    CallbackManagerForChainRun,
    CallbackManagerForLLMRun,
    CallbackManagerForRetrieverRun,
    CallbackManagerForToolRun,
    ParentRunManager,
    RunManager,
)
from otel_callbacks.callbacks.scope import (
    Scope,
)
from otel_callbacks.callbacks.stdout import (
    StdOutCallbackHandler,
    StreamingStdOutCallbackHandler,
)
from otel_callbacks.callbacks.types import (
    AgentAction,
    AgentFinish,
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatGeneration,
    ChatGenerationChunk,
    ChatMessage,
    Document,
    Generation,
    GenerationChunk,
    HumanMessage,
    LLMResult,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UsageMetadata,
)

if TYPE_CHECKING:
    from otel_callbacks.callbacks.ambient import current_run
    from otel_callbacks.callbacks.custom_events import adispatch_custom_event, dispatch_custom_event
    from otel_callbacks.callbacks.decorators import chain, chat_model, llm, retriever, tool
    from otel_callbacks.callbacks.file import FileCallbackHandler
    from otel_callbacks.callbacks.groups import (
        AsyncCallbackManagerForChainGroup,
        CallbackManagerForChainGroup,
        atrace_as_chain_group,
        trace_as_chain_group,
    )
    from otel_callbacks.callbacks.iterator import AsyncIteratorCallbackHandler
    from otel_callbacks.callbacks.shielding import shielded
    from otel_callbacks.callbacks.typed import for_langchain
    from otel_callbacks.callbacks.usage import UsageMetadataCallbackHandler, get_usage_metadata_callback

# Imported when first used: most applications want none of these, and one needs asyncio.
_WHERE = {
    "AsyncCallbackManagerForChainGroup": "groups",
    "AsyncIteratorCallbackHandler": "iterator",
    "CallbackManagerForChainGroup": "groups",
    "FileCallbackHandler": "file",
    "UsageMetadataCallbackHandler": "usage",
    "adispatch_custom_event": "custom_events",
    "atrace_as_chain_group": "groups",
    "chain": "decorators",
    "chat_model": "decorators",
    "current_run": "ambient",
    "dispatch_custom_event": "custom_events",
    "for_langchain": "typed",
    "get_usage_metadata_callback": "usage",
    "llm": "decorators",
    "retriever": "decorators",
    "shielded": "shielding",
    "tool": "decorators",
    "trace_as_chain_group": "groups",
}

__all__ = [
    "AIMessage",
    "AIMessageChunk",
    "AgentAction",
    "AgentFinish",
    "AsyncCallbackHandler",
    "AsyncCallbackManager",
    "AsyncCallbackManagerForChainGroup",
    "AsyncCallbackManagerForChainRun",
    "AsyncCallbackManagerForLLMRun",
    "AsyncCallbackManagerForRetrieverRun",
    "AsyncCallbackManagerForToolRun",
    "AsyncIteratorCallbackHandler",
    "AsyncParentRunManager",
    "AsyncRunManager",
    "BaseCallbackHandler",
    "BaseCallbackManager",
    "BaseMessage",
    "BaseRunManager",
    "CallbackManager",
    "CallbackManagerForChainGroup",
    "CallbackManagerForChainRun",
    "CallbackManagerForLLMRun",
    "CallbackManagerForRetrieverRun",
    "CallbackManagerForToolRun",
    "CallbackManagerMixin",
    "Callbacks",
    "ChainManagerMixin",
    "ChatGeneration",
    "ChatGenerationChunk",
    "ChatMessage",
    "Document",
    "FileCallbackHandler",
    "Generation",
    "GenerationChunk",
    "HumanMessage",
    "LLMManagerMixin",
    "LLMResult",
    "ParentRunManager",
    "RetrieverManagerMixin",
    "RunManager",
    "RunManagerMixin",
    "Scope",
    "StdOutCallbackHandler",
    "StreamingStdOutCallbackHandler",
    "SystemMessage",
    "ToolCall",
    "ToolManagerMixin",
    "ToolMessage",
    "UsageMetadata",
    "UsageMetadataCallbackHandler",
    "adispatch_custom_event",
    "ahandle_event",
    "atrace_as_chain_group",
    "chain",
    "chat_model",
    "configure",
    "current_run",
    "dispatch_custom_event",
    "for_langchain",
    "get_usage_metadata_callback",
    "handle_event",
    "llm",
    "register_configure_hook",
    "retriever",
    "shielded",
    "tool",
    "trace_as_chain_group",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = globals()[name] = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
