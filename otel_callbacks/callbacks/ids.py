"""Ids of runs: UUID version 7, in order of creation within a process.

Rules for this file: layout and monotonicity are RFC 9562's (section 5.7, and section 6.2, method 1: a counter that starts
at random, here once per process). No two ids are equal, across threads and across a fork: one counter tells them apart
whatever the clock says. It is made in C, so that no thread comes between its two steps, and needs no lock.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from random import Random
from time import time_ns
from typing import Final
from uuid import UUID, SafeUUID

_NS_PER_MS = 1_000_000
_TIME_AT = 80  # the bit at which the milliseconds begin; version and variant are below them
_VERSION_AND_VARIANT = (7 << 76) | (0b10 << 62)
_RAND_A_BITS, _RAND_A_AT = 12, 64
_COUNTER_BITS, _COUNTER_AT = 42, 20  # the upper bits of rand_b; the others, and rand_a, are the process's own
# A UUID lets nobody set its attributes, but its slots do.
_set_int: Final[Callable[[UUID, int], None]] = vars(UUID)["int"].__set__
_set_safety: Final[Callable[[UUID, SafeUUID], None]] = vars(UUID)["is_safe"].__set__
_new: Final[Callable[[type[UUID]], UUID]] = object.__new__
_UNKNOWN: Final = SafeUUID.unknown


class _Generator:
    """The counter, the latest millisecond as it stands in an id, and when the next one begins."""

    __slots__ = ("_below_the_time", "_next_ns", "_time")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start anew; in a child process the parent's counter would go on."""
        bits = Random().getrandbits  # noqa: S311 - unique, not secret
        # The top bit is left clear: room for 2**41 ids before the counter is full.
        start = bits(_COUNTER_BITS - 1) << _COUNTER_AT | bits(_COUNTER_AT)
        start |= _VERSION_AND_VARIANT | bits(_RAND_A_BITS) << _RAND_A_AT
        self._below_the_time = count(start, 1 << _COUNTER_AT)
        self._time = self._next_ns = 0

    def next(self, now_ns: int | None = None) -> UUID:
        """Return the next id; a clock that stands still or goes back keeps the last millisecond."""
        if now_ns is None:
            now_ns = time_ns()
        if now_ns >= self._next_ns:
            now_ms = now_ns // _NS_PER_MS
            self._time = now_ms << _TIME_AT
            self._next_ns = (now_ms + 1) * _NS_PER_MS
        # UUID(int=...) without its checks, which take longer than all else here.
        made = _new(UUID)
        _set_int(made, self._time + next(self._below_the_time))
        _set_safety(made, _UNKNOWN)
        return made


_generator = _Generator()
if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows, which has no fork either
    os.register_at_fork(after_in_child=_generator.reset)


new_run_id: Final[Callable[[], UUID]] = _generator.next
"""Return a UUIDv7 greater than every one returned before in this process."""
