"""The managers, ours beside LangChain's: what starting, nesting and ending runs costs when the handler does nothing.

Rules for this file: both sides do the calls that LangChain's runnables do for ``prompt | model | parser``, with what was
recorded of one run of it; the handlers are the same code on either side's base class, and have a method for every event
that is sent, because an event that nobody wants costs our managers next to nothing.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import langchain_core.callbacks as theirs
from langchain_core.callbacks import manager as their_managers

import otel_callbacks.callbacks as ours
from benchmarks.cases import Case, config_with, replayed_chain
from benchmarks.gate import Goal
from benchmarks.recording import INPUTS, METADATA, TAGS, Call, Recording
from benchmarks.targets import Operation, Work

_OF_THE_MANAGER: Final = ("run_id", "parent_run_id", "tags", "metadata")
_MANY: Final = 5


class _NoOp:
    """Does nothing with each event of the chain."""

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None: ...
    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None: ...
    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None: ...
    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None: ...
    def on_llm_end(self, response: Any, **kwargs: Any) -> None: ...


class _Deaf:
    """Has no method for anything."""


class _AsyncNoOp:
    """Does nothing with each event of the chain, as a coroutine."""

    async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None: ...
    async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None: ...
    async def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None: ...
    async def on_llm_new_token(self, token: Any, **kwargs: Any) -> None: ...
    async def on_llm_end(self, response: Any, **kwargs: Any) -> None: ...


class _Inline(_NoOp):
    """Likewise, where the run itself is."""

    run_inline = True


@dataclass(frozen=True, slots=True)
class Library:
    """One of the two that are compared."""

    module: Any

    def handlers(self, behaviour: type[Any], count: int = 1) -> list[Any]:
        """Return *count* handlers that do what *behaviour* says."""
        is_async = issubclass(behaviour, _AsyncNoOp)
        base = self.module.AsyncCallbackHandler if is_async else self.module.BaseCallbackHandler
        kind = type(behaviour.__name__, (behaviour, base), {})
        return [kind() for _ in range(count)]


OURS: Final = Library(ours)
THEIRS: Final = Library(theirs)


# -- the calls of one chain --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One run: what its manager is configured with, what starts it, and what ends it."""

    tag: str | None
    metadata: Mapping[str, Any]
    start: str
    given: tuple[Any, ...]
    more: Mapping[str, Any]
    end: str
    result: Any


@dataclass(frozen=True, slots=True)
class Script:
    """The sequence, and the runs inside it."""

    root: Step
    children: tuple[Step, ...]


def script_of(recording: Recording) -> Script:
    """Return the calls that led to those that were recorded."""
    ends = {call.run_id: call for call in recording.calls if not call.is_start}
    starts = [call for call in recording.calls if call.is_start]
    root, *children = [
        _step(start, ends[start.run_id], f"seq:step:{n}" if n else None) for n, start in enumerate(starts)
    ]
    return Script(root, tuple(children))


def _step(start: Call, end: Call, tag: str | None) -> Step:
    metadata = {**METADATA, **{k: v for k, v in start.kwargs["metadata"].items() if k.startswith("ls_")}}
    more = {key: value for key, value in start.kwargs.items() if key not in _OF_THE_MANAGER}
    return Step(tag, metadata, start.event, start.args, more, end.event, end.args[0])


def _chain(manager: Any, handlers: Sequence[Any], script: Script) -> None:
    configure, root = manager.configure, script.root
    run = configure(handlers, inheritable_tags=TAGS, inheritable_metadata=root.metadata)
    run = getattr(run, root.start)(*root.given, **root.more)
    for step in script.children:
        child = configure(run.get_child(step.tag), inheritable_tags=TAGS, inheritable_metadata=step.metadata)
        started = getattr(child, step.start)(*step.given, **step.more)
        # A model's start returns one run per conversation.
        getattr(started[0] if type(started) is list else started, step.end)(step.result)
    getattr(run, root.end)(root.result)


async def _achain(manager: Any, handlers: Sequence[Any], script: Script) -> None:
    configure, root = manager.configure, script.root
    run = configure(handlers, inheritable_tags=TAGS, inheritable_metadata=root.metadata)
    run = await getattr(run, root.start)(*root.given, **root.more)
    for step in script.children:
        child = configure(run.get_child(step.tag), inheritable_tags=TAGS, inheritable_metadata=step.metadata)
        started = await getattr(child, step.start)(*step.given, **step.more)
        await getattr(started[0] if type(started) is list else started, step.end)(step.result)
    await getattr(run, root.end)(root.result)


