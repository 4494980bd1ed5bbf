"""The managers: who starts runs, and what those runs are given.

Rules for this file: a start is the first event of its run, and sending it is the run's; only the starts of several runs
at once go to ``dispatch`` together. The two worlds differ in ``await`` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from otel_callbacks.callbacks import events
from otel_callbacks.callbacks.algebra import BaseCallbackManager, Callbacks
from otel_callbacks.callbacks.dispatch import adispatch, dispatch
from otel_callbacks.callbacks.ids import new_run_id
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
    run_of,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from uuid import UUID

    from otel_callbacks.callbacks.calling import Occasion
    from otel_callbacks.callbacks.events import Event
    from otel_callbacks.callbacks.scope import Scope
    from otel_callbacks.callbacks.types import BaseMessage

__all__ = [
    "AsyncCallbackManager",
    "BaseCallbackManager",
    "CallbackManager",
    "Callbacks",
    "configure",
]

M = TypeVar("M", bound=BaseCallbackManager)
R = TypeVar("R", bound=BaseRunManager)
SR = TypeVar("SR", bound=RunManager)
AR = TypeVar("AR", bound=AsyncRunManager)


def _several(
    kind: type[R],
    serialized: dict[str, Any],
    inputs: Iterable[Any],
    run_id: UUID | None,
    kwargs: dict[str, Any],
    scope: Scope,
) -> tuple[list[R], list[Occasion]]:
    """Make a run for each of *inputs*, the first with *run_id*, and what is to be told of its start."""
    runs: list[R] = []
    occasions: list[Occasion] = []
    for each in inputs:
        run = run_of(kind, run_id or new_run_id(), scope)
        about = {**kwargs, "run_id": run.run_id, "parent_run_id": scope.parent_run_id}
        runs.append(run)
        occasions.append(((serialized, [each]), about, scope.tags, scope.metadata))
        run_id = None
    return runs, occasions


class CallbackManager(BaseCallbackManager):
    """Starts runs in synchronous code."""

    foreign_bases = (
        *BaseCallbackManager.foreign_bases,
        ("langchain_core.callbacks.manager", "CallbackManager"),
    )

    def on_llm_start(
        self, serialized: dict[str, Any], prompts: list[str], run_id: UUID | None = None, **kwargs: Any
    ) -> list[CallbackManagerForLLMRun]:
        """Start one run per prompt, the first with *run_id*."""
        return self._start_each(
            CallbackManagerForLLMRun, events.LLM_START, serialized, prompts, run_id, kwargs
        )

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> list[CallbackManagerForLLMRun]:
        """Start one run per conversation, the first with *run_id*."""
        return self._start_each(
            CallbackManagerForLLMRun, events.CHAT_MODEL_START, serialized, messages, run_id, kwargs
        )

    def on_chain_start(
        self, serialized: dict[str, Any] | None, inputs: Any, run_id: UUID | None = None, **kwargs: Any
    ) -> CallbackManagerForChainRun:
        """Start the run of a chain; its name is *kwargs*' ``name``."""
        scope = self._scope or self.scope
        run = run_of(CallbackManagerForChainRun, run_id or new_run_id(), scope)
        run.send(events.CHAIN_START, (serialized, inputs), kwargs, scope.metadata)
        return run

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        run_id: UUID | None = None,
        parent_run_id: UUID | None = None,  # noqa: ARG002 - the manager's own parent counts
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> CallbackManagerForToolRun:
        """Start the run of a tool; *inputs* are its arguments by name."""
        kwargs["inputs"] = inputs
        scope = self._scope or self.scope
        run = run_of(CallbackManagerForToolRun, run_id or new_run_id(), scope)
        run.send(events.TOOL_START, (serialized, input_str), kwargs, scope.metadata)
        return run

    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        run_id: UUID | None = None,
        parent_run_id: UUID | None = None,  # noqa: ARG002 - the manager's own parent counts
        **kwargs: Any,
    ) -> CallbackManagerForRetrieverRun:
        """Start the run of a retriever."""
        scope = self._scope or self.scope
        run = run_of(CallbackManagerForRetrieverRun, run_id or new_run_id(), scope)
        run.send(events.RETRIEVER_START, (serialized, query), kwargs, scope.metadata)
        return run

    def on_custom_event(self, name: str, data: Any, run_id: UUID | None = None, **kwargs: Any) -> None:
        """Send an event of the application's own from run *run_id*.

        Raises:
            ValueError: There are other keyword arguments.
        """
        plan, occasion = self._occasion_of_ones_own(name, data, run_id, kwargs)
        if plan is not None:
            dispatch(plan, self.scope.handlers, events.CUSTOM_EVENT, (occasion,))

    def _start_each(
        self,
        kind: type[SR],
        event: Event,
        serialized: dict[str, Any],
        inputs: Iterable[Any],
        run_id: UUID | None,
        kwargs: dict[str, Any],
    ) -> list[SR]:
        scope = self._scope or self.scope
        inputs = [*inputs]  # an iterator will do
        if len(inputs) == 1:  # nearly always
            run = run_of(kind, run_id or new_run_id(), scope)
            run.send(event, (serialized, inputs), kwargs, scope.metadata)
            return [run]
        runs, occasions = _several(kind, serialized, inputs, run_id, kwargs, scope)
        plan = scope.handlers.plans[event]
        if plan is not None:
            dispatch(plan, scope.handlers, event, occasions)
        return runs


