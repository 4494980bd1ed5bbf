"""The bodies of runs: ``with manager.chain("plan", inputs) as run:`` reports the start, and the end however it comes.

Inside of the body its run is the current one, and so is its span: handlers that are called inline set that at the start and
set it back at the end. A body that is opened inside without a manager of its own is a child. Every exception ends the run
with an error and goes on unchanged, GeneratorExit and cancellation as well.

Whoever reads from a generator runs in the generator's context between two items. A body that is open while its generator
yields is therefore the reader's too; a decorated generator (``decorators``) has a context of its own, and no such effect.

Rules for this file: one body of logic for ``with`` and ``async with``; what differs between kinds of runs is in ``kinds``;
nothing is known of any handler, and so nothing of OpenTelemetry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from otel_callbacks.callbacks import kinds
from otel_callbacks.callbacks.ambient import reset_current_run, set_current_run
from otel_callbacks.callbacks.kinds import (
    A,
    AsyncChainRun,
    AsyncLLMRun,
    AsyncRetrieverRun,
    AsyncToolRun,
    ChainRun,
    LLMRun,
    RetrieverRun,
    S,
    ToolRun,
)
from otel_callbacks.callbacks.runs import AsyncParentRunManager, ParentRunManager

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from uuid import UUID

    from otel_callbacks.callbacks.ambient import Place
    from otel_callbacks.callbacks.kinds import Kind
    from otel_callbacks.callbacks.managers import BaseCallbackManager, Callbacks

M = TypeVar("M", bound="BaseCallbackManager")


class Body(Generic[S, A]):
    """A run that lasts as long as a ``with`` or an ``async with`` block; each time the block is entered it is a new one."""

    _run: Any
    _place: Place

    def __init__(
        self,
        kind: Kind[S, A],
        name: str,
        payload: Any,
        callbacks: Callbacks,
        *,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self._kind = kind
        self._name = name
        self._payload = payload
        self._callbacks = callbacks
        self._tags = tags
        self._metadata = metadata
        self._more = more or {}

    def __enter__(self) -> S:
        started = self._start(self._manager(ParentRunManager.manager_class))
        run: S = self._opened(started, self._kind.run)
        return run

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._report(error)
        except Exception:
            # A handler's, which dispatch has logged. It must not cover up what ended the body.
            if error is None:
                raise
        finally:
            reset_current_run(self._place)

    async def __aenter__(self) -> A:
        started = await self._start(self._manager(AsyncParentRunManager.manager_class))
        run: A = self._opened(started, self._kind.async_run)
        return run

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._report(error)
        except Exception:
            if error is None:  # as above
                raise
        finally:
            reset_current_run(self._place)

    def _manager(self, world: type[M]) -> M:
        given, tags, metadata = self._callbacks, self._tags, self._metadata
        if not isinstance(given, world):
            if given is None:
                from otel_callbacks.callbacks.surroundings import surroundings  # noqa: PLC0415 - it needs the managers

                given = surroundings()
            return world.configure(
                given,
                inheritable_tags=list(tags) if tags else None,
                inheritable_metadata=dict(metadata) if metadata else None,
            )
        if tags or metadata:
            given = given.copy()
            given.add_tags(tags or ())
            given.add_metadata(metadata or {})
        return given

    def _start(self, manager: BaseCallbackManager) -> Any:
        payload = self._payload
        if isinstance(payload, Lazy):
            # Nobody looks at the arguments when nobody watches.
            payload = payload.read(by_name=self._kind.by_name) if manager.scope.handlers else None
        return self._kind.start(manager, self._name, payload, dict(self._more))

    def _opened(self, started: Any, world: type[Any]) -> Any:
        manager: Any = started[0] if self._kind.is_many else started
        self._run = world.of(manager.run_id, manager.scope)
        self._place = set_current_run(self._run)
        return self._run

    def _report(self, error: BaseException | None) -> Any:
        """Report the end; return what is to be awaited, in the asynchronous world."""
        run, kind = self._run, self._kind
        said = hasattr(run, "output")
        if error is None:
            return getattr(run, kind.end)(kind.result(run.output if said else None))
        about: dict[str, Any] = {}
        if kind.streams and said:
            about["response"] = kind.result(run.output)
        if "tool_call_id" in self._more:
            about["tool_call_id"] = self._more["tool_call_id"]
        return getattr(run, kind.error)(error, **about)


class Lazy:
    """A payload that is made only when somebody wants it."""

    __slots__ = ()

    def read(self, *, by_name: bool) -> Any:
        """Return the payload: the arguments *by_name*, or the first of them."""
        raise NotImplementedError


class Bodies:
    """What managers have for writing agents: one method for each kind of run, for ``with`` and for ``async with``.

    In ``with``, the run is reported in synchronous code, and in ``async with`` in asynchronous code, whatever the manager.
    *tags* and *metadata* are handed on to descendants.

    Example:
        >>> from otel_callbacks.callbacks import CallbackManager, StdOutCallbackHandler
        >>> manager = CallbackManager.configure([])
        >>> with manager.chain("agent", "what is it?") as agent:
        ...     with agent.get_child().tool("lookup", {"key": "a"}) as tool:
        ...         tool.end("one")
        ...     agent.end("it is one")
    """

    __slots__ = ()

    def chain(
        self: Any,
        name: str,
        inputs: Any = None,
        *,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        run_id: UUID | None = None,
    ) -> Body[ChainRun, AsyncChainRun]:
        """Return the body of a chain: any step of an agent that is of no other kind."""
        more = {"run_id": run_id}
        return Body(kinds.CHAIN, name, inputs, self, tags=tags, metadata=metadata, more=more)

    def tool(
        self: Any,
        name: str,
        inputs: str | Mapping[str, Any] = "",
        *,
        description: str = "",
        tool_call_id: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        run_id: UUID | None = None,
    ) -> Body[ToolRun, AsyncToolRun]:
        """Return the body of a tool; *inputs* are its arguments by name, *tool_call_id* is the model's for this call."""
        more = {"run_id": run_id, "description": description, "tool_call_id": tool_call_id}
        return Body(kinds.TOOL, name, inputs, self, tags=tags, metadata=metadata, more=more)

    def retriever(
        self: Any,
        name: str,
        query: str = "",
        *,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        run_id: UUID | None = None,
    ) -> Body[RetrieverRun, AsyncRetrieverRun]:
        """Return the body of a retriever; it ends with a list of documents."""
        more = {"run_id": run_id}
        return Body(kinds.RETRIEVER, name, query, self, tags=tags, metadata=metadata, more=more)

    def chat_model(
        self: Any,
        model: str,
        messages: Sequence[Any] | str = (),
        *,
        provider: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        run_id: UUID | None = None,
        **parameters: Any,
    ) -> Body[LLMRun, AsyncLLMRun]:
        """Return the body of a chat model's call; *parameters* are the request's (temperature, max_tokens, stop ...).

        *messages* is the conversation, ours or LangChain's, or what the user said. Report tokens with
        ``run.on_llm_new_token``, and the answer with ``run.end``.
        """
        about, more = of_model("chat", model, provider, metadata, run_id, parameters)
        return Body(kinds.CHAT_MODEL, model, messages, self, tags=tags, metadata=about, more=more)

    def llm(
        self: Any,
        model: str,
        prompt: str = "",
        *,
        provider: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        run_id: UUID | None = None,
        **parameters: Any,
    ) -> Body[LLMRun, AsyncLLMRun]:
        """Return the body of a text model's call; see ``chat_model``."""
        about, more = of_model("llm", model, provider, metadata, run_id, parameters)
        return Body(kinds.LLM, model, prompt, self, tags=tags, metadata=about, more=more)


def of_model(
    kind: str,
    model: str | None,
    provider: str | None,
    metadata: Mapping[str, Any] | None,
    run_id: UUID | None,
    parameters: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return metadata and further keywords of a model's start, under the names that LangChain's models send them."""
    about = {"ls_model_type": kind, **(metadata or {})}
    invocation = dict(parameters)
    if provider is not None:
        about["ls_provider"] = provider
    if model is not None:
        about["ls_model_name"] = invocation["model"] = model
    options = {"stop": parameters.get("stop")}
    return about, {"run_id": run_id, "invocation_params": invocation, "options": options}
