"""The store on disk and the one in memory: what is put in comes out once, in order, or is counted."""

from __future__ import annotations

import errno
import gc
import linecache
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from otel_callbacks.errors import ConfigurationError
from otel_callbacks.export.items import Store
from otel_callbacks.export.spool import directory, disk_line
from otel_callbacks.export.spool.memory import MemoryStore
from otel_callbacks.export.spool.store import SpoolStore
from otel_callbacks.export.spool.survey import purge, resend, survey
from tests.spools import (
    ORIGIN,
    OTHER,
    Clock,
    FaultyFiles,
    balanced,
    die,
    everything,
    file_of,
    full_disk,
    put,
    segments,
    spool,
    texts,
)


def memory(_path: Path, **options: Any) -> MemoryStore:
    return MemoryStore(**options)


BOTH = pytest.mark.parametrize("make", [spool, memory])


@BOTH
def test_items_come_out_in_their_order_with_their_origins(make: Any, tmp_path: Path) -> None:
    store: Store = make(tmp_path)
    store.put(ORIGIN, [b"a", b"b"])
    store.put(OTHER, [b"c"])
    store.put(ORIGIN, [])
    store.put(ORIGIN, [b"d"])
    assert store.waiting == 4
    taken = store.take(3, 1000)
    assert [(entry.origin, entry.item) for entry in taken] == [(ORIGIN, b"a"), (ORIGIN, b"b"), (OTHER, b"c")]
    assert store.waiting == 1
    assert texts(store.take(3, 1000)) == ["d"]
    assert store.take(3, 1000) == []
    store.close()


@BOTH
def test_a_batch_is_bounded_by_number_and_by_bytes_but_never_empty(make: Any, tmp_path: Path) -> None:
    store = make(tmp_path)
    put(store, "aaaa", "bbbb", "cccc", "dddd")
    assert texts(store.take(100, 8)) == ["aaaa", "bbbb"]
    assert texts(store.take(100, 1)) == ["cccc"]
    assert store.take(0, 100) == []
    store.close()


@BOTH
def test_what_is_given_back_comes_before_all_others(make: Any, tmp_path: Path) -> None:
    store = make(tmp_path)
    put(store, *"abcdef")
    first, second = store.take(2, 100), store.take(2, 100)
    store.give_back(second)
    store.give_back(first[1:])
    store.give_back(first[1:])
    assert store.waiting == 5
    assert texts(store.take(100, 100)) == list("bcdef")
    assert store.waiting == 0
    assert balanced(store)
    store.close()


@BOTH
def test_what_is_settled_twice_counts_once(make: Any, tmp_path: Path) -> None:
    store = make(tmp_path)
    put(store, "a", "b")
    taken = store.take(2, 100)
    store.settle(taken)
    store.settle(taken)
    store.give_back(taken)
    store.bury(taken[0], "why")
    assert (store.counts().settled, store.waiting) == (2, 0)
    assert balanced(store)
    store.close()


@BOTH
def test_a_batch_has_a_name_that_no_other_has(make: Any, tmp_path: Path) -> None:
    store = make(tmp_path)
    put(store, *"abcd")
    a, b, c, d = store.take(4, 100)
    names = {store.identity(batch) for batch in ([a, b, c, d], [a, b, d], [a, c, d], [a, b], [b], [a])}
    assert len(names) == 6
    assert store.identity([a, b]) == store.identity((a, b))
    assert all(set(name) <= set("0123456789abcdef-.") for name in names)
    assert store.identity([])
    store.close()


def test_a_batch_keeps_its_name_after_a_restart(tmp_path: Path) -> None:
    first = spool(tmp_path)
    put(first, *"abc")
    name = first.identity(first.take(2, 100))
    die(first)
    second = spool(tmp_path)
    second.tend()
    assert second.identity(second.take(2, 100)) == name
    second.close()


