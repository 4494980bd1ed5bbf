"""Functions as runs: ``@chain``, ``@tool``, ``@retriever``, ``@chat_model`` and ``@llm`` make every call of a function a run.

The same names are bodies: ``with tool("lookup", {"key": "a"}) as run:``. Without ``callbacks`` of its own, a run is a child
of the body that it is opened in, ours or LangChain's, with its handlers; at the top, handlers come from ``callbacks`` or from
``register_configure_hook``.

What is decorated may be a function, a coroutine function, a generator or an asynchronous generator, or a method of these. Of
a generator the run lasts from the first item to the end; it has a context of its own, so that the consumer is not inside,
and what is sent, thrown and returned arrives. Its output is the list of its items, or their text if they all are text; a
model's items are its tokens. When the consumer leaves early, the run ends with GeneratorExit, as LangChain's do.

Rules for this file: the arguments are looked at only if somebody watches, and then the callee's mistakes stay the callee's.
"""

from __future__ import annotations

from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, signature
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast, overload

from otel_callbacks.callbacks import kinds
from otel_callbacks.callbacks.bodies import Body, Lazy, of_model
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
from otel_callbacks.callbacks.stepping import AsyncSteps, Steps

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
    from inspect import Signature
    from uuid import UUID

    from otel_callbacks.callbacks.kinds import Kind
    from otel_callbacks.callbacks.managers import Callbacks

P = ParamSpec("P")
R = TypeVar("R")


class Opener(Body[S, A]):
    """A body that decorates functions as well: each call is a run."""

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Return *function* as runs."""
        name = self._name or getattr(function, "__name__", type(function).__name__)
        more = dict(self._more)
        if self._kind is kinds.TOOL:
            more["description"] = more["description"] or (function.__doc__ or "").strip()
        parameters = _Parameters(function)

        def opened(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Body[S, A]:
            payload = _Arguments(parameters, args, kwargs)
            return Body(
                self._kind,
                name,
                payload,
                self._callbacks,
                tags=self._tags,
                metadata=self._metadata,
                more=more,
            )

        return cast("Callable[P, R]", _wrapper(function)(function, opened, self._kind))


def _wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    for is_one, wrapper in _WRAPPERS:
        if is_one(function):
            return wrapper
    return _called


def _called(function: Callable[..., Any], opened: Callable[..., Body[Any, Any]], _: Any) -> Any:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with opened(args, kwargs) as run:
            output = function(*args, **kwargs)
            run.end(output)
            return output

    return call


def _awaited(function: Callable[..., Any], opened: Callable[..., Body[Any, Any]], _: Any) -> Any:
    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        async with opened(args, kwargs) as run:
            output = await function(*args, **kwargs)
            run.end(output)
            return output

    return call


def _consumed(function: Callable[..., Any], opened: Callable[..., Body[Any, Any]], kind: Any) -> Any:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with Steps(opened(args, kwargs), function(*args, **kwargs), kind.item) as steps:
            return (yield from cast("Generator[Any, Any, Any]", steps))

    return call


def _aconsumed(function: Callable[..., Any], opened: Callable[..., Body[Any, Any]], kind: Any) -> Any:
    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        async with AsyncSteps(opened(args, kwargs), function(*args, **kwargs), kind.item) as steps:
            try:
                item = await steps.send(None)
                while True:
                    try:
                        value: Any = yield item
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001 - the consumer's throw is the generator's to see
                        item = await steps.throw(error)
                    else:
                        item = await steps.send(value)
            except StopAsyncIteration:
                return

    return call


_WRAPPERS: Final = (
    (isasyncgenfunction, _aconsumed),
    (isgeneratorfunction, _consumed),
    (iscoroutinefunction, _awaited),
)


class _Parameters:
    """The parameters of a function, read when they are first needed."""

    __slots__ = ("_function", "_signature")

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._signature: Signature | None = None

    def named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of one call by name, without the instance that a method is of."""
        try:
            if self._signature is None:
                self._signature = signature(self._function)
            bound = self._signature.bind(*args, **kwargs)
        except (TypeError, ValueError):  # the call will fail, or nothing is known of the callee
            return {"args": args, **kwargs}
        named = dict(bound.arguments)
        for parameter in self._signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                named.update(named.pop(parameter.name, {}))
        if next(iter(named), None) in {"self", "cls"}:
            del named[next(iter(named))]
        return named


