"""What was remembered lately, by key: bounded, without a lock.

Rules for this file: every step is one of a built-in dict's or list's, which the interpreter makes atomic; the oldest half is
dropped at once, because taking entries out one by one would walk over what another thread changes.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MAX_RECENT: Final = 4_096  # keys: at least so many, at most twice so many
MAX_VALUES: Final = 8  # of one key


class Recent(Generic[K, V]):
    """The last values of each of the last *limit* keys or more."""

    def __init__(self, limit: int = MAX_RECENT) -> None:
        self._limit = limit
        self._recent: dict[K, list[V]] = {}
        self._older: dict[K, list[V]] = {}

    def __bool__(self) -> bool:
        return bool(self._recent or self._older)

    def add(self, key: K, value: V) -> None:
        """Remember *value* beside those that the key has."""
        recent = self._recent
        values = recent.setdefault(key, [])
        values.append(value)
        if len(values) > MAX_VALUES:
            del values[:1]
        if len(recent) > self._limit:
            self._older, self._recent = recent, {}

    def of(self, key: K) -> Sequence[V]:
        """Return the values of *key*, the oldest first."""
        return [*self._older.get(key, ()), *self._recent.get(key, ())]

    def forget(self, key: K) -> None:
        """Remember nothing of *key*."""
        self._older.pop(key, None)
        self._recent.pop(key, None)
