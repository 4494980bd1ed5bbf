"""The current run: whose body the calling code is in, as far as our own bodies, decorators and groups say so.

Like the current span it is found by context variable, so it follows tasks, and threads that are given a copy of the context.

Rules for this file: no token is ever reset, because a body may end in another context than it began in (a generator that
is closed by somebody else), where that is an error. A body that ends in its own context sets back what was there before;
one that ends elsewhere is passed over wherever it was left behind. What a task inherited and outlives is kept: runs that it
starts afterwards are late children of the run, as they are in LangChain.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from otel_callbacks.callbacks.frameworks import langchain_config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_callbacks.callbacks.runs import BaseRunManager


class Place:
    """What ``set_current_run`` returns and ``reset_current_run`` takes: one run that is, or was, current somewhere.

    ``framework`` is what LangChain said where the body began: as long as it says the same, ours is the inner one.
    """

    __slots__ = ("framework", "left_behind", "outer", "run")

    def __init__(self, run: BaseRunManager, outer: Place | None) -> None:
        self.run = run
        self.outer = outer
        self.left_behind = False
        self.framework: Mapping[str, Any] | None = langchain_config()


_place: ContextVar[Place | None] = ContextVar("otel_callbacks.callbacks.ambient", default=None)


def _valid(place: Place | None) -> Place | None:
    while place is not None and place.left_behind:
        place = place.outer
    return place


def current_place() -> Place | None:
    """Return where the calling code is; None outside of all bodies."""
    return _valid(_place.get())


def current_run() -> BaseRunManager | None:
    """Return the manager of the run whose body the calling code is in; None outside of all bodies.

    It may be of either world, whichever the caller is in: ``run.scope.child(run.run_id)`` is the scope for its children.

    Example:
        >>> from otel_callbacks.callbacks import CallbackManager
        >>> current_run() is None
        True
        >>> with CallbackManager([]).chain("plan") as run:
        ...     current_run() is run
        True
    """
    place = current_place()
    return None if place is None else place.run


def set_current_run(run: BaseRunManager) -> Place:
    """Make *run* the current one in this context, until ``reset_current_run`` is given what is returned here."""
    place = Place(run, _valid(_place.get()))
    _place.set(place)
    return place


def reset_current_run(place: Place) -> None:
    """Set back what was current before *place*; in any context, and a second time does nothing more."""
    if _valid(_place.get()) is place:
        _place.set(place.outer)
    else:
        place.left_behind = True
