"""Who is called for an event, and how: decided once for handlers of the same classes, not at every event or run.

Rules for this file: no handler's event method is called here. A handler that ignores an event, or has nothing but the
base class's empty method for it, is not in the plan and costs nothing. What a handler computes (an ``ignore_*`` property
of its own) is asked at every event; which methods are ``async def``, and ``run_inline``, are read when a plan is made. A
plan names handlers by their place in the row, so rows of the same classes share it and it keeps no handler alive.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from otel_callbacks.callbacks.base import AsyncCallbackHandler, BaseCallbackHandler
from otel_callbacks.callbacks.events import EVENTS
from otel_callbacks.callbacks.foreign import loaded
from otel_callbacks.callbacks.signatures import unfit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from otel_callbacks.callbacks.events import Event

Handler: TypeAlias = Any
"""A handler: usually a BaseCallbackHandler, ours or LangChain's, but whatever has the methods will do."""

_CO_COROUTINE: Final = (
    0x80  # the code flag of ``async def``; the inspect module is too heavy for one constant
)
_FOREIGN: Final = (
    ("langchain_core.callbacks.base", "BaseCallbackHandler"),
    ("langchain_core.callbacks.base", "AsyncCallbackHandler"),
)
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_OWN: Final = (BaseCallbackHandler, AsyncCallbackHandler)
_OWN_METHODS: Final = frozenset(getattr(base, name) for base in _OWN for name in EVENTS)
_OWN_SWITCHES: Final = frozenset(
    vars(BaseCallbackHandler)[event.ignore] for event in EVENTS.values() if event.ignore
)
_RUN_INLINE: Final = "run_inline"
_PLANNED_BY: Final = frozenset(
    {_RUN_INLINE, *EVENTS, *(event.ignore for event in EVENTS.values() if event.ignore)}
)
_KNOWN_ROWS: Final = 256  # combinations of classes; an application has a few


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """How one handler gets one event.

    Attributes:
        place: Where in the row the handler is.
        name: The method's name: that of the event, or of the event sent in its place.
        asks: Names of properties to ask at every event; any true one means: not this time.
        is_coroutine: Whether calling the method only makes a coroutine, to be awaited where the caller runs.
        as_prompt: Whether conversations are handed over as prompts, because this is a fallback.
        fallback: The calls to make instead when the method raises NotImplementedError; None: that is an error.
    """

    place: int
    name: str
    asks: tuple[str, ...]
    is_coroutine: bool
    as_prompt: bool
    fallback: tuple[Call, ...] | None


class Plan(NamedTuple):
    """The calls of the ``run_inline`` handlers and those of the others, each in the handlers' order; and both, one after the other."""

    inline: tuple[Call, ...]
    others: tuple[Call, ...]
    in_order: tuple[Call, ...]


Described: TypeAlias = "tuple[type, Any]"
"""A handler's class and the handler, or the class alone (twice) where it says all there is to say."""


class Plans(dict["Event", "Plan | None"]):
    """The calls to make for each event; None if nobody wants it. It fills when it is asked."""

    __slots__ = ("_row",)

    def __init__(self, row: tuple[Described, ...]) -> None:
        super().__init__()
        self._row = row

    def __missing__(self, event: Event) -> Plan | None:
        """Work the plan out and keep it."""
        plan = self[event] = _plan(self._row, event)
        return plan