class AsyncCallbackManager(BaseCallbackManager):
    """Starts runs in asynchronous code."""

    foreign_bases = (
        *BaseCallbackManager.foreign_bases,
        ("langchain_core.callbacks.manager", "AsyncCallbackManager"),
    )

    @property
    def is_async(self) -> bool:
        """Whether the methods that start runs are coroutine functions."""
        return True

    async def on_llm_start(
        self, serialized: dict[str, Any], prompts: list[str], run_id: UUID | None = None, **kwargs: Any
    ) -> list[AsyncCallbackManagerForLLMRun]:
        """Start one run per prompt, the first with *run_id*."""
        runs, sending = self._start_each(
            AsyncCallbackManagerForLLMRun, events.LLM_START, serialized, prompts, run_id, kwargs
        )
        if sending:
            await sending
        return runs

    async def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> list[AsyncCallbackManagerForLLMRun]:
        """Start one run per conversation, the first with *run_id*."""
        runs, sending = self._start_each(
            AsyncCallbackManagerForLLMRun, events.CHAT_MODEL_START, serialized, messages, run_id, kwargs
        )
        if sending:
            await sending
        return runs

    async def on_chain_start(
        self, serialized: dict[str, Any] | None, inputs: Any, run_id: UUID | None = None, **kwargs: Any
    ) -> AsyncCallbackManagerForChainRun:
        """Start the run of a chain; its name is *kwargs*' ``name``."""
        scope = self._scope or self.scope
        run = run_of(AsyncCallbackManagerForChainRun, run_id or new_run_id(), scope)
        if sending := run.send(events.CHAIN_START, (serialized, inputs), kwargs, scope.metadata):
            await sending
        return run

    async def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        run_id: UUID | None = None,
        parent_run_id: UUID | None = None,  # noqa: ARG002 - the manager's own parent counts
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> AsyncCallbackManagerForToolRun:
        """Start the run of a tool; *inputs* are its arguments by name."""
        kwargs["inputs"] = inputs
        scope = self._scope or self.scope
        run = run_of(AsyncCallbackManagerForToolRun, run_id or new_run_id(), scope)
        if sending := run.send(events.TOOL_START, (serialized, input_str), kwargs, scope.metadata):
            await sending
        return run

    async def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        run_id: UUID | None = None,
        parent_run_id: UUID | None = None,  # noqa: ARG002 - the manager's own parent counts
        **kwargs: Any,
    ) -> AsyncCallbackManagerForRetrieverRun:
        """Start the run of a retriever."""
        scope = self._scope or self.scope
        run = run_of(AsyncCallbackManagerForRetrieverRun, run_id or new_run_id(), scope)
        if sending := run.send(events.RETRIEVER_START, (serialized, query), kwargs, scope.metadata):
            await sending
        return run

    async def on_custom_event(self, name: str, data: Any, run_id: UUID | None = None, **kwargs: Any) -> None:
        """Send an event of the application's own from run *run_id*.

        Raises:
            ValueError: There are other keyword arguments.
        """
        plan, occasion = self._occasion_of_ones_own(name, data, run_id, kwargs)
        if plan is not None:
            await adispatch(plan, self.scope.handlers, events.CUSTOM_EVENT, (occasion,))

    def _start_each(
        self,
        kind: type[AR],
        event: Event,
        serialized: dict[str, Any],
        inputs: Iterable[Any],
        run_id: UUID | None,
        kwargs: dict[str, Any],
    ) -> tuple[list[AR], Coroutine[Any, Any, None] | None]:
        """Return the runs, and what is to be awaited at once, if anything is."""
        scope = self._scope or self.scope
        inputs = [*inputs]  # an iterator will do
        if len(inputs) == 1:  # nearly always
            run = run_of(kind, run_id or new_run_id(), scope)
            return [run], run.send(event, (serialized, inputs), kwargs, scope.metadata)
        runs, occasions = _several(kind, serialized, inputs, run_id, kwargs, scope)
        plan = scope.handlers.plans[event]
        return runs, None if plan is None else adispatch(plan, scope.handlers, event, occasions)


ParentRunManager.manager_class = CallbackManager
AsyncParentRunManager.manager_class = AsyncCallbackManager


def configure(
    manager_class: type[M],
    inheritable_callbacks: Callbacks = None,
    local_callbacks: Callbacks = None,
    inheritable_tags: list[str] | None = None,
    local_tags: list[str] | None = None,
    inheritable_metadata: dict[str, Any] | None = None,
    local_metadata: dict[str, Any] | None = None,
    *,
    verbose: bool = False,
) -> M:
    """Return the *manager_class* (or a subclass's instance) for one call, made of what surrounds it and what is its own.

    Args:
        manager_class: ``CallbackManager`` or ``AsyncCallbackManager``.
        inheritable_callbacks: Those of the surroundings: a list, or a manager, whose tags, metadata and parent count too.
        local_callbacks: The callee's own, not handed on; of a manager only the handlers count.
        inheritable_tags: Handed on to descendants; *local_tags* are not, and so with the metadata.
        local_tags: Of this call alone.
        inheritable_metadata: Handed on to descendants.
        local_metadata: Of this call alone.
        verbose: Whether the call prints what it does.
    """
    given = inheritable_callbacks, local_callbacks, verbose
    return manager_class.configure(*given, inheritable_tags, local_tags, inheritable_metadata, local_metadata)