@BOTH
def test_an_item_that_is_too_large_is_counted_and_its_neighbours_are_kept(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(tmp_path, max_bytes=200_000)
    store.put(ORIGIN, [b"a", b"." * 200_001, b"b"])
    store.put(ORIGIN, [b"." * 200_001])
    assert store.counts().dropped == {"too_large": 2}
    assert everything(store) == ["a", "b"]
    assert balanced(store)
    store.close()


def test_the_memory_is_bounded_by_bytes_and_by_items_and_the_oldest_make_room() -> None:
    store = MemoryStore(max_bytes=2000)
    for number in range(20):
        store.put(ORIGIN, [b"%3d" % number + b"." * 297])
    assert [text[:3] for text in texts(store.take(100, 10_000))] == [" 15", " 16", " 17", " 18", " 19"]
    assert store.counts().dropped == {"full": 15}
    store.close()
    few = MemoryStore(max_items=3)
    put(few, *"abcde")
    flying = few.take(2, 100)
    put(few, "f", "g", "h")
    assert (few.waiting, few.counts().dropped) == (3, {"full": 3})
    few.give_back(flying)  # they are the oldest, and there is no room for them
    assert (few.waiting, texts(few.take(9, 100))) == (3, ["f", "g", "h"]) or balanced(few)
    few.settle(flying)
    assert balanced(few)


def test_a_closed_store_in_memory_says_what_it_has_lost() -> None:
    store = MemoryStore()
    put(store, *"abc")
    (flying,) = store.take(1, 100)
    store.give_back(store.take(1, 100))
    store.close()
    store.settle([flying])
    assert (store.counts().dropped, store.counts().settled) == ({"closed": 2}, 1)
    put(store, "late")
    assert store.counts().dropped == {"closed": 3}
    assert balanced(store)


def test_what_is_put_in_is_in_a_file_at_once_and_gone_when_it_is_settled(tmp_path: Path) -> None:
    store = spool(tmp_path)
    put(store, "a secretless item")
    (path,) = segments(tmp_path)
    assert b"a secretless item" in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    everything(store)
    store.close()
    assert segments(tmp_path) == []


def test_what_was_not_settled_is_there_after_a_restart_and_what_was_is_not(tmp_path: Path) -> None:
    store = spool(tmp_path)
    put(store, *"abcdefgh")
    taken = store.take(6, 100)
    store.settle([taken[1], taken[3], taken[4]])
    store.give_back([taken[0]])
    die(store)
    after = spool(tmp_path)
    after.tend()
    assert (after.counts().adopted, after.waiting) == (5, 5)
    batch = after.take(2, 100)
    assert texts(batch) == ["a", "c"]
    after.settle(batch[1:])
    die(after)
    again = spool(tmp_path)
    again.tend()
    assert everything(again) == ["a", "f", "g", "h"]
    assert balanced(again)
    again.close()
    assert segments(tmp_path) == []


def test_what_was_settled_out_of_turn_is_known_after_a_second_restart(tmp_path: Path) -> None:
    store = spool(tmp_path)
    put(store, *"abcdef")
    taken = store.take(6, 100)
    store.settle([taken[3], taken[4]])
    die(store)
    for expected in (["a", "b"], ["c", "f"]):
        again = spool(tmp_path)
        again.tend()
        batch = again.take(2, 100)
        assert texts(batch) == expected
        again.settle(batch)
        die(again)
    assert not spool(tmp_path).waiting


def test_the_segments_of_a_store_that_lives_are_not_touched(tmp_path: Path) -> None:
    one, other = spool(tmp_path), spool(tmp_path)
    put(one, "mine")
    other.tend()
    assert (other.counts().adopted, other.waiting) == (0, 0)
    one.close()
    other.tend()
    assert other.waiting == 0, "it looks every five seconds"
    other._adopt_at_s = 0
    other.tend()
    assert everything(other) == ["mine"]
    other.close()


def test_only_what_was_left_for_the_same_signal_and_place_is_adopted(tmp_path: Path) -> None:
    for signal_, destination in (("traces", "here"), ("traces", "there"), ("logs", "here")):
        store = spool(tmp_path, signal=signal_, destination=destination)
        put(store, f"{signal_} {destination}")
        store.close()
    store = spool(tmp_path)
    store.tend()
    assert everything(store) == ["traces here"]
    assert len(store.foreign) == 1
    store.close()
    drain = spool(tmp_path, any_destination=True)
    drain.tend()
    assert everything(drain) == ["traces there"]
    drain.close()
    assert len(segments(tmp_path)) == 1


def test_the_oldest_segment_makes_room_and_what_is_on_its_way_counts_as_what_it_becomes(
    tmp_path: Path,
) -> None:
    store = spool(tmp_path, max_bytes=600_000)
    for number in range(8):
        store.put(ORIGIN, [b"%d" % number + b"." * 30_000])
    flying = store.take(3, 1 << 20)
    for number in range(8, 40):
        store.put(ORIGIN, [b"%d" % number + b"." * 30_000])
    counts = store.counts()
    assert sum(path.stat().st_size for path in segments(tmp_path)) <= 600_000
    assert counts.in_memory == 3 - (3 - len(flying))
    assert counts.dropped["full"] + counts.on_disk + 3 == 40
    store.settle(flying[:1])
    store.give_back(flying[1:2])
    store.bury(flying[2], "wrong")
    after = store.counts()
    assert (after.settled, after.dead, after.dropped["full"]) == (2, 1, counts.dropped["full"] + 1)
    assert balanced(store)
    left = [int(text.partition(".")[0]) for text in everything(store)]
    assert left == list(range(40 - len(left), 40))
    store.close()


def test_the_signal_that_takes_most_room_gives_some(tmp_path: Path) -> None:
    logs, traces = (spool(tmp_path, signal=name, max_bytes=600_000) for name in ("logs", "traces"))
    for _ in range(12):
        logs.put(ORIGIN, [b"." * 40_000])
    for store in (logs, traces):
        store.tend()
    for _ in range(6):
        traces.put(ORIGIN, [b"." * 40_000])
        traces.tend()
        logs.tend()
    assert "full" not in traces.counts().dropped
    assert logs.counts().dropped["full"] >= 1
    assert balanced(logs)
    for store in (logs, traces):
        store.close()


def test_what_was_left_for_other_places_makes_room_first_come_first_served_and_is_counted(
    tmp_path: Path,
) -> None:
    left = spool(tmp_path, destination="there")
    for number in range(12):
        left.put(ORIGIN, [b"%d" % number + b"." * 40_000])
    left.close()
    store = spool(tmp_path, max_bytes=400_000)
    put(store, "mine")
    store.tend()
    assert sum(path.stat().st_size for path in segments(tmp_path)) <= 400_000
    counts = store.counts()
    assert counts.adopted == counts.dropped["full"] > 0
    assert everything(store) == ["mine"]
    assert balanced(store)
    store.close()


@BOTH
def test_a_fault_of_our_own_costs_what_it_hits_and_is_counted_and_said(
    make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = make(tmp_path)
    put(store, "a")
    active = store._active
    prepare, active.prepare = active.prepare, None
    put(store, "b")
    active.prepare = prepare
    put(store, "c")
    assert everything(store) == ["a", "c"]
    assert store.counts().dropped == {"fault": 1}
    assert balanced(store)
    store.tend()
    assert "TypeError" in caplog.text
    store.close()


@BOTH
def test_after_a_fork_nothing_is_there(make: Any, tmp_path: Path) -> None:
    store = make(tmp_path)
    put(store, "parent's", "flying")
    flying = store.take(1, 1)
    store.after_fork()
    assert (store.waiting, store.counts().accepted, store.take(9, 99)) == (0, 0, [])
    put(store, "child's")
    store.settle(flying)
    store.give_back(flying)
    for entry in flying:
        store.bury(entry, "why")
    assert everything(store) == ["child's"]
    assert balanced(store)
    assert store.counts().settled == 1
    store.close()


def test_a_tenth_of_the_free_space_is_never_exceeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = FaultyFiles()
    monkeypatch.setattr(files, "free_bytes", lambda _folder: 10_000_000)
    store = spool(tmp_path, files=files)
    store.tend()
    for _ in range(100):
        store.put(ORIGIN, [b"." * 40_000])
    assert sum(path.stat().st_size for path in segments(tmp_path)) <= 1_100_000
    assert balanced(store)
    monkeypatch.setattr(files, "free_bytes", lambda _folder: 0)
    store.close()
    nothing = spool(tmp_path, files=files)
    everything(nothing)
    put(nothing, "a")
    assert nothing.counts().in_memory == 1 or nothing.counts().on_disk == 1
    nothing.close()


def test_a_disk_that_others_fill_is_no_reason_to_give_up_what_is_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = FaultyFiles()
    store = spool(tmp_path, files=files)
    store.tend()
    for _ in range(20):
        store.put(ORIGIN, [b"." * 40_000])
    before = sum(path.stat().st_size for path in segments(tmp_path))
    monkeypatch.setattr(files, "free_bytes", lambda _folder: 1_000_000)
    store.tend()
    for _ in range(200):
        store.put(ORIGIN, [b"." * 40_000])
    store.tend()
    counts = store.counts()
    assert (counts.dropped, counts.in_memory > 0, counts.on_disk >= 20) == ({}, True, True)
    # What is begun is filled up; nothing new is begun.
    assert sum(path.stat().st_size for path in segments(tmp_path)) <= before + (4 << 20)
    assert len(everything(store)) == 220
    assert balanced(store)
    store.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EFBIG, errno.EIO, errno.ENOENT])
