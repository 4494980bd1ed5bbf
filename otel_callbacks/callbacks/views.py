"""The lists and dicts by which a manager's scope is read and changed from outside.

LangChain's users, and LangGraph, change ``manager.handlers`` and its like in place or assign to them. Here the scope is
immutable, so what the attribute gives out is a plain list or dict *of this object*, and whoever asks for the scope next
gets one that says what the list says by then. Two managers never share such a list; an assigned one is copied.

Rules for this file: an object that nobody has looked into pays nothing.
"""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, overload

from otel_callbacks.callbacks.roster import Handler, Roster
from otel_callbacks.callbacks.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
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

    __slots__ = ("__weakref__", "_scope", "_views")

    _scope: Scope
    _views: dict[str, Any] | None

    handlers: _View[list[Handler]] = _View(list)
    inheritable_handlers: _View[list[Handler]] = _View(list)
    tags: _View[list[str]] = _View(list)
    inheritable_tags: _View[list[str]] = _View(list)
    metadata: _View[dict[str, Any]] = _View(dict)
    inheritable_metadata: _View[dict[str, Any]] = _View(dict)

    @property
    def parent_run_id(self) -> UUID | None:
        """For a manager the run that its runs are children of, for a run its parent."""
        return self._scope.parent_run_id

    @parent_run_id.setter
    def parent_run_id(self, run_id: UUID | None) -> None:
        self.scope = self.scope._replace(parent_run_id=run_id)

    @property
    def scope(self) -> Scope:
        """The scope as it is now."""
        if self._views is not None:
            self._scope = _read(self._scope, self._views)
        return self._scope

    @scope.setter
    def scope(self, scope: Scope) -> None:
        self._scope = scope
        if self._views is not None:
            _write(self._views, scope)

    def _give(self, name: str, kind: Callable[[Any], C]) -> C:
        if self._views is None:
            self._views = {}
        if name not in self._views:
            self._views[name] = kind(getattr(self._scope, name))
        view: C = self._views[name]
        return view

    def _take(self, name: str, view: Any) -> None:
        self._views = {**(self._views or {}), name: view}

    def __getstate__(self) -> tuple[Any, dict[str, Any]]:
        """Return the state of a copy: the scope as it is now, and lists of its own."""
        plain, slots = _state(self)
        return plain, {**slots, "_scope": self.scope, "_views": None}


def _state(holder: object) -> tuple[Any, dict[str, Any]]:
    state: tuple[Any, dict[str, Any]] = object.__getstate__(holder)  # type: ignore[assignment] # with slots always a pair
    return state


_ROSTERS: Final = ("handlers", "inheritable_handlers")
_TAGS: Final = ("tags", "inheritable_tags")


def _read(scope: Scope, views: Mapping[str, Any]) -> Scope:
    fields: dict[str, Any] = {}
    for name, view in views.items():
        if name in _ROSTERS:
            row: Roster = getattr(scope, name)
            if len(row) != len(view) or not all(
                map(is_, row, view)
            ):  # else the roster keeps what it remembers
                fields[name] = Roster(view)
        else:
            fields[name] = tuple(view) if name in _TAGS else dict(view)
    return scope._replace(**fields) if fields else scope


def _write(views: Mapping[str, Any], scope: Scope) -> None:
    """Let the containers that are out say what *scope* says; they stay the same objects."""
    for name, view in views.items():
        value = getattr(scope, name)
        if isinstance(view, list):
            view[:] = value
        else:
            view.clear()
            view.update(value)