def chains(script: Script, library: Library, behaviour: type[Any], count_of_handlers: int = 1) -> Work:
    """Return the work of running the chain's managers in synchronous code."""
    manager, handlers = library.module.CallbackManager, library.handlers(behaviour, count_of_handlers)

    def prepare(count: int) -> Operation:
        def operation() -> None:
            for _ in range(count):
                _chain(manager, handlers, script)

        return operation

    return prepare


def achains(script: Script, library: Library, behaviour: type[Any], loop: asyncio.AbstractEventLoop) -> Work:
    """Return the work of running the chain's managers in coroutines."""
    manager, handlers = library.module.AsyncCallbackManager, library.handlers(behaviour)

    async def many(count: int) -> None:
        for _ in range(count):
            await _achain(manager, handlers, script)

    return lambda count: _on(loop, lambda: many(count))


def _on(loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, None]]) -> Operation:
    return lambda: loop.run_until_complete(work())


def tokens(library: Library, recording: Recording, *, heard: bool) -> Work:
    """Return the work of reporting tokens; *heard*: to a handler that has a method for them."""
    token = recording.token
    manager = library.module.CallbackManager(library.handlers(_NoOp if heard else _Deaf))
    (run,) = manager.on_llm_start({}, ["p"])

    def prepare(count: int) -> Operation:
        def operation() -> None:
            for _ in range(count):
                run.on_llm_new_token(token.kwargs["token"], chunk=token.kwargs["chunk"])

        return operation

    return prepare


# -- in place: LangChain's runnables on either ---------------------------------------------------------------------------


def _places() -> list[tuple[Any, str]]:
    """Return where LangChain's modules have its managers: (module, name)."""
    names = [name for name in ours.__all__ if "Manager" in name and hasattr(their_managers, name)]
    return [
        (module, name)
        for path, module in sys.modules.items()
        if path.startswith("langchain_core.") and module is not their_managers
        for name in names
        if vars(module).get(name) is getattr(their_managers, name)
    ]


@contextmanager
def _exchanged(places: Sequence[tuple[Any, str]], library: Library) -> Iterator[None]:
    """Let LangChain's modules use the managers of *library* for a while."""
    for module, name in places:
        setattr(module, name, getattr(library.module, name))
    try:
        yield
    finally:
        for module, name in places:
            setattr(module, name, getattr(their_managers, name))


def invoke(recording: Recording, library: Library) -> Work:
    """Return the work of running the whole chain on the managers of *library*."""
    chain, config = replayed_chain(recording), config_with(THEIRS.handlers(_Inline)[0])
    places = _places()

    def prepare(count: int) -> Operation:
        def operation() -> None:
            with _exchanged(places, library):
                for _ in range(count):
                    chain.invoke(INPUTS, config)

        return operation

    return prepare


# -- the cases ---------------------------------------------------------------------------------------------------------


def managed(recording: Recording) -> tuple[Case, ...]:
    """Return the cases that set our managers beside LangChain's; a gate is what 3.11 needed and five to eight per cent."""
    script, loop = script_of(recording), asyncio.new_event_loop()

    def case(name: str, work: Callable[[Library], Work], goal: Goal, **more: Any) -> Case:
        return Case(f"managers, {name}", work(OURS), "langchain-core's managers", work(THEIRS), goal, **more)

    return (
        case("sync", lambda lib: chains(script, lib, _NoOp), Goal(final=0.25, gate=0.26)),
        case("sync, 5 handlers", lambda lib: chains(script, lib, _NoOp, _MANY), Goal(final=0.30, gate=0.40)),
        case("async, inline", lambda lib: achains(script, lib, _Inline, loop), Goal(final=0.12, gate=0.18)),
        case(
            "async, async handler",
            lambda lib: achains(script, lib, _AsyncNoOp, loop),
            Goal(final=0.30, gate=0.325),
        ),
        case("async, in a thread", lambda lib: achains(script, lib, _NoOp, loop), Goal(final=1.0, gate=0.68)),
        case(
            "a token",
            lambda lib: tokens(lib, recording, heard=True),
            Goal(final=0.60, gate=0.70),
            operations=200,
        ),
        case(
            "a token not wanted",
            lambda lib: tokens(lib, recording, heard=False),
            Goal(final=0.15, gate=0.23),
            operations=200,
        ),
        case("invoke", lambda lib: invoke(recording, lib), Goal(final=1.0, gate=0.81), operations=15),
    )
