"""Coroutine functions that a caller's cancellation does not reach.

Rules for this file: dispatch has its own way with handlers; this is for applications, under LangChain's name.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")

_running: set[Task[Any]] = set()
"""What nobody may be waiting for any more: a loop holds its tasks weakly."""


def shielded(func: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return *func* in a task of its own: a caller that is cancelled stops waiting, the work goes on to its end."""

    @wraps(func)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        from asyncio import create_task, shield  # noqa: PLC0415 - the package is for those without it too

        task = create_task(func(*args, **kwargs))
        _running.add(task)
        task.add_done_callback(_running.discard)
        return await shield(task)

    return wrapped
