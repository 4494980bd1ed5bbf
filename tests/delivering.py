"""For tests of the delivery: a store in memory that keeps account, and a delivery's decisions under a virtual clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from otel_callbacks.export.delivery.delivery import Delivery
from otel_callbacks.export.delivery.ledger import Ledger, Tally
from otel_callbacks.export.delivery.sending import (
    MOST_SENDERS,
    Attempt,
    Fate,
    Idle,
    News,
    Outcome,
    Sending,
    Take,
)
from otel_callbacks.export.items import Answer, Entry, Origin, Store, StoreCounts, Verdict

ORIGIN = Origin(b"resource", b"scope")
TAKEN = Answer(Verdict.DELIVERED)
SILENT = Answer(Verdict.RETRY, "no answer")
BAD = Answer(Verdict.REJECTED, "HTTP 400")
WRONG = Answer(Verdict.MISCONFIGURED, "HTTP 401")
LARGE = Answer(Verdict.TOO_BIG, "HTTP 413")
UNKNOWN = Answer(Verdict.MISCONFIGURED, "HTTP 404", unknown_signal=True)


class ListStore:
    """A store: a list in the order in which items came; what is told twice is an error of the teller's."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.queue: list[Entry] = []
        self.out: dict[int, Entry] = {}
        self.buried: list[tuple[bytes, str]] = []
        self.seen = StoreCounts()
        self.number = 0
        self.tended = 0
        self.closed = False

    def put(self, origin: Origin, items: Sequence[bytes]) -> None:
        with self.lock:
            self.seen.accepted += len(items)
            if self.closed:
                self.drop(len(items), "closed")
                return
            self._append(origin, items)

    def adopt(self, items: Sequence[bytes]) -> None:
        """Find *items* that a dead process has left: older than what is here."""
        with self.lock:
            self.seen.adopted += len(items)
            own, self.queue = self.queue, []
            self._append(ORIGIN, items)
            self.queue += own

    def _append(self, origin: Origin, items: Sequence[bytes]) -> None:
        for item in items:
            self.number += 1
            self.queue.append(Entry(origin, item, self.number))

    def drop(self, items: int, reason: str) -> None:
        self.seen.dropped[reason] = self.seen.dropped.get(reason, 0) + items

    def take(self, max_items: int, max_bytes: int) -> list[Entry]:
        with self.lock:
            taken: list[Entry] = []
            size = 0
            for entry in self.queue[:max_items]:
                size += len(entry.item)
                if taken and size > max_bytes:
                    break
                taken.append(entry)
            self.queue = self.queue[len(taken) :]
            for entry in taken:
                assert entry.place not in self.out
                self.out[entry.place] = entry
            return taken

    def give_back(self, entries: Sequence[Entry]) -> None:
        with self.lock:
            for entry in entries:
                del self.out[entry.place]
            self.queue = [*entries, *self.queue]

    def settle(self, entries: Sequence[Entry]) -> None:
        with self.lock:
            for entry in entries:
                del self.out[entry.place]
            self.seen.settled += len(entries)

    def bury(self, entry: Entry, reason: str) -> None:
        self.settle([entry])
        self.seen.dead += 1
        self.buried.append((entry.item, reason))

    def identity(self, entries: Sequence[Entry]) -> str:
        return f"{entries[0].place}-{len(entries)}"

    @property
    def waiting(self) -> int:
        return len(self.queue)

    def tend(self) -> None:
        self.tended += 1

    def counts(self) -> StoreCounts:
        with self.lock:
            return StoreCounts(
                self.seen.accepted,
                self.seen.adopted,
                dict(self.seen.dropped),
                self.seen.settled,
                self.seen.dead,
                on_disk=0,
                in_memory=len(self.queue) + len(self.out),
            )

    def after_fork(self) -> None:
        self.lock = threading.RLock()
        self.queue, self.out, self.seen = [], {}, StoreCounts()

    def close(self) -> None:
        self.closed = True


