"""The managers of single runs: what a model, chain, tool or retriever reports through while it runs.

Rules for this file: a run's id, handlers, tags and metadata are fixed when it starts; what each method sends is in the
table of ``events``, and how it is sent is ``dispatch``'s. The two worlds differ in ``await`` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

from otel_callbacks.callbacks import events
from otel_callbacks.callbacks.calling import tell
from otel_callbacks.callbacks.dispatch import ago_on, go_on
from otel_callbacks.callbacks.ids import new_run_id
from otel_callbacks.callbacks.mixins import (
    ChainManagerMixin,
    LLMManagerMixin,
    RetrieverManagerMixin,
    RunManagerMixin,
    ToolManagerMixin,
)
from otel_callbacks.callbacks.scope import Scope
from otel_callbacks.callbacks.views import Scoped

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence
    from uuid import UUID

    from otel_callbacks.callbacks.calling import Failures
    from otel_callbacks.callbacks.events import Event
    from otel_callbacks.callbacks.managers import AsyncCallbackManager, CallbackManager
    from otel_callbacks.callbacks.roster import Handler
    from otel_callbacks.callbacks.types import (
        AgentAction,
        AgentFinish,
        ChatGenerationChunk,
        Document,
        GenerationChunk,
        LLMResult,
    )

M = TypeVar("M", bound=Scoped)
R = TypeVar("R", bound="BaseRunManager")

_new: Final = object.__new__


def run_of(kind: type[R], run_id: UUID, scope: Scope) -> R:
    """Return the manager of run *run_id*, started in *scope*."""
    run = _new(kind)
    run.run_id = run_id
    run._scope = scope  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] # one idea in two classes
    return run


def inside(kind: type[M], scope: Scope) -> M:
    """Return a manager of a class that has no constructor of its own, with *scope*."""
    manager = _new(kind)
    manager._scope = scope  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] # as above
    return manager


class BaseRunManager(Scoped, RunManagerMixin):
    """One run: its id, and the scope that it was started in; ``parent_run_id`` is its parent."""

    __slots__ = ("run_id",)

    run_id: UUID

    def __init__(
        self,
        *,
        run_id: UUID,
        handlers: Iterable[Handler],
        inheritable_handlers: Iterable[Handler],
        parent_run_id: UUID | None = None,
        tags: Iterable[str] | None = None,
        inheritable_tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        inheritable_metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.run_id = run_id
        self._scope = Scope.of(
            handlers,
            inheritable_handlers,
            tags,
            inheritable_tags,
            metadata,
            inheritable_metadata,
            parent_run_id,
        )

    @classmethod
    def of(cls, run_id: UUID, scope: Scope) -> Self:
        """Return the manager of run *run_id*, started in *scope*."""
        return run_of(cls, run_id, scope)

    @classmethod
    def get_noop_manager(cls) -> Self:
        """Return the manager of a run that nobody watches."""
        return cls.of(new_run_id(), Scope())


class RunManager(BaseRunManager):
    """A run in synchronous code."""

    __slots__ = ()

    def on_text(self, text: str, **kwargs: Any) -> None:
        """Report text."""
        self.send(events.TEXT, (text,), kwargs)

    def on_retry(self, retry_state: Any, **kwargs: Any) -> None:
        """Report that an attempt failed and will be repeated."""
        self.send(events.RETRY, (retry_state,), kwargs)

    def send(
        self,
        event: Event,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Send *event* of this run; *kwargs* is used up, *metadata* is what a start says."""
        scope = self._scope or self.scope
        roster = scope.handlers
        plan = roster.plans[event]
        if plan is not None:
            kwargs["run_id"] = self.run_id
            kwargs["parent_run_id"] = scope.parent_run_id
            occasion = args, kwargs, scope.tags, metadata
            failures: Failures = []
            pending = tell(plan.in_order, roster.row, occasion, failures)
            if pending is not None or failures:
                go_on(pending, roster, event, occasion, failures)


class ParentRunManager(RunManager):
    """A run that others may be started in."""

    __slots__ = ()

    manager_class: ClassVar[type[CallbackManager]]  # set by ``managers``, which imports this module

    def get_child(self, tag: str | None = None) -> CallbackManager:
        """Return the manager to start runs with inside this one; *tag* is for those, not for their children."""
        return inside(self.manager_class, (self._scope or self.scope).child(self.run_id, tag))


