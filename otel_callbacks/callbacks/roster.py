"""Who is called for an event, and how: decided once for a row of handlers, not at every event.

Rules for this file: no handler's event method is called here. A handler that ignores an event, or has nothing but the
base class's empty method for it, is not in the plan and costs nothing. What a handler computes (an ``ignore_*`` property
of its own) is asked at every event; what is fixed (methods, ``run_inline``) is read once per roster.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeAlias

from otel_callbacks.callbacks.base import AsyncCallbackHandler, BaseCallbackHandler
from otel_callbacks.callbacks.events import EVENTS
from otel_callbacks.callbacks.foreign import loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
_OWN: Final = (BaseCallbackHandler, AsyncCallbackHandler)
_OWN_METHODS: Final = frozenset(getattr(base, name) for base in _OWN for name in EVENTS)
_OWN_SWITCHES: Final = frozenset(
    vars(BaseCallbackHandler)[event.ignore] for event in EVENTS.values() if event.ignore
)


class _Method(Protocol):
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """How one handler gets one event.

    Attributes:
        name: The method's name: that of the event, or of the event sent in its place.
        asks: Names of properties to ask at every event; any true one means: not this time.
        is_coroutine: Whether calling the method only makes a coroutine, to be awaited where the caller runs.
        as_prompt: Whether conversations are handed over as prompts, because this is a fallback.
        fallback: The calls to make instead when the method raises NotImplementedError; None: that is an error.
    """

    handler: Handler
    name: str
    method: _Method
    asks: tuple[str, ...]
    is_coroutine: bool
    as_prompt: bool
    fallback: tuple[Call, ...] | None


Plan: TypeAlias = "tuple[tuple[Call, ...], tuple[Call, ...]]"
"""The calls of the ``run_inline`` handlers and those of the others, each in the handlers' order."""


class Roster(tuple[Handler, ...]):  # noqa: SLOT001 - a tuple's subclass cannot have slots, and this one has a memory
    """An immutable row of handlers that remembers what each event calls.

    Handlers are told apart by identity, never by ``==``: two recorders that happen to be equal both get their events.
    """

    _plans: dict[str, Plan | None]

    def __new__(cls, handlers: Iterable[Handler] = ()) -> Self:
        """Keep *handlers* in order, the same object once."""
        row = tuple(handlers)
        if len(row) > 1:
            row = tuple({id(handler): handler for handler in row}.values())
        self = super().__new__(cls, row)
        self._plans = {}
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the handlers, not what was worked out about them."""
        return type(self), (tuple(self),)

    def has(self, handler: Handler) -> bool:
        """Return whether this very object is in the row."""
        return any(member is handler for member in self)

    def adding(self, handlers: Iterable[Handler]) -> Roster:
        """Return the row with those of *handlers* at its end that it lacks; itself if it lacks none."""
        new = [handler for handler in handlers if not self.has(handler)]
        return Roster((*self, *new)) if new else self

    def without(self, handler: Handler) -> Roster:
        """Return the row without *handler*."""
        return Roster(member for member in self if member is not handler) if self.has(handler) else self

    def plan(self, event: Event) -> Plan | None:
        """Return the calls to make for *event*; None if nobody wants it."""
        try:
            return self._plans[event.name]
        except KeyError:
            plan = self._plans[event.name] = _plan(self, event)
            return plan


EMPTY: Final = Roster()


def _plan(handlers: Iterable[Handler], event: Event) -> Plan | None:
    inline: list[Call] = []
    others: list[Call] = []
    for handler in handlers:
        call = _call(handler, event)
        if call is not None:
            (inline if getattr(handler, "run_inline", False) else others).append(call)
    return (tuple(inline), tuple(others)) if inline or others else None


def _call(handler: Handler, event: Event, *, as_prompt: bool = False) -> Call | None:
    asks = _asks(handler, event.ignore)
    if asks is None:
        return None
    fallback = None
    if event.fallback is not None:
        instead = _call(handler, event.fallback, as_prompt=True)
        fallback = () if instead is None else (instead,)
        if _is_base_method(handler, event.name):  # which would do nothing but ask for the fallback
            return None if instead is None else replace(instead, asks=asks + instead.asks)
    method = None if _is_base_method(handler, event.name) else getattr(handler, event.name, None)
    if method is None:
        return None
    return Call(handler, event.name, method, asks, _is_coroutine_function(method), as_prompt, fallback)


def _asks(handler: Handler, name: str | None) -> tuple[str, ...] | None:
    """Return what to ask *handler* at every event about switch *name*; None if it is off for good."""
    if name is None:
        return ()
    switch = getattr(_kind(handler), name, None)
    if isinstance(switch, bool):  # a class constant, or what an instance has put over it
        return None if getattr(handler, name) else ()
    if switch in _OWN_SWITCHES or (switch is None and name not in getattr(handler, "__dict__", ())):
        return ()
    return (name,)


def _kind(handler: object) -> type[object]:
    return type(handler)


def _is_base_method(handler: Handler, name: str) -> bool:
    """Return whether method *name* is the empty one of a base class, ours or LangChain's."""
    function = getattr(_kind(handler), name, None)
    if function is None or name in getattr(handler, "__dict__", ()):
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
