"""What calls inherit where the calling code is: from the innermost body, ours or LangChain's.

Rules for this file: where both have something to say, the inner one counts: LangChain's, unless that is what it said already
when our body began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_callbacks.callbacks.ambient import current_place
from otel_callbacks.callbacks.frameworks import langchain_config
from otel_callbacks.callbacks.managers import CallbackManager

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_callbacks.callbacks.managers import Callbacks


def surroundings() -> Callbacks:
    """Return what to configure a call with that is made here; None outside of all bodies.

    In a body it is a manager, of whichever world and library, whose ``parent_run_id`` is the body's run.
    """
    config = inner_config()
    if config is not None:
        callbacks: Callbacks = config["callbacks"]
        return callbacks
    place = current_place()
    return None if place is None else CallbackManager.of(place.run.scope.child(place.run.run_id))


def inner_config() -> Mapping[str, Any] | None:
    """Return LangChain's config if the innermost body is of LangChain's."""
    config = langchain_config()
    if config is None:
        return None
    place = current_place()
    return config if place is None or place.framework is not config else None
