"""Nobody is inside of gRPC while the process forks.

A child that is forked while another thread is in gRPC's C core dies of SIGSEGV when it uses gRPC, or hangs (measured in 1.85: two
of twenty children died; with nobody inside, none of many). So what is being sent is called back at a fork, and sent again.

Rules for this file: a fork waits for threads to leave, never for a collector. Locks are re-entrant: a signal handler may fork.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

_GRACE_S: Final = 0.05
"""What a call that is almost over has to end in; what is called back may arrive twice."""
_PATIENCE_S: Final = 5.0
"""What one that was called back has. It takes milliseconds on a machine that is not busy; beyond, the fork goes on all the same."""


class Gate:
    """Lets threads in, but while the process forks."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._inside: dict[object, Callable[[], object]] = {}
        self._forks = 0

    @contextmanager
    def inside(self, key: object, call_back: Callable[[], object], timeout_s: float) -> Generator[bool]:
        """Wait for a fork to be over, then be inside; False if it is not over in time.

        Args:
            key: Who is inside.
            call_back: Ends what it does there; called by another thread.
            timeout_s: How long to wait.
        """
        with self._changed:
            entered = self._changed.wait_for(
                lambda: not self._forks, min(timeout_s, _PATIENCE_S) if timeout_s > 0 else 0
            )
            if entered:
                self._inside[key] = call_back
        try:
            yield entered
        finally:
            if entered:
                with self._changed:
                    self._inside.pop(key, None)
                    self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in any more, and see those inside out."""
        with self._changed:
            self._forks += 1
            if self._changed.wait_for(self._is_empty, _GRACE_S):
                return
            for call_back in tuple(self._inside.values()):
                call_back()
            self._changed.wait_for(self._is_empty, _PATIENCE_S)

    def _is_empty(self) -> bool:
        return not self._inside

    def open(self) -> None:
        """Let in those who wait."""
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()

    def begin_anew(self) -> None:
        """Forget the parent's threads, in a forked child."""
        Gate.__init__(self)

    def guard(self) -> Gate:
        """Close at every fork from now on, and return itself."""
        os.register_at_fork(before=self.close, after_in_parent=self.open, after_in_child=self.begin_anew)
        return self
