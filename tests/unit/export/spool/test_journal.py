"""The journal of open spans: what is on disk is what is open, in every interleaving, on every disk."""

from __future__ import annotations

import errno
import gc
import logging
import random
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Wire
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context

from otel_callbacks import semconv
from otel_callbacks.export.spool import slots
from otel_callbacks.export.spool.fitting import shortened
from otel_callbacks.export.wire.origins import origin_of
from otel_callbacks.export.wire.spans import open_span_item
from tests.journals import Desk, files_of, id_of, records, said


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


class Clock:
    """Seconds and nanoseconds that stand still until they are told."""

    def __init__(self) -> None:
        self.s = 100.0

    def seconds(self) -> float:
        return self.s

    def ns(self) -> int:
        return int(self.s * 1e9)


# -- what is there ---------------------------------------------------------------------------------------------------------


def test_a_span_is_on_disk_when_it_has_started_and_gone_when_it_has_ended(desk: Desk) -> None:
    span = desk.start(attributes={"text": "é \ud800", "list": ("a", "b"), "number": 2.5, "yes": True})
    (written,) = desk.on_disk.values()
    assert (written.name, written.start_time_unix_nano) == ("work", span.start_time)
    assert written.trace_id == span.get_span_context().trace_id.to_bytes(16, "big")
    assert said(written.attributes) == {"text": "é �", "list": ["a", "b"], "number": 2.5, "yes": True}
    assert written.end_time_unix_nano == 0
    span.end()
    assert desk.on_disk == {}


def test_a_start_is_the_same_as_the_item_of_the_span(desk: Desk) -> None:
    """The short form and the wire's are one span: a run with parent, tags, metadata; spans with links and events."""
    outer, inner = uuid4(), uuid4()
    desk.run(outer, tags=["a", "b"], metadata={"user_id": "u", "n": 3})
    desk.run(inner, outer)
    first = desk.start(kind=SpanKind.CLIENT, attributes={"big": 2**63 - 1, "half": 0.5, "none": ()})
    linked = desk.start(links=[Link(first.get_span_context(), {"why": "it is"})])
    far = NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1)))
    called = desk.tracer.start_span("called", set_span_in_context(far, Context()))
    open_spans = desk.journal.open_spans()
    assert len(open_spans) == 5
    for span in open_spans:
        assert (
            desk.on_disk[id_of(span)].SerializeToString()
            == Wire.FromString(open_span_item(span)).SerializeToString()
        )
    assert {found.form for found in records(desk.folder)} == {0, 1}
    first.end()
    linked.end()
    called.end()


def test_a_refresh_writes_what_has_changed_and_nothing_else(desk: Desk) -> None:
    run = uuid4()
    desk.run(run)
    span = desk.start()
    desk.journal.refresh()
    desk.files.made.clear()
    desk.journal.refresh()
    assert desk.files.made == ["status", "write", "sync"]  # its heartbeat
    desk.handler.on_text("hello", run_id=run)
    span.set_attribute("step", 1)
    desk.files.made.clear()
    desk.journal.refresh()
    assert desk.files.made.count("write") == 1 + 2 * 2  # each in a new slot, and its old one
    written = desk.on_disk
    assert said(written[id_of(span)].attributes) == {"step": 1}
    (chain,) = (each for each in written.values() if each.name != "work")
    assert [event.name for event in chain.events] == [semconv.EVENT_TEXT]
    span.set_attribute("step", 2)  # the same number of attributes
    desk.journal.refresh()
    assert said(desk.on_disk[id_of(span)].attributes) == {"step": 2}
    span.update_name("renamed")
    span.add_event("tried")
    desk.journal.refresh()
    assert desk.on_disk[id_of(span)].name == "renamed"
    assert desk.on_disk[id_of(span)].events[0].name == "tried"
    assert len(records(desk.folder)) == 2


