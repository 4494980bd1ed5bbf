"""Segments that this process holds: what all kinds have in common, and the one in memory.

Rules for this file: no lock (the store's is held), and nothing is decided about faults: they are raised. What comes in is
added in steps that may be repeated, `prepare`, `store`, `note`: whatever interrupts them, doing all of them again is right.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final, NamedTuple

from otel_callbacks.export.items import Origin


class Ahead(NamedTuple):
    """An item that nobody has taken."""

    number: int
    origin: Origin
    item: bytes
    start: int
    end: int


class Prepared(NamedTuple):
    """Items that are about to be stored."""

    blob: bytes
    origin: Origin
    items: Sequence[bytes]
    total: int
    unread: int
    size: int
    """These three: of the segment, when that is done."""
    identifier: int


class Segment(ABC):
    """What a store knows of a segment: named by its time, *identity* and place in line."""

    on_disk: ClassVar[bool]

    def __init__(self, identity: str, created_ns: int) -> None:
        self.identity: Final = identity
        self.order: Final = (created_ns, identity)
        """When it was made; the oldest is taken first."""
        self.total: int = 0
        """Numbers that were given to items."""
        self.unread: int = 0
        """Items that nobody has taken."""
        self.open: dict[int, int] = {}
        """The numbers of those that were taken and are not settled, in their order."""
        self.size: int = 0
        self.sealed = False
        """Nothing is added any more."""
        self.dropped = False
        """It made room: what is still open is all that is left of it."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left in it."""
        return not self.unread and not self.open

    @abstractmethod
    def has_room(self, need: int) -> bool:
        """Return whether *need* more bytes may go in."""

    @abstractmethod
    def prepare(self, origin: Origin, items: Sequence[bytes]) -> Prepared:
        """Return what has to be done to add *items*, and change nothing."""

    @abstractmethod
    def store(self, prepared: Prepared) -> None:
        """Store it where it belongs: a second time is the same. Raises: OSError."""

    def note(self, prepared: Prepared) -> None:
        """Take account of what was stored."""
        self.total, self.unread, self.size = prepared.total, prepared.unread, prepared.size

    @abstractmethod
    def ahead(self) -> Iterator[Ahead]:
        """Yield the items that nobody has taken; each is to be `passed` before the next. Raises: OSError."""

    @abstractmethod
    def passed(self, item: Ahead) -> None:
        """Note that the item *ahead* was taken."""

    @abstractmethod
    def settle(self, number: int) -> bool:
        """Forget an item that was taken; return whether it was not forgotten before."""


class MemorySegment(Segment):
    """Items in memory, for want of a disk."""

    on_disk = False
    _OVERHEAD: Final = 100  # of the objects around the bytes

    def __init__(self, identity: str, created_ns: int) -> None:
        super().__init__(identity, created_ns)
        self._items: deque[Ahead] = deque()

    def has_room(self, need: int) -> bool:  # noqa: ARG002  (the store keeps it within its bounds)
        """Return whether *need* more bytes may go in."""
        return True

    def prepare(self, origin: Origin, items: Sequence[bytes]) -> Prepared:
        """Return what has to be done, and change nothing."""
        total = self.total + len(items)
        size = self.size + sum(map(len, items)) + self._OVERHEAD * len(items)
        return Prepared(b"", origin, items, total, self.unread + len(items), size, 0)

    def store(self, prepared: Prepared) -> None:
        """Store it; a second time is the same."""
        first = prepared.total - len(prepared.items)
        while self._items and self._items[-1].number >= first:  # of an attempt that was interrupted
            self._items.pop()
        for number, item in enumerate(prepared.items, first):
            self._items.append(Ahead(number, prepared.origin, item, 0, 0))

    def ahead(self) -> Iterator[Ahead]:
        """Yield the items that nobody has taken."""
        while self._items:
            yield self._items[0]

    def passed(self, item: Ahead) -> None:
        """Note that the item ahead was taken."""
        self.open[item.number] = len(item.item)
        self._items.popleft()
        self.unread -= 1

    def settle(self, number: int) -> bool:
        """Forget an item that was taken."""
        length = self.open.pop(number, None)
        if length is None:
            return False
        self.size -= length + self._OVERHEAD
        return True

    def shed(self) -> bool:
        """Forget the oldest item that nobody has taken; return whether there was one."""
        if not self._items:
            return False
        self.forget(self._items[0].number)
        return True

    def front(self, max_bytes: int) -> list[Ahead]:
        """Return the oldest items that nobody has taken, of one origin."""
        front: list[Ahead] = []
        size = 0
        for item in self._items:
            size += len(item.item)
            if front and (item.origin != front[0].origin or size > max_bytes):
                break
            front.append(item)
        return front

    def forget(self, number: int) -> None:
        """Forget what nobody has taken, up to *number*."""
        while self._items and self._items[0].number <= number:
            self.size -= len(self._items.popleft().item) + self._OVERHEAD
            self.unread -= 1
