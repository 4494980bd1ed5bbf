"""Who is called for an event, and how: decided once for a row of handlers, not at every event.

Rules for this file: no handler's event method is called here. A handler that ignores an event, or has nothing but the
base class's empty method for it, is not in the plan and costs nothing. What a handler computes (an ``ignore_*`` property
of its own) is asked at every event; what is fixed (methods, ``run_inline``) is read once per roster.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self, TypeAlias
from weakref import WeakKeyDictionary

from otel_callbacks.callbacks.base import AsyncCallbackHandler, BaseCallbackHandler
from otel_callbacks.callbacks.events import EVENTS
from otel_callbacks.callbacks.foreign import loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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


class _Method(Protocol):
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


@dataclass(
    slots=True, eq=False
)  # not frozen: one is made per handler, event and call tree, and that takes four times as long
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


class Plan(NamedTuple):
    """The calls of the ``run_inline`` handlers and those of the others, each in the handlers' order."""

    inline: tuple[Call, ...]
    others: tuple[Call, ...]


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


def _plan(roster: Roster, event: Event) -> Plan | None:
    inline: list[Call] = []
    others: list[Call] = []
    for handler in roster:
        call = _call(handler, event)
        if call is not None:
            (inline if getattr(handler, "run_inline", False) else others).append(call)
    return Plan(tuple(inline), tuple(others)) if inline or others else None


def _call(handler: Handler, event: Event, *, as_prompt: bool = False) -> Call | None:
    trait = _trait(_class_of(handler), event)
    own: Mapping[str, Any] = getattr(handler, "__dict__", _NOTHING)
    asks: tuple[str, ...] = ()
    if event.ignore is not None and trait.switch is not _Switch.BASE:
        if trait.switch is _Switch.CONSTANT:
            if getattr(handler, event.ignore):
                return None
        elif trait.switch is _Switch.COMPUTED or event.ignore in own:
            asks = (event.ignore,)
    is_base_method = trait.is_base_method and event.name not in own
    fallback = None
    if event.fallback is not None:
        instead = _call(handler, event.fallback, as_prompt=True)
        fallback = () if instead is None else (instead,)
        if is_base_method and instead is not None:  # the method would do nothing but ask for the fallback
            instead.asks = asks + instead.asks
            return instead
    method = None if is_base_method else getattr(handler, event.name, None)
    if method is None:
        return None
    return Call(handler, event.name, method, asks, _is_coroutine_function(method), as_prompt, fallback)


class _Switch(Enum):
    """What a class has under the name of a switch."""

    BASE = auto()  # the base class's property, which is always False
    CONSTANT = auto()  # True or False, which an instance may lay its own over
    COMPUTED = auto()  # whatever it is, it has to be asked
    ABSENT = auto()


class _Trait(NamedTuple):
    """What a class of handlers says about one event."""

    switch: _Switch
    is_base_method: bool


# By class, not by instance: an application makes handlers for every request, but not classes.
_traits: WeakKeyDictionary[type, dict[str, _Trait]] = WeakKeyDictionary()


def _class_of(handler: object) -> type:
    return type(handler)


def _trait(kind: type, event: Event) -> _Trait:
    known = _traits.get(kind)
    if known is None:
        known = _traits[kind] = {}
    trait = known.get(event.name)
    if trait is None:
        switch = _Switch.ABSENT if event.ignore is None else _switch(kind, event.ignore)
        trait = known[event.name] = _Trait(switch, _is_base_method(kind, event.name))
    return trait


def _switch(kind: type, name: str) -> _Switch:
    found = getattr(kind, name, None)
    if found is None:
        return _Switch.ABSENT
    if found in _OWN_SWITCHES:
        return _Switch.BASE
    return _Switch.CONSTANT if isinstance(found, bool) else _Switch.COMPUTED


def _is_base_method(kind: type, name: str) -> bool:
    """Return whether method *name* is the empty one of a base class, ours or LangChain's."""
    function = getattr(kind, name, None)
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
