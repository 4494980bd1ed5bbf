"""The store on disk: what is put in is in a file when `put` returns, and stays there until somebody says what became of it.

Rules for this file: as of `line.py`. The disk is the only truth: what is sent back is read from the file, no copy is kept. A disk
that fails costs nothing but safety: items wait in memory until it works again. Whatever may take long (looking through the
folder, reading what others left, waiting for the disk) is done in `tend`, and without the lock.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Final

from otel_callbacks.export.items import CLOSED, CORRUPT, FULL
from otel_callbacks.export.spool import adoption
from otel_callbacks.export.spool.directory import CORRUPT as CORRUPT_FOLDER
from otel_callbacks.export.spool.directory import NETWORK_KINDS, filesystem_kind
from otel_callbacks.export.spool.disk import DiskSegment
from otel_callbacks.export.spool.disk_line import DiskLine
from otel_callbacks.export.spool.held import MemorySegment
from otel_callbacks.export.spool.line import Parcel, in_order
from otel_callbacks.export.spool.space import look

ADOPTION_INTERVAL_S: Final = 5.0
CORRUPT_MAX_BYTES: Final = 64 << 20
"""Of the damaged files that are kept for a person to look at."""
_CHUNK_BYTES: Final = 1 << 20


class SpoolStore(DiskLine):
    """Items of one *signal* for one *destination*, in files in a folder that other stores and processes share.

    Args:
        directory: Made if it is not there. It belongs to this user alone, and holds nothing else.
        destination: A short name of the place that they are for; without secrets. What was left for another one is not touched.
        max_bytes: Of all files in the folder; the oldest make room.
        fsync: When to wait for the disk: after every item, once a second in `tend`, never.
        memory_max_bytes: Of what waits in memory while the disk fails.
        any_destination: Adopt what was left for other destinations as well.

    Raises:
        ConfigurationError: The folder is not safe, or cannot be used.
    """

    def _begin(self) -> None:
        super()._begin()
        self.foreign: dict[str, int] = {}
        """Segments that were left for other destinations, with their lengths."""
        self._adopt_at_s = float("-inf")

    def _check(self) -> None:
        try:
            self.directory.check()
            self._space = look(self.directory, self.signal, frozenset(), self._max_bytes)
        except OSError as error:
            self._disk_failed(error)
        kind = filesystem_kind(self.directory.path)
        if kind in NETWORK_KINDS:
            self.notices.add(
                "network", "The spool is on a network file system (%s): its locks may not hold.", kind
            )

    # What is done once a second.

    def tend(self) -> None:
        """Do what is due. Called by one thread; it may wait for the disk."""
        self._catch_up()
        self._resting.clear()
        if self._closed:
            return
        for step in (self._retry, self._sync, self._look, self._adopt, self._prepare, self._tidy):
            try:
                step()
            except OSError as error:
                self.notices.add("tend", "The spool could not be tended: %s.", error.strerror)
        self.notices.say()

    def _retry(self) -> None:
        """Try a disk that failed; what waits in memory goes there."""
        if not self._failing:
            return
        segment = self._create()

        def begin() -> None:
            self._failing = False
            self._seal()
            self._active = segment
            self._segments = in_order([*self._segments, segment])

        self._alone(begin)
        self._bring_to_disk()

    def _bring_to_disk(self) -> None:
        for memory in [each for each in self._segments if isinstance(each, MemorySegment)]:
            while memory.unread and not self._failing:
                self._alone(partial(self._move_some, memory))
            self._alone(partial(self._settled_in, memory))

    def _move_some(self, memory: MemorySegment) -> None:
        front = memory.front(_CHUNK_BYTES)
        if front:
            items = [each.item for each in front]
            self._incoming.append(Parcel(front[0].origin, items, memory, front[-1].number))
            self._absorb()
        else:
            memory.unread = 0

    def _sync(self) -> None:
        if self._fsync == "never":
            return
        dirty: list[tuple[DiskSegment, int]] = []

        def collect() -> None:
            for segment in self._segments:
                if isinstance(segment, DiskSegment) and segment.dirty and segment.opened.descriptor >= 0:
                    segment.dirty = False
                    dirty.append((segment, self._files.duplicate(segment.opened.descriptor)))

        try:
            self._alone(collect)
        finally:
            for segment, descriptor in dirty:
                self._flush(segment, descriptor)
                self._files.close(descriptor)
        if self._new_names:
            self._new_names = False
            self._files.sync_folder(self.directory.folder())

    def _look(self) -> None:
        held = frozenset(each.name for each in tuple(self._segments) if isinstance(each, DiskSegment))
        self._space = look(self.directory, self.signal, held, self._max_bytes)
        self._alone(self._seal_if_removed)
        self._alone(self._make_room)

    def _seal_if_removed(self) -> None:
        active = self._active
        if isinstance(active, DiskSegment) and not self._files.status(active.opened.descriptor).st_nlink:
            self._seal()  # what is in it can still be read

    def _adopt(self) -> None:
        now_s = self._clock()
        if now_s < self._adopt_at_s:
            return
        self._adopt_at_s = now_s + ADOPTION_INTERVAL_S
        if adoption.adopt(self):
            self._adopt_at_s = now_s  # there is more
        adoption.make_room_of_others(self)

    def adopted(self, segment: DiskSegment, readable: int, lost: int) -> None:
        """Take in what a dead process left."""

        def take_in() -> None:
            segment.sealed = True
            self._tally.adopted += readable + lost
            self._tally.drop(CORRUPT, lost)
            self._segments = in_order([*self._segments, segment])
            if not readable:
                self._settled_in(segment)

        if lost:
            self.notices.add(
                "corrupt",
                "%d items in the spool were damaged and are lost; the file is kept in 'corrupt'.",
                lost,
            )
        self._alone(take_in)

    def gave_up(self, count: int) -> None:
        """Count items of a dead process that made room before anybody adopted them."""

        def give_up() -> None:
            self._tally.adopted += count
            self._tally.drop(FULL, count)

        self._alone(give_up)

    @property
    def held(self) -> int:
        """How many files are held."""
        return sum(each.on_disk for each in self._segments)

    def _prepare(self) -> None:
        """Have the next file ready before a thread of the application needs it."""
        active = self._active
        wanted = active is None or (active.on_disk and active.size > self._space.segment_bytes // 2)
        if self._spare is None and not self._failing and wanted and self._tally.accepted:
            spare = self._create()

            def keep() -> None:
                self._spare, unused = spare, self._spare
                if unused is not None:  # two threads tend
                    self._remove(unused)

            self._alone(keep)

    def _remove_leftovers(self) -> None:
        for segment in tuple(self._leftovers):
            self._remove(segment)

    def _tidy(self) -> None:
        self._alone(self._remove_leftovers)
        self._letters.trim()
        self.directory.trim(CORRUPT_FOLDER, CORRUPT_MAX_BYTES)

    # Ending.

    def after_fork(self) -> None:
        """Begin anew in a forked child. What is open is the parent's: it is closed, and by that not unlocked."""
        self.directory.after_fork()
        self._begin()

    def close(self) -> None:
        """Let go of everything; what waits in memory gets a last chance to be written."""
        if self._closed:
            return
        self._alone(self._gather)
        for step in (self._save_memory, self._sync):
            with suppress(OSError):  # what it costs is counted below
                step()
        self._alone(self._close)
        self.notices.say()

    def _gather(self) -> None:
        """Put what was given back to memory in line again, as nobody will take it any more."""
        for key, entry in tuple(self._returned.items()):
            memory = entry.place.segment
            if isinstance(memory, MemorySegment):
                del self._returned[key]
                memory.settle(key[1])
                self._incoming.append(Parcel(entry.origin, (entry.item,), memory, -1))
        self._absorb()

    def _save_memory(self) -> None:
        if any(isinstance(each, MemorySegment) and each.unread for each in self._segments):
            self._failing = True
            self._retry()

    def _close(self) -> None:
        for segment in tuple(self._segments):
            segment.sealed = True
            if isinstance(segment, MemorySegment):
                self._tally.drop(CLOSED, segment.unread)
                segment.forget(segment.total)
            elif isinstance(segment, DiskSegment):
                self._settled_in(segment)
                segment.close()
        self._closed = True
        self._active, spare, self._spare = None, self._spare, None
        for leftover in (*self._leftovers, *((spare,) if spare is not None else ())):
            self._remove(leftover)
            leftover.close()
        self._letters.close()
        self.directory.forget()
