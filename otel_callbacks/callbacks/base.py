"""The two classes that handlers are written on.

Rules for this file: no behaviour but the switches; the asynchronous class declares every event of ``mixins`` again as
a coroutine function, for type checkers and for those who override. Only the standard library is imported, and little of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from otel_callbacks.callbacks import signatures
from otel_callbacks.callbacks.foreign import ForeignInstance
from otel_callbacks.callbacks.mixins import (
    CallbackManagerMixin,
    ChainManagerMixin,
    LLMManagerMixin,
    RetrieverManagerMixin,
    RunManagerMixin,
    ToolManagerMixin,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from otel_callbacks.callbacks.types import (
        AgentAction,
        AgentFinish,
        BaseMessage,
        ChatGenerationChunk,
        Document,
        GenerationChunk,
        LLMResult,
    )


class BaseCallbackHandler(
    ForeignInstance,
    LLMManagerMixin,
    ChainManagerMixin,
    ToolManagerMixin,
    RetrieverManagerMixin,
    CallbackManagerMixin,
    RunManagerMixin,
):
    """What every handler is; a subclass overrides the events that it wants and need not call ``__init__``.

    An instance can be attached to LangChain's objects, wherever langchain-core is loaded: see ``foreign``.
    """

    raise_error: bool = False
    """True: an exception of this handler reaches the caller, once every other handler has had the event."""

    run_inline: bool = False
    """True: called first, in order, in the caller's own thread and context, also in asynchronous runs."""

    foreign_bases: ClassVar[tuple[tuple[str, str], ...]] = (
        ("langchain_core.callbacks.base", "BaseCallbackHandler"),
    )
    """(module, class) that ``isinstance`` shall find in an instance while that module is loaded."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse methods that no manager could call: see ``signatures``."""
        super().__init_subclass__(**kwargs)
        signatures.check(cls)

    @property
    def ignore_llm(self) -> bool:
        """Whether events of models (text and chat, but for the chat model's start) are not wanted."""
        return False

    @property
    def ignore_retry(self) -> bool:
        """Whether on_retry is not wanted."""
        return False

    @property
    def ignore_chain(self) -> bool:
        """Whether events of chains are not wanted."""
        return False

    @property
    def ignore_agent(self) -> bool:
        """Whether events of agents and tools are not wanted."""
        return False

    @property
    def ignore_retriever(self) -> bool:
        """Whether events of retrievers are not wanted."""
        return False

    @property
    def ignore_chat_model(self) -> bool:
        """Whether the start of chat models is not wanted."""
        return False

    @property
    def ignore_custom_event(self) -> bool:
        """Whether custom events are not wanted."""
        return False


class AsyncCallbackHandler(BaseCallbackHandler):
    """A handler whose every method is a coroutine function; in synchronous runs they are awaited too."""

    async def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """A streamed model sent *token*: text, or a list of content blocks; *chunk* is the whole piece."""

    async def on_llm_end(
        self,
        response: LLMResult,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """The model is done; *response* holds the generations of exactly one prompt."""

    async def on_llm_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """The model failed, or was cancelled."""

    async def on_stream_event(
        self,
        event: Mapping[str, Any],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """A model sent one protocol event (message or content block, start, delta or finish)."""

    async def on_chain_end(
        self,
        outputs: dict[str, Any],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """The chain is done; *outputs* may be of any type, whatever the annotation hopes."""

    async def on_chain_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """The chain failed, or was cancelled."""

    async def on_agent_action(
        self,
        action: AgentAction,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """An agent chose a tool."""

    async def on_agent_finish(
        self,
        finish: AgentFinish,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """An agent has its answer."""

    async def on_tool_end(
        self,
        output: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """The tool is done; *output* is a ToolMessage when the run has a tool_call_id."""

    async def on_tool_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """The tool failed, or was cancelled."""

    async def on_retriever_end(
        self,
        documents: Sequence[Document],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """The retriever found *documents*."""

    async def on_retriever_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """The retriever failed, or was cancelled."""

    async def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A text model starts; *prompts* has exactly one element."""

    async def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A chat model starts; *messages* has exactly one element, the conversation.

        Raises:
            NotImplementedError: Not overridden: ``on_llm_start`` gets the conversation as one prompt instead.
        """
        msg = f"{type(self).__name__} does not implement on_chat_model_start"
        raise NotImplementedError(msg)

    async def on_retriever_start(
        self,
        serialized: dict[str, Any],
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A retriever starts."""

    async def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: dict[str, Any],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A chain starts; *serialized* is often None, *inputs* may be of any type."""

    async def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A tool starts; *inputs* are its arguments by name, when it has names."""

    async def on_text(
        self,
        text: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """The run has something to say to whoever watches."""

    async def on_retry(
        self, retry_state: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """An attempt failed and will be repeated; *retry_state* is tenacity's RetryCallState."""

    async def on_custom_event(
        self,
        name: str,
        data: Any,
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """The application sent an event of its own; *run_id* is the run around it."""
