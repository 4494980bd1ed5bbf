"""Several calls as one run: a chain that is not a chain of the code's making, only of its telling.

Rules for this file: a group's run ends once, by whoever ends it first: the application with ``on_chain_end`` or
``on_chain_error``, or the end of the block. Copies and merged managers are of the same group.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager, suppress
from copy import copy
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from otel_callbacks.callbacks.ambient import reset_current_run, set_current_run
from otel_callbacks.callbacks.configuration import scope_of
from otel_callbacks.callbacks.managers import AsyncCallbackManager, BaseCallbackManager, CallbackManager
from otel_callbacks.callbacks.runs import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from otel_callbacks.callbacks.surroundings import surroundings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable, Mapping
    from uuid import UUID

    from otel_callbacks.callbacks.managers import Callbacks
    from otel_callbacks.callbacks.roster import Handler

_Run = TypeVar("_Run")


class _Fate:
    """Whether the group's run has ended; one for all copies of its manager."""

    __slots__ = ("ended",)

    def __init__(self) -> None:
        self.ended = False

    def end(self) -> bool:
        """End it; return whether that is news."""
        was, self.ended = self.ended, True
        return not was


class _ChainGroup(BaseCallbackManager, Generic[_Run]):
    """What the two managers of a group have in common."""

    def __init__(
        self,
        handlers: Iterable[Handler],
        inheritable_handlers: Iterable[Handler] | None = None,
        parent_run_id: UUID | None = None,
        *,
        parent_run_manager: _Run,
        **kwargs: Any,
    ) -> None:
        super().__init__(handlers, inheritable_handlers, parent_run_id, **kwargs)
        self.parent_run_manager = parent_run_manager
        self._fate = _Fate()

    @property
    def ended(self) -> bool:
        """Whether the group's run has ended: then leaving the block sends nothing more."""
        return self._fate.ended

    def copy(self) -> Self:
        """Return a manager of the same group with the same scope."""
        return copy(self)

    def merge(self, other: BaseCallbackManager) -> Self:
        """Return a manager of the same group with the union of both, as managers merge everywhere."""
        merged = copy(self)
        merged.scope = self.scope.merge(scope_of(other))
        return merged


class CallbackManagerForChainGroup(_ChainGroup[CallbackManagerForChainRun], CallbackManager):
    """Starts runs inside a group, whose own run is ``parent_run_manager``."""

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        """Report what the group came to; its run is over."""
        if self._fate.end():
            self.parent_run_manager.on_chain_end(outputs, **kwargs)

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        """Report that the group failed; its run is over."""
        if self._fate.end():
            self.parent_run_manager.on_chain_error(error, **kwargs)


class AsyncCallbackManagerForChainGroup(_ChainGroup[AsyncCallbackManagerForChainRun], AsyncCallbackManager):
    """Starts runs inside a group in asynchronous code; the group's own run is ``parent_run_manager``."""

    async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        """Report what the group came to; its run is over."""
        if self._fate.end():
            await self.parent_run_manager.on_chain_end(outputs, **kwargs)

    async def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        """Report that the group failed; its run is over."""
        if self._fate.end():
            await self.parent_run_manager.on_chain_error(error, **kwargs)


@contextmanager
def trace_as_chain_group(
    group_name: str,
    callback_manager: Callbacks = None,
    *,
    inputs: Mapping[str, Any] | None = None,
    project_name: str | None = None,  # noqa: ARG001 - for LangSmith's tracer alone
    address: Any = None,  # noqa: ARG001 - likewise
    example_id: str | UUID | None = None,  # noqa: ARG001 - likewise
    run_id: UUID | None = None,
    tags: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Generator[CallbackManagerForChainGroup, None, None]:
    """Open a run named *group_name* around a block, and give the manager that the block's calls take as callbacks.

    Whatever the block raises is the run's error and goes on to the caller.

    Args:
        group_name: The run's name.
        callback_manager: What the run is told to; without it, what applies where the call is made.
        inputs: The run's inputs.
        project_name: Accepted for LangChain's sake, as are *address* and *example_id*.
        address: See above.
        example_id: See above.
        run_id: The run's id; without it, a new one.
        tags: For the run and all inside it.
        metadata: For the run and all inside it.

    Example:
        >>> with trace_as_chain_group("two questions", inputs={"topic": "tea"}) as group:
        ...     group.on_chain_end({"answers": 2})
    """
    around = surroundings() if callback_manager is None else callback_manager
    manager = CallbackManager.configure(around, inheritable_tags=tags, inheritable_metadata=metadata)
    run = manager.on_chain_start({"name": group_name}, inputs or {}, run_id)
    group = CallbackManagerForChainGroup((), parent_run_manager=run)
    group.scope = run.get_child().scope
    place = set_current_run(run)
    try:
        yield group
    except BaseException as error:
        with suppress(
            Exception
        ):  # a handler's (with raise_error), which is logged, does not cover up the block's
            group.on_chain_error(error)
        raise
    else:
        group.on_chain_end({})
    finally:
        reset_current_run(place)


@asynccontextmanager
async def atrace_as_chain_group(
    group_name: str,
    callback_manager: Callbacks = None,
    *,
    inputs: Mapping[str, Any] | None = None,
    project_name: str | None = None,  # noqa: ARG001 - for LangSmith's tracer alone
    address: Any = None,  # noqa: ARG001 - likewise
    example_id: str | UUID | None = None,  # noqa: ARG001 - likewise
    run_id: UUID | None = None,
    tags: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> AsyncGenerator[AsyncCallbackManagerForChainGroup, None]:
    """Open a run around a block of asynchronous code: see ``trace_as_chain_group``."""
    around = surroundings() if callback_manager is None else callback_manager
    manager = AsyncCallbackManager.configure(around, inheritable_tags=tags, inheritable_metadata=metadata)
    run = await manager.on_chain_start({"name": group_name}, inputs or {}, run_id)
    group = AsyncCallbackManagerForChainGroup((), parent_run_manager=run)
    group.scope = run.get_child().scope
    place = set_current_run(run)
    try:
        yield group
    except BaseException as error:
        with suppress(Exception):  # as above
            await group.on_chain_error(error)
        raise
    else:
        await group.on_chain_end({})
    finally:
        reset_current_run(place)
