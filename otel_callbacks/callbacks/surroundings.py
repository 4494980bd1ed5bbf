"""What calls inherit where the calling code is: from the innermost body, ours or LangChain's.

Rules for this file: where both have something to say, the inner one counts: LangChain's, unless that is what it said already
when our body began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_callbacks.callbacks.ambient import current_place
from otel_callbacks.callbacks.frameworks import langchain_config
from otel_callbacks.callbacks.managers import CallbackManager

if TYPE_CHECKING:
    from otel_callbacks.callbacks.managers import Callbacks


def surroundings() -> Callbacks:
    """Return what to configure a call with that is made here; None outside of all bodies.

    In a body it is a manager, of whichever world and library, whose ``parent_run_id`` is the body's run.
    """
    place = current_place()
    theirs = langchain_config()
    if theirs is not None and (place is None or place.framework is not theirs):
        callbacks: Callbacks = theirs["callbacks"]
        return callbacks
    return None if place is None else CallbackManager.of(place.run.scope.child(place.run.run_id))
