"""Stores for tests: short segments, a clock that stands still, faults that are planted in the file system."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from otel_callbacks.export.items import Entry, Origin, StoreCounts
from otel_callbacks.export.spool.disk import DiskSegment
from otel_callbacks.export.spool.files import Files
from otel_callbacks.export.spool.line import WaitingLine
from otel_callbacks.export.spool.segment import (
    PAGE,
    Gap,
    Header,
    Kind,
    Record,
    pack_origin,
    pack_page,
    pack_record,
    records,
)
from otel_callbacks.export.spool.store import SpoolStore

ORIGIN: Final = Origin(b"a resource", b"a scope")
OTHER: Final = Origin(b"another resource", b"a scope")
SALT: Final = 0x5A17C0DE


class Clock:
    """Seconds that stand still until they are told."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def spool(path: Path | str, **options: Any) -> SpoolStore:
    """Return a store in a folder below *path*."""
    given: dict[str, Any] = {"directory": Path(path) / "spool", "signal": "traces", "destination": "here"}
    return SpoolStore(**given | options)


def texts(entries: list[Entry]) -> list[str]:
    return [entry.item.decode() for entry in entries]


def put(store: WaitingLine, *items: str, origin: Origin = ORIGIN) -> None:
    for item in items:
        store.put(origin, [item.encode()])


def everything(store: WaitingLine) -> list[str]:
    """Take and settle all there is."""
    seen: list[str] = []
    while entries := store.take(100, 1 << 20):
        seen += texts(entries)
        store.settle(entries)
    return seen


def known(counts: StoreCounts) -> int:
    """Return of how many items it is said what became of them."""
    return counts.settled + sum(counts.dropped.values()) + counts.on_disk + counts.in_memory


def balanced(store: WaitingLine) -> bool:
    counts = store.counts()
    return counts.accepted + counts.adopted == known(counts)


def segments(path: Path) -> list[Path]:
    return sorted((path / "spool").glob("*.seg"))


def file_of(items: list[bytes], *, destination: str = "here", signal: str = "traces") -> bytes:
    """Return a segment as a file."""
    page = pack_page(Header(signal, destination, 1, 1, SALT))
    return b"".join(
        (
            page,
            pack_origin(1, ORIGIN, SALT),
            *(
                piece
                for number, item in enumerate(items)
                for piece in pack_record(Kind.ITEM, number, 1, item, SALT)
            ),
        )
    )


def read_back(data: bytes, start: int = PAGE) -> list[Record | Gap]:
    return list(records(lambda offset, size: data[offset : offset + size], start, len(data), SALT))


def items_in(data: bytes) -> list[bytes]:
    return [each.payload for each in read_back(data) if isinstance(each, Record) and each.kind == Kind.ITEM]


class FaultyFiles(Files):
    """The operating system's calls, of which some fail: whatever `wrong` says of a call's name."""

    def __init__(self, wrong: Callable[[str], int | None] = lambda _call: None) -> None:
        super().__init__()
        self.wrong = wrong
        self.calls: list[str] = []
        self.short = False

    def _ask(self, call: str) -> None:
        self.calls.append(call)
        code = self.wrong(call)
        if code is not None:
            raise OSError(code, os.strerror(code))

    def create(self, name: str, folder: int) -> int:
        self._ask("create")
        return super().create(name, folder)

    def open(self, name: str, folder: int, *, writable: bool = True) -> int:
        self._ask("open")
        return super().open(name, folder, writable=writable)

    def write(self, descriptor: int, data: bytes, offset: int) -> int:
        if self.short and len(data) > 1:  # a full disk takes a part, and says so next time
            super().write(descriptor, data[: len(data) // 2], offset)
        self._ask("write")
        if self.short and len(data) > 1:
            return len(data) // 2
        return super().write(descriptor, data, offset)

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        self._ask("read")
        return super().read(descriptor, size, offset)

    def unlink(self, name: str, folder: int) -> None:
        self._ask("unlink")
        super().unlink(name, folder)

    def rename(self, name: str, folder: int, to_name: str, to_folder: int) -> None:
        self._ask("rename")
        super().rename(name, folder, to_name, to_folder)

    def sync(self, descriptor: int) -> None:
        self._ask("sync")

    def sync_folder(self, descriptor: int) -> None:
        self._ask("sync")

    def names(self, folder: int) -> list[str]:
        self._ask("names")
        return super().names(folder)


def full_disk(call: str) -> int | None:
    return errno.ENOSPC if call in {"create", "write"} else None


def held(store: SpoolStore) -> Iterator[DiskSegment]:
    return (each for each in store._segments if isinstance(each, DiskSegment))


def die(store: SpoolStore) -> None:
    """Let go of everything as a process does that is killed: nothing is written any more."""
    store._files.forget_all()
