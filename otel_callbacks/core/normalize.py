"""From the raw arguments of a start callback to a `RunStarted`.

Rules for this file: never raises; nothing of the application is changed, consumed or kept.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from otel_callbacks.core.events import RunKind, RunStarted
from otel_callbacks.core.reading import mapping, sequence
from otel_callbacks.core.values import MAX_NAME_LENGTH, clean, name

MAX_TAGS: Final = 64
_UUID_TEXT_LENGTHS: Final = (32, 36)


def run_key(run_id: object) -> int | None:
    """Return the 128-bit number of *run_id* (a UUID, or one as text); None for anything else, the nil UUID included."""
    if type(run_id) is UUID:
        return run_id.int or None
    if type(run_id) is str and len(run_id) in _UUID_TEXT_LENGTHS:
        try:
            return UUID(run_id).int or None
        except ValueError:
            return None
    if isinstance(run_id, UUID):  # a subclass, as uuid_utils makes them
        return int(run_id) or None
    return None


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


def _run_name(extra: dict[str, Any], serialized: Any) -> str | None:
    """Return the run's name: given by the caller, else by the serialised object, else its class."""
    given = name(extra.get("name"))
    if given:
        return given
    if not serialized:
        return None
    path = serialized.get("id")
    return name(serialized.get("name")) or name(path[-1] if type(path) is list and path else None)


def _tags(tags: object) -> tuple[str, ...]:
    if not tags if type(tags) in (list, tuple) else tags is None:
        return ()
    if type(tags) is str:
        return (clean(tags, MAX_NAME_LENGTH),)
    return tuple([clean(tag, MAX_NAME_LENGTH) for tag in sequence(tags)[:MAX_TAGS] if type(tag) is str])
