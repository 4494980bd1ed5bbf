"""What becomes of the journal of a process that has died: every span once, whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Wire
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from otel_callbacks import semconv
from otel_callbacks.export.items import Origin
from otel_callbacks.export.spool.directory import Directory
from otel_callbacks.export.spool.files import Files
from otel_callbacks.export.spool.recovery import MESSAGE, recover
from otel_callbacks.export.spool.segment import Header, Kind, pack_origin, pack_page, pack_record
from otel_callbacks.export.wire.origins import origin_of
from otel_callbacks.export.wire.spans import span_item
from tests.journals import DESTINATION, Desk, files_of, id_of, records, said

SALT = 77


class Store:
    """Keeps what it is given; at a put of a certain number, counted from 0, it fails as a process does that is killed."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.items: list[tuple[Origin, bytes]] = []
        self._puts = 0
        self._fails_at = fails_at

    def put(self, origin: Origin, items: Sequence[bytes]) -> None:
        self._puts += 1
        if self._puts - 1 == self._fails_at:
            raise KeyboardInterrupt
        self.items += [(origin, item) for item in items]

    @property
    def spans(self) -> dict[int, Wire]:
        """What was put, by span id; each must be there once."""
        found = {int.from_bytes(span.span_id, "big"): span for span in self.all}
        assert len(found) == len(self.items)
        return found

    @property
    def all(self) -> list[Wire]:
        return [Wire.FromString(item) for _, item in self.items]


def die(desk: Desk) -> None:
    """Let go of the journal's file as a process does that ends at once: it stays, and its lock does not."""
    desk.journal._begin_anew()


def recovered(folder: Path, store: Store | None = None, destination: str = DESTINATION) -> Store:
    store = store or Store()
    before = len(store.items)
    assert recover(Directory(folder), destination, store.put) == len(store.items) - before
    return store


def segment(folder: Path, spans: Sequence[Any], name: str = "0000000000000000001-1-1-ab.traces.seg") -> Path:
    """Write *spans*, which have ended, into a segment."""
    origin = origin_of(spans[0].resource, spans[0].instrumentation_scope)
    page = pack_page(Header("traces", DESTINATION, 1, 1, SALT))
    packed = [
        b"".join(pack_record(Kind.ITEM, number, 0, span_item(span), SALT))
        for number, span in enumerate(spans)
    ]
    path = folder / name
    path.write_bytes(page + pack_origin(0, origin, SALT) + b"".join(packed))
    return path


def test_a_span_that_was_open_ends_with_the_last_that_is_known_of_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    outer = desk.start("outer", attributes={"a": 1})
    inner = desk.start("inner")
    ended = desk.start("ended")
    inner.add_event("tried", {"n": 1})
    desk.journal.refresh()
    ended.end()
    beat_ns = max(span.start_time_unix_nano for span in desk.on_disk.values())
    die(desk)
    store = recovered(tmp_path)
    assert set(store.spans) == {id_of(outer), id_of(inner)}
    for span in (outer, inner):
        found = store.spans[id_of(span)]
        assert (found.name, found.start_time_unix_nano) == (span.name, span.start_time)
        assert found.status.code == Status.STATUS_CODE_ERROR
        assert found.status.message == MESSAGE
        assert found.end_time_unix_nano >= beat_ns
        assert found.events[-1].name == semconv.EVENT_PROCESS_DIED
        assert found.events[-1].time_unix_nano == found.end_time_unix_nano
        attributes = said(found.attributes)
        assert attributes.pop("error.type") == attributes.pop("langchain.run.end_reason") == "process_died"
        assert attributes == dict(span.attributes)
    assert [event.name for event in store.spans[id_of(inner)].events] == ["tried", semconv.EVENT_PROCESS_DIED]
    origins = {origin for origin, _ in store.items}
    assert origins == {origin_of(outer.resource, outer.instrumentation_scope)}
    assert list(tmp_path.iterdir()) == []
    assert recovered(tmp_path).items == []


