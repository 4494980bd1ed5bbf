"""Whether a handler's methods can be called with what the managers send; said once, where it helps, and in one sentence.

A class that is written on our base classes is looked at when it is defined: the mistake is its author's, and shows before
anything runs. One that is written on LangChain's, or on nothing, is looked at when the first of its handlers is asked for:
it may serve well elsewhere, so the error is logged, the method is passed over, and the others work. A name that is nearly
an event's is a warning in both cases, because handlers may have methods of their own.

A method may be ``async def`` in a synchronous handler, and the other way round: it is awaited wherever it returns a
coroutine. What it calls its positional parameters is checked by type checkers alone.

Rules for this file: a class is looked at once; only what can never work is a mistake, not what a sender might add. What
LangChain has no use for any more is no reason to refuse a handler that does its work without it.
"""

from __future__ import annotations

import logging
import warnings
from inspect import Parameter, getattr_static, isasyncgenfunction, isgeneratorfunction, signature
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from otel_callbacks.callbacks import mixins
from otel_callbacks.callbacks.events import EVENTS
from otel_callbacks.callbacks.names import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from inspect import Signature

_logger = logging.getLogger("otel_callbacks.callbacks")

# on_llm_ended is like on_llm_end, on_chat_start like on_chat_model_start; on_start and on_error, which other frameworks
# have, and on_interrupt and on_resume, which LangGraph has, are like nothing.
_LIKENESS: Final = 0.81
_NOT_OURS_TO_JUDGE: Final = ("langchain_core", "langchain", "langgraph", "otel_callbacks")
_TAGS: Final = "tags"  # sent with every event, also where LangChain's signatures do not name them
_SOMETIMES: Final[Mapping[str, tuple[str, ...]]] = {
    "on_llm_start": ("invocation_params", "options", "name", "batch_size"),
    "on_chat_model_start": ("invocation_params", "options", "name", "batch_size"),
    "on_llm_error": ("response",),
    "on_chain_start": ("run_type", "name", "defers_inputs"),
    "on_chain_end": ("inputs",),
    "on_chain_error": ("inputs",),
    "on_agent_action": ("color", "verbose"),
    "on_agent_finish": ("color", "verbose"),
    "on_tool_start": ("inputs", "color", "name", "tool_call_id", "verbose"),
    "on_tool_end": ("color", "name", "observation_prefix", "llm_prefix", "verbose"),
    "on_tool_error": ("tool_call_id",),
    "on_retriever_start": ("name",),
    "on_text": ("color", "end", "verbose"),
}
"""What LangChain's senders, and our bodies, send besides: a method may ask for it."""
_RARE: Final = frozenset({"on_text", "on_retry", "on_agent_action", "on_agent_finish", "on_stream_event"})
"""Events that an application may never see: a handler may well have such a method for its own use, or from old days."""
_BY_POSITION: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


_MIXINS: Final[tuple[type, ...]] = (
    mixins.LLMManagerMixin,
    mixins.ChainManagerMixin,
    mixins.ToolManagerMixin,
    mixins.RetrieverManagerMixin,
    mixins.CallbackManagerMixin,
    mixins.RunManagerMixin,
)


class _Sent(NamedTuple):
    """What every manager sends with an event."""

    by_position: tuple[str, ...]
    by_keyword: tuple[str, ...]


def _sent(name: str) -> _Sent:
    method: Any = getattr(next(mixin for mixin in _MIXINS if name in vars(mixin)), name)
    parameters = [*signature(method).parameters.values()][1:]
    keywords = [each.name for each in parameters if each.kind is Parameter.KEYWORD_ONLY]
    return _Sent(
        tuple(each.name for each in parameters if each.kind in _BY_POSITION),
        tuple(dict.fromkeys((*keywords, _TAGS))),
    )


_SENT: Final[Mapping[str, _Sent]] = {name: _sent(name) for name in EVENTS}


def check(kind: type) -> None:
    """Look at a class that is being defined.

    Raises:
        TypeError: A method cannot be called; all of those are named.
    """
    mistakes = dict(_mistakes(kind))
    if not _RARE.issuperset(mistakes):
        raise TypeError("\n".join(mistakes.values()))
    doubts = [f"{mistake} It is passed over." for mistake in mistakes.values()]
    doubts += [_said_of_name(kind, name, meant) for name, meant in _misspelt(kind)]
    for doubt in doubts:
        # The caller of the class statement: this function's, `__init_subclass__`'s.
        warnings.warn(doubt, stacklevel=3)


_unfit: WeakKeyDictionary[type, frozenset[str]] = WeakKeyDictionary()


