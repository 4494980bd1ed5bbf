"""Ids of runs: UUID version 7, in order of creation within a process.

Rules for this file: layout and monotonicity are RFC 9562's (section 5.7, and section 6.2, method 2: random bits, to which
within a millisecond a random amount is added). No two ids are equal, across threads and across a fork.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from threading import Lock
from time import time_ns
from typing import Final
from uuid import UUID, SafeUUID

_NS_PER_MS = 1_000_000
_TIME_AT = 80  # the bit at which the milliseconds begin; version and variant are below them
_VERSION_AND_VARIANT = (7 << 76) | (0b10 << 62)
_RAND_A_BITS, _RAND_A_AT = 12, 64
_START_BITS = 61  # of the 62 of rand_b: room for 2**36 ids more while the clock stands still
_STEP_BITS = 24
# A UUID lets nobody set its attributes, but its slots do.
_set_int: Final[Callable[[UUID, int], None]] = vars(UUID)["int"].__set__
_set_safety: Final[Callable[[UUID, SafeUUID], None]] = vars(UUID)["is_safe"].__set__
_new: Final[Callable[[type[UUID]], UUID]] = object.__new__
_UNKNOWN: Final = SafeUUID.unknown


class _Generator:
    """The last id, and what protects it."""

    __slots__ = ("_last", "_lock", "_millisecond", "_random", "_same_in_all")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start anew; in a child process the parent's lock may be held and its randomness is the parent's."""
        self._lock = Lock()
        self._random = Random()  # noqa: S311 - unique, not secret
        self._millisecond = 0
        self._same_in_all = _VERSION_AND_VARIANT | self._random.getrandbits(_RAND_A_BITS) << _RAND_A_AT
        self._last = self._same_in_all | self._random.getrandbits(_START_BITS)

    def next(self, now_ms: int | None = None) -> UUID:
        """Return the next id; a clock that stands still or goes back keeps the last millisecond."""
        if now_ms is None:
            now_ms = time_ns() // _NS_PER_MS
        with self._lock:
            if now_ms > self._millisecond:
                self._millisecond = now_ms
                value = now_ms << _TIME_AT | self._same_in_all | self._random.getrandbits(_START_BITS)
            else:
                value = self._last + 1 + self._random.getrandbits(_STEP_BITS)
            self._last = value
        # UUID(int=value) without its checks, which take longer than all else here.
        made = _new(UUID)
        _set_int(made, value)
        _set_safety(made, _UNKNOWN)
        return made


_generator = _Generator()
if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows, which has no fork either
    os.register_at_fork(after_in_child=_generator.reset)


new_run_id: Final[Callable[[], UUID]] = _generator.next
"""Return a UUIDv7 greater than every one returned before in this process."""