def test_it_ends_at_the_heartbeat_or_at_its_last_event_whichever_is_later(tmp_path: Path) -> None:
    now_ns = 2_000_000_000_000_000_000
    desk = Desk(tmp_path, now_ns=lambda: now_ns)
    early, late = desk.start("early", start_time=7), desk.start("late", start_time=now_ns + 5)
    eventful = desk.start("eventful", start_time=8)
    eventful.add_event("x", timestamp=now_ns + 99)
    eventful.add_event("y", timestamp=9)
    now_ns += 50
    desk.journal.refresh()
    newest = desk.start("newest", start_time=now_ns + 70)
    die(desk)
    ends = {number: span.end_time_unix_nano - now_ns for number, span in recovered(tmp_path).spans.items()}
    assert ends == {id_of(early): 0, id_of(late): 0, id_of(eventful): 49, id_of(newest): 70}


@pytest.mark.parametrize(("place", "last_ns"), [(1024, 2), (3072, 3), (None, 3)])
def test_a_heartbeat_that_is_damaged_leaves_the_one_before(
    tmp_path: Path, place: int | None, last_ns: int
) -> None:
    times = iter([1, 2, 3])
    desk = Desk(tmp_path, now_ns=lambda: next(times) * 10**18)
    kept = desk.start(start_time=1)
    desk.journal.refresh()
    desk.journal.refresh()
    (path,) = files_of(tmp_path)
    assert kept.is_recording()
    die(desk)
    data = bytearray(path.read_bytes())
    if place is not None:
        data[place] ^= 1
    path.write_bytes(data)
    (span,) = recovered(tmp_path).all
    assert span.end_time_unix_nano == last_ns * 10**18


