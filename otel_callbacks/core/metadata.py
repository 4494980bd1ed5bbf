"""Metadata as attributes: the application's own keys under one prefix, LangGraph's under theirs, plumbing left out.

What of them says whose run it is (conversation, session, user) is said of every run below as well.

Rules for this file: the application's dict is copied in one step and never kept; names are made once per key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from otel_callbacks import semconv
from otel_callbacks.core import values
from otel_callbacks.core.reading import pairs
from otel_callbacks.core.redact import MASK, names_a_secret, secrets
from otel_callbacks.core.scrub import Masking
from otel_callbacks.core.values import AttributeValue

if TYPE_CHECKING:
    from otel_callbacks.core.runs import Run

MAX_NAMES: Final = 4_096
MAX_LENGTHS: Final = 4  # all values of a run together are at most as long as so many of the longest
MAX_KEYS: Final = 64  # with the SDK's 128 attributes a span, what the run itself says has room
_SHORT: Final = 256  # characters of a value that needs no look at what is left
_IDENTITY: Final = frozenset(key for keys in semconv.IDENTITY_METADATA.values() for key in keys)
# What is a list of texts in one run and, with a number or a nested path in it, would be JSON in the next.
_ARRAYS: Final = {
    name: key
    for key, name in semconv.LANGGRAPH_METADATA.items()
    if name in {semconv.GRAPH_PATH, semconv.GRAPH_TRIGGERS}
}
_PLAIN: Final = frozenset({str, int, type(None)})
MAX_IDENTITIES: Final = 1_024
_identities: Final[dict[tuple[object, ...], Mapping[str, str]]] = {}
_NUMBERED: Final = frozenset({int, UUID})  # what identifies somebody and is no text
_names: dict[
    str, str | None
] = {}  # key -> attribute name, None where it is another matter, empty where it is a secret; at most MAX_NAMES


def add(run: Run, metadata: Mapping[str, Any], limit: int) -> None:
    """Add *metadata* to the run's attributes, and who it is for; a value is at most *limit* characters long."""
    attributes = run.attributes
    identified = False
    source: Mapping[str, Any] = dict(metadata) if len(metadata) <= MAX_KEYS else _first(attributes, metadata)
    left = limit * MAX_LENGTHS
    for key, value in source.items():
        name = _names[key] if type(key) is str and key in _names else _name(key)
        if not name:
            if name is not None:
                _mask(attributes, key, value)
            if name is not None or type(key) is not str or key not in _IDENTITY:
                continue
            identified, name = True, semconv.METADATA_PREFIX + key
        if (
            type(value) is str
            and len(value) <= _SHORT <= limit
            and value.isascii()
            and name not in attributes
        ):
            attributes[name] = value
        else:
            converted = values.attribute(value, min(limit, max(left, 0)), Masking)
            if type(converted) is str:
                left -= len(converted)
            if converted is not None:
                attributes[values.unique(name, attributes) if name in attributes else name] = converted
    if semconv.GRAPH_PATH in attributes or semconv.GRAPH_TRIGGERS in attributes:
        _as_arrays(attributes, source, limit)
    if identified:
        _identify(run, source)
    if run.identity is not None:
        attributes.update(run.identity)


def _identify(run: Run, source: Mapping[str, Any]) -> None:
    found = _identity(source)
    if run.identity is None:
        run.identity = found
    elif run.identity is not found:  # nearly always it is the parent's
        run.identity = {**run.identity, **found}


def _as_arrays(attributes: dict[str, AttributeValue], source: Mapping[str, Any], limit: int) -> None:
    for name, key in _ARRAYS.items():
        if name in attributes and not _is_texts(attributes[name]):
            attributes[name] = _texts(attributes[name], source.get(key), limit)


def _is_texts(value: AttributeValue) -> bool:
    return type(value) is tuple and type(value[0]) is str  # pyright: ignore[reportUnknownArgumentType] # of anything


def _texts(value: AttributeValue, given: object, limit: int) -> tuple[str, ...]:
    """Return *given*, which as an attribute is *value*, as texts: one for each of its items, one of itself if it has none."""
    items: list[Any] = list(cast("list[Any]", given))[:MAX_KEYS] if type(given) in (list, tuple) else [value]
    plain: list[object] = [values.attribute(item, limit // MAX_KEYS, Masking) for item in items]
    return tuple([item if type(item) is str else values.to_json(item, limit) for item in plain])


def _identity(source: Mapping[str, Any]) -> Mapping[str, str]:
    """Return whose run it is, by attribute: the same object for the same metadata, as nearly every run of a trace has it."""
    read = tuple(map(source.get, _IDENTITY))
    if not _PLAIN.issuperset(map(type, read)):  # hashing anything else might run foreign code
        return _identified(source)
    known = _identities.get(read)
    if known is None:
        known = _identified(source)
        if len(_identities) >= MAX_IDENTITIES:
            _identities.clear()
        _identities[read] = known
    return known


def _identified(source: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, keys in semconv.IDENTITY_METADATA.items():
        for key in keys:
            value = source.get(key)
            text = (
                values.key_text(value)
                if type(value) in _NUMBERED
                else values.short(value, values.MAX_KEY_LENGTH)
            )
            if text:
                found[name] = text
                break
    return found


def _first(attributes: dict[str, AttributeValue], metadata: Mapping[str, Any]) -> dict[Any, Any]:
    """Return what there is room for, the framework's own keys and the identity first; say how many were left out."""
    known = {key: metadata[key] for key in (*semconv.LANGGRAPH_METADATA, *_IDENTITY) if key in metadata}
    chosen = {**known, **dict(pairs(cast("dict[Any, Any]", metadata), MAX_KEYS))}
    attributes[semconv.METADATA_OMITTED] = len(metadata) - len(chosen)
    return chosen


def _mask(attributes: dict[str, AttributeValue], key: str, value: object) -> None:
    """Say that there is a password or a key, and not which."""
    if value is not None:
        attributes[f"{semconv.METADATA_PREFIX}{secrets(values.key_text(key) or '')}"] = (
            value if type(value) is bool else MASK
        )


def _name(key: object) -> str | None:
    """Return the attribute's name for a metadata *key*; None where it is left out, empty where its value is a secret."""
    if type(key) is not str:
        text = values.key_text(key)
        return semconv.METADATA_PREFIX + secrets(text) if text else None
    try:
        return _names[key]
    except KeyError:
        pass
    text = values.key_text(key)
    if key in semconv.LANGGRAPH_METADATA:
        name: str | None = semconv.LANGGRAPH_METADATA[key]
    elif not text or key.startswith(semconv.PLUMBING_METADATA_PREFIXES) or key in semconv.PLUMBING_METADATA:
        name = None
    elif key in _IDENTITY:
        name = None  # `add` names it, and has a closer look: seldom enough
    elif names_a_secret(key):
        name = ""
    else:
        name = semconv.METADATA_PREFIX + secrets(text)
    if len(_names) < MAX_NAMES and len(key) <= values.MAX_KEY_LENGTH:
        _names[key] = name
    return name
