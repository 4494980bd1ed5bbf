"""Mappers that other packages provide: entry points of one group, loaded by name.

Rules for this file: only what a setting names is loaded; nothing is looked for unless something is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from typing import Any, Final

from otel_callbacks.core.view import Mapper
from otel_callbacks.errors import ConfigurationError

GROUP: Final = "otel_callbacks_mapper"
_VARIABLE: Final = "OTEL_CALLBACKS_MAPPERS"


def mapper(name: str) -> Mapper:
    """Return the mapper that a package provides under *name*.

    Raises: ConfigurationError: none does, several do, it cannot be imported, or it is not callable.
    """
    found = {entry.value: entry for entry in entry_points(group=GROUP, name=name)}
    if not found:
        known = ", ".join(sorted(entry_points(group=GROUP).names)) or "none"
        raise ConfigurationError(
            f"{_VARIABLE}: no installed package provides a mapper {name!r}. Known in the group {GROUP}: {known}."
        )
    if len(found) > 1:
        raise ConfigurationError(
            f"{_VARIABLE}: several packages provide a mapper {name!r}: {', '.join(sorted(found))}. Uninstall all but one."
        )
    ((value, entry),) = found.items()
    try:
        loaded: Any = entry.load()
    except Exception as error:
        raise ConfigurationError(
            f"{_VARIABLE}: the mapper {name!r} ({value}) cannot be imported: {type(error).__name__}."
        ) from error
    if not callable(loaded):
        raise ConfigurationError(f"{_VARIABLE}: the mapper {name!r} ({value}) is not callable.")
    return loaded  # type: ignore[no-any-return] # whatever it is, a call of it that fails is passed over


def mappers(names: Iterable[str]) -> tuple[Mapper, ...]:
    """Return the mappers of *names*. Raises ConfigurationError as `mapper` does."""
    return tuple([mapper(name) for name in names])


def before(
    names: Sequence[str], own: Iterable[Mapper], report: Callable[[str], object]
) -> tuple[Mapper, ...]:
    """Return the mappers of *names* and then a handler's *own*, each once; *report* gets the message for one that is missing."""
    given = tuple(own)
    chosen: list[Mapper] = []
    for name in names:
        try:
            chosen.append(mapper(name))
        except ConfigurationError as error:
            report(f"{error} The handler goes without it.")
    # A copy of a handler brings those that its original was given.
    return (*[each for each in chosen if each not in given], *given)
