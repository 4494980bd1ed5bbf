"""Events of the application's own, sent from inside a run without a manager at hand.

Rules for this file: the event belongs to the run whose body the calling code is in; ``surroundings`` knows which that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from otel_callbacks.callbacks.managers import AsyncCallbackManager, BaseCallbackManager, CallbackManager
from otel_callbacks.callbacks.surroundings import inner_config, surroundings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

M = TypeVar("M", bound=BaseCallbackManager)


def dispatch_custom_event(name: str, data: Any, *, config: Mapping[str, Any] | None = None) -> None:
    """Send an event from synchronous code inside a run (a body of ours, a LangChain tool, lambda or node).

    Args:
        name: What handlers know it by.
        data: Anything.
        config: As LangChain's: ``callbacks`` (a run's child manager) to take the place of the surroundings', and more
            ``tags`` and ``metadata``; nothing else counts.

    Raises:
        RuntimeError: There is no run around the call, and none in *config*.
    """
    manager, run_id = _sender(CallbackManager, config)
    manager.on_custom_event(name, data, run_id)


async def adispatch_custom_event(name: str, data: Any, *, config: Mapping[str, Any] | None = None) -> None:
    """Send an event from a coroutine inside a run; the arguments are those of ``dispatch_custom_event``.

    Raises:
        RuntimeError: There is no run around the call, and none in *config*.
    """
    manager, run_id = _sender(AsyncCallbackManager, config)
    await manager.on_custom_event(name, data, run_id)


def _sender(kind: type[M], config: Mapping[str, Any] | None) -> tuple[M, UUID]:
    """Return the manager that sends the event, and the run that it is about."""
    given = dict(inner_config() or {})
    given.update((key, value) for key, value in (config or {}).items() if value is not None)
    callbacks = given.get("callbacks")
    manager = kind.configure(
        surroundings() if callbacks is None else callbacks,
        inheritable_tags=given.get("tags"),
        inheritable_metadata=given.get("metadata"),
    )
    run_id = manager.parent_run_id
    if run_id is None:
        raise RuntimeError(
            "A custom event belongs to a run, and there is none around this call. Send it from the body of a run, "
            "or say which run is meant: config={'callbacks': run.get_child()}."
        )
    return manager, run_id
