"""Metadata as attributes: the application's own keys under one prefix, LangGraph's under theirs, plumbing left out.

Rules for this file: the application's dict is copied in one step and never kept; names are made once per key.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from otel_callbacks import semconv
from otel_callbacks.core import values
from otel_callbacks.core.values import AttributeValue

MAX_NAMES: Final = 4_096
_names: dict[str, str | None] = {}  # key -> attribute name, None where left out; at most MAX_NAMES


def add(attributes: dict[str, AttributeValue], metadata: Mapping[str, Any], limit: int) -> None:
    """Add *metadata* to *attributes*; a value is at most *limit* characters long."""
    source = dict(metadata)
    for key, value in islice(source.items(), values.MAX_ITEMS):
        name = _name(key)
        if name is not None:
            converted = values.attribute(value, limit)
            if converted is not None:
                attributes[values.unique(name, attributes) if name in attributes else name] = converted
    for key in semconv.CONVERSATION_METADATA:
        conversation = source.get(key)
        if type(conversation) is str and conversation:
            attributes[semconv.CONVERSATION_ID] = values.clean(conversation, values.MAX_KEY_LENGTH)
            break


def _name(key: object) -> str | None:
    """Return the attribute's name for a metadata *key*; None where it is left out."""
    if type(key) is not str:
        text = values.key_text(key)
        return semconv.METADATA_PREFIX + text if text else None
    try:
        return _names[key]
    except KeyError:
        pass
    if key in semconv.LANGGRAPH_METADATA:
        name: str | None = semconv.LANGGRAPH_METADATA[key]
    elif not key or key.startswith(semconv.PLUMBING_METADATA_PREFIXES) or key in semconv.PLUMBING_METADATA:
        name = None
    else:
        name = semconv.METADATA_PREFIX + values.clean(key, values.MAX_KEY_LENGTH)
    if len(_names) < MAX_NAMES and len(key) <= values.MAX_KEY_LENGTH:
        _names[key] = name
    return name
