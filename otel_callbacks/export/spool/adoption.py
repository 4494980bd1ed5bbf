"""Adoption: finding the segments of processes that have died, and taking over what is in them.

Rules for this file: no lock of the store is held here; what is found is handed over whole. Who has a file's lock owns it, and
nothing is read or removed without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_callbacks.export.spool.disk import DiskSegment
from otel_callbacks.export.spool.inspection import inspect
from otel_callbacks.export.spool.segment import PAGE, Unreadable

if TYPE_CHECKING:
    from otel_callbacks.export.spool.directory import Name, Opened
    from otel_callbacks.export.spool.store import SpoolStore

MAX_HELD: Final = 64
"""Files that a store holds at once for others; the rest is for a sibling, or for later."""
_AT_ONCE: Final = 16


def adopt(store: SpoolStore) -> bool:
    """Take over what was left; return whether there is more for a next time. Raises: OSError."""
    known, store.foreign = store.foreign, {}
    adopted = 0
    for text, name, _ in store.directory.segments():
        if name.signal != store.signal:
            continue
        if text in known:  # what it says does not change: it is not read again and again
            store.foreign[text] = known[text]
            continue
        if adopted >= _AT_ONCE or store.held >= MAX_HELD:
            return adopted >= _AT_ONCE
        opened = store.directory.seize(text)
        if opened is not None:
            adopted += _examine(store, name, opened)
    return False


def _examine(store: SpoolStore, name: Name, opened: Opened) -> bool:
    """Decide what to do with a file that is ours now; return whether it is kept."""
    files, folder = store.directory.files, store.directory.folder()
    kept = False
    try:
        found = inspect(store.directory.reader(opened), opened.size)
        if isinstance(found, Unreadable):
            if found is Unreadable.EMPTY and opened.size <= PAGE:
                files.unlink(opened.name, folder)
            elif found is Unreadable.OTHER_VERSION:
                store.notices.add(
                    "version",
                    "The spool holds files of another version of this package: they are left alone.",
                )
            else:
                store.directory.set_aside(opened)
                store.notices.add("header", "A file of the spool is damaged; it is kept in 'corrupt'.")
        elif found.header.destination != store.destination and not store.any_destination:
            store.foreign[opened.name] = opened.size
        elif not found.readable and not found.lost and not found.damaged:
            files.unlink(opened.name, folder)
        else:
            kept = True
            segment = DiskSegment(store.directory, name, opened, found, max_bytes=0)
            store.adopted(segment, found.readable, found.lost)
    finally:
        if not kept:
            files.close(opened.descriptor)
    return kept


def make_room_of_others(store: SpoolStore) -> None:
    """If there is too much, remove what nobody here will send: what was left for other destinations, the oldest first.

    Raises: OSError.
    """
    excess = store.excess_bytes()
    for text in sorted(store.foreign):
        if excess <= 0:
            return
        opened = store.directory.seize(text)
        if opened is None:
            continue
        try:
            found = inspect(store.directory.reader(opened), opened.size)
            store.directory.files.unlink(text, store.directory.folder())
        finally:
            store.directory.files.close(opened.descriptor)
        excess -= opened.size
        store.foreign.pop(text, None)
        if not isinstance(found, Unreadable):
            store.gave_up(found.readable + found.lost)