def unfit(kind: type) -> frozenset[str]:
    """Return the events that handlers of class *kind* cannot be told of; the first time, say why in the log."""
    known = _unfit.get(kind)
    if known is None:
        mistakes = dict(_mistakes(kind))
        known = _unfit[kind] = frozenset(mistakes)
        for mistake in mistakes.values():
            _logger.error("%s It is passed over.", mistake)
        for name, meant in _misspelt(kind):
            _logger.warning("%s", _said_of_name(kind, name, meant))
    return known


def _said_of_name(kind: type, name: str, meant: str) -> str:
    return f"{plain(kind.__qualname__)}.{name} is not the name of an event, so nobody calls it. Is {meant} meant?"


def _misspelt(kind: type) -> Iterator[tuple[str, str]]:
    """Yield methods of *kind* that are nearly events, each with the event that is nearest."""
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] in _NOT_OURS_TO_JUDGE:
            continue
        for name, value in vars(base).items():
            if name.startswith("on_") and name not in EVENTS and isinstance(value, FunctionType):
                from difflib import get_close_matches  # noqa: PLC0415 - few classes have such names

                for meant in get_close_matches(name, EVENTS, 1, _LIKENESS):
                    if not hasattr(base, meant) or _is_empty(getattr_static(base, meant)):
                        yield name, meant


def _is_empty(method: Any) -> bool:
    """Return whether *method* is one of the base classes', where nobody has written it."""
    return getattr(method, "__module__", "").partition(".")[0] in _NOT_OURS_TO_JUDGE


def _mistakes(kind: type) -> Iterator[tuple[str, str]]:
    """Yield the events whose methods cannot be called, and why not."""
    for name, sent in _SENT.items():
        method: Any = getattr_static(kind, name, None)
        if isinstance(method, FunctionType):
            skipped = 1  # the handler itself
        elif isinstance(method, staticmethod):
            method, skipped = method.__func__, 0
        else:
            continue  # none, or something whose call only its author understands
        if isinstance(method, FunctionType) and method.__module__ != mixins.__name__:
            switch = EVENTS[name].ignore
            if getattr(method, "__isabstractmethod__", False) or (
                switch and getattr(kind, switch, None) is True
            ):
                continue  # to be overridden, or never called
            reason = _reason(method, skipped, sent, _SOMETIMES.get(name, ()))
            if reason:
                yield name, f"{plain(kind.__qualname__)}.{name}{_signature(method)} {reason}"


def _signature(method: FunctionType) -> Signature:
    """Return what *method* itself takes: a decorator may take more than what it has wrapped."""
    return signature(method, follow_wrapped=False)


def _reason(method: FunctionType, skipped: int, sent: _Sent, sometimes: tuple[str, ...]) -> str | None:
    """Return what keeps *method* from being called with what is *sent*, and *sometimes*; None if nothing does."""
    if isgeneratorfunction(method) or isasyncgenfunction(method):
        return "is a generator: calling it does nothing."
    parameters = [*_signature(method).parameters.values()]
    kinds = {parameter.kind for parameter in parameters}
    positional = [each for each in parameters if each.kind in _BY_POSITION]
    if Parameter.VAR_POSITIONAL not in kinds and len(positional) < skipped:
        return "does not take the handler itself (self)."
    positional = positional[skipped:]
    taken, rest = positional[: len(sent.by_position)], positional[len(sent.by_position) :]
    if Parameter.VAR_POSITIONAL not in kinds and len(taken) < len(sent.by_position):
        missing = sent.by_position[len(taken) :]
        return f"does not take {_listed(missing)}, which {_is(missing)} sent by position."
    twice = [each.name for each in taken if each.name in sent.by_keyword and each.kind is not _BY_POSITION[0]]
    if twice:
        return f"takes {_listed(twice)} by position, where {_listed(sent.by_position)} {_is(sent.by_position)} sent."
    named = [each for each in parameters if each.kind is Parameter.KEYWORD_ONLY] + [
        each for each in rest if each.kind is not _BY_POSITION[0]
    ]
    names = {each.name for each in named}
    unknown = [name for name in sent.by_keyword if name not in names]
    if unknown and Parameter.VAR_KEYWORD not in kinds:
        return f"does not take {_listed(unknown)}, which {_is(unknown)} sent by keyword. Add **kwargs."
    wanted = [*rest, *named]
    filled = {*sent.by_keyword, *sometimes}
    unfilled = [each.name for each in wanted if each.default is each.empty and each.name not in filled]
    if unfilled:
        unfilled = list(dict.fromkeys(unfilled))
        return f"asks for {_listed(unfilled)}, which nobody sends. Give {_it(unfilled)} a default."
    return None


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _is(names: tuple[str, ...] | list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"
