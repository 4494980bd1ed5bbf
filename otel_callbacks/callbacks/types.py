"""What the events carry, for those who have no LangChain: messages, generations, documents, an agent's steps.

Rules for this file: plain data. Attribute names, and the values of ``type``, are LangChain's, so that a handler which
reads attributes reads both. Nothing is validated or copied: what a caller puts in is what a handler gets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias, TypedDict, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Content: TypeAlias = "str | list[str | dict[str, Any]]"
"""A message's content: text, or content blocks (``{"type": "text", "text": ...}`` and others)."""


class ToolCall(TypedDict):
    """A model's wish that a tool be called; *args* are its arguments by name."""

    name: str
    args: dict[str, Any]
    id: str | None
    type: Literal["tool_call"]


class UsageMetadata(TypedDict, total=False):
    """Tokens of one call; the details break the two sums down (cache_read, reasoning, audio ...)."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_token_details: dict[str, int]
    output_token_details: dict[str, int]


@dataclass(frozen=True, slots=True)
class BaseMessage:
    """One message of a conversation."""

    type: ClassVar[str] = "base"
    content: Content
    additional_kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any], kw_only=True)
    response_metadata: Mapping[str, Any] = field(default_factory=dict[str, Any], kw_only=True)
    name: str | None = field(default=None, kw_only=True)
    id: str | None = field(default=None, kw_only=True)

    @property
    def text(self) -> str:
        """The content's text: blocks of other kinds are left out."""
        return content_text(self.content)


@dataclass(frozen=True, slots=True)
class HumanMessage(BaseMessage):
    """What the user said."""

    type: ClassVar[str] = "human"


@dataclass(frozen=True, slots=True)
class SystemMessage(BaseMessage):
    """What the model was told to be."""

    type: ClassVar[str] = "system"


@dataclass(frozen=True, slots=True)
class AIMessage(BaseMessage):
    """What the model said."""

    type: ClassVar[str] = "ai"
    tool_calls: Sequence[ToolCall] = field(default_factory=list[ToolCall], kw_only=True)
    usage_metadata: UsageMetadata | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class AIMessageChunk(AIMessage):
    """A piece of what the model says."""

    type: ClassVar[str] = "AIMessageChunk"
    chunk_position: Literal["last"] | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class ToolMessage(BaseMessage):
    """What a tool answered to the call *tool_call_id*."""

    type: ClassVar[str] = "tool"
    tool_call_id: str = field(kw_only=True)
    artifact: Any = field(default=None, kw_only=True)
    status: Literal["success", "error"] = field(default="success", kw_only=True)


@dataclass(frozen=True, slots=True)
class ChatMessage(BaseMessage):
    """A message of any other *role*."""

    type: ClassVar[str] = "chat"
    role: str = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Generation:
    """One answer of a text model; *generation_info* is the provider's (finish reason, log probabilities)."""

    type: ClassVar[str] = "Generation"
    text: str
    generation_info: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class GenerationChunk(Generation):
    """A piece of an answer of a text model."""


@dataclass(frozen=True, slots=True)
class ChatGeneration:
    """One answer of a chat model."""

    type: ClassVar[str] = "ChatGeneration"
    message: BaseMessage
    generation_info: Mapping[str, Any] | None = None

    @property
    def text(self) -> str:
        """The message's text."""
        return self.message.text


@dataclass(frozen=True, slots=True)
class ChatGenerationChunk(ChatGeneration):
    """A piece of an answer of a chat model."""

    type: ClassVar[str] = "ChatGenerationChunk"


@dataclass(frozen=True, slots=True)
class LLMResult:
    """What a model answered: for each prompt its candidates; *llm_output* is the provider's (token_usage, model_name)."""

    type: ClassVar[str] = "LLMResult"
    generations: Sequence[Sequence[Generation | ChatGeneration]]
    llm_output: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """What a retriever found."""

    type: ClassVar[str] = "Document"
    page_content: str
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    id: str | None = None


@dataclass(frozen=True, slots=True)
class AgentAction:
    """An agent's decision to call *tool*; *log* is what it said on the way."""

    type: ClassVar[str] = "AgentAction"
    tool: str
    tool_input: str | dict[str, Any]
    log: str


@dataclass(frozen=True, slots=True)
class AgentFinish:
    """An agent's final answer."""

    type: ClassVar[str] = "AgentFinish"
    return_values: dict[str, Any]
    log: str


_ROLES: Final = {
    "human": "Human",
    "HumanMessageChunk": "Human",
    "ai": "AI",
    "AIMessageChunk": "AI",
    "system": "System",
    "SystemMessageChunk": "System",
    "tool": "Tool",
    "ToolMessageChunk": "Tool",
    "function": "Function",
    "FunctionMessageChunk": "Function",
}


def conversation_text(messages: Sequence[Any]) -> str:
    """Return *messages* as the one prompt that ``on_llm_start`` gets in place of ``on_chat_model_start``.

    One line per message, ``Role: text``; a model's line is followed by its tool calls (or its legacy function call).
    The messages may be ours or LangChain's: only attributes are read.
    """
    return "\n".join(_line(message) for message in messages)


def _line(message: Any) -> str:
    kind = getattr(message, "type", type(message).__name__)
    role = _ROLES.get(kind) or getattr(message, "role", kind)
    line = f"{role}: {content_text(getattr(message, 'content', ''))}"
    if role == "AI":
        calls: Any = getattr(message, "tool_calls", None)
        others: dict[str, Any] = getattr(message, "additional_kwargs", None) or {}
        calls = calls or others.get("function_call")
        line += f"{calls}" if calls else ""
    return line


def content_text(content: Any) -> str:
    """Return the text of a message's content or of a token; blocks of other kinds, and what is neither, have none."""
    return content if isinstance(content, str) else "".join(_texts(content))


def _texts(blocks: Any) -> list[str]:
    found: list[str] = []
    for block in cast("Sequence[Any]", blocks) if isinstance(blocks, (list, tuple)) else ():
        if isinstance(block, str):
            found.append(block)
        elif isinstance(block, dict):
            text = cast("dict[str, Any]", block).get("text")
            if isinstance(text, str):
                found.append(text)
    return found
