"""What was said of a chain of the same shape before: a chain's description is worked out once per name, tags and place.

Rules for this file: a key is made of exact strings only, because hashing anything else would run foreign code; at most
`MAX_SHAPES` are kept; a shape is copied from, never written to.
"""
# The types of what is read here are unknown by nature.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from otel_callbacks.core.events import Description
from otel_callbacks.core.runs import Run, Steps
from otel_callbacks.core.values import AttributeValue

MAX_SHAPES: Final = 2_048
_TEXT: Final = frozenset({str})
_TEXT_OR_NONE: Final = frozenset({str, type(None)})

Key: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """The part of a description that another run of the same shape shares: all but ids and metadata."""

    run_name: str | None
    description: Description
    agent: str | None
    integration: str | None
    steps: Steps | None
    """What a run of this shape tells about its parent."""
    attributes: Mapping[str, AttributeValue]


shapes: Final[dict[Key, Shape]] = {}


def key_of(run: Run, tags: object, metadata: object, extra: dict[str, Any]) -> Key | None:
    """Return what the description of a chain depends on; None if any of it is not as frameworks send it."""
    if type(tags) is not list or type(metadata) is not dict:
        return None
    name, given = extra.get("name"), tuple(tags)
    integration, agent = metadata.get("ls_integration"), metadata.get("lc_agent_name")
    if not (
        _TEXT.issuperset(map(type, given)) and _TEXT_OR_NONE.issuperset((type(integration), type(agent)))
    ):
        return None
    parent = run.parent
    if type(name) is not str or not name or name.isspace():  # then the serialised object names it
        return None
    if parent is None:
        return (name, given, integration, agent)
    return (name, given, integration, agent, parent.integration, parent.agent)


def keep(key: Key, shape: Shape) -> None:
    """Remember *shape*; when there are too many, begin again: names or tags are then different in every run."""
    if len(shapes) >= MAX_SHAPES:
        shapes.clear()
    shapes[key] = shape
