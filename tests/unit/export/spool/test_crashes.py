"""A process that dies between any two system calls: what it was told is there is there, what it has settled is not.

A file and what was acknowledged of it are one file, so there is no state in which one of them is gone and the other is not.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_callbacks.export.items import Entry
from otel_callbacks.export.spool.directory import DEAD
from otel_callbacks.export.spool.store import SpoolStore
from tests.spools import ORIGIN, OTHER, FaultyFiles, balanced, die, everything, put, spool


class Crash(BaseException):
    """The end of the process."""


class Life:
    """What a process does with its store, and what it knows at each moment."""

    def __init__(self, path: Path, files: FaultyFiles) -> None:
        self.path = path
        self.files = files
        self.put_in: set[str] = set()
        self.may_be_in: set[str] = set()
        self.settled: set[str] = set()
        self.may_be_settled: set[str] = set()

    def run(self) -> None:
        store = spool(self.path, files=self.files, max_bytes=1 << 20)
        store.tend()
        for number in range(3):
            self.put(store, f"first {number} ".ljust(60_000, "."))
        first = store.take(2, 1 << 20)
        for number in range(4):  # into the next file
            self.put(store, f"second {number} ".ljust(60_000, "."))
        second = store.take(3, 1 << 20)
        self.settle(store, second[1:])
        store.tend()
        self.settle(store, first)
        self.bury(store, second[0])
        self.put(store, "third")
        third = store.take(100, 1 << 20)
        store.give_back(third[:1])
        self.settle(store, third[1:])
        self.settle(store, store.take(1, 1))
        self.put(store, "last")
        store.close()

    def put(self, store: SpoolStore, text: str) -> None:
        self.may_be_in.add(text)
        put(store, text, origin=OTHER if "2" in text else ORIGIN)
        self.put_in.add(text)

    def settle(self, store: SpoolStore, entries: list[Entry]) -> None:
        said = {entry.item.decode() for entry in entries}
        self.may_be_settled |= said
        store.settle(entries)
        self.settled |= said

    def bury(self, store: SpoolStore, entry: Entry) -> None:
        self.may_be_settled.add(entry.item.decode())
        store.bury(entry, "wrong")
        self.settled.add(entry.item.decode())


def at_call(number: int, what: Callable[[], int | None]) -> Callable[[str], int | None]:
    left = [number]

    def wrong(_call: str) -> int | None:
        left[0] -= 1
        return what() if left[0] == 0 else None

    return wrong


def crash() -> None:
    raise Crash


def in_a_child(life: Life) -> None:
    """Run *life* as far as it goes, then let go of everything, as the system does with a dead process' files."""
    try:
        life.run()
    except Crash:
        life.files.forget_all()


@pytest.mark.parametrize("short", [False, True])
def test_a_crash_at_any_call_loses_nothing_and_repeats_only_what_was_being_settled(
    tmp_path: Path, short: bool
) -> None:
    number = 0
    while True:
        number += 1
        files = FaultyFiles(at_call(number, crash))
        files.short = short  # half of it is there when the process dies
        life = Life(tmp_path / str(number), files)
        in_a_child(life)
        after = spool(tmp_path / str(number))
        seen = []
        for _ in range(3):
            after._adopt_at_s = 0
            after.tend()
            seen += everything(after)
        assert len(seen) == len(set(seen)), number
        assert life.put_in - life.may_be_settled <= set(seen) <= life.may_be_in - life.settled, number
        assert after.counts().dropped == {}, number
        assert balanced(after)
        after.close()
        left = {path.name for path in (tmp_path / str(number) / "spool").iterdir()}
        assert left <= {DEAD}, number
        if len(files.calls) < number:
            break
    assert number > 40


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_an_error_of_any_call_loses_nothing(tmp_path: Path, code: int) -> None:
    number = 0
    while True:
        number += 1
        files = FaultyFiles(at_call(number, lambda: code))
        life = Life(tmp_path / str(number), files)
        life.run()
        after = spool(tmp_path / str(number))
        after.tend()
        seen = everything(after)
        assert set(seen) >= life.put_in - life.settled, number
        assert len(seen) == len(set(seen)), number
        # What could not be noted, or removed, at the very end is sent once more.
        assert set(seen) <= life.put_in, number
        assert not files.descriptors, number
        after.close()
        if len(files.calls) < number:
            break
    assert number > 40


def test_two_adopters_that_find_the_same_file_do_not_both_have_it(tmp_path: Path) -> None:
    """The second opens it while the first has the lock, and gets the lock when the first has removed it."""
    left = spool(tmp_path)
    put(left, "a")
    die(left)
    first, files = spool(tmp_path), FaultyFiles()
    second = spool(tmp_path, files=files)
    got: list[str] = []

    def lock(descriptor: int, *, shared: bool = False) -> bool:
        first.tend()
        got.extend(everything(first))
        return type(files).lock(files, descriptor, shared=shared)

    files.lock = lock  # type: ignore[method-assign]  # between its `open` and its `flock`
    second.tend()
    assert got == ["a"]
    assert second.waiting == 0
    for store in (first, second):
        store.close()


def test_a_new_file_that_an_adopter_looked_at_first_is_not_used(tmp_path: Path) -> None:
    """It was found empty between its `open` and its `flock`, and removed: what is written there would be nowhere."""
    files = FaultyFiles()
    store, adopter = spool(tmp_path, files=files), spool(tmp_path)
    looked: list[int] = []

    def lock(descriptor: int, *, shared: bool = False) -> bool:
        if len(looked) < 2:
            looked.append(descriptor)
            adopter._adopt_at_s = 0
            adopter.tend()
        return type(files).lock(files, descriptor, shared=shared)

    files.lock = lock  # type: ignore[method-assign]
    put(store, "a")
    assert len(looked) == 2
    die(store)
    adopter._adopt_at_s = 0
    adopter.tend()
    assert everything(adopter) == ["a"]
    adopter.close()
    assert list((tmp_path / "spool").iterdir()) == []
