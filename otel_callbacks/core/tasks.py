"""The first net for runs that never end: the asyncio task that started them.

LangChain reports no end for a chat model, retriever or tool whose task is cancelled, or that ``asyncio.timeout`` cuts off
inside of it. The task itself tells: one done-callback per task, however many runs it starts. What the end of a task that
returns normally means is the engine's to say: a stream may be read on in another one.

Rules for this file: at most one entry per live task, and none for a task without open runs; a task is never kept alive; no import of asyncio before somebody
else has imported it.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from otel_callbacks.core import frameworks
from otel_callbacks.core.runs import Run
from otel_callbacks.semconv import EndReason

if TYPE_CHECKING:
    import asyncio

AWAITED: Final = "awaited"  # the name in the frames of `AsyncOTelCallbackHandler`'s methods
_DELIVERED: Final = ("otel_callbacks.handlers", AWAITED)

OnLost: TypeAlias = Callable[[list[Run], EndReason], None]


class _Watch:
    """The open runs of one task; it lives as long as there are some."""

    __slots__ = ("_identity", "_on_lost", "_runs", "_task", "_watches")

    def __init__(self, task: asyncio.Task[Any], watches: dict[int, _Watch], on_lost: OnLost) -> None:
        self._runs: dict[int, Run] = {}
        self._watches = watches
        self._on_lost = on_lost
        self._identity = id(task)
        # A loop that is closed with the task pending never calls back; then the task is collected, and says so here.
        self._task: weakref.ref[asyncio.Task[Any]] | None = weakref.ref(
            task, lambda _: self._over(EndReason.TASK_COLLECTED)
        )
        watches[self._identity] = self
        # In a context of its own: a copy of the current one would keep the application's values as long as the task.
        task.add_done_callback(self, context=Context())

    def add(self, run: Run) -> None:
        """Take *run*, of the task that is running, among those that are ended with it."""
        self._runs[run.key] = run

    def discard(self, key: int) -> None:
        """Let go of a run that has ended; with the last one, the task need not call: that would be a step of its loop."""
        if self._runs.pop(key, None) is not None and not self._runs:
            task = self._task() if self._task is not None else None
            if task is not None:  # else another thread let go of this watch while a start was about to use it
                task.remove_done_callback(self)
            self._forget()

    def __call__(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self._over(EndReason.TASK_CANCELLED)
        # Not task.exception(): asking would silence asyncio's "exception was never retrieved" for the application.
        elif getattr(task, "_exception", None) is not None:
            self._over(EndReason.TASK_FAILED)
        else:
            self._over(EndReason.TASK_ENDED)

    def _over(self, reason: EndReason) -> None:
        runs, self._runs = self._runs, {}
        self._forget()
        self._on_lost(list(runs.values()), reason)

    def _forget(self) -> None:
        self._task = None  # the reference's own callback refers to this object: a circle, if it stayed
        self._watches.pop(self._identity, None)


class TaskWatch:
    """Finds the running task, and the runs that it has open."""

    def __init__(self, on_lost: OnLost) -> None:
        self._on_lost = on_lost
        self._watches: dict[int, _Watch] = {}

    def current(self) -> _Watch | None:
        """Return the watch over the running task; None outside of tasks."""
        asyncio = sys.modules.get("asyncio")
        if asyncio is None or asyncio._get_running_loop() is None:  # noqa: SLF001 - what every asyncio library asks
            return None
        task = asyncio.current_task()
        if task is None:
            return None
        watch = self._watches.get(id(task))
        if watch is not None:
            return watch
        return None if _is_delivery(task) else _Watch(task, self._watches, self._on_lost)


def _is_delivery(task: asyncio.Task[Any]) -> bool:
    """Tell a task that was made for one callback: a synchronous run calls an asynchronous handler in a loop of its own."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    if frame is None:
        return False
    module = frame.f_globals.get("__name__")
    return (module, frame.f_code.co_name) == _DELIVERED or frameworks.is_dispatcher(module)
