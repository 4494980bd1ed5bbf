"""Reading other people's objects: one field at a time, by key or by attribute, never raising.

Rules for this file: a foreign object is only ever asked for a named field; what it answers is checked by exact type. A
subclass of a built-in collection is copied by the built-in's own code, so that what is returned runs no foreign code.
"""
# The types of what is read here are unknown by nature.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

_EMPTIABLE: Final = frozenset({str, list, tuple, dict})
EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


def mapping(value: Any) -> Mapping[str, Any]:
    """Return *value* if it is a dict, a copy if it is of a subclass or a view of one; else an empty mapping."""
    kind = type(value)
    if kind is dict:
        return value  # type: ignore[no-any-return] # a dict, just tested
    if value is None:
        return EMPTY
    if issubclass(kind, dict):
        return dict(pairs(value))
    if kind is MappingProxyType:
        try:
            return dict(value)
        except Exception:  # noqa: BLE001 - what it is a view of may be of any class
            return EMPTY
    return EMPTY


def pairs(mapping: dict[Any, Any], limit: int | None = None) -> list[tuple[Any, Any]]:
    """Return the first *limit* pairs of *mapping*, a dict of whatever class.

    Copied in one step of C, tried twice, because another thread may be changing the dict.
    """
    for _ in range(2):
        try:
            return list(islice(dict.items(mapping), limit))
        except RuntimeError:
            continue
    return []


def field(value: Any, name: str) -> Any:
    """Return field *name* of a dict or an object; None if it has none, or if asking raises."""
    try:
        return dict.get(value, name) if issubclass(type(value), dict) else getattr(value, name, None)
    except Exception:  # noqa: BLE001 - a property that raises says nothing
        return None


def either(*values: Any) -> Any:
    """Return the first of *values* that says something: not None, no empty text or collection. A foreign object is not asked."""
    for value in values:
        if value is not None and (type(value) not in _EMPTIABLE or value):
            return value
    return None


def sequence(value: Any) -> list[Any] | tuple[Any, ...]:
    """Return *value* if it is a list or tuple, a copy if it is of a subclass; else nothing: iterators are the application's."""
    kind = type(value)
    if kind is list or kind is tuple:
        return value  # type: ignore[no-any-return] # a list or tuple, just tested
    if issubclass(kind, list):
        return [*list[Any].__iter__(value)]
    if issubclass(kind, tuple):
        return (*tuple[Any, ...].__iter__(value),)
    return ()


def first(value: object) -> Any:
    """Return the first element of a list or tuple, else None."""
    found = sequence(value)
    return found[0] if found else None


def byte_count(value: Any) -> int | None:
    """Return how many bytes a bytes, a bytearray or a memoryview has; None for a view that was released: it has no size."""
    try:
        return value.nbytes if type(value) is memoryview else len(value)
    except ValueError:
        return None