def test_a_span_that_is_dropped_without_an_end_frees_its_slot(desk: Desk) -> None:
    desk.start()
    gc.collect()
    desk.journal.refresh()
    assert desk.on_disk == {}
    assert desk.journal.open_count == 0


def test_slots_are_used_again(desk: Desk) -> None:
    span = desk.start("stays")
    for _ in range(20_000):
        desk.start().end()
    (path,) = files_of(desk.folder)
    assert path.stat().st_size < 80_000
    assert desk.names == {"stays"}
    assert desk.journal.skipped == 0
    span.end()


def test_nothing_is_kept_of_what_has_ended(desk: Desk) -> None:
    for _ in range(100):
        desk.start(attributes={"x": "y" * 2000}).end()
    desk.journal.refresh()
    journal = desk.journal
    assert (journal._open, list(journal._gone), journal._round) == ({}, [], [])


def test_only_so_many_are_open(tmp_path: Path) -> None:
    desk = Desk(tmp_path, max_open=3)
    spans = [desk.start() for _ in range(5)]
    assert len(desk.on_disk) == desk.journal.open_count == 3
    assert desk.journal.skipped == 2
    del spans[0]
    gc.collect()
    spans.append(desk.start("new"))  # there is room: one is gone
    assert "new" in desk.names


