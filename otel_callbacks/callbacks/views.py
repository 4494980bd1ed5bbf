"""The lists and dicts by which a manager's scope is read and changed from outside.

LangChain's users, and LangGraph, change ``manager.handlers`` and its like in place or assign to them. Here the scope is
immutable, so what the attribute gives out is a plain list or dict *of this object*, and whoever asks for the scope next
gets one that says what the list says by then. Two managers never share such a list; an assigned one is copied.

Rules for this file: an object that nobody has looked into pays nothing, beyond ``_scope or scope`` where it is in a hurry.
"""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, overload

from otel_callbacks.callbacks.roster import Handler, Roster
from otel_callbacks.callbacks.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

C = TypeVar("C")


class _View(Generic[C]):
    """One field of the scope, given out as a container that the holder then listens to."""

    __slots__ = ("_kind", "_name")

    def __init__(self, kind: Callable[[Any], C]) -> None:
        self._kind = kind
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, holder: None, owner: type) -> Self: ...
    @overload
    def __get__(self, holder: Scoped, owner: type) -> C: ...
    def __get__(self, holder: Scoped | None, owner: type) -> Self | C:
        if holder is None:
            return self
        return holder._give(self._name, self._kind)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] # one idea in two classes

    def __set__(self, holder: Scoped, value: Any) -> None:
        holder._take(self._name, self._kind(value or ()))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] # as above


class Scoped:
    """Something that has a scope: a manager, or the manager of one run."""

    __slots__ = ("__weakref__", "_lent", "_scope")

    _scope: Scope | None
    """None while lists are out that may have been changed: then ``scope`` reads them."""
    _lent: _Lent
    """Only there once something has been given out."""

    handlers: _View[list[Handler]] = _View(list)
    inheritable_handlers: _View[list[Handler]] = _View(list)
    tags: _View[list[str]] = _View(list)
    inheritable_tags: _View[list[str]] = _View(list)
    metadata: _View[dict[str, Any]] = _View(dict)
    inheritable_metadata: _View[dict[str, Any]] = _View(dict)

    @property
    def parent_run_id(self) -> UUID | None:
        """For a manager the run that its runs are children of, for a run its parent."""
        return self.scope.parent_run_id

    @parent_run_id.setter
    def parent_run_id(self, run_id: UUID | None) -> None:
        self.scope = self.scope.but(parent_run_id=run_id)

    @property
    def scope(self) -> Scope:
        """The scope as it is now."""
        return self._scope or self._lent.read()

    @scope.setter
    def scope(self, scope: Scope) -> None:
        if self._scope is None:
            self._lent.write(scope)
        else:
            self._scope = scope

    def _lend(self) -> _Lent:
        if self._scope is not None:
            self._lent = _Lent(self._scope)
            self._scope = None
        return self._lent

    def _give(self, name: str, kind: Callable[[Any], C]) -> C:
        lent = self._lend()
        if name not in lent.views:
            lent.views[name] = kind(getattr(lent.scope, name))
        view: C = lent.views[name]
        return view

    def _take(self, name: str, view: Any) -> None:
        self._lend().views[name] = view

    def __getstate__(self) -> tuple[Any, dict[str, Any]]:
        """Return the state of a copy: the scope as it is now, and lists of its own."""
        plain, slots = _state(self)
        slots.pop("_lent", None)
        return plain, {**slots, "_scope": self.scope}


def _state(holder: object) -> tuple[Any, dict[str, Any]]:
    state: tuple[Any, dict[str, Any]] = object.__getstate__(holder)  # type: ignore[assignment] # with slots always a pair
    return state


_ROSTERS: Final = ("handlers", "inheritable_handlers")
_TAGS: Final = ("tags", "inheritable_tags")


class _Lent:
    """The lists and dicts that are out, and the scope as it was when they were last read."""

    __slots__ = ("scope", "views")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.views: dict[str, Any] = {}

    def read(self) -> Scope:
        """Return the scope that says what the containers say."""
        fields: dict[str, Any] = {}
        for name, view in self.views.items():
            if name in _ROSTERS:
                row = getattr(self.scope, name).row
                if len(row) != len(view) or not all(map(is_, row, view)):
                    fields[name] = Roster(view)
            else:
                fields[name] = tuple(view) if name in _TAGS else dict(view)
        self.scope = self.scope.but(**fields)
        return self.scope

    def write(self, scope: Scope) -> None:
        """Let the containers say what *scope* says; they stay the same objects."""
        self.scope = scope
        for name, view in self.views.items():
            value = getattr(scope, name)
            if isinstance(view, list):
                view[:] = value
            else:
                view.clear()
                view.update(value)
