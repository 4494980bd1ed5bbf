"""What is in a spool, for those who look at it from outside, and what they may do to it.

Rules for this file: `survey` changes nothing and makes nothing; to learn whether a segment's owner lives, it asks for a shared
lock, for an instant, which owners and adopters cope with. `purge` and `resend` touch nothing that somebody holds.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from otel_callbacks.export.spool.directory import (
    CORRUPT,
    DEAD,
    VOLATILE_KINDS,
    Directory,
    filesystem_kind,
    parse_name,
)
from otel_callbacks.export.spool.files import Files, opened_folder, sizes
from otel_callbacks.export.spool.inspection import Inspection, inspect
from otel_callbacks.export.spool.segment import Unreadable


@dataclass(frozen=True, slots=True)
class Group:
    """The segments of one signal for one destination."""

    signal: str
    destination: str
    segments: int = 0
    alive: int = 0
    """Of these, those whose owner lives."""
    items: int = 0
    """That wait, or are on their way."""
    damaged: int = 0
    """Items that cannot be read."""
    size_bytes: int = 0
    oldest_ns: int = 0
    """When the oldest segment was made, since the epoch."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What is in a folder."""

    path: str
    filesystem: str
    waiting: tuple[Group, ...] = ()
    dead: tuple[Group, ...] = ()
    """Dead letters."""
    corrupt_files: int = 0
    corrupt_bytes: int = 0
    unreadable: int = 0
    """Segments without a header that this version can read."""
    problem: str = ""
    """Why nothing could be seen."""

    @property
    def volatile(self) -> bool:
        """Whether it is lost with the machine, or the container."""
        return self.filesystem in VOLATILE_KINDS


def survey(directory: str | os.PathLike[str]) -> Survey:
    """Return what is in *directory*, also while others write to it."""
    path = Directory(directory).path
    found = Survey(path, filesystem_kind(path))
    files = Files()
    try:
        with opened_folder(files, path) as folder:
            waiting, unreadable = _groups(files, folder)
            found = replace(found, waiting=waiting, unreadable=unreadable)
            with suppress(FileNotFoundError), opened_folder(files, DEAD, folder) as below:
                found = replace(found, dead=_groups(files, below)[0])
            with suppress(FileNotFoundError), opened_folder(files, CORRUPT, folder) as below:
                lengths = [size for _, size in sizes(files, below)]
                found = replace(found, corrupt_files=len(lengths), corrupt_bytes=sum(lengths))
    except OSError as error:
        return replace(found, problem=error.strerror or type(error).__name__)
    return found


def _groups(files: Files, folder: int) -> tuple[tuple[Group, ...], int]:
    groups: dict[tuple[str, str], Group] = {}
    unreadable = 0
    for text, size in sizes(files, folder):
        name = parse_name(text)
        if name is None:
            continue
        try:
            found, alive = _look(files, text, folder)
        except OSError:  # gone meanwhile, or not for us to read
            continue
        if found is Unreadable.EMPTY:
            continue  # somebody is about to begin
        if isinstance(found, Unreadable):
            unreadable += 1
            continue
        key = name.signal, found.header.destination
        group = groups.get(key, Group(*key, oldest_ns=name.created_ns))
        groups[key] = replace(
            group,
            segments=group.segments + 1,
            alive=group.alive + alive,
            items=group.items + found.readable,
            damaged=group.damaged + found.lost,
            size_bytes=group.size_bytes + size,
        )
    return tuple(groups[key] for key in sorted(groups)), unreadable


def _look(files: Files, text: str, folder: int) -> tuple[Inspection | Unreadable, bool]:
    descriptor = files.open(text, folder, writable=False)
    try:
        status = files.status(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return Unreadable.EMPTY, False
        found = inspect(lambda offset, size: files.read(descriptor, size, offset), status.st_size)
        return found, not files.lock(descriptor, shared=True)
    finally:
        files.close(descriptor)


@dataclass(frozen=True, slots=True)
class Removed:
    """What was done to segments."""

    segments: int = 0
    items: int = 0
    size_bytes: int = 0
    held: int = 0
    """Segments that were left alone, because somebody holds them."""


_EVERY: Final = None


def purge(
    directory: str | os.PathLike[str],
    *,
    signal: str | None = _EVERY,
    destination: str | None = _EVERY,
    folder: str = "",
) -> Removed:
    """Remove what waits, or the dead letters or damaged files (*folder*: ``dead``, ``corrupt``).

    Raises:
        ConfigurationError: The folder is not safe.
        OSError: A file could not be removed.
    """
    place = Directory(directory)
    place.check()
    removed = Removed()
    try:
        if folder and place.existing(folder) is None:
            return removed
        for text, name, size in place.segments(folder):
            if signal not in {_EVERY, name.signal}:
                continue
            opened = place.seize(text, folder)
            if opened is None:
                removed = replace(removed, held=removed.held + 1)
                continue
            try:
                found = inspect(place.reader(opened), opened.size)
                readable = found if isinstance(found, Inspection) else None
                if destination is _EVERY or (readable and readable.header.destination == destination):
                    place.files.unlink(text, place.folder(folder))
                    items = readable.readable if readable else 0
                    removed = Removed(
                        removed.segments + 1, removed.items + items, removed.size_bytes + size, removed.held
                    )
            finally:
                place.files.close(opened.descriptor)
    finally:
        place.forget()
    return removed


def resend(directory: str | os.PathLike[str]) -> int:
    """Let dead letters wait again: whoever adopts what was left sends them. Return how many items that are.

    Raises:
        ConfigurationError: The folder is not safe.
        OSError: A file could not be moved.
    """
    place = Directory(directory)
    place.check()
    items = 0
    try:
        if place.existing(DEAD) is None:
            return 0
        for text, _, _ in place.segments(DEAD):
            opened = place.seize(text, DEAD)
            if opened is None:
                continue
            try:
                found = inspect(place.reader(opened), opened.size)
                if isinstance(found, Inspection):
                    place.files.rename(text, place.folder(DEAD), text, place.folder())
                    items += found.readable
            finally:
                place.files.close(opened.descriptor)
    finally:
        place.forget()
    return items
