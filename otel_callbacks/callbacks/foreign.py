"""How a handler passes another framework's isinstance check without that framework being imported or patched.

LangChain's models are pydantic classes that take only instances of LangChain's own handler class. ``isinstance`` first
looks at an object's real type and then at its ``__class__``, so an instance answers with a *bridge*: a class made for
the purpose, with the handler's class in front of the foreign ones.

Rules for this file: a foreign module is looked up among those already loaded, never imported. A bridge is never
instantiated, it changes nothing about the instance, and when it cannot be made the answer is the real type. Bridges are
kept on the class that they stand for, so both can be collected together.
"""

from __future__ import annotations

import copyreg
import sys
from contextlib import suppress
from operator import index
from types import new_class
from typing import Any, ClassVar, SupportsIndex

_BRIDGE = "_otel_callbacks_bridge"
_OLDEST_PROTOCOL = 2  # older ones ask the instance for its __class__, which may be a bridge


def loaded(module: str, name: str) -> type | None:
    """Return class *name* of *module* if that module is loaded and defines it.

    The module's namespace is read directly: a lazy module's ``__getattr__`` would import.
    """
    found = getattr(sys.modules.get(module), "__dict__", {}).get(name)
    return found if isinstance(found, type) else None


class _NoHook:
    """In front of a bridge's bases: a user's ``__init_subclass__`` shall not learn of a class nobody wrote."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        """Stop here."""


def bridge(real: type, wanted: tuple[tuple[str, str], ...]) -> type:
    """Return the class that instances of *real* shall claim to be, given the modules loaded now."""
    found = [base for pair in wanted if (base := loaded(*pair)) is not None and not issubclass(real, base)]
    if not found:
        return real
    # A base of another base says nothing new, and in front of it there would be no order of resolution.
    bases = tuple(b for b in found if not any(other is not b and issubclass(other, b) for other in found))
    known: tuple[tuple[type, ...], type] | None = real.__dict__.get(_BRIDGE)
    if known is not None and known[0] == bases:
        return known[1]
    made = _make(real, bases)
    with suppress(AttributeError, TypeError):  # a metaclass that lets nothing be set: made again each time
        setattr(real, _BRIDGE, (bases, made))
    return made


def _make(real: type, bases: tuple[type, ...]) -> type:
    def construct(_cls: type, *args: Any, **kwargs: Any) -> Any:
        """Make an instance of the class that the user wrote: ``self.__class__(...)`` means that one."""
        return real(*args, **kwargs)

    names: dict[str, Any] = {
        "__module__": real.__module__,
        "__qualname__": real.__qualname__,
        "__doc__": real.__doc__,
        "__slots__": (),
        "__new__": construct,
    }
    try:
        made: type[Any] = new_class(
            real.__name__, (_NoHook, real, *bases), exec_body=lambda space: space.update(names)
        )
    except Exception:  # noqa: BLE001 - metaclasses may raise anything; without a bridge all else still works
        return real
    return made


def _rebuild(cls: type[Any], *args: Any) -> Any:
    instance: Any = cls.__new__(cls, *args)
    return instance


def _rebuild_ex(cls: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    instance: Any = cls.__new__(cls, *args, **kwargs)
    return instance


# copyreg's own functions make pickle compare the class with __class__; ours do the same work without that name.
_REBUILDERS: dict[Any, Any] = {
    getattr(copyreg, "__newobj__"): _rebuild,  # noqa: B009 - type checkers do not know the two
    getattr(copyreg, "__newobj_ex__"): _rebuild_ex,  # noqa: B009
}


class ForeignInstance:
    """Instances claim to be instances of ``foreign_bases`` too, as far as those are loaded."""

    __slots__ = ()
    foreign_bases: ClassVar[tuple[tuple[str, str], ...]] = ()

    def _claimed_class(self) -> type:
        cls = type(self)
        return bridge(cls, cls.foreign_bases)

    def _set_class(self, cls: type) -> None:
        object.__dict__["__class__"].__set__(self, cls)

    # Assigned, not decorated: in a class body the name __class__ belongs to the compiler.
    __class__ = property(_claimed_class, _set_class)  # pyright: ignore[reportIncompatibleMethodOverride] # object's own is a property too

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> Any:
        """Reduce by the real class: copy and pickle never meet a bridge."""
        parts = super(ForeignInstance, self).__reduce_ex__(max(index(protocol), _OLDEST_PROTOCOL))
        if not isinstance(parts, tuple):  # a string: the name of a global
            return parts
        how, *rest = parts
        return (_REBUILDERS.get(how, how), *rest)
