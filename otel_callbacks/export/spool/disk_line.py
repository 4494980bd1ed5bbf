"""Items that wait in line on a disk: which file they go to, and what becomes of the files.

Rules for this file: as of `line.py`; the lock is held. What the disk does not take waits in memory, what cannot be removed is
held until it can, and whatever is given up is counted.
"""

from __future__ import annotations

import errno
import os
import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from otel_callbacks.export.items import CORRUPT, FULL, UNREADABLE, Entry
from otel_callbacks.export.spool.directory import Directory, Name
from otel_callbacks.export.spool.disk import DiskSegment
from otel_callbacks.export.spool.files import Files
from otel_callbacks.export.spool.held import MemorySegment, Segment
from otel_callbacks.export.spool.letters import DeadLetters
from otel_callbacks.export.spool.line import WaitingLine, in_order
from otel_callbacks.export.spool.memory import DEFAULT_MAX_BYTES as MEMORY_MAX_BYTES
from otel_callbacks.export.spool.memory import new_memory_segment
from otel_callbacks.export.spool.segment import MAX_ITEM_BYTES, Header
from otel_callbacks.export.spool.space import MIN_SEGMENT_BYTES, Space
from otel_callbacks.settings import Fsync

DEFAULT_MAX_BYTES: Final = 512 << 20

_RETIRE_BYTES: Final = 1 << 18
"""A segment of which everything is settled is not filled up if it has grown to this: its space is given back."""
_MAX_FAULTS: Final = 5
"""So often a segment is tried that cannot be read, a second apart."""


