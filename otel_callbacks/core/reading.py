"""Reading other people's objects: one field at a time, by key or by attribute, never raising.

Rules for this file: a foreign object is only ever asked for a named field; what it answers is checked by exact type.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, cast

EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


def mapping(value: object) -> Mapping[str, Any]:
    """Return *value* if it is a dict (or a view of one), else an empty mapping."""
    kind = type(value)
    if kind is dict or kind is MappingProxyType or issubclass(kind, dict):
        return cast("Mapping[str, Any]", value)
    return EMPTY


def field(value: Any, name: str) -> Any:
    """Return field *name* of a dict or an object; None if it has none, or if asking raises."""
    try:
        if issubclass(type(value), dict):
            return dict.get(value, name)
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - a property that raises says nothing
        return None


def first(value: object) -> Any:
    """Return the first element of a list or tuple, else None."""
    return value[0] if type(value) in (list, tuple) and value else None  # type: ignore[index] # a list or tuple, just tested


def sequence(value: object) -> list[Any] | tuple[Any, ...]:
    """Return *value* if it is a list or tuple, else nothing: iterators belong to the application."""
    kind = type(value)
    if kind is list or kind is tuple or issubclass(kind, (list, tuple)):
        return cast("list[Any]", value)
    return ()


def string(value: object) -> str | None:
    """Return *value* if it is a non-empty string, else None."""
    return value if type(value) is str and value else None