class AsyncRunManager(BaseRunManager):
    """A run in asynchronous code."""

    __slots__ = ()

    def get_sync(self) -> RunManager:
        """Return the same run for synchronous code."""
        return RunManager.of(self.run_id, self.scope)

    async def on_text(self, text: str, **kwargs: Any) -> None:
        """Report text."""
        if sending := self.send(events.TEXT, (text,), kwargs):
            await sending

    async def on_retry(self, retry_state: Any, **kwargs: Any) -> None:
        """Report that an attempt failed and will be repeated."""
        if sending := self.send(events.RETRY, (retry_state,), kwargs):
            await sending

    def send(
        self,
        event: Event,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        metadata: Mapping[str, Any] | None = None,
    ) -> Coroutine[Any, Any, None] | None:
        """Send *event* of this run; *kwargs* is used up, *metadata* is what a start says.

        Returns: What is to be awaited at once; None when all has been said, for awaiting nothing takes time too.
        """
        scope = self._scope or self.scope
        roster = scope.handlers
        plan = roster.plans[event]
        if plan is None:
            return None
        kwargs["run_id"] = self.run_id
        kwargs["parent_run_id"] = scope.parent_run_id
        occasion = args, kwargs, scope.tags, metadata
        failures: Failures = []
        pending = tell(plan.inline, roster.row, occasion, failures)
        if pending is None and not failures and not plan.others:
            return None
        return ago_on(pending, plan, roster, event, occasion, failures)


class AsyncParentRunManager(AsyncRunManager):
    """A run that others may be started in, in asynchronous code."""

    __slots__ = ()

    manager_class: ClassVar[type[AsyncCallbackManager]]  # set by ``managers``, which imports this module

    def get_sync(self) -> ParentRunManager:
        """Return the same run for synchronous code."""
        return ParentRunManager.of(self.run_id, self.scope)

    def get_child(self, tag: str | None = None) -> AsyncCallbackManager:
        """Return the manager to start runs with inside this one; *tag* is for those, not for their children."""
        return inside(self.manager_class, (self._scope or self.scope).child(self.run_id, tag))


class CallbackManagerForLLMRun(RunManager, LLMManagerMixin):
    """The run of a model."""

    __slots__ = ()

    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        **kwargs: Any,
    ) -> None:
        """Report *token*, and the whole piece that it is of."""
        kwargs["chunk"] = chunk
        self.send(events.LLM_NEW_TOKEN, (token,), kwargs)

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """Report the answer; the run is over."""
        self.send(events.LLM_END, (response,), kwargs)

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        """Report a failure; the run is over."""
        self.send(events.LLM_ERROR, (error,), kwargs)

    def on_stream_event(self, event: Mapping[str, Any], **kwargs: Any) -> None:
        """Report one protocol event."""
        self.send(events.STREAM_EVENT, (event,), kwargs)


class AsyncCallbackManagerForLLMRun(AsyncRunManager, LLMManagerMixin):
    """The run of a model in asynchronous code."""

    __slots__ = ()

    def get_sync(self) -> CallbackManagerForLLMRun:
        """Return the same run for synchronous code."""
        return CallbackManagerForLLMRun.of(self.run_id, self.scope)

    async def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        **kwargs: Any,
    ) -> None:
        """Report *token*, and the whole piece that it is of."""
        kwargs["chunk"] = chunk
        if sending := self.send(events.LLM_NEW_TOKEN, (token,), kwargs):
            await sending

    async def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """Report the answer; the run is over."""
        if sending := self.send(events.LLM_END, (response,), kwargs):
            await sending

    async def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        """Report a failure; the run is over."""
        if sending := self.send(events.LLM_ERROR, (error,), kwargs):
            await sending

    async def on_stream_event(self, event: Mapping[str, Any], **kwargs: Any) -> None:
        """Report one protocol event."""
        if sending := self.send(events.STREAM_EVENT, (event,), kwargs):
            await sending