def test_what_the_application_said_of_an_error_is_replaced(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.start(attributes={"error.type": "mine", "x": 1, semconv.RUN_END_REASON: "mine"})
    die(desk)
    (span,) = recovered(tmp_path).all
    assert [pair.key for pair in span.attributes] == ["x", "error.type", "langchain.run.end_reason"]


def test_a_journal_whose_process_lives_is_left_alone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    span = desk.start()
    assert recovered(tmp_path).items == []
    assert desk.names == {"work"}
    span.end()


def test_a_journal_for_another_destination_is_left_alone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.start()
    die(desk)
    assert recovered(tmp_path, destination="other").items == []
    assert len(recovered(tmp_path).items) == 1


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.open").write_text("mine")
    (tmp_path / "1-1-1-ab.open").symlink_to(tmp_path / "notes.open")
    (tmp_path / "1-1-2-ab.open").mkdir()
    assert recovered(tmp_path).items == []
    assert len(list(tmp_path.iterdir())) == 3
    assert (tmp_path / "notes.open").read_text() == "mine"


def test_a_folder_that_cannot_be_read_has_nothing_to_recover(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert recovered(tmp_path / "file").items == []
    assert recovered(tmp_path / "new").items == []


def test_a_span_whose_end_was_kept_just_before_the_process_died_is_not_reported(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    kept, lost = desk.start("kept"), desk.start("lost")
    desk.journal.end = lambda span: None  # type: ignore[method-assign]
    kept.end()
    die(desk)
    segment(tmp_path, [kept])
    damaged = segment(tmp_path, [lost], "0000000000000000002-1-1-ab.traces.seg")
    damaged.write_bytes(b"\0" * 5000)
    segment(tmp_path, [lost], "0000000000000000003-1-1-ab.logs.seg")  # another signal's numbers
    assert set(recovered(tmp_path).spans) == {id_of(lost)}


@pytest.mark.parametrize("number", range(4))
def test_a_recovery_that_is_killed_is_gone_on_with(tmp_path: Path, number: int) -> None:
    desk = Desk(tmp_path)
    spans = [desk.start(f"{index}") for index in range(600)]  # three batches
    die(desk)
    store = Store(fails_at=number)
    if number < 3:
        with pytest.raises(KeyboardInterrupt):
            recover(Directory(tmp_path), DESTINATION, store.put)
        assert len(files_of(tmp_path)) == 1
    recovered(tmp_path, store)
    assert set(store.spans) == {id_of(span) for span in spans}
    assert files_of(tmp_path) == []


def test_a_recovery_that_is_killed_before_it_forgets_reports_what_is_not_in_a_segment(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    spans = [desk.start(), desk.start()]
    die(desk)
    (path,) = files_of(tmp_path)
    before = path.read_bytes()
    recovered(tmp_path)
    path.write_bytes(before)  # as if it had never been emptied
    segment(tmp_path, spans[:1])
    assert set(recovered(tmp_path).spans) == {id_of(spans[1])}


def test_of_several_states_the_newest_whole_one_is_true(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    span = desk.start()
    span.set_attribute("step", 1)
    desk.files.before = lambda name: fail() if name == "sync" else None
    desk.journal.refresh()
    (path,) = files_of(tmp_path)
    old, new = sorted(records(tmp_path), key=lambda found: found.version)
    die(desk)
    whole = path.read_bytes()
    torn = bytearray(whole)
    torn[new.offset + 100] ^= 1
    path.write_bytes(torn)
    assert "step" not in said(recovered(tmp_path).spans[id_of(span)].attributes)
    path.write_bytes(whole)
    assert said(recovered(tmp_path).spans[id_of(span)].attributes)["step"] == 1
    assert old.offset != new.offset


def fail() -> None:
    raise OSError(5, "staged")


# -- damage ------------------------------------------------------------------------------------------------------------------


def left_behind(folder: Path) -> tuple[Path, bytes, dict[int, bytes]]:
    """Return a dead journal with spans of all sizes, what is in it, and what each span is reported as."""
    desk = Desk(folder)
    chance = random.Random(7)
    kept = [
        desk.start(f"{size}", attributes={"x": chance.randbytes(size).hex()})
        for size in (1, 400, 1800, 7000, 25_000)
    ]
    for span in [desk.start() for _ in range(20)]:
        span.end()
    kept[1].set_attribute("step", 1)
    desk.journal.refresh()
    (path,) = files_of(folder)
    die(desk)
    data = path.read_bytes()
    whole = {number: span.SerializeToString() for number, span in recovered(folder).spans.items()}
    assert len(whole) == 5
    return path, data, whole


def survivors(path: Path, data: bytes, whole: dict[int, bytes]) -> int:
    """Recover damaged bytes: every span that is found must be as it was, but for when it ended."""
    path.write_bytes(data)
    found = recovered(path.parent).spans
    for number, span in found.items():
        right = Wire.FromString(whole[number])
        span.end_time_unix_nano = right.end_time_unix_nano
        span.events[-1].time_unix_nano = right.events[-1].time_unix_nano
        assert span.SerializeToString() == right.SerializeToString()
    for aside in path.parent.glob("corrupt/*"):
        aside.unlink()
    return len(found)


@pytest.mark.logs
def test_after_a_power_cut_a_span_is_whole_or_not_there(tmp_path: Path) -> None:
    """What was not flushed: the file is shorter, or pages of it are zeros, in any combination."""
    path, data, whole = left_behind(tmp_path)
    counts = {
        survivors(path, data[:length], whole)
        for length in [*range(0, 6000, 97), *range(6000, len(data), 8191)]
    }
    assert {0, 1} <= counts
    chance = random.Random(5)
    for _ in range(150):
        pages = bytearray(data)
        for start in range(0, len(pages), 512):
            if chance.random() < 0.03:
                pages[start : start + 512] = bytes(len(pages[start : start + 512]))
        counts.add(survivors(path, bytes(pages), whole))
    assert len(counts) > 3


@pytest.mark.logs
def test_a_flipped_bit_costs_one_span_at_most(tmp_path: Path) -> None:
    path, data, whole = left_behind(tmp_path)
    chance = random.Random(6)
    used = [place for place in range(len(data)) if data[place]]
    counts: list[int] = []
    for place in [*range(120), *chance.sample(used, 250)]:
        flipped = bytearray(data)
        flipped[place] ^= 1 << chance.randrange(8)
        counts.append(survivors(path, bytes(flipped), whole))
    assert set(counts) == {4, 5}


@pytest.mark.logs
def test_arbitrary_bytes_are_no_spans(tmp_path: Path) -> None:
    chance = random.Random(8)
    path = tmp_path / "1-1-1-ab.open"
    for size in (0, 1, 100, 4095, 4096, 70_000):
        assert survivors(path, chance.randbytes(size), {}) == 0
        assert survivors(path, bytes(size), {}) == 0
    assert files_of(tmp_path) == []


def test_a_damaged_journal_is_set_aside_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "1-1-1-ab.open").write_bytes(b"x" * 5000)
    assert recovered(tmp_path).items == []
    assert [path.name for path in tmp_path.glob("corrupt/*")] == ["1-1-1-ab.open"]
    assert "1-1-1-ab.open" in caplog.text


def test_a_text_that_is_another_journals_record_is_no_record(tmp_path: Path) -> None:
    """Somebody who has seen a journal puts its bytes into a prompt, at every place where a slot may begin."""
    forged = Desk(tmp_path / "forged")
    forged.start("forged")
    (path,) = files_of(forged.folder)
    piece = path.read_bytes()[4096:5120].decode("latin-1")
    desk = Desk(tmp_path / "real")
    for shift in range(0, 1024, 8):
        desk.start("real", attributes={"text": "-" * shift + piece * 8}).end()
        desk.start("real", attributes={"text": ("-" * shift + piece).encode("latin-1") * 8}).end()
    kept = desk.start("real")
    die(desk)
    assert set(recovered(tmp_path / "real").spans) == {id_of(kept)}


def test_a_journal_that_is_removed_while_it_is_read_harms_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.start()
    die(desk)
    (path,) = files_of(tmp_path)
    count = recover(Directory(tmp_path), DESTINATION, lambda _origin, _items: path.unlink())
    assert count == 0
    assert files_of(tmp_path) == []


class Unreadable(Files):
    """A disk with places that cannot be read."""

    def __init__(self, from_: int, to: int) -> None:
        super().__init__()
        self._places = range(from_, to)

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        if offset in self._places:
            raise OSError(5, "staged")
        return super().read(descriptor, size, offset)


def test_a_disk_that_cannot_be_read_loses_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.start()
    die(desk)
    store = Store()
    assert recover(Directory(tmp_path, files=Unreadable(0, 1)), DESTINATION, store.put) == 0
    assert len(recovered(tmp_path).items) == 1


def test_a_place_that_cannot_be_read_costs_what_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path)
    desk.start("small"), desk.start("large", attributes={"x": "y" * 3000})
    die(desk)
    store = Store()
    assert recover(Directory(tmp_path, files=Unreadable(4096, 4097)), DESTINATION, store.put) == 1
    assert [span.name for span in store.all] == ["large"]
    assert files_of(tmp_path) == []
    assert len(list(tmp_path.glob("corrupt/*"))) == 1
    assert "set aside" in caplog.text


def test_journals_follow_each_other_in_one_process(tmp_path: Path) -> None:
    first, second = Desk(tmp_path), Desk(tmp_path)
    span = first.start("carried over")
    for each in first.journal.open_spans():
        second.journal.begin(each)
    first.journal.close()
    assert second.names == {"carried over"}
    second.journal.end(span)
    assert second.on_disk == {}
    assert len(files_of(tmp_path)) == 1