def test_a_full_file_takes_shorter_records_then_none(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_MAX_EXTENTS", 2)
    small = [desk.start()]
    large = desk.start(attributes={"text": "x" * 60_000})
    assert len(desk.on_disk[id_of(large)].attributes[0].value.string_value) == 60_000
    cut = desk.start(attributes={"text": "x" * 60_000, "short": "y"})
    assert said(desk.on_disk[id_of(cut)].attributes) == {"short": "y", semconv.CONTENT_TRUNCATED: True}
    small += [desk.start() for _ in range(70)]
    assert len(desk.on_disk) == 64 + 1
    assert desk.journal.skipped == 8
    large.end()
    desk.journal.refresh()  # one of those that were left out gets what is free
    assert len(desk.on_disk) == 64 + 1
    for span in [*small, cut]:
        span.end()
    assert desk.on_disk == {}


@given(
    sizes=st.lists(st.integers(0, 90_000), max_size=6),
    text=st.sampled_from(["x", "é", "漢", "\U0001f600", "\ud800"]),
)
def test_what_is_too_large_is_left_out_and_marked(tmp_path_factory: Any, sizes: list[int], text: str) -> None:
    desk = Desk(tmp_path_factory.mktemp("spool"))
    span = desk.start(attributes={f"text {number}": text * size for number, size in enumerate(sizes)})
    (written,) = desk.on_disk.values()
    kept = said(written.attributes)
    origin = origin_of(span.resource, span.instrumentation_scope)
    whole = len(open_span_item(span)) + len(b"".join(origin)) + slots.RECORD_BYTES <= 65_536
    assert (semconv.CONTENT_TRUNCATED in kept) is not whole
    if whole:
        assert len(kept) == len(sizes)
    assert len(written.SerializeToString()) < 65_536
    desk.journal.close()


def test_a_span_with_a_name_without_end_and_events_without_number_is_there_all_the_same(desk: Desk) -> None:
    span = desk.start("n" * 100_000, links=())
    for _ in range(100):
        span.add_event("e" * 2_000)
    desk.journal.refresh()
    (written,) = desk.on_disk.values()
    assert written.name == "n" * 1_000
    assert len(open_span_item(shortened(span, 300))) < 1_500


def test_what_is_no_span_is_not_there_and_harms_nothing(desk: Desk) -> None:
    class Odd:
        def get_span_context(self) -> Any:
            raise ValueError("no")

    desk.journal.begin(Odd())  # type: ignore[arg-type]
    desk.journal.end(Odd())  # type: ignore[arg-type]
    desk.journal.begin(None)  # type: ignore[arg-type]
    assert desk.journal.skipped == 3
    assert desk.on_disk == {}


def test_the_file_is_for_its_owner_alone_and_is_made_when_it_is_needed(desk: Desk) -> None:
    desk.journal.refresh()
    assert files_of(desk.folder) == []
    span = desk.start()
    (path,) = files_of(desk.folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    span.end()


def test_a_closed_journal_leaves_nothing_and_takes_nothing(desk: Desk) -> None:
    span = desk.start()
    assert desk.journal.open_spans() == [span]
    desk.journal.close()
    desk.start()
    span.end()
    desk.journal.refresh()
    assert files_of(desk.folder) == []


# -- the disk --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "at_start", "at_refresh"), [("never", 0, 0), ("interval", 0, 1), ("always", 1, 1)]
)
def test_what_is_written_is_flushed_as_the_policy_says(
    tmp_path: Path, policy: Any, at_start: int, at_refresh: int
) -> None:
    desk = Desk(tmp_path, fsync=policy)
    span = desk.start()
    assert desk.files.made.count("sync") == at_start
    desk.journal.refresh()
    assert desk.files.made.count("sync") == at_start + at_refresh
    span.end()
    assert desk.files.made.count("sync") == at_start + at_refresh


def test_an_old_state_stays_until_the_new_one_is_on_the_disk(desk: Desk) -> None:
    span = desk.start()
    span.set_attribute("step", 1)
    seen: list[list[int]] = []

    def flush(name: str) -> None:
        if name == "sync":
            seen.append(sorted(found.version for found in records(desk.folder)))
            raise OSError(errno.EIO, "staged")

    desk.files.before = flush
    desk.journal.refresh()
    desk.files.before = lambda _name: None
    assert seen == [[1, 2]]
    assert [found.version for found in records(desk.folder)] == [1, 2]
    assert said(desk.on_disk[id_of(span)].attributes) == {"step": 1}


def fail_with(number: int) -> Any:
    def fail(name: str) -> None:
        if name in {"write", "create"}:
            raise OSError(number, "staged")

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT, errno.EFBIG])
def test_a_disk_that_fails_is_said_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    clock = Clock()
    desk = Desk(tmp_path, clock_s=clock.seconds, now_ns=clock.ns)
    before = desk.start("before")
    ended = desk.start("ended")
    desk.files.before = fail_with(number)
    during = [desk.start("during") for _ in range(5)]
    desk.files.made.clear()
    ended.end()
    during.append(desk.start("during"))
    assert desk.files.made == ["write"]  # an end may succeed; a start does not even try
    for _ in range(8):
        clock.s += 5
        desk.journal.refresh()
        desk.start("for a moment").end()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert errno.errorcode[number] in caplog.text
    desk.files.before = lambda _name: None
    desk.start("refused until then")
    gc.collect()
    desk.journal.refresh()  # not yet
    clock.s += 5
    desk.journal.refresh()
    assert len(files_of(tmp_path)) == 1
    assert sorted(span.name for span in desk.on_disk.values()) == ["before", *["during"] * 6]
    after = desk.start("after")
    assert "after" in desk.names
    for span in [before, after, *during]:
        span.end()
    assert desk.on_disk == {}
    assert len(caplog.records) == 1


def test_a_disk_that_fails_again_much_later_is_said_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    desk = Desk(tmp_path, clock_s=clock.seconds)
    for _ in range(2):
        desk.files.before = fail_with(errno.ENOSPC)
        kept = desk.start()
        desk.files.before = lambda _name: None
        clock.s += 60
        desk.journal.refresh()
        kept.end()
    assert len(caplog.records) == 2