class CallbackManagerForChainRun(ParentRunManager, ChainManagerMixin):
    """The run of a chain."""

    __slots__ = ()

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        """Report the outputs; the run is over."""
        self.send(events.CHAIN_END, (outputs,), kwargs)

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        """Report a failure; the run is over."""
        self.send(events.CHAIN_ERROR, (error,), kwargs)

    def on_agent_action(self, action: AgentAction, **kwargs: Any) -> None:
        """Report an agent's decision to call a tool."""
        self.send(events.AGENT_ACTION, (action,), kwargs)

    def on_agent_finish(self, finish: AgentFinish, **kwargs: Any) -> None:
        """Report an agent's answer."""
        self.send(events.AGENT_FINISH, (finish,), kwargs)


class AsyncCallbackManagerForChainRun(AsyncParentRunManager, ChainManagerMixin):
    """The run of a chain in asynchronous code."""

    __slots__ = ()

    def get_sync(self) -> CallbackManagerForChainRun:
        """Return the same run for synchronous code."""
        return CallbackManagerForChainRun.of(self.run_id, self.scope)

    async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        """Report the outputs; the run is over."""
        if sending := self.send(events.CHAIN_END, (outputs,), kwargs):
            await sending

    async def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        """Report a failure; the run is over."""
        if sending := self.send(events.CHAIN_ERROR, (error,), kwargs):
            await sending

    async def on_agent_action(self, action: AgentAction, **kwargs: Any) -> None:
        """Report an agent's decision to call a tool."""
        if sending := self.send(events.AGENT_ACTION, (action,), kwargs):
            await sending

    async def on_agent_finish(self, finish: AgentFinish, **kwargs: Any) -> None:
        """Report an agent's answer."""
        if sending := self.send(events.AGENT_FINISH, (finish,), kwargs):
            await sending


class CallbackManagerForToolRun(ParentRunManager, ToolManagerMixin):
    """The run of a tool."""

    __slots__ = ()

    def on_tool_end(self, output: Any, **kwargs: Any) -> None:
        """Report the output; the run is over."""
        self.send(events.TOOL_END, (output,), kwargs)

    def on_tool_error(self, error: BaseException, **kwargs: Any) -> None:
        """Report a failure; the run is over."""
        self.send(events.TOOL_ERROR, (error,), kwargs)


class AsyncCallbackManagerForToolRun(AsyncParentRunManager, ToolManagerMixin):
    """The run of a tool in asynchronous code."""

    __slots__ = ()

    def get_sync(self) -> CallbackManagerForToolRun:
        """Return the same run for synchronous code."""
        return CallbackManagerForToolRun.of(self.run_id, self.scope)

    async def on_tool_end(self, output: Any, **kwargs: Any) -> None:
        """Report the output; the run is over."""
        if sending := self.send(events.TOOL_END, (output,), kwargs):
            await sending

    async def on_tool_error(self, error: BaseException, **kwargs: Any) -> None:
        """Report a failure; the run is over."""
        if sending := self.send(events.TOOL_ERROR, (error,), kwargs):
            await sending


class CallbackManagerForRetrieverRun(ParentRunManager, RetrieverManagerMixin):
    """The run of a retriever."""

    __slots__ = ()

    def on_retriever_end(self, documents: Sequence[Document], **kwargs: Any) -> None:
        """Report the documents; the run is over."""
        self.send(events.RETRIEVER_END, (documents,), kwargs)

    def on_retriever_error(self, error: BaseException, **kwargs: Any) -> None:
        """Report a failure; the run is over."""
        self.send(events.RETRIEVER_ERROR, (error,), kwargs)


class AsyncCallbackManagerForRetrieverRun(AsyncParentRunManager, RetrieverManagerMixin):
    """The run of a retriever in asynchronous code."""

    __slots__ = ()

    def get_sync(self) -> CallbackManagerForRetrieverRun:
        """Return the same run for synchronous code."""
        return CallbackManagerForRetrieverRun.of(self.run_id, self.scope)

    async def on_retriever_end(self, documents: Sequence[Document], **kwargs: Any) -> None:
        """Report the documents; the run is over."""
        if sending := self.send(events.RETRIEVER_END, (documents,), kwargs):
            await sending

    async def on_retriever_error(self, error: BaseException, **kwargs: Any) -> None:
        """Report a failure; the run is over."""
        if sending := self.send(events.RETRIEVER_ERROR, (error,), kwargs):
            await sending