class Roster:
    """An immutable row of handlers, in order and the same object once, that knows what each event calls.

    Handlers are told apart by identity, never by ``==``: two recorders that happen to be equal both get their events.
    """

    __slots__ = ("plans", "row")

    def __init__(self, handlers: Iterable[Handler] = ()) -> None:
        row: tuple[Handler, ...] = tuple(handlers)
        if len(row) > 1:
            row = tuple({id(handler): handler for handler in row}.values())
        self.row = row
        self.plans = _plans(row)

    def __iter__(self) -> Iterator[Handler]:
        return iter(self.row)

    def __len__(self) -> int:
        return len(self.row)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the handlers, not what was worked out about them."""
        return type(self), (self.row,)

    def has(self, handler: Handler) -> bool:
        """Return whether this very object is in the row."""
        return any(member is handler for member in self.row)

    def adding(self, handlers: Iterable[Handler]) -> Roster:
        """Return the row with those of *handlers* at its end that it lacks; itself if it lacks none."""
        new = [handler for handler in handlers if not self.has(handler)]
        return Roster((*self.row, *new)) if new else self

    def without(self, handler: Handler) -> Roster:
        """Return the row without *handler*."""
        return Roster(member for member in self.row if member is not handler) if self.has(handler) else self


def _plans(row: tuple[Handler, ...]) -> Plans:
    """Return the plans of *row*: those of its classes, unless one of its handlers is more than an instance of its class."""
    kinds = tuple(map(type, row))
    for handler in row:
        if not _PLANNED_BY.isdisjoint(getattr(handler, "__dict__", _NOTHING)):
            break
    else:
        plans = _common_plans(kinds)
        if plans is not None:
            return plans
    return Plans(tuple(zip(kinds, row, strict=True)))


@lru_cache(_KNOWN_ROWS)
def _common_plans(kinds: tuple[type, ...]) -> Plans | None:
    """Return the plans for every row of plain instances of *kinds*; None where the classes do not say it all."""
    return Plans(tuple(zip(kinds, kinds, strict=True))) if all(map(_says_it_all, kinds)) else None


def _says_it_all(kind: type) -> bool:
    getters = {getattr(kind, "__getattribute__"), getattr(kind, "__getattr__", None)}  # noqa: B009 - types differ
    return getters == {object.__getattribute__, None} and isinstance(getattr(kind, _RUN_INLINE, False), bool)


EMPTY: Final = Roster()


def _plan(row: tuple[Described, ...], event: Event) -> Plan | None:
    inline: list[Call] = []
    others: list[Call] = []
    for place, described in enumerate(row):
        call = _call(place, described, event)
        if call is not None:
            (inline if getattr(described[1], _RUN_INLINE, False) else others).append(call)
    return Plan(tuple(inline), tuple(others), (*inline, *others)) if inline or others else None


def _call(
    place: int, described: Described, event: Event, *, asked: tuple[str, ...] = (), as_prompt: bool = False
) -> Call | None:
    kind, handler = described
    own: Mapping[str, Any] = _NOTHING if handler is kind else getattr(handler, "__dict__", _NOTHING)
    if event.name not in own and event.name in unfit(kind):
        return None
    asks = asked
    if event.ignore is not None:
        switch = getattr(kind, event.ignore, None)
        if isinstance(switch, bool):
            if getattr(handler, event.ignore):
                return None
        elif event.ignore in own or (switch is not None and switch not in _OWN_SWITCHES):
            asks = (*asked, event.ignore)
    is_base_method = event.name not in own and _is_base_method(kind, handler, event.name)
    fallback = None
    if event.fallback is not None:
        if is_base_method:  # the method would do nothing but ask for the fallback
            return _call(place, described, event.fallback, asked=asks, as_prompt=True)
        instead = _call(place, described, event.fallback, as_prompt=True)
        fallback = () if instead is None else (instead,)
    method = None if is_base_method else getattr(handler, event.name, None)
    if method is None:
        return None
    return Call(place, event.name, asks, _is_coroutine_function(method), as_prompt, fallback)


def _is_base_method(kind: type, handler: Handler, name: str) -> bool:
    """Return whether method *name* is the empty one of a base class, ours or LangChain's."""
    if getattr(kind, "__getattribute__") is object.__getattribute__:  # noqa: B009 - types differ
        function = getattr(kind, name, None)
    else:  # a proxy, which answers for itself
        function = getattr(getattr(handler, name, None), "__func__", None)
    if function is None:
        return False
    if function in _OWN_METHODS:
        return True
    return any(
        (base := loaded(module, cls)) is not None and getattr(base, name, None) is function
        for module, cls in _FOREIGN
    )


def _is_coroutine_function(method: Callable[..., Any]) -> bool:
    """Return whether *method* is ``async def``; what is missed here is noticed by the result being a coroutine."""
    while isinstance(method, partial):
        method = method.func
    code = getattr(getattr(method, "__func__", method), "__code__", None)
    return code is not None and bool(code.co_flags & _CO_COROUTINE)