class _Arguments(Lazy):
    """The arguments of one call."""

    __slots__ = ("_args", "_kwargs", "_parameters")

    def __init__(self, parameters: _Parameters, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._parameters, self._args, self._kwargs = parameters, args, kwargs

    def read(self, *, by_name: bool) -> Any:
        """Return the arguments by name, or the first of them."""
        named = self._parameters.named(self._args, self._kwargs)
        return named if by_name else next(iter(named.values()), "")


@overload
def chain(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def chain(
    name: str | None = None,
    inputs: Any = None,
    *,
    callbacks: Callbacks = None,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    run_id: UUID | None = None,
) -> Opener[ChainRun, AsyncChainRun]: ...
def chain(
    name: Any = None,
    inputs: Any = None,
    *,
    callbacks: Callbacks = None,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    run_id: UUID | None = None,
) -> Any:
    """Make a function, or a block, the run of a chain: any step of an agent that is of no other kind.

    Example:
        >>> @chain
        ... def plan(question: str) -> list[str]:
        ...     with chain("look around", question) as run:
        ...         run.end("nothing there")
        ...     return ["search", "answer"]
        >>> plan("what is it?")
        ['search', 'answer']
    """
    more = {"run_id": run_id}
    return _opener(name, kinds.CHAIN, inputs, callbacks, tags, metadata, more)


@overload
def tool(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def tool(
    name: str | None = None,
    inputs: str | Mapping[str, Any] = "",
    *,
    description: str = "",
    tool_call_id: str | None = None,
    callbacks: Callbacks = None,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    run_id: UUID | None = None,
) -> Opener[ToolRun, AsyncToolRun]: ...
def tool(
    name: Any = None,
    inputs: str | Mapping[str, Any] = "",
    *,
    description: str = "",
    tool_call_id: str | None = None,
    callbacks: Callbacks = None,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    run_id: UUID | None = None,
) -> Any:
    """Make a function, or a block, the run of a tool; its description is the function's docstring.

    Example:
        >>> @tool
        ... def lookup(key: str) -> str:
        ...     "Look a thing up."
        ...     return {"a": "one"}[key]
        >>> lookup("a")
        'one'
    """
    more = {"run_id": run_id, "description": description, "tool_call_id": tool_call_id}
    return _opener(name, kinds.TOOL, inputs, callbacks, tags, metadata, more)


@overload
def retriever(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def retriever(
    name: str | None = None,
    query: str = "",
    *,
    callbacks: Callbacks = None,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    run_id: UUID | None = None,
) -> Opener[RetrieverRun, AsyncRetrieverRun]: ...
def retriever(
    name: Any = None,
    query: str = "",
    *,
    callbacks: Callbacks = None,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    run_id: UUID | None = None,
) -> Any:
    """Make a function, or a block, the run of a retriever: its first argument is the query, it returns documents.

    Example:
        >>> from otel_callbacks.callbacks import Document
        >>> @retriever("notes")
        ... def search(query: str) -> list[Document]:
        ...     return [Document(f"all about {query}")]
        >>> search("spans")[0].page_content
        'all about spans'
    """
    more = {"run_id": run_id}
    return _opener(name, kinds.RETRIEVER, query, callbacks, tags, metadata, more)


@overload
def chat_model(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def chat_model(
    model: str | None = None,
    messages: Sequence[Any] | str = (),
    *,
    provider: str | None = None,
    callbacks: Callbacks = None,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    run_id: UUID | None = None,
    **parameters: Any,
) -> Opener[LLMRun, AsyncLLMRun]: ...
def chat_model(
    model: Any = None,
    messages: Sequence[Any] | str = (),
    *,
    provider: str | None = None,
    callbacks: Callbacks = None,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    run_id: UUID | None = None,
    **parameters: Any,
) -> Any:
    """Make a function, or a block, the run of a chat model; *parameters* are the request's (temperature, stop ...).

    The function's first argument is the conversation, or what the user said; it returns a message or text, or yields tokens.

    Example:
        >>> @chat_model("parrot-1", provider="birds", temperature=0)
        ... def answer(question: str):
        ...     yield from question.split()
        >>> list(answer("Polly wants"))
        ['Polly', 'wants']
    """
    name = model if isinstance(model, str) else None
    about, more = of_model("chat", name, provider, metadata, run_id, parameters)
    return _opener(model, kinds.CHAT_MODEL, messages, callbacks, tags, about, more)


@overload
def llm(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def llm(
    model: str | None = None,
    prompt: str = "",
    *,
    provider: str | None = None,
    callbacks: Callbacks = None,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    run_id: UUID | None = None,
    **parameters: Any,
) -> Opener[LLMRun, AsyncLLMRun]: ...
def llm(
    model: Any = None,
    prompt: str = "",
    *,
    provider: str | None = None,
    callbacks: Callbacks = None,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    run_id: UUID | None = None,
    **parameters: Any,
) -> Any:
    """Make a function, or a block, the run of a text model: its first argument is the prompt; see ``chat_model``.

    Example:
        >>> @llm
        ... def complete(prompt: str) -> str:
        ...     return prompt + " upon a time"
        >>> complete("Once")
        'Once upon a time'
    """
    name = model if isinstance(model, str) else None
    about, more = of_model("llm", name, provider, metadata, run_id, parameters)
    return _opener(model, kinds.LLM, prompt, callbacks, tags, about, more)


def _opener(
    name_or_function: Any,
    kind: Kind[Any, Any],
    payload: Any,
    callbacks: Callbacks,
    tags: Sequence[str] | None,
    metadata: Mapping[str, Any] | None,
    more: Mapping[str, Any],
) -> Any:
    if name_or_function is None or isinstance(name_or_function, str):
        name = name_or_function or ""
        return Opener(kind, name, payload, callbacks, tags=tags, metadata=metadata, more=more)
    return Opener(kind, "", payload, callbacks, tags=tags, metadata=metadata, more=more)(name_or_function)