class World:
    """A store, a delivery's decisions, a collector that is a function, and a clock that goes when it is told."""

    def __init__(
        self,
        collector: Callable[[list[bytes]], Answer] = lambda _items: TAKEN,
        *,
        batch_items: int = 8,
        max_bytes: int = 10_000,
        shorten: Callable[[bytes, int], bytes | None] = lambda _item, _max_bytes: None,
        seed: int = 0,
        dispensable: bool = False,
        most_senders: int = MOST_SENDERS,
    ) -> None:
        self.collector = collector
        self.store = ListStore()
        self.sending = Sending(
            batch_items=batch_items,
            max_bytes=max_bytes,
            shorten=shorten,
            random=Random(seed),
            dispensable=dispensable,
            most_senders=most_senders,
        )
        self.now_s = 0.0
        self.tally = Tally()
        self.open: list[Attempt] = []
        self.requests: list[list[bytes]] = []
        self.delivered: list[bytes] = []
        self.settled: set[int] = set()
        self.news: list[News] = []
        self._taken = 0

    def put(self, *items: bytes) -> None:
        self.store.put(ORIGIN, items)

    def begin(self) -> Attempt | float | None:
        """Begin a request if one may begin: return it, or until when none may (None: until an answer, or something new)."""
        while True:
            step = self.sending.next(self.now_s, self.store.waiting, due=True)
            if isinstance(step, Attempt):
                assert not {entry.place for entry in step.piece.entries} & self.settled
                self.open.append(step)
                return step
            if isinstance(step, Idle):
                return step.until_s
            assert isinstance(step, Take)
            entries = self.store.take(step.items, step.bytes)
            told = self.sending.took(entries, self._taken)
            self._taken += len(entries)
            self._carry_out(told.outcomes)

    def finish(self, index: int = 0, answer: Answer | None = None) -> Answer:
        """Let the collector answer one of the requests that are under way."""
        attempt = self.open.pop(index)
        items = [entry.item for entry in attempt.piece.sent]
        self.requests.append(items)
        if answer is None:
            answer = self.collector(items)
        told = self.sending.answered(attempt, answer, self.now_s)
        if answer.verdict is Verdict.DELIVERED:
            self.delivered += items
        self._carry_out(told.outcomes)
        self.news += told.news
        return answer

    def run(self, *, for_s: float = 10_000.0, requests: int = 10_000) -> None:
        """Go on until nothing is left, time is up, or nothing will happen any more."""
        end_s = self.now_s + for_s
        while requests and self.now_s <= end_s:
            step: Attempt | float | None = None
            while len(self.open) < MOST_SENDERS and isinstance(step := self.begin(), Attempt):
                pass
            if self.open:
                self.finish()
                requests -= 1
            elif step is None:
                return
            elif isinstance(step, float):
                self.now_s = max(self.now_s, step)

    def ledger(self) -> Ledger:
        return self.tally.ledger(self.store.counts(), ended=False)

    def _carry_out(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            places = {entry.place for entry in outcome.entries}
            assert not places & self.settled
            self.settled |= places
            match outcome.fate:
                case Fate.DELIVERED:
                    self.store.settle(outcome.entries)
                    self.tally.delivered += len(outcome.entries) - outcome.rejected
                    self.tally.rejected += outcome.rejected
                case Fate.DEAD:
                    self.store.bury(outcome.entries[0], outcome.reason)
                case Fate.REFUSED:
                    self.store.settle(outcome.entries)
                    self.tally.refused += len(outcome.entries)


class Wire:
    """Connections, all to one collector that is a function: by default it takes everything."""

    def __init__(self, collector: Callable[[list[bytes]], Answer] = lambda _items: TAKEN) -> None:
        self.collector = collector
        self.requests: list[list[bytes]] = []
        self.identities: list[str] = []
        self.timeouts_s: list[float] = []
        self.made = 0
        self.closed = 0
        self.abandoned = 0

    @property
    def items(self) -> list[bytes]:
        """What was sent, in any request."""
        return [item for request in tuple(self.requests) for item in request]

    def __call__(self) -> Wire:
        self.made += 1
        return self

    def send(self, body: bytes, identity: str, timeout_s: float) -> Answer:
        items = body.split(b"\n")
        answer = self.collector(items)
        self.requests.append(items)
        self.identities.append(identity)
        self.timeouts_s.append(timeout_s)
        return answer

    def close(self) -> None:
        self.closed += 1

    def abandon(self) -> None:
        self.abandoned += 1


def joined(entries: Sequence[Entry]) -> bytes:
    """Return a request of items in which there is no line break."""
    return b"\n".join(entry.item for entry in entries)


def delivery_of(store: Store, wire: Wire, **options: Any) -> Delivery:
    """Return a delivery that sends nothing before it is told to, unless *options* say so."""
    return Delivery(
        store,
        wire,
        **{"signal": "traces", "delay_s": 3_600.0, "encode": joined, "random": Random(0), **options},
    )


def until(condition: Callable[[], object]) -> None:
    """Wait until *condition* holds; the test fails if it never does."""
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)
