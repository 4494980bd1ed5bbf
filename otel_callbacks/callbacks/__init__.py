"""A callback system: handlers, the managers that carry them through nested runs, and the dispatch between the two.

It is the one that LangChain's users know, name for name, and needs nothing but the standard library. Start with
``CallbackManager.configure([handler])`` (or ``AsyncCallbackManager``), start a run with ``on_chain_start`` and its like,
start its children with ``run.get_child()``, and end each with its ``on_..._end`` or ``on_..._error``.
"""

from __future__ import annotations

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

__all__ = [
    "AIMessage",
    "AIMessageChunk",
    "AgentAction",
    "AgentFinish",
    "AsyncCallbackHandler",
    "AsyncCallbackManager",
    "AsyncCallbackManagerForChainRun",
    "AsyncCallbackManagerForLLMRun",
    "AsyncCallbackManagerForRetrieverRun",
    "AsyncCallbackManagerForToolRun",
    "AsyncParentRunManager",
    "AsyncRunManager",
    "BaseCallbackHandler",
    "BaseCallbackManager",
    "BaseMessage",
    "BaseRunManager",
    "CallbackManager",
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
    "SystemMessage",
    "ToolCall",
    "ToolManagerMixin",
    "ToolMessage",
    "UsageMetadata",
    "ahandle_event",
    "configure",
    "handle_event",
    "register_configure_hook",
]
