"""A segment on disk: a file that is locked by this process, its own or one that a dead process left.

Rules for this file: as of `held.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from otel_callbacks.export.items import Origin
from otel_callbacks.export.spool.directory import Directory, Name, Opened
from otel_callbacks.export.spool.files import write_all
from otel_callbacks.export.spool.held import Ahead, Prepared, Segment
from otel_callbacks.export.spool.inspection import Inspection, is_settled
from otel_callbacks.export.spool.segment import (
    MAX_ORIGINS,
    PAGE,
    Ack,
    Gap,
    Header,
    Kind,
    pack_ack,
    pack_origin,
    pack_page,
    pack_record,
    records,
)


class DiskSegment(Segment):
    """A file that is locked by us, its own or one that a dead process left."""

    on_disk = True

    def __init__(
        self, directory: Directory, name: Name, opened: Opened, found: Inspection, *, max_bytes: int
    ) -> None:
        super().__init__(name.identity, name.created_ns)
        self.opened = opened
        self.damaged = found.damaged
        self.total = found.total
        self.unread = found.readable
        self.size = opened.size
        self.faults = 0
        """How often it could not be read."""
        self.dirty = False
        """Not flushed to the disk."""
        self.unclean = False
        """Behind its end may stand what was kept elsewhere."""
        self._files = directory.files
        self._salt = found.header.salt
        self._origins = found.origins
        self._identifiers: dict[Origin, int] = {}
        self._max_bytes = max_bytes
        self._ack = found.ack
        self._cursor = found.ack.offset
        self._number = found.ack.number

    @classmethod
    def create(
        cls, directory: Directory, name: Name, header: Header, *, max_bytes: int, folder: str = ""
    ) -> DiskSegment | None:
        """Make a new file; None if another name has to be tried. Raises: OSError."""
        opened = directory.create(str(name), folder)
        if opened is None:
            return None
        try:
            write_all(directory.files, opened.descriptor, pack_page(header), 0)
        except OSError:
            with suppress(OSError):  # nothing is in it; the next process removes it
                directory.files.unlink(opened.name, directory.folder(folder))
            directory.files.close(opened.descriptor)
            raise
        opened.size = PAGE
        return cls(
            directory,
            name,
            opened,
            Inspection(header, Ack(), {}, 0, 0, 0, damaged=False),
            max_bytes=max_bytes,
        )

    @property
    def name(self) -> str:
        """Its name in the folder."""
        return self.opened.name

    @property
    def is_closed(self) -> bool:
        """Whether it was let go of: by now it may be somebody else's."""
        return self.opened.descriptor < 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever put in."""
        return self.total == 0

    def has_room(self, need: int) -> bool:
        """Return whether *need* more bytes may go in."""
        return (self.size + need <= self._max_bytes or self.is_empty) and len(self._identifiers) < MAX_ORIGINS

    def prepare(self, origin: Origin, items: Sequence[bytes], reason: bytes = b"") -> Prepared:
        """Return what has to be done, and change nothing."""
        pieces: list[bytes] = []
        identifier = self._identifiers.get(origin)
        if identifier is None:
            identifier = len(self._identifiers) + 1
            pieces.append(pack_origin(identifier, origin, self._salt))
        number, salt = self.total, self._salt
        if reason:
            pieces += pack_record(Kind.REASON, number, identifier, reason, salt)
        for item in items:
            pieces += pack_record(Kind.ITEM, number, identifier, item, salt)
            number += 1
        blob = b"".join(pieces)
        return Prepared(
            blob, origin, items, number, self.unread + len(items), self.size + len(blob), identifier
        )

    def store(self, prepared: Prepared) -> None:
        """Store it; a second time is the same."""
        self.dirty = True
        write_all(self._files, self.opened.descriptor, prepared.blob, prepared.size - len(prepared.blob))

    def note(self, prepared: Prepared) -> None:
        """Take account of what was stored."""
        self._identifiers[prepared.origin] = prepared.identifier
        self._origins[prepared.identifier] = prepared.origin
        super().note(prepared)

    def cut(self) -> None:
        """Take away what a write that failed may have left behind the end. Raises: OSError."""
        self.unclean = True
        self._files.truncate(self.opened.descriptor, self.size)
        self.unclean = False

    def cut_if_possible(self) -> None:
        """Take it away, or try again when the file is let go."""
        with suppress(OSError):
            self.cut()

    def close(self) -> None:
        """Let go of the file; whoever finds it goes on with it. Nothing more is written or read."""
        if self.unclean:
            self.cut_if_possible()
        descriptor, self.opened.descriptor = self.opened.descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # it is closed all the same (close(2))
                self._files.close(descriptor)

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of the file. Raises: OSError."""
        return self._files.read(self.opened.descriptor, size, offset)

    def ahead(self) -> Iterator[Ahead]:
        """Yield the items that nobody has taken."""
        for record in records(self.read, self._cursor, self.size, self._salt):
            if isinstance(record, Gap):
                self.damaged = self.damaged or not record.torn
            elif (
                record.kind == Kind.ITEM
                and self._number <= record.number
                and not is_settled(record.number, self._ack)
            ):
                origin = self._origins.get(record.origin)
                if origin is not None:
                    yield Ahead(record.number, origin, record.payload, record.start, record.end)

    def passed(self, item: Ahead) -> None:
        """Note that the item ahead was taken."""
        self.open[item.number] = item.start
        self._cursor, self._number = item.end, item.number + 1
        self.unread -= 1

    def skip_rest(self) -> int:
        """Pass over what cannot be read; return how many items that were."""
        lost, self.unread = self.unread, 0
        self._cursor, self._number = self.size, self.total
        self.damaged = self.damaged or lost > 0
        return lost

    def settle(self, number: int) -> bool:
        """Forget an item that was taken."""
        return self.open.pop(number, None) is not None

    def acknowledge(self, *, everything: bool = False) -> None:
        """Write down what is settled. Raises: OSError: some of it will be sent twice if this process dies."""
        ack = Ack(self._ack.generation + 1, self.size, self.total) if everything else self._next_ack()
        where, data = pack_ack(ack, self._salt)
        write_all(self._files, self.opened.descriptor, data, where)
        self._ack = ack
        self.dirty = True

    def _next_ack(self) -> Ack:
        generation = self._ack.generation + 1
        later = tuple(
            (max(begin, self._number), end) for begin, end in self._ack.ranges if end > self._number
        )
        if not self.open:
            return Ack(generation, self._cursor, self._number, later)
        numbers = iter(self.open)
        first = previous = next(numbers)
        ranges: list[tuple[int, int]] = []
        for number in numbers:
            if number > previous + 1:
                ranges.append((previous + 1, number))
            previous = number
        if self._number > previous + 1:
            ranges.append((previous + 1, self._number))
        return Ack(generation, self.open[first], first, (*ranges, *later))
