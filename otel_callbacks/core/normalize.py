"""From the raw arguments of a start callback to a `RunStarted`.

Rules for this file: never raises; nothing of the application is changed, consumed or kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from otel_callbacks.core.events import RunKind, RunStarted
from otel_callbacks.core.reading import mapping, sequence
from otel_callbacks.core.values import name, short

MAX_TAGS: Final = 64
MAX_TAG_LENGTH: Final = 128
_UUID_TEXT_LENGTHS: Final = frozenset({32, 36})
_number_of: Final[Callable[[object], int]] = vars(UUID)[
    "int"
].__get__  # of subclasses too, past what they override


def run_key(run_id: object) -> int | None:
    """Return the 128-bit number of *run_id* (a UUID, or one as text); None for anything else, the nil UUID included."""
    kind = type(run_id)
    if kind is UUID:
        return run_id.int or None  # type: ignore[attr-defined] # a UUID, just tested
    if kind is str and len(run_id) in _UUID_TEXT_LENGTHS:  # type: ignore[arg-type] # a string, just tested
        try:
            return UUID(run_id).int or None  # type: ignore[arg-type] # as above
        except ValueError:
            return None
    return _number_of(run_id) or None if issubclass(kind, UUID) else None


def run_id_text(key: int) -> str:
    """Return *key* as UUIDs are written."""
    return str(UUID(int=key))


def started(
    kind: RunKind, serialized: object, tags: object, metadata: object, extra: dict[str, Any]
) -> RunStarted:
    """Return the event; *extra* is the callback's own keyword arguments (``name``, ``invocation_params``, ...)."""
    source = mapping(serialized)
    return RunStarted(
        kind=kind,
        name=_run_name(extra, source),
        tags=_tags(tags),
        metadata=mapping(metadata),
        serialized=source,
        extra=extra,
    )


def _run_name(extra: dict[str, Any], serialized: Mapping[str, Any]) -> str | None:
    """Return the run's name: given by the caller, else by the serialised object, else its class."""
    found = name(given) if (given := extra.get("name")) is not None else None
    if found is None and serialized:
        found = name(serialized.get("name"))
        if found is None and (path := sequence(serialized.get("id"))):
            found = name(path[-1])
    return found


def _tags(tags: object) -> tuple[str, ...]:
    """Return the strings among *tags*, or the one string that it is: somebody forgot the brackets."""
    if tags is None:
        return ()
    given = (tags,) if type(tags) is str else sequence(tags)
    if len(given) > MAX_TAGS:
        given = given[:MAX_TAGS]
    return tuple([text for tag in given if (text := short(tag, MAX_TAG_LENGTH))])