@pytest.mark.parametrize("short", [False, True])
def test_a_disk_that_fails_is_replaced_by_memory_until_it_works_again(
    tmp_path: Path, code: int, short: bool, caplog: pytest.LogCaptureFixture
) -> None:
    files = FaultyFiles()
    clock = Clock()
    store = spool(tmp_path, files=files, clock=clock)
    put(store, "a")
    files.short = short
    files.wrong = lambda call: code if call in {"create", "write"} else None
    put(store, "b", "c")
    store.tend()
    put(store, "d")
    counts = store.counts()
    assert (counts.on_disk, counts.in_memory, store.waiting) == (1, 3, 4)
    store.tend()
    assert len([record for record in caplog.records if "memory" in record.message]) == 1
    files.wrong, files.short = lambda _call: None, False
    store.tend()
    assert (store.counts().on_disk, store.counts().in_memory) == (4, 0)
    die(store)
    after = spool(tmp_path)
    after.tend()
    assert sorted(everything(after)) == ["a", "b", "c", "d"]
    after.close()


def test_the_memory_is_bounded_also_while_the_disk_comes_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New files can be made, but nothing more can be written to them: every attempt begins well."""
    monkeypatch.setattr("otel_callbacks.export.spool.store._CHUNK_BYTES", 3000)
    fresh: list[str] = []

    def wrong(call: str) -> int | None:
        if call == "create":
            fresh.append(call)
        elif call == "write" and not fresh:
            return errno.ENOSPC
        elif call == "write":
            fresh.clear()
        return None

    store = spool(tmp_path, files=FaultyFiles(wrong), memory_max_bytes=20_000)
    for number in range(100):
        put(store, f"{number} ".ljust(1000, "."))
        if number % 3 == 0:
            store.tend()
    counts = store.counts()
    assert counts.in_memory == 18
    assert balanced(store)
    left = sorted(int(text.split()[0]) for text in everything(store))
    assert len(left) == 18 + counts.on_disk
    assert balanced(store)
    store.close()
    assert not store._files.descriptors


def test_what_a_failed_write_left_behind_the_end_is_not_read_by_others(tmp_path: Path) -> None:
    files = FaultyFiles()
    store = spool(tmp_path, files=files)
    put(store, "before")
    files.short, files.wrong = True, full_disk
    store.put(ORIGIN, [b"whole, though the write failed", b"." * 1000])
    files.short, files.wrong = False, lambda _call: None
    store.tend()
    die(store)
    after = spool(tmp_path)
    after.tend()
    assert [text[:6] for text in everything(after)] == ["before", "whole,", "......"]
    after.close()


def test_a_disk_that_is_full_at_the_start_is_no_reason_not_to_start(tmp_path: Path) -> None:
    files = FaultyFiles(full_disk)
    store = spool(tmp_path, files=files, memory_max_bytes=1500)
    put(store, *(str(number) * 100 for number in range(9)))
    assert store.counts().in_memory == 7
    assert store.counts().dropped == {"full": 2}
    files.wrong = lambda _call: None
    store.close()
    after = spool(tmp_path)
    after.tend()
    assert len(everything(after)) == 7
    after.close()


def test_what_waits_in_memory_when_the_store_is_closed_is_lost_and_counted_if_the_disk_still_fails(
    tmp_path: Path,
) -> None:
    store = spool(tmp_path, files=FaultyFiles(full_disk))
    put(store, "a", "b", "c")
    store.give_back(store.take(1, 100))
    store.close()
    assert store.counts().dropped == {"closed": 3}
    assert balanced(store)


def test_a_folder_that_is_deleted_is_made_again(tmp_path: Path) -> None:
    store = spool(tmp_path)
    put(store, "a")
    for path in (tmp_path / "spool").iterdir():
        path.unlink()
    (tmp_path / "spool").rmdir()
    store.tend()
    put(store, "b")
    assert len(segments(tmp_path)) >= 1
    assert everything(store) == ["a", "b"]
    assert balanced(store)
    store.close()


def test_a_file_that_somebody_damaged_costs_its_damaged_items_and_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = spool(tmp_path)
    put(store, "aaaa", "bbbb", "cccc")
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"bbbb", b"bXbb"))
    assert everything(store) == ["aaaa", "cccc"]
    assert store.counts().dropped == {"corrupt": 1}
    assert balanced(store)
    store.close()
    assert len(list((tmp_path / "spool" / directory.CORRUPT).iterdir())) == 1
    assert "1 items" in caplog.text


def test_a_damaged_file_that_was_left_costs_its_damaged_items_and_is_kept(tmp_path: Path) -> None:
    store = spool(tmp_path)
    put(store, "aaaa", "bbbb", "cccc")
    die(store)
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"bbbb", b"bXbb"))
    after = spool(tmp_path)
    after.tend()
    assert everything(after) == ["aaaa", "cccc"]
    assert (after.counts().adopted, after.counts().dropped) == (3, {"corrupt": 1})
    assert balanced(after)
    after.close()
    assert survey(tmp_path / "spool").corrupt_files == 1


def test_a_file_that_cannot_be_read_is_tried_a_few_times_and_holds_nothing_up(tmp_path: Path) -> None:
    files = FaultyFiles()
    store = spool(tmp_path, files=files)
    put(store, "a")
    files.wrong = lambda call: errno.EIO if call == "read" else None
    assert store.take(1, 1) == []
    files.wrong = lambda _call: None
    store.tend()
    assert texts(store.take(1, 1)) == ["a"]
    put(store, "b")
    files.wrong = lambda call: errno.EIO if call == "read" else None
    for _ in range(6):
        store.take(9, 9)
        store.tend()
    assert store.counts().dropped == {"unreadable": 1}
    assert balanced(store)
    store.close()


def plant(folder: Path, name: str, what: str) -> None:
    path = folder / name
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to("/etc/passwd")
    elif what == "hanging link":
        path.symlink_to(folder / "nowhere")
    else:
        path.write_bytes(
            {
                "empty": b"",
                "zeros": bytes(10_000),
                "noise": os.urandom(10_000),
                "text": b"x" * 10_000,
                "other version": file_of([b"x"]).replace(b"OCSPOOL\x01", b"OCSPOOL\x02"),
                "damaged": file_of([b"item"])[:-2] + b"??",
            }[what]
        )
        path.chmod(0o600)


@pytest.mark.parametrize(
    "what",
    ["folder", "pipe", "link", "hanging link", "empty", "zeros", "noise", "text", "other version", "damaged"],
)
def test_what_is_planted_in_the_folder_harms_nobody(tmp_path: Path, what: str) -> None:
    store = spool(tmp_path)
    put(store, "mine")
    plant(tmp_path / "spool", "0000000000000000001-1-1-abcd.traces.seg", what)
    plant(tmp_path / "spool", "readme.txt", what)
    store._adopt_at_s = 0
    store.tend()
    assert everything(store) == ["mine"]
    assert balanced(store)
    assert survey(tmp_path / "spool").problem == ""
    store.tend()
    store.close()
    left = {path.name for path in (tmp_path / "spool").iterdir()} - {directory.CORRUPT}
    gone = what in {"empty", "zeros", "noise", "text", "damaged"}
    assert left == {"readme.txt"} | (set() if gone else {"0000000000000000001-1-1-abcd.traces.seg"})


def test_a_pipe_that_takes_the_place_of_a_file_is_not_seized_and_blocks_nobody(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "spool" / "pipe")
    (tmp_path / "spool" / "folder").mkdir()
    place = directory.Directory(tmp_path / "spool")
    assert place.seize("pipe") is None
    assert place.seize("folder") is None
    assert place.seize("nothing") is None
    place.forget()
    assert not place.files.descriptors


def test_dead_letters_are_put_aside_and_can_be_sent_again(tmp_path: Path) -> None:
    store = spool(tmp_path)
    put(store, "good", "bad", "worse")
    taken = store.take(3, 100)
    store.settle(taken[:1])
    store.bury(taken[1], "400: a \ud800 wrong thing")
    store.bury(taken[2], "")
    counts = store.counts()
    assert (counts.settled, counts.dead, counts.on_disk) == (3, 2, 0)
    (dead,) = survey(tmp_path / "spool").dead
    assert (dead.items, dead.alive) == (2, 1)
    assert resend(tmp_path / "spool") == 0, "its owner lives"
    store.close()
    assert resend(tmp_path / "spool") == 2
    after = spool(tmp_path)
    after.tend()
    assert everything(after) == ["bad", "worse"]
    after.close()


def test_a_dead_letter_that_cannot_be_put_aside_is_counted_as_dropped(tmp_path: Path) -> None:
    files = FaultyFiles()
    store = spool(tmp_path, files=files)
    put(store, "bad")
    (bad,) = store.take(1, 100)
    files.wrong = full_disk
    store.bury(bad, "why")
    assert (store.counts().dead, store.counts().dropped) == (0, {"refused": 1})
    assert balanced(store)
    store.close()


def test_dead_letters_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_callbacks.export.spool.letters.MAX_BYTES", 300_000)
    monkeypatch.setattr("otel_callbacks.export.spool.letters._SEGMENT_BYTES", 100_000)
    store = spool(tmp_path)
    for _ in range(30):
        put(store, "." * 30_000)
        for entry in store.take(1, 1):
            store.bury(entry, "why")
    store.tend()
    assert sum(path.stat().st_size for path in (tmp_path / "spool" / "dead").iterdir()) <= 300_000
    store.close()


@pytest.mark.parametrize(("policy", "synced"), [("never", 0), ("interval", 1), ("always", 3)])
def test_the_disk_is_waited_for_as_often_as_was_asked(tmp_path: Path, policy: str, synced: int) -> None:
    files = FaultyFiles()
    store = spool(tmp_path, files=files, fsync=policy)
    put(store, *"abc")
    during = files.calls.count("sync")
    assert during == (3 if policy == "always" else 0)
    store.tend()
    assert (files.calls.count("sync") >= synced) == (policy != "never") or policy == "never"
    store.close()
    assert policy != "never" or not files.calls.count("sync")


def test_many_threads_put_and_nothing_is_missing(tmp_path: Path) -> None:
    store = spool(tmp_path)

    def work(thread: int) -> None:
        for number in range(300):
            store.put(ORIGIN if number % 3 else OTHER, [b"%d-%d" % (thread, number)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    seen: list[str] = []
    while any(thread.is_alive() for thread in threads):
        seen += everything(store)
    for thread in threads:
        thread.join()
    seen += everything(store)
    assert len(seen) == len(set(seen)) == 2400
    for thread_number in range(8):
        own = [text for text in seen if text.startswith(f"{thread_number}-")]
        assert own == [f"{thread_number}-{number}" for number in range(300)]
    assert balanced(store)
    store.close()


def test_put_may_come_out_of_a_garbage_collection_at_any_allocation(tmp_path: Path) -> None:
    """An abandoned generator ends its run wherever the collector happens to run: also inside of `put`, `take`, `settle`."""
    store = spool(tmp_path)
    put_by_collector = 0

    def collected(phase: str, _info: dict[str, int]) -> None:
        nonlocal put_by_collector
        if phase == "stop" and put_by_collector < 3000:
            store.put(OTHER, [b"collector %d" % put_by_collector])
            put_by_collector += 1

    before = gc.get_threshold()
    gc.callbacks.append(collected)
    gc.set_threshold(1, 1000, 1000)
    seen: list[str] = []
    try:
        for number in range(300):
            store.put(ORIGIN, [b"%d" % number])
            if number % 10 == 0:
                seen += everything(store)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(collected)
    seen += everything(store)
    assert put_by_collector > 300
    assert sorted(seen) == sorted(
        [*map(str, range(300)), *(f"collector {number}" for number in range(put_by_collector))]
    )
    assert balanced(store)
    store.close()


def test_put_may_come_out_of_a_signal_handler_that_interrupts_the_write(tmp_path: Path) -> None:
    files = FaultyFiles()
    store = spool(tmp_path, files=files)
    handled: list[int] = []

    def handler(_number: int, _frame: object) -> None:
        handled.append(len(handled))
        store.put(OTHER, [b"handler %d" % handled[-1]])
        assert store.take(1, 1) == []
        store.counts()

    def interrupt(call: str) -> None:
        if call == "write" and len(handled) < 50:
            signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    files.wrong = interrupt
    try:
        put(store, *map(str, range(30)))
    finally:
        signal.signal(signal.SIGUSR1, before)
    files.wrong = lambda _call: None
    assert len(handled) == 50
    assert len(set(everything(store))) == 80
    assert balanced(store)
    store.close()


class Interrupting:
    """A KeyboardInterrupt at the n-th line that is executed in a module of the spool."""

    def __init__(self, number: int, path: str) -> None:
        self.left = number
        self.path = path

    def __call__(self, frame: Any, event: str, _argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(self.path):
            return None
        # Signals are looked for after calls and at jumps; between a body and the exit of its `with` there is neither.
        if event == "line" and "with self._lock" not in linecache.getline(
            frame.f_code.co_filename, frame.f_lineno
        ):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


@BOTH
@pytest.mark.parametrize("first", [False, True])
def test_an_interruption_at_any_line_of_put_loses_nothing_and_repeats_nothing(
    make: Any, tmp_path: Path, first: bool
) -> None:
    number = 0
    before = sys.gettrace()
    while True:
        number += 1
        store = make(tmp_path / str(number))
        if not first:
            put(store, "before")
        interrupting = Interrupting(number, str(Path(disk_line.__file__).parent))
        sys.settrace(interrupting)
        interrupted = False
        try:
            store.put(OTHER, [b"interrupted"])
        except KeyboardInterrupt:
            interrupted = True
        finally:
            sys.settrace(before)
        put(store, "after")
        assert balanced(store), number
        assert not store.counts().dropped, number
        seen = everything(store)
        # Only before it was taken in at all may it be missing: its caller was told by the exception.
        early = [] if first else ["before"]
        assert seen == [*early, *(["interrupted"] if number > 2 else []), "after"], number
        store.close()
        if not interrupted:
            break
    assert number > 20


def test_a_name_that_asks_for_more_than_it_should_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    (tmp_path / "spool").symlink_to(target)
    with pytest.raises(ConfigurationError, match="symbolic link"):
        spool(tmp_path)


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool").chmod(0o777)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        spool(tmp_path)
    (tmp_path / "spool").chmod(0o755)
    spool(tmp_path).close()
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o1777])
def test_a_folder_of_other_things_is_refused_and_stays_as_it_is(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    (folder / "of somebody").write_text("x")
    folder.chmod(mode)
    with pytest.raises(ConfigurationError, match="one below it"):
        spool(tmp_path)
    assert folder.stat().st_mode & 0o7777 == mode


def test_what_a_spool_holds_does_not_keep_it_from_being_made_private(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    store = spool(tmp_path)
    put(store, "a")
    store.close()
    (folder / "dead").mkdir()
    folder.chmod(0o755)
    spool(tmp_path).close()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spool").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ConfigurationError, match="another user"):
        spool(tmp_path)


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("x")
    with pytest.raises(ConfigurationError, match="folder"):
        spool(tmp_path)


def test_a_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "HAS_LOCKS", False)
    with pytest.raises(ConfigurationError, match="flock"):
        spool(tmp_path)


def test_a_folder_that_becomes_unsafe_while_running_is_not_written_to(tmp_path: Path) -> None:
    store = spool(tmp_path)
    (tmp_path / "spool").rename(tmp_path / "old")
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "spool").symlink_to(target)
    put(store, "a")
    store.tend()
    assert list(target.iterdir()) == []
    assert everything(store) == ["a"]
    store.close()


def test_a_network_file_system_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("otel_callbacks.export.spool.store.filesystem_kind", lambda _path: "nfs4")
    store = spool(tmp_path)
    store.tend()
    store.tend()
    store.close()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "nfs4" in caplog.text


def test_a_survey_changes_nothing_and_purge_leaves_the_living_alone(tmp_path: Path) -> None:
    alive = spool(tmp_path)
    put(alive, "a", "b")
    for signal_, destination in (("traces", "there"), ("logs", "here")):
        left = spool(tmp_path, signal=signal_, destination=destination)
        put(left, "x")
        left.close()
    before = {path: path.read_bytes() for path in segments(tmp_path)}
    found = survey(tmp_path / "spool")
    assert {path: path.read_bytes() for path in segments(tmp_path)} == before
    assert [
        (each.signal, each.destination, each.segments, each.alive, each.items) for each in found.waiting
    ] == [
        ("logs", "here", 1, 0, 1),
        ("traces", "here", 1, 1, 2),
        ("traces", "there", 1, 0, 1),
    ]
    assert found.waiting[0].oldest_ns > 0
    assert found.filesystem
    assert purge(tmp_path / "spool", signal="logs").items == 1
    assert purge(tmp_path / "spool", destination="nowhere").segments == 0
    removed = purge(tmp_path / "spool")
    assert (removed.segments, removed.items, removed.held) == (1, 1, 1)
    assert everything(alive) == ["a", "b"]
    alive.close()


def test_a_survey_of_what_is_not_there_says_so_and_makes_nothing(tmp_path: Path) -> None:
    assert survey(tmp_path / "spool").problem == "No such file or directory"
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_comes_after_the_end_touches_nothing_that_is_somebody_elses_by_then(
    tmp_path: Path,
) -> None:
    store = spool(tmp_path)
    put(store, "a", "b")
    taken = store.take(2, 100)
    store.give_back(taken[:1])
    store.close()
    assert store.take(9, 99) == []
    other = spool(tmp_path)
    other.tend()
    (path,) = segments(tmp_path)
    store.settle(taken)
    assert path.exists()
    assert balanced(store)
    assert store.counts().settled == 2
    assert everything(other) == ["a", "b"]
    other.close()


def test_everything_a_spool_opened_is_closed(tmp_path: Path) -> None:
    store: SpoolStore = spool(tmp_path)
    put(store, *"abc")
    for entry in store.take(1, 1):
        store.bury(entry, "why")
    store.tend()
    descriptors = set(store._files.descriptors)
    assert descriptors
    store.close()
    assert not store._files.descriptors
    store.close()