def test_a_write_that_is_cut_short_leaves_no_record(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = desk.start("first")
    write = desk.files.write
    monkeypatch.setattr(desk.files, "write", lambda fd, data, offset: write(fd, data[:-3], offset))
    cut = desk.start("cut")
    monkeypatch.undo()
    assert desk.names == {"first"}
    assert "ENOSPC" in caplog.text
    first.end()
    cut.end()


def test_a_slot_that_cannot_be_emptied_makes_a_new_file_necessary(desk: Desk) -> None:
    kept, ended = desk.start("kept"), desk.start("ended")
    (old,) = files_of(desk.folder)
    desk.files.before = fail_with(errno.EIO)
    ended.end()
    desk.files.before = lambda _name: None
    assert desk.names == {"kept", "ended"}  # that is what a new file is for
    desk.journal.refresh()
    (new,) = files_of(desk.folder)
    assert new != old
    assert desk.names == {"kept"}
    kept.end()


@pytest.mark.parametrize("whole_folder", [True, False])
def test_a_file_that_somebody_deletes_is_made_anew(tmp_path: Path, whole_folder: bool) -> None:
    folder = tmp_path / "spool"
    desk = Desk(folder)
    span = desk.start()
    files_of(folder)[0].unlink()
    if whole_folder:
        folder.rmdir()
    desk.journal.refresh()
    assert desk.names == {"work"}
    span.end()
    assert desk.on_disk == {}


def test_a_folder_that_others_may_write_to_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    folder.chmod(0o777)
    desk = Desk(folder)
    desk.start()
    assert files_of(folder) == []
    assert "UnsafeFolderError" in caplog.text


# -- interleavings ---------------------------------------------------------------------------------------------------------


def assert_sound(desk: Desk) -> None:
    """Nothing is on disk but what is open, each once, no slot is free twice or free and taken."""
    desk.journal.refresh()
    desk.journal.refresh()
    found = records(desk.folder)
    open_ids = sorted(id_of(span) for span in desk.journal.open_spans())
    assert sorted(int.from_bytes(each.identity[16:], "big") for each in found) == open_ids
    (file,) = desk.journal._files.values()
    free = [offset for stack in file._free for offset in stack]
    taken = [offset for entry in desk.journal._open.values() for _, offset, _ in entry.slots]
    assert len({*free, *taken}) == len(free) + len(taken)
    sizes = [slots.SLOT_BYTES[kind] for kind, stack in enumerate(file._free) for _ in stack]
    sizes += [slots.SLOT_BYTES[kind] for entry in desk.journal._open.values() for _, _, kind in entry.slots]
    assert sum(sizes) % 65_536 == 0  # none is lost: extents are cut up whole
    assert sorted(taken) == sorted(each.offset for each in found)


def changed(desk: Desk) -> Any:
    span = desk.start("changed")
    span.set_attribute("step", 1)
    return span


OUTER: dict[str, Callable[[Any, Any], object]] = {
    "begin": lambda desk, _span: desk.kept.append(desk.start("new")),
    "end": lambda _desk, span: span.end(),
    "refresh": lambda desk, _span: desk.journal.refresh(),
}
INNER: dict[str, Callable[[Any, Any], object]] = {
    "begin": lambda desk, _span: desk.kept.append(desk.start("inner")),
    "begin and end": lambda desk, _span: desk.start("inner").end(),
    "end": lambda _desk, span: span.end(),
    "end of another": lambda desk, _span: desk.other.end(),
    "refresh": lambda desk, _span: desk.journal.refresh(),
    "reap": lambda desk, _span: desk.journal._reap(),
}


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("outer", OUTER)
def test_every_step_is_right_when_another_thread_does_this_at_any_point_of_it(
    tmp_path: Path, outer: str, inner: str, first: bool
) -> None:
    """All of one operation, at every system call of another: what a thread sees that stands still there.

    The same thread's coming back out of a garbage collection or a signal handler is the same.
    """
    for number in range(12):
        desk: Any = Desk(tmp_path / f"{number}")
        desk.kept = []
        if first and outer == "begin":
            desk.other = desk.start("other") if inner == "end of another" else None
            span = desk.start("given") if inner == "end" else None
        else:
            desk.other = desk.start("other")
            span = changed(desk)
        done: list[bool] = []

        def plant(desk: Any = desk, span: Any = span, done: list[bool] = done) -> None:
            INNER[inner](desk, span)
            done.append(True)

        with desk.files.at(number, plant):
            if not (outer == inner == "end"):
                OUTER[outer](desk, span)
            else:
                desk.journal.end(span)
        if desk.journal._files:
            assert_sound(desk)
        if not done:
            assert number > 0
            break
        desk.journal.close()
    else:
        raise AssertionError("an operation has that many system calls")


@pytest.mark.parametrize("written", [False, True])
def test_an_interrupted_start_leaves_no_record(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    kept = desk.start("kept")
    write = desk.files.write

    def interrupted(descriptor: int, data: bytes, offset: int) -> int:
        monkeypatch.undo()
        if written:
            write(descriptor, data, offset)
        raise KeyboardInterrupt

    monkeypatch.setattr(desk.files, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        desk.start("interrupted")
    gc.collect()
    assert_sound(desk)
    assert desk.names == {"kept"}
    kept.end()


def test_what_a_refresh_meets_in_the_middle_of_a_start_is_not_lost(desk: Desk) -> None:
    first = desk.start("first")

    def change() -> None:
        for span in desk.journal.open_spans():
            span.set_attribute("step", 1)  # type: ignore[attr-defined]
        desk.journal.refresh()

    with desk.files.at(0, change):
        second = desk.start("second")
    desk.journal.refresh()
    assert [said(span.attributes) for span in desk.on_disk.values()] == [{"step": 1}] * 2
    assert_sound(desk)
    first.end()
    second.end()


def test_an_interrupted_end_is_taken_up_when_the_span_is_collected(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    span = desk.start()
    entry = next(iter(desk.journal._open.values()))

    class Interrupting(list[Any]):
        def pop(self, *_index: Any) -> Any:
            entry.slots = list(self)
            raise KeyboardInterrupt

    entry.slots = Interrupting(entry.slots)
    with pytest.raises(KeyboardInterrupt):
        span.end()
    assert len(desk.on_disk) == 1
    del span
    gc.collect()
    assert_sound(desk)
    assert desk.on_disk == {}


def test_threads_that_start_and_end_spans_beside_refreshes_leave_what_is_open(desk: Desk) -> None:
    kept: list[Any] = []
    stop = threading.Event()

    def work(seed: int) -> None:
        chance = random.Random(seed)
        mine: list[Any] = []
        for number in range(400):
            mine.append(desk.start(attributes={"text": "x" * chance.choice((1, 900, 4_000, 20_000))}))
            if chance.random() < 0.5:
                chance.choice(mine).set_attribute("step", number)
            if chance.random() < 0.9:
                mine.pop(chance.randrange(len(mine))).end()
        kept.extend(mine)

    def refresh() -> None:
        while not stop.is_set():
            desk.journal.refresh()

    refreshers = [threading.Thread(target=refresh) for _ in range(2)]
    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in [*refreshers, *workers]:
            thread.start()
        for thread in workers:
            thread.join()
        stop.set()
        for thread in refreshers:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert_sound(desk)
    assert desk.journal.open_count == len(kept) > 0
    assert {id_of(span): span.name for span in kept} == {
        number: span.name for number, span in desk.on_disk.items()
    }
    for span in kept:
        wanted = dict(span.attributes)
        assert said(desk.on_disk[id_of(span)].attributes) == wanted
        span.end()
    assert desk.on_disk == {}


def test_threads_that_start_the_first_spans_share_one_file(tmp_path: Path) -> None:
    for number in range(20):
        desk = Desk(tmp_path / f"{number}")
        barrier = threading.Barrier(4)
        kept: list[Any] = []

        def work(desk: Desk = desk, barrier: threading.Barrier = barrier, kept: list[Any] = kept) -> None:
            barrier.wait()
            kept.append(desk.start())

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(files_of(desk.folder)) == 1
        assert len(desk.on_disk) == 4
        desk.journal.close()
