"""Ids of runs: UUID version 7, in order of creation within a process.

Rules for this file: layout and monotonicity are RFC 9562's (section 5.7, and section 6.2, method 1: a counter that
starts at random with each millisecond). No two ids are equal, across threads and across a fork.
"""

from __future__ import annotations

import os
from random import Random
from threading import Lock
from time import time_ns
from uuid import UUID

_NS_PER_MS = 1_000_000
_COUNTER_BITS = 42  # rand_a and the upper 30 bits of rand_b
_LOW_BITS = 30
_TAIL_BITS = 32  # the rest of rand_b: random in every id
_VERSION_AND_VARIANT = (7 << 76) | (0b10 << 62)


class _Generator:
    """The counter and what protects it."""

    __slots__ = ("_counter", "_lock", "_millisecond", "_random")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start anew; in a child process the parent's lock may be held and its randomness is the parent's."""
        self._lock = Lock()
        self._random = Random()  # noqa: S311 - unique, not secret
        self._millisecond = 0
        self._counter = 0

    def next(self, now_ms: int) -> UUID:
        """Return the next id; a clock that stands still or goes back keeps the last millisecond."""
        with self._lock:
            if now_ms > self._millisecond:
                self._millisecond = now_ms
                # The top bit is left clear: room for 2**41 ids before the counter is full.
                self._counter = self._random.getrandbits(_COUNTER_BITS - 1)
            else:
                self._counter += 1
            counter = self._counter
            high = self._millisecond << 80 | (counter >> _LOW_BITS) << 64
            low = (counter & ((1 << _LOW_BITS) - 1)) << _TAIL_BITS | self._random.getrandbits(_TAIL_BITS)
        return UUID(int=high | low | _VERSION_AND_VARIANT)


_generator = _Generator()
if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows, which has no fork either
    os.register_at_fork(after_in_child=_generator.reset)


def new_run_id() -> UUID:
    """Return a UUIDv7 greater than every one returned before in this process."""
    return _generator.next(time_ns() // _NS_PER_MS)
