"""A delivery with its real threads, on a collector that is a function."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

from otel_callbacks.export.delivery import workers
from otel_callbacks.export.delivery.quiet import here
from otel_callbacks.export.items import Answer, Entry, Store, Verdict
from otel_callbacks.export.spool.memory import MemoryStore
from tests.delivering import BAD, ORIGIN, SILENT, TAKEN, UNKNOWN, ListStore, Wire, delivery_of, joined, until

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG_S = 60.0  # never waited for if all is well
SHORT_S = 0.05  # always waited for, and nothing depends on its length


class Gate:
    """A collector that hangs until it is let go."""

    def __init__(self, answer: Answer = TAKEN) -> None:
        self.reached = threading.Semaphore(0)
        self.open = threading.Event()
        self.answer = answer

    def __call__(self, _items: list[bytes]) -> Answer:
        self.reached.release()
        assert self.open.wait(LONG_S)
        return self.answer


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture(params=[ListStore, MemoryStore])
def store(request: pytest.FixtureRequest) -> Store:
    store: Store = request.param()
    return store


def names(number: int, prefix: str = "") -> list[bytes]:
    return [f"{prefix}{name}".encode() for name in range(number)]


def test_what_eight_threads_put_arrives_once(store: Store) -> None:
    wire = Wire()
    delivery = delivery_of(store, wire, batch_items=50)

    def put(thread: int) -> None:
        for item in names(500, f"{thread} "):
            delivery.put(ORIGIN, [item])

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert delivery.flush(LONG_S)
    assert sorted(wire.items) == sorted(item for number in range(8) for item in names(500, f"{number} "))
    ledger = delivery.ledger()
    assert ledger.balanced
    assert (ledger.accepted, ledger.delivered, ledger.waiting) == (4_000, 4_000, 0)
    assert delivery.shutdown(LONG_S)


def test_each_thread_has_a_connection_of_its_own_and_a_few_are_kept(gate: Gate) -> None:
    wire = Wire(gate)
    delivery = delivery_of(ListStore(), wire, batch_items=1)
    for item in names(40):
        delivery.put(ORIGIN, [item])
    for _ in range(4):
        assert gate.reached.acquire(timeout=LONG_S)
    assert wire.made == 4
    assert not gate.reached.acquire(blocking=False)
    gate.open.set()
    assert delivery.flush(LONG_S)
    assert wire.made == 4
    assert delivery.shutdown(LONG_S)
    assert wire.closed == 4


def test_nothing_runs_before_the_first_item() -> None:
    before = threading.active_count()
    wire = Wire()
    delivery = delivery_of(ListStore(), wire)
    assert delivery.flush(LONG_S)
    assert threading.active_count() == before
    assert delivery.shutdown(LONG_S)
    assert wire.made == 0


def test_what_others_have_left_is_delivered_without_a_put_if_that_is_asked_for() -> None:
    store, wire = ListStore(), Wire()
    store.adopt(names(3))
    delivery = delivery_of(store, wire, delay_s=0.01)
    delivery.start()
    until(lambda: delivery.ledger().delivered == 3)
    assert delivery.shutdown(LONG_S)


def test_a_full_batch_goes_at_once_and_what_is_less_after_the_delay() -> None:
    wire = Wire()
    delivery = delivery_of(ListStore(), wire, batch_items=10)
    delivery.put(ORIGIN, names(10))
    until(lambda: wire.items)
    delivery.put(ORIGIN, [b"eleventh"])
    assert b"eleventh" not in wire.items
    assert delivery.shutdown(LONG_S)

    delivery = delivery_of(ListStore(), wire, batch_items=10, delay_s=0.01)
    delivery.put(ORIGIN, [b"alone"])
    until(lambda: b"alone" in wire.items)
    assert delivery.shutdown(LONG_S)


def test_a_flush_that_is_too_late_says_so(gate: Gate, store: Store) -> None:
    delivery = delivery_of(store, Wire(gate))
    delivery.put(ORIGIN, names(3))
    assert not delivery.flush(SHORT_S)
    assert delivery.ledger().waiting == 3
    gate.open.set()
    assert delivery.flush(LONG_S)
    assert delivery.shutdown(LONG_S)


def test_a_flush_does_not_wait_for_what_is_put_after_it(gate: Gate) -> None:
    """Something is put with every request, so that there is never nothing left."""
    store = ListStore()
    delivery = delivery_of(store, wire := Wire(), batch_items=1)

    def another(_items: list[bytes]) -> Answer:
        delivery.put(ORIGIN, [b"another"])
        delivery.put(ORIGIN, [b"and another"])
        return TAKEN

    wire.collector = another
    delivery.put(ORIGIN, [b"first"])
    assert delivery.flush(LONG_S)
    assert store.waiting
    wire.collector = lambda _items: TAKEN
    assert delivery.shutdown(LONG_S)


def test_a_flush_waits_for_its_own_behind_what_was_adopted_meanwhile(gate: Gate) -> None:
    store, wire = ListStore(), Wire(gate)
    delivery = delivery_of(store, wire, batch_items=2)
    delivery.put(ORIGIN, names(2))
    assert gate.reached.acquire(timeout=LONG_S)
    delivery.put(ORIGIN, [b"own"])
    flushed: SimpleQueue[tuple[bool, bool]] = SimpleQueue()

    def flush() -> None:
        done = delivery.flush(LONG_S)
        flushed.put((done, b"own" in wire.items))

    thread = threading.Thread(target=flush)
    thread.start()
    until(lambda: [ask for ask in delivery._workers._asks if ask.mark is not None])
    store.adopt(names(20, "old "))
    gate.open.set()
    thread.join()
    assert flushed.get() == (True, True)
    assert delivery.shutdown(LONG_S)


def test_a_flush_is_not_true_if_something_had_to_make_room(gate: Gate) -> None:
    store = MemoryStore(max_items=5)
    delivery = delivery_of(store, Wire(gate), batch_items=1_000)
    delivery.put(ORIGIN, [b"first"])
    assert not delivery.flush(0.0)
    assert gate.reached.acquire(timeout=LONG_S)
    delivery.put(ORIGIN, names(5))
    flushed: list[bool] = []
    thread = threading.Thread(target=lambda: flushed.append(delivery.flush(LONG_S)))
    thread.start()
    until(lambda: [ask for ask in delivery._workers._asks if ask.mark is not None])
    delivery.put(ORIGIN, names(5))
    gate.open.set()
    thread.join()
    assert flushed == [False]
    assert delivery.shutdown(LONG_S)
    assert delivery.ledger().dropped == {"full": 5}
    assert delivery.ledger().balanced


@pytest.mark.parametrize("answer", [SILENT, Answer(Verdict.MISCONFIGURED, "HTTP 401")])
def test_a_flush_asks_again_at_once(answer: Answer) -> None:
    wire = Wire(lambda _items: answer)
    delivery = delivery_of(ListStore(), wire, clock=lambda: 0.0)  # no wait of ours ever ends by itself
    delivery.put(ORIGIN, names(1))
    delivery.start()
    assert not delivery.flush(0.0)
    until(lambda: wire.requests)
    until(lambda: not delivery._workers._senders)
    wire.collector = lambda _items: TAKEN
    assert delivery.flush(LONG_S)
    assert delivery.shutdown(LONG_S)


class _Interrupted(list[object]):
    """Is interrupted as soon as it has taken its first item."""

    def append(self, item: object) -> None:
        super().append(item)
        if not self[1:] and not hasattr(self, "once"):
            self.once = True
            raise KeyboardInterrupt


def test_a_start_that_was_interrupted_keeps_no_later_one_from_its_work() -> None:
    delivery = delivery_of(ListStore(), Wire())
    workers = delivery._workers
    workers._starting = _Interrupted()
    with pytest.raises(KeyboardInterrupt):
        workers.start()
    workers.start()
    assert workers.running
    assert delivery.shutdown(LONG_S)


def test_the_one_who_flushes_works_himself_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    wire = Wire()
    delivery = delivery_of(ListStore(), wire, timeout_s=10.0)
    monkeypatch.setattr(threading.Thread, "start", start)
    delivery.put(ORIGIN, names(3))
    assert delivery.flush(5.0)
    assert wire.items == names(3)
    assert wire.timeouts_s[0] <= 5.0
    assert delivery.ledger().balanced
    assert delivery.shutdown(LONG_S)


def test_a_keeper_that_could_not_be_started_is_started_later(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire()
    delivery = delivery_of(ListStore(), wire, batch_items=5)
    with monkeypatch.context() as patch:

        def start(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patch.setattr(threading.Thread, "start", start)
        delivery.put(ORIGIN, names(4))
    delivery.put(ORIGIN, names(1))
    until(lambda: len(wire.items) == 5)
    assert delivery.shutdown(LONG_S)


@pytest.mark.logs
def test_a_shutdown_keeps_its_deadline_while_the_collector_hangs(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    delivery = delivery_of(store, Wire(gate), batch_items=2)
    delivery.put(ORIGIN, names(2))
    assert gate.reached.acquire(timeout=LONG_S)
    delivery.put(ORIGIN, [b"third"])
    assert not delivery.shutdown(SHORT_S)
    ledger = delivery.ledger()
    assert ledger.balanced
    assert ledger.dropped == {"shutdown": 3}
    assert ["3 spans were not delivered" in record.getMessage() for record in caplog.records] == [True]
    gate.open.set()  # an answer that comes now is heard by nobody
    until(lambda: not [thread for thread in threading.enumerate() if "otel-callbacks" in thread.name])
    assert delivery.ledger() == ledger


def test_what_waits_on_disk_at_a_shutdown_stays_there(caplog: pytest.LogCaptureFixture) -> None:
    class Disk(ListStore):
        def counts(self):  # type: ignore[no-untyped-def]  # noqa: ANN202
            counts = super().counts()
            counts.on_disk, counts.in_memory = counts.in_memory, 0
            return counts

    caplog.set_level(logging.INFO)
    store = Disk()
    delivery = delivery_of(store, Wire(lambda _items: SILENT), batch_items=2)
    delivery.put(ORIGIN, names(3))
    assert not delivery.shutdown(SHORT_S)
    assert (delivery.ledger().on_disk, delivery.ledger().dropped) == (3, {})
    assert sorted(entry.item for entry in store.queue) == names(3)  # in nobody's hands
    assert store.closed
    assert "3 spans wait on disk, for the next process to deliver them." in caplog.messages


def test_a_second_shutdown_does_nothing_and_a_later_put_is_counted(store: Store) -> None:
    wire = Wire()
    delivery = delivery_of(store, wire)
    delivery.put(ORIGIN, names(1))
    assert delivery.shutdown(LONG_S)
    delivery.put(ORIGIN, names(2))
    assert delivery.shutdown(LONG_S)
    assert delivery.flush(LONG_S)
    assert wire.items == names(1)
    assert delivery.ledger().dropped == {"closed": 2}
    assert delivery.ledger().balanced


@pytest.mark.logs
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit, MemoryError])
def test_whatever_a_connection_raises_the_items_are_sent_again(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    left = [error("SECRET"), error("SECRET")]

    def collector(_items: list[bytes]) -> Answer:
        if left:
            raise left.pop()
        return TAKEN

    wire = Wire(collector)
    delivery = delivery_of(ListStore(), wire)
    delivery.put(ORIGIN, names(3))
    until(lambda: delivery.flush(0.2))
    assert wire.items == names(3)
    assert delivery._workers.tally.faults == 2
    assert delivery.shutdown(LONG_S)
    assert "SECRET" not in caplog.text
    assert caplog.text.count("after a fault in a connection") == 1


@pytest.mark.logs
@pytest.mark.parametrize("name", ["take", "settle", "identity", "tend", "counts", "give_back"])
def test_whatever_a_store_raises_nothing_is_lost(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, wire = ListStore(), Wire()
    method = getattr(store, name)
    left = [KeyboardInterrupt(), OSError()]

    def raising(*arguments: object) -> object:
        if left and threading.current_thread() is not threading.main_thread():
            raise left.pop()
        return method(*arguments)

    monkeypatch.setattr(store, name, raising)
    monkeypatch.setattr(workers, "TEND_EVERY_S", 0.01)
    delivery = delivery_of(store, wire, batch_items=3, delay_s=0.01)
    for number in range(5):
        delivery.put(ORIGIN, names(3, f"{number} "))
    until(lambda: delivery.flush(0.2))
    assert len(set(wire.items)) == 15
    assert delivery.ledger().delivered == 15
    assert delivery.ledger().balanced
    assert delivery.shutdown(LONG_S)


@pytest.mark.logs
def test_a_store_that_raises_at_a_put_does_not_reach_the_application() -> None:
    class Broken(ListStore):
        def put(self, *_arguments: object) -> None:
            raise OSError

    delivery = delivery_of(Broken(), Wire())
    delivery.put(ORIGIN, names(1))
    assert delivery._workers.tally.faults == 1
    assert delivery.shutdown(LONG_S)


@pytest.mark.logs
def test_an_item_that_cannot_be_joined_to_a_request_does_not_hold_up_the_others() -> None:
    def encode(entries: Sequence[Entry]) -> bytes:
        if any(entry.item == b"bad" for entry in entries):
            raise ValueError
        return joined(entries)

    store, wire = ListStore(), Wire()
    delivery = delivery_of(store, wire, encode=encode)
    delivery.put(ORIGIN, [b"1", b"bad", b"2"])
    assert delivery.flush(LONG_S)
    assert sorted(wire.items) == [b"1", b"2"]
    assert [item for item, _ in store.buried] == [b"bad"]
    assert delivery.shutdown(LONG_S)


@pytest.mark.logs
def test_the_store_is_tended_while_every_sender_hangs(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "TEND_EVERY_S", 0.001)
    store = ListStore()
    upkeep: SimpleQueue[None] = SimpleQueue()

    def fails() -> None:
        raise OSError

    delivery = delivery_of(store, Wire(gate), batch_items=1, upkeep=[fails, lambda: upkeep.put(None)])
    delivery.put(ORIGIN, names(8))
    for _ in range(4):
        assert gate.reached.acquire(timeout=LONG_S)
    tended = store.tended
    until(lambda: store.tended > tended + 3)
    for _ in range(3):
        upkeep.get(timeout=LONG_S)
    gate.open.set()
    assert delivery.shutdown(LONG_S)


def test_a_thread_that_delivers_is_marked() -> None:
    depths: list[int] = []

    def collector(_items: list[bytes]) -> Answer:
        depths.append(here.depth)
        return TAKEN

    delivery = delivery_of(ListStore(), Wire(collector))
    delivery.put(ORIGIN, names(1))
    assert delivery.shutdown(LONG_S)
    assert depths == [1]
    assert here.depth == 0


@pytest.mark.logs
def test_a_signal_that_the_server_does_not_know_is_given_up_once_and_for_all(
    caplog: pytest.LogCaptureFixture, store: Store
) -> None:
    wire = Wire(lambda _items: UNKNOWN)
    delivery = delivery_of(store, wire, signal="logs")
    delivery.put(ORIGIN, names(3))
    assert delivery.flush(LONG_S)  # nothing of it will ever be delivered, and that is known
    assert delivery.refused
    delivery.put(ORIGIN, names(2))
    assert delivery.shutdown(LONG_S)
    assert delivery.ledger().dropped == {"refused": 5}
    assert delivery.ledger().balanced
    assert len(wire.requests) == 1
    assert caplog.messages == [
        "The backend takes no log events: no more are sent to it. OTEL_LOGS_EXPORTER=none says so beforehand."
    ]


@pytest.mark.logs
def test_a_guilty_item_is_put_aside_or_where_there_is_no_place_for_it_dropped(store: Store) -> None:
    wire = Wire(lambda items: BAD if b"bad" in items else TAKEN)
    delivery = delivery_of(store, wire)
    delivery.put(ORIGIN, [*names(5), b"bad", *names(5)])
    assert delivery.flush(LONG_S)
    assert delivery.shutdown(LONG_S)
    ledger = delivery.ledger()
    assert ledger.balanced
    assert ledger.delivered == 10
    assert (ledger.dead, dict(ledger.dropped)) in [(1, {}), (0, {"refused": 1})]


def test_a_put_out_of_the_middle_of_a_put_is_kept() -> None:
    """A signal's handler or a garbage collection ends a run there."""
    delivery = delivery_of(MemoryStore(), wire := Wire())

    class Item(bytes):
        def __len__(self) -> int:
            if again:
                delivery.put(ORIGIN, [again.pop()])
            return super().__len__()

    again = [b"inner"]
    delivery.put(ORIGIN, [Item(b"outer")])
    assert delivery.flush(LONG_S)
    assert sorted(map(bytes, wire.items)) == [b"inner", b"outer"]
    assert delivery.shutdown(LONG_S)


def test_the_log_says_what_waits_and_that_it_works_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    wire = Wire(lambda _items: SILENT)
    delivery = delivery_of(ListStore(), wire)
    delivery.put(ORIGIN, names(3))
    assert not delivery.flush(SHORT_S)
    until(lambda: caplog.messages)
    wire.collector = lambda _items: TAKEN
    assert delivery.flush(LONG_S)
    assert delivery.shutdown(LONG_S)
    assert caplog.messages == [
        "Spans cannot be delivered now: no answer. Waiting: 3 in memory.",
        "Spans are delivered again. Waiting: none.",
    ]