class DiskLine(WaitingLine):
    """The files of one signal for one destination; see `SpoolStore`."""

    def __init__(
        self,
        *,
        directory: str | os.PathLike[str],
        signal: str,
        destination: str,
        max_bytes: int = DEFAULT_MAX_BYTES,
        fsync: Fsync = "interval",
        memory_max_bytes: int = MEMORY_MAX_BYTES,
        any_destination: bool = False,
        clock: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
        files: Files | None = None,
    ) -> None:
        self.signal = signal
        self.destination = destination
        self.any_destination = any_destination
        self.directory = Directory(directory, files=files)
        self._files = self.directory.files
        self._max_bytes = max_bytes
        self._fsync: Fsync = fsync
        self._memory_max_bytes = memory_max_bytes
        self._now_ns = now_ns
        super().__init__(max_item_bytes=min(MAX_ITEM_BYTES, max_bytes), clock=clock)
        self._check()

    @abstractmethod
    def _check(self) -> None:
        """Look whether the folder can be used. Raises: ConfigurationError."""

    def _begin(self) -> None:
        super()._begin()
        self._letters = DeadLetters(self.directory, self._introduction)
        self._space = Space(self._max_bytes, self._max_bytes)
        self._failing = False
        self._spare: DiskSegment | None = None
        self._leftovers: list[DiskSegment] = []
        """Files that could not be removed: nothing is left in them."""
        self._new_names = False

    # Where items go.

    def _introduction(self) -> tuple[Name, Header]:
        name = self.directory.new_name(self.signal, self._now_ns())
        salt = int.from_bytes(os.urandom(4), "little")
        return name, Header(self.signal, self.destination, name.pid, name.created_ns, salt)

    def _create(self) -> DiskSegment:
        """Return a new file. Raises: OSError."""
        space = self._space
        there = space.others_bytes + sum(each.size for each in self._segments if each.on_disk)
        if space.limit_bytes < MIN_SEGMENT_BYTES or (
            space.limit_bytes < space.most_bytes and there + space.segment_bytes > space.limit_bytes
        ):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        for _ in range(5):
            segment = DiskSegment.create(
                self.directory, *self._introduction(), max_bytes=self._space.segment_bytes
            )
            if segment is not None:
                self._new_names = True
                return segment
        raise OSError(errno.EAGAIN, "every new file was looked at by somebody")

    def _next_segment(self) -> Segment:
        self._seal()
        if not self._failing:
            try:
                segment, self._spare = self._spare or self._create(), None
            except OSError as error:
                self._disk_failed(error)
            else:
                self._segments = in_order([*self._segments, segment])
                self._make_room()
                return segment
        # One for all, also if the disk comes and goes: it is what is bounded.
        memory = next((each for each in self._segments if isinstance(each, MemorySegment)), None)
        if memory is None:
            memory = new_memory_segment(self._now_ns())
            self._segments.append(memory)
        memory.sealed = False
        return memory

    def _seal(self) -> None:
        active, self._active = self._active, None
        if active is not None:
            active.sealed = True
            self._settled_in(active)

    def _disk_failed(self, error: OSError) -> None:
        self._failing = True
        self.notices.add(
            "disk",
            "The spool cannot be written (%s): items wait in memory.",
            error.strerror or type(error).__name__,
        )

    def _store_failed(self, segment: Segment, error: OSError) -> None:
        assert isinstance(segment, DiskSegment)  # noqa: S101  (memory does not raise OSError)
        segment.cut_if_possible()
        self._disk_failed(error)
        self._seal()

    def _stored(self, segment: Segment) -> None:
        if isinstance(segment, MemorySegment):
            self._shed(segment, self._memory_max_bytes)
        elif isinstance(segment, DiskSegment) and self._fsync == "always":
            self._flush(segment, segment.opened.descriptor)

    # What becomes of them.

    def _settled_in(self, segment: Segment) -> None:
        if isinstance(segment, DiskSegment) and segment.is_closed and not segment.dropped:
            return  # by now it is somebody else's
        if not isinstance(segment, DiskSegment) or segment.dropped:
            if segment.is_finished and (segment.sealed or segment.dropped):
                self._unlist(segment)
        elif segment.is_finished and (segment.sealed or segment.size >= _RETIRE_BYTES):
            if segment is self._active:
                self._active = None
            segment.sealed = True
            self._unlist(segment)
            self._remove(segment)
        else:
            try:
                segment.acknowledge()
            except OSError as error:
                self.notices.add("ack", "The spool could not note what was delivered: %s.", error.strerror)

    def _unlist(self, segment: Segment) -> None:
        self._segments = [each for each in self._segments if each is not segment]

    def _remove(self, segment: DiskSegment) -> None:
        """Remove the file of a segment in which nothing is left."""
        try:
            if not (segment.damaged and self.directory.set_aside(segment.opened)):
                self._files.unlink(segment.name, self.directory.folder())
        except FileNotFoundError:
            pass
        except OSError as error:
            if segment not in self._leftovers:
                self.notices.add("remove", "A file of the spool could not be removed: %s.", error.strerror)
                self._leftovers.append(segment)
                with suppress(OSError):  # as long as it is held, nobody else reads it
                    segment.acknowledge(everything=True)
            return
        if segment in self._leftovers:
            self._leftovers.remove(segment)
        segment.close()

    def _make_room(self) -> None:
        """Drop the oldest sealed segments as long as there is too much."""
        for segment in tuple(self._segments):
            if self.excess_bytes() <= 0:
                return
            if isinstance(segment, DiskSegment) and segment.sealed and not segment.dropped:
                self._drop(segment)

    def _drop(self, segment: DiskSegment) -> None:
        """Give up a segment. What is on its way stays counted as that, until it is known what became of it."""
        self._tally.drop(FULL, segment.unread)
        segment.unread = 0
        for key in [key for key in self._returned if key[0] == segment.order]:
            del self._returned[key]
            segment.settle(key[1])
            self._tally.drop(FULL)
        self.notices.add("full", "The spool is full: the oldest items have made room.")
        segment.dropped = True
        if not segment.open:
            self._unlist(segment)
        segment.damaged = False
        self._remove(segment)
        self._recount()

    def _read_failed(self, segment: Segment, error: OSError) -> None:
        assert isinstance(segment, DiskSegment)  # noqa: S101  (memory does not raise OSError)
        self.notices.add("read", "The spool cannot be read: %s.", error.strerror)
        self._resting.add(segment.identity)
        segment.faults += 1
        if segment.faults >= _MAX_FAULTS:
            self._give_up_rest(segment, UNREADABLE)

    def _read_to_its_end(self, segment: Segment) -> None:
        if isinstance(segment, DiskSegment) and segment.unread:
            self._give_up_rest(segment, CORRUPT)

    def _give_up_rest(self, segment: DiskSegment, reason: str) -> None:
        lost = segment.skip_rest()
        self._tally.drop(reason, lost)
        self.notices.add(
            "corrupt", "%d items in the spool were damaged and are lost; the file is kept in 'corrupt'.", lost
        )
        if not segment.open:
            self._settled_in(segment)

    def _put_aside(self, entry: Entry, reason: str) -> bool:
        try:
            self._letters.add(entry, reason)
        except OSError as error:
            self.notices.add("dead", "A dead letter could not be put aside: %s.", error.strerror)
            return False
        return True

    def _given_back(self) -> None:
        pass

    def _flush(self, segment: DiskSegment, descriptor: int) -> None:
        try:
            self._files.sync(descriptor)
            segment.dirty = False
        except OSError as error:
            segment.dirty = True
            self.notices.add("sync", "The spool could not be flushed to the disk: %s.", error.strerror)

    def excess_bytes(self) -> int:
        """Return by how much there is too much, as far as it is for this store to give something up."""
        room = self._space.segment_bytes  # what is being filled may become as large as that
        own = [each for each in self._segments if each.on_disk and not each.dropped]
        return self._space.excess(sum(each.size if each.sealed else max(each.size, room) for each in own))
