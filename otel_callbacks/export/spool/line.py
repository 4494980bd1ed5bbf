"""Items that wait in line, in segments of whatever kind: what a store on disk and one in memory have in common.

Rules for this file: any thread may come, and the same thread may come again in the middle of itself, out of a garbage collection
or a signal handler. So whoever finds the store busy leaves what it wants done and goes; whoever made it busy does that before it
goes. Nothing is logged while the lock is held: a handler of the log may hold a lock that another thread needs to put something
in. Every change of what is in line can be begun again if it was interrupted (a KeyboardInterrupt may come anywhere).
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple
from zlib import crc32

from otel_callbacks.export.items import CLOSED, FAULT, FULL, REFUSED, TOO_LARGE, Entry, Origin, StoreCounts
from otel_callbacks.export.spool.held import MemorySegment, Prepared, Segment
from otel_callbacks.export.spool.notices import Notices
from otel_callbacks.export.spool.segment import MAX_ITEM_BYTES, total_bytes

_AT_ONCE: Final = 64  # items that are taken without a pause: a fraction of a millisecond


class Place(NamedTuple):
    """Where an entry is."""

    segment: Segment
    number: int


@dataclass(slots=True, eq=False)
class Parcel:
    """Items on their way in."""

    origin: Origin
    items: Sequence[bytes]
    source: MemorySegment | None = None
    """Where they waited before, if they only change places; up to which number."""
    up_to: int = 0


@dataclass(slots=True, eq=False)
class _Taken:
    """What is being taken."""

    entries: list[Entry] = field(default_factory=list[Entry])
    size: int = 0

    def fits(self, item: bytes, max_bytes: int) -> bool:
        """Add *item* to the size, and return whether it may be taken: the first one always."""
        if self.entries and self.size + len(item) > max_bytes:
            return False
        self.size += len(item)
        return True


@dataclass(slots=True)
class _Tally:
    accepted: int = 0
    adopted: int = 0
    settled: int = 0
    dead: int = 0
    dropped: dict[str, int] = field(default_factory=dict[str, int])

    def drop(self, reason: str, count: int = 1) -> None:
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count


class WaitingLine(ABC):
    """A store but for where its segments are."""

    def __init__(
        self, *, max_item_bytes: int = MAX_ITEM_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_item_bytes = max_item_bytes
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        self.notices = Notices(self._clock)
        self._lock = threading.RLock()
        self._closed = False
        self._incoming: deque[Parcel] = deque()
        self._later: deque[Callable[[], object]] = deque()
        self._pending: tuple[Segment, Prepared, Parcel, int, int] | None = None
        self._segments: list[Segment] = []
        self._active: Segment | None = None
        self._returned: dict[tuple[tuple[int, str], int], Entry] = {}
        self._tally = _Tally()
        self._waiting = 0
        self._resting: set[str] = set()
        """Segments that could not be read just now."""

    # Coming in.

    def put(self, origin: Origin, items: Sequence[bytes]) -> None:
        """Keep *items*. Raises nothing of its own."""
        if not items:
            return
        self._incoming.append(Parcel(origin, tuple(items)))
        self._catch_up()

    def _catch_up(self) -> None:
        """Store what came, unless this thread is in the middle of something: then it does so when that is done."""
        if self._is_mine():
            return
        while self._incoming or self._later:
            with self._lock:
                self._absorb()

    def _is_mine(self) -> bool:
        # What `threading.Condition` asks of its lock. A flag of our own would stay up if an interruption came beside it.
        return self._lock._is_owned()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType,reportUnknownVariableType]

    def _alone(self, action: Callable[[], object], *, or_later: bool = True) -> None:
        """Do *action* while nobody else does anything; later, or never, if this thread is in the middle of something."""
        if self._is_mine():
            if or_later:
                self._later.append(action)
            return
        with self._lock:
            try:
                self._absorb()
                action()
            finally:
                self._recount()
        self._catch_up()

    def _recount(self) -> None:
        self._waiting = sum(segment.unread for segment in self._segments) + len(self._returned)

    def _absorb(self) -> None:
        """Store all that came; the lock is held."""
        while self._pending is not None or self._incoming:
            parcel = self._pending[2] if self._pending is not None else self._incoming[0]
            try:
                if self._pending is not None:  # somebody was interrupted
                    self._conclude(*self._pending)
                else:
                    self._take_in(parcel)
            except Exception as error:  # noqa: BLE001  (a fault of ours costs the items, which are counted, and not the application)
                self._pending = None
                self.notices.add("fault", "Items could not be kept: %s.", type(error).__name__)
                if self._incoming and self._incoming[0] is parcel:
                    self._refuse(parcel, FAULT)
        while self._later:
            self._later.popleft()()
            self._recount()

    def _take_in(self, parcel: Parcel) -> None:
        if self._closed:
            self._refuse(parcel, CLOSED)
            return
        if len(max(parcel.items, key=len)) > self._max_item_bytes:
            self._without_large(parcel)
            return
        segment = self._active
        if segment is None or not segment.has_room(total_bytes(parcel.items)):
            segment = self._active = self._next_segment()
        prepared = segment.prepare(parcel.origin, parcel.items)
        new = 0 if parcel.source is not None else len(parcel.items)
        self._pending = segment, prepared, parcel, self._tally.accepted + new, self._waiting + new
        self._conclude(*self._pending)

    def _conclude(
        self, segment: Segment, prepared: Prepared, parcel: Parcel, accepted: int, waiting: int
    ) -> None:
        """Store what was prepared. It is right to do this again when it was interrupted: all numbers are those afterwards."""
        try:
            segment.store(prepared)
        except OSError as error:
            self._pending = None
            self._store_failed(
                segment, error
            )  # there is another active segment now, and the parcel is still there
            return
        segment.note(prepared)
        if parcel.source is not None:
            parcel.source.forget(parcel.up_to)
        self._tally.accepted, self._waiting = accepted, waiting
        if self._incoming and self._incoming[0] is parcel:
            self._incoming.popleft()
        self._pending = None
        self._stored(segment)

    def _refuse(self, parcel: Parcel, reason: str) -> None:
        if self._incoming and self._incoming[0] is parcel:
            self._incoming.popleft()
        if parcel.source is not None:
            parcel.source.forget(parcel.up_to)
        else:
            self._tally.accepted += len(parcel.items)
        self._tally.drop(reason, len(parcel.items))

    def _without_large(self, parcel: Parcel) -> None:
        limit = self._max_item_bytes
        fitting = [item for item in parcel.items if len(item) <= limit]
        large = len(parcel.items) - len(fitting)
        self._tally.accepted += large
        self._tally.drop(TOO_LARGE, large)
        parcel.items = fitting
        if not fitting:
            self._refuse(parcel, TOO_LARGE)

    # Going out.

    def take(self, max_items: int, max_bytes: int) -> list[Entry]:
        """Return the oldest items that nobody has taken; those that were given back first."""
        taken = _Taken()
        try:
            while True:
                most = min(max_items, len(taken.entries) + _AT_ONCE)
                self._alone(partial(self._take, taken, most, max_bytes), or_later=False)
                if len(taken.entries) < most or most >= max_items:
                    return taken.entries
                time.sleep(
                    0
                )  # who puts something in comes first: the lock alone would be ours again before he woke up
        except BaseException:
            self.give_back(taken.entries)
            raise

    def _take(self, taken: _Taken, max_items: int, max_bytes: int) -> None:
        if self._closed:
            return
        entries = taken.entries
        for key in sorted(self._returned):
            entry = self._returned[key]
            if len(entries) >= max_items or not taken.fits(entry.item, max_bytes):
                return
            entries.append(entry)
            del self._returned[key]
        for segment in tuple(self._segments):
            if not segment.unread or segment.identity in self._resting:
                continue
            if len(entries) >= max_items:
                return
            try:
                for item in segment.ahead():
                    if len(entries) >= max_items or not taken.fits(item.item, max_bytes):
                        return
                    entries.append(Entry(item.origin, item.item, Place(segment, item.number)))
                    segment.passed(item)
            except OSError as error:
                self._read_failed(segment, error)
            else:
                self._read_to_its_end(segment)

    def give_back(self, entries: Sequence[Entry]) -> None:
        """Let *entries* be taken again, before all others."""

        def give_back() -> None:
            for segment, number, entry in self._ours(entries):
                if segment.dropped:  # it has made room meanwhile
                    segment.settle(number)
                    self._tally.drop(FULL)
                    self._settled_in(segment)
                else:
                    self._returned[segment.order, number] = entry
            self._given_back()

        if entries:
            self._alone(give_back)

    def _ours(self, entries: Iterable[Entry]) -> Iterator[tuple[Segment, int, Entry]]:
        """Yield those of *entries* that are taken and not settled; what was taken before a fork is the parent's."""
        segments = {id(segment) for segment in self._segments}
        for entry in entries:
            segment, number = entry.place
            if id(segment) in segments and number in segment.open:
                yield segment, number, entry

    def settle(self, entries: Sequence[Entry]) -> None:
        """Forget *entries*."""
        if entries:
            self._alone(lambda: self._settle(entries))

    def _settle(self, entries: Iterable[Entry]) -> None:
        touched: dict[str, Segment] = {}
        for segment, number, _ in self._ours(entries):
            segment.settle(number)
            self._tally.settled += 1
            self._returned.pop((segment.order, number), None)
            touched[segment.identity] = segment
        for segment in touched.values():
            self._settled_in(segment)

    def bury(self, entry: Entry, reason: str) -> None:
        """Put *entry* aside where a person may look at it, and settle it; where it cannot be put aside, it is dropped and counted."""

        def bury() -> None:
            for segment, number, _ in self._ours((entry,)):
                if self._put_aside(entry, reason):
                    self._tally.dead += 1
                    self._settle((entry,))
                else:
                    segment.settle(number)
                    self._returned.pop((segment.order, number), None)
                    self._tally.drop(REFUSED)
                    self._settled_in(segment)

        self._alone(bury)

    def identity(self, entries: Sequence[Entry]) -> str:
        """Return a text that names this batch, also after a restart."""
        if not entries:
            return "none"
        places = [f"{entry.place.segment.identity}.{entry.place.number}" for entry in entries]
        return f"{places[0]}.{len(places)}.{crc32(' '.join(places).encode()):08x}"

    @property
    def waiting(self) -> int:
        """How many items nobody has taken."""
        return self._waiting

    def counts(self) -> StoreCounts:
        """Return the counts."""
        self._alone(lambda: None, or_later=False)
        tally = self._tally
        counts = StoreCounts(tally.accepted, tally.adopted, dict(tally.dropped), tally.settled, tally.dead)
        for segment in tuple(self._segments):
            if segment.on_disk and not segment.dropped:
                counts.on_disk += segment.unread + len(segment.open)
            else:
                counts.in_memory += segment.unread + len(segment.open)
        return counts

    def _shed(self, memory: MemorySegment, max_bytes: int, max_items: int | None = None) -> None:
        """Let the oldest items in memory make room."""
        before = self._tally.dropped.get(FULL, 0)
        while memory.size > max_bytes or (max_items is not None and self._waiting > max_items):
            if not memory.shed():
                given_back = min((key for key in self._returned if key[0] == memory.order), default=None)
                if given_back is None:
                    break  # all of it is on its way
                del self._returned[given_back]
                memory.settle(given_back[1])
            self._tally.drop(FULL)
            self._waiting -= 1
        if self._tally.dropped.get(FULL, 0) != before:
            self._recount()

    # What differs.

    @abstractmethod
    def _next_segment(self) -> Segment:
        """Return a new segment that is in line, with room."""

    @abstractmethod
    def _store_failed(self, segment: Segment, error: OSError) -> None:
        """Make sure that what could not be stored in *segment* will be stored elsewhere."""

    @abstractmethod
    def _stored(self, segment: Segment) -> None:
        """Keep within the bounds."""

    @abstractmethod
    def _read_failed(self, segment: Segment, error: OSError) -> None:
        """Decide what becomes of a segment that cannot be read."""

    @abstractmethod
    def _read_to_its_end(self, segment: Segment) -> None:
        """Count what should have been there."""

    @abstractmethod
    def _settled_in(self, segment: Segment) -> None:
        """Write down that something was settled."""

    @abstractmethod
    def _given_back(self) -> None:
        """Keep within the bounds."""

    @abstractmethod
    def _put_aside(self, entry: Entry, reason: str) -> bool:
        """Return whether there is a place for a dead letter, and it is in it."""

    # Ending.

    def close(self) -> None:
        """Take nothing more."""
        self._alone(self._close)

    def _close(self) -> None:
        self._closed = True


def in_order(segments: Iterable[Segment]) -> list[Segment]:
    """Return *segments*, the oldest first."""
    return sorted(segments, key=lambda segment: segment.order)
