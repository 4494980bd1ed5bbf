"""The first net for runs that never end: the asyncio task that started them.

LangChain reports no end for a chat model, retriever or tool whose task is cancelled, or that ``asyncio.timeout`` cuts off
inside of it. The task itself tells: one done-callback per task, however many runs it starts. What the end of a task that
returns normally means is the engine's to say: a stream may be read on in another one.

Rules for this file: at most one entry per live task; a task is never kept alive; no import of asyncio before somebody
else has imported it.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeAlias

from otel_callbacks.core.runs import Run
from otel_callbacks.semconv import EndReason

if TYPE_CHECKING:
    import asyncio

OnLost: TypeAlias = Callable[[list[Run], EndReason], None]


class _Watch:
    """The open runs of one task."""

    __slots__ = ("on_lost", "runs", "task", "watches")

    def __init__(self, task: asyncio.Task[Any], watches: dict[int, _Watch], on_lost: OnLost) -> None:
        self.runs: dict[int, Run] = {}
        self.watches = watches
        self.on_lost = on_lost
        identity = id(task)
        # A loop that is closed with the task pending never calls back; then the task is collected, and says so here.
        self.task: weakref.ref[asyncio.Task[Any]] | None = weakref.ref(
            task, lambda _: self._over(identity, EndReason.TASK_COLLECTED)
        )
        # In a context of its own: a copy of the current one would keep the application's values as long as the task.
        task.add_done_callback(self, context=Context())

    def __call__(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self._over(id(task), EndReason.TASK_CANCELLED)
        # Not task.exception(): asking would silence asyncio's "exception was never retrieved" for the application.
        elif getattr(task, "_exception", None) is not None:
            self._over(id(task), EndReason.TASK_FAILED)
        else:
            self._over(id(task), EndReason.TASK_ENDED)

    def _over(self, identity: int, reason: EndReason) -> None:
        self.task = None  # the reference's own callback refers to this object: a circle, if it stayed
        self.watches.pop(identity, None)
        runs, self.runs = self.runs, {}
        if runs:
            self.on_lost(list(runs.values()), reason)


class TaskWatch:
    """Finds the running task, and the runs that it has open."""

    def __init__(self, on_lost: OnLost) -> None:
        self._on_lost = on_lost
        self._watches: dict[int, _Watch] = {}

    def current(self) -> dict[int, Run] | None:
        """Return the open runs of the running task, to be added to; None outside of tasks."""
        asyncio = sys.modules.get("asyncio")
        if asyncio is None or asyncio._get_running_loop() is None:  # noqa: SLF001 - what every asyncio library asks
            return None
        task = asyncio.current_task()
        if task is None:
            return None
        watch = self._watches.get(id(task))
        if watch is None:
            watch = self._watches[id(task)] = _Watch(task, self._watches, self._on_lost)
        return watch.runs
