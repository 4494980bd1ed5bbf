"""What applies where the calling code is: the callbacks, tags and metadata of the innermost body, ours or LangChain's.

Rules for this file: where both have something to say, the inner one counts: LangChain's, unless that is what it said already
when our body began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from otel_callbacks.callbacks.ambient import current_place
from otel_callbacks.callbacks.frameworks import langchain_config
from otel_callbacks.callbacks.managers import CallbackManager

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_callbacks.callbacks.managers import Callbacks


class Surroundings(NamedTuple):
    """The first arguments of ``configure``, for a call that is made here."""

    callbacks: Callbacks = None
    tags: Iterable[str] | None = None
    metadata: Mapping[str, Any] | None = None


def surroundings() -> Surroundings:
    """Return what calls inherit here; outside of all bodies nothing.

    The callbacks are a manager whose ``parent_run_id`` is the run of the body.
    """
    place = current_place()
    theirs = langchain_config()
    if theirs is not None and (place is None or place.framework is not theirs):
        return Surroundings(theirs["callbacks"], theirs.get("tags"), theirs.get("metadata"))
    if place is None:
        return Surroundings()
    return Surroundings(CallbackManager.of(place.run.scope.child(place.run.run_id)))
