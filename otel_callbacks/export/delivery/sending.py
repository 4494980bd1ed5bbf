"""What is sent next, and what an answer means for what was sent: the decisions of the delivery, for all its threads.

Rules for this file: no clock, no lock, no I/O, no thread: whoever calls holds a lock, gives the time and does what it is told.
Every entry that comes in goes out once, in an :class:`Outcome`, or by :meth:`Sending.release`. What waits for another try is kept
here, not in the store: a few batches at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from otel_callbacks.export.delivery.health import SLOW_WAIT_S, Health, Trouble
from otel_callbacks.export.delivery.trial import Batch, Piece
from otel_callbacks.export.items import Verdict

if TYPE_CHECKING:
    from random import Random

    from otel_callbacks.export.delivery.trial import Guilty, Shorten
    from otel_callbacks.export.items import Answer, Entry

# What is kept in memory because the collector refuses it; as long as there is more of it, nothing new is tried.
MOST_SUSPENDED: Final = 1_000  # batches
MOST_SUSPENDED_BYTES: Final = 32 * 1_024 * 1_024
SMALLEST_REQUEST_BYTES: Final = 64 * 1_024
MOST_BATCHES_IN_ONE: Final = 16
MOST_SENDERS: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """A request that is to be made."""

    number: int
    """Counts all requests, in the order in which they begin."""
    batch: Batch
    piece: Piece


@dataclass(frozen=True, slots=True)
class Take:
    """The store is to be asked for the next batch: `Sending.took`."""

    items: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing can be sent before *until_s*; None: before there is an answer, or something new."""

    until_s: float | None


Step: TypeAlias = Attempt | Take | Idle


class Fate(Enum):
    """What became of items."""

    DELIVERED = "delivered"
    DEAD = "dead"
    REFUSED = "refused"
    """Given up, because the server knows no such signal."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of *entries*."""

    fate: Fate
    entries: Sequence[Entry]
    rejected: int = 0
    """Of those that were delivered, how many the collector did not keep."""
    reason: str = ""
    """Of those that are dead."""


class Event(Enum):
    """What is worth a line in the log."""

    UNAVAILABLE = "unavailable"
    MISCONFIGURED = "misconfigured"
    REFUSING = "refusing"
    UNKNOWN_SIGNAL = "unknown signal"
    PARTIAL = "partial"
    DEAD = "dead"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class News:
    """An event, and what the collector said."""

    event: Event
    message: str = ""
    items: int = 0


@dataclass(slots=True)
class Told:
    """What follows from an answer."""

    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    news: list[News] = field(default_factory=list[News])


_TROUBLES: Final = {
    Verdict.RETRY: Event.UNAVAILABLE,
    Verdict.MISCONFIGURED: Event.MISCONFIGURED,
}


class Sending:
    """What is on its way to one collector, for one signal."""

    refused: bool
    """The server knows no such signal: nothing more is sent to it."""

    def __init__(
        self,
        *,
        batch_items: int,
        max_bytes: int,
        shorten: Shorten,
        random: Random,
        dispensable: bool = False,
        most_senders: int = MOST_SENDERS,
    ) -> None:
        """*dispensable*: the signal is given up if the server does not know it. One sender keeps the items' order.

        Metrics need it: many a backend refuses a point that comes after a newer one.
        """
        self.refused = False
        self._batch_items = batch_items
        self._most_bytes = self._max_bytes = max_bytes
        self._shorten = shorten
        self._random = random
        self._dispensable = dispensable
        self._most_senders = most_senders
        self._health = Health(random)
        self._number = 0
        self._under_way: dict[int, Attempt] = {}
        self._held: deque[Batch] = deque()
        """Batches of which something can be sent."""
        self._suspended: list[Batch] = []
        self._weight = 0
        """Of the suspended batches, in bytes."""
        self._retrial_s: float | None = None
        """When a suspended batch is tried again although nothing has been taken since."""

    def next(self, now_s: float, waiting: int, *, due: bool) -> Step:
        """Return what is to be done now; *waiting*: how many items the store has, *due*: whether they are to be sent."""
        take = Take(self._batch_items * self._fold(waiting), self._max_bytes)
        if self.refused:
            return take if waiting else Idle(None)
        if not self._health.may_send(now_s):
            return Idle(self._health.due_s)
        if self._suspended and self._under_way:
            return Idle(None)  # that decides whether it is the items or the collector
        if self._held:
            return self._begin(self._held.popleft())
        if due and waiting and len(self._suspended) < MOST_SUSPENDED and self._weight < MOST_SUSPENDED_BYTES:
            return take
        if self._retrial_s is not None and now_s >= self._retrial_s:
            batch = self._suspended.pop(0)
            self._weight -= batch.bytes
            self._retrial_s = now_s + SLOW_WAIT_S if self._suspended else None
            batch.renew(self._random)
            return self._begin(batch)
        return Idle(self._retrial_s)

    def took(self, entries: Sequence[Entry], start: int) -> Told:
        """Receive what the store gave for a `Take`; *start* is the place of the first among all that was ever taken."""
        if self.refused:
            return Told([Outcome(Fate.REFUSED, entries)])
        self._held.append(Batch.of(start, entries))
        return Told()

    def answered(self, attempt: Attempt, answer: Answer, now_s: float) -> Told:
        """Receive the answer to a request."""
        del self._under_way[attempt.number]
        told = Told()
        batch, piece = attempt.batch, attempt.piece
        match answer.verdict:
            case Verdict.DELIVERED:
                self._alive(attempt.number, told)
                self._delivered(attempt, answer, told)
            case Verdict.RETRY | Verdict.MISCONFIGURED:
                batch.retry(piece)
                if answer.unknown_signal and self._dispensable:
                    told.news += [] if self.refused else [News(Event.UNKNOWN_SIGNAL, answer.message)]
                    self.refused = True
                elif not self.refused:
                    self._health.failed(attempt.number, self._number, answer, now_s)
                    told.news.append(News(_TROUBLES[answer.verdict], answer.message))
            case Verdict.REJECTED | Verdict.TOO_BIG:
                self._alive(attempt.number, told)
                if answer.verdict is Verdict.TOO_BIG and len(piece.entries) > 1:
                    self._max_bytes = max(SMALLEST_REQUEST_BYTES, min(self._max_bytes, piece.bytes // 2))
                guilty = batch.refused(piece, answer, self._number, self._shorten)
                self._bury(guilty, answer.message, told)
        self._put_back(batch, answer, now_s, told)
        if self.refused and (rest := self.release()):
            told.outcomes.append(Outcome(Fate.REFUSED, rest))
        return told

    def hurry(self, now_s: float) -> None:
        """Wait no longer than the collector has asked for: somebody wants to know what became of it all."""
        self._health.hurry(now_s)
        if self._suspended:
            self._retrial_s = now_s

    @property
    def number(self) -> int:
        """The number of the latest request."""
        return self._number

    def is_hopeless(self, since: int, until_s: float, waiting: int) -> bool:
        """Return whether nothing of what is here, or in the store, will be delivered before *until_s*, as far as is known.

        So it is if the collector wants to be left in peace for longer, or if a request after number *since* was in vain and the
        next one comes later.
        """
        wait = self._health.wait
        if wait is not None:
            return wait.until_s >= until_s and (wait.asked or wait.since > since)
        if waiting or self._held or self._under_way or not self._suspended:
            return False
        return self._number > since and self._retrial_s is not None and self._retrial_s >= until_s

    def release(self) -> list[Entry]:
        """Return what is here and not under way, the oldest first: nothing more is sent."""
        batches = sorted([*self._held, *self._suspended], key=lambda batch: batch.start)
        self._held.clear()
        self._suspended.clear()
        self._weight, self._retrial_s = 0, None
        return [entry for batch in batches for entry in batch.entries]

    @property
    def oldest(self) -> int | None:
        """The place of the oldest batch of which something is not settled; None if all is."""
        under_way = [attempt.batch for attempt in self._under_way.values()]
        return min((batch.start for batch in (*under_way, *self._held, *self._suspended)), default=None)

    def senders(self, waiting: int) -> int:
        """Return how many threads may send at the same time, when *waiting* items are in the store: `next` restrains them."""
        batches = len(self._under_way) + len(self._held) + waiting // self._batch_items
        return max(1, min(self._most_senders, batches))

    def _fold(self, waiting: int) -> int:
        """Return how many batches go into one request: more when much has piled up, but each sender gets its share."""
        if not self._health.good or self._suspended:
            return 1
        return max(1, min(MOST_BATCHES_IN_ONE, waiting // (self._batch_items * self._most_senders)))

    def _begin(self, batch: Batch) -> Attempt:
        self._number += 1
        attempt = self._under_way[self._number] = Attempt(self._number, batch, batch.agenda.popleft())
        self._health.began(self._number)
        return attempt

    def _alive(self, number: int, told: Told) -> None:
        wait = self._health.wait
        if self._health.answered(number) and wait is not None and wait.trouble is not Trouble.REFUSING:
            told.news.append(News(Event.AGAIN))

    def _delivered(self, attempt: Attempt, answer: Answer, told: Told) -> None:
        piece = attempt.piece
        rejected = min(max(0, answer.rejected), len(piece.entries))
        told.outcomes.append(Outcome(Fate.DELIVERED, piece.entries, rejected))
        if answer.message or rejected:
            told.news.append(News(Event.PARTIAL, answer.message, rejected))
        self._max_bytes = min(self._most_bytes, self._max_bytes + self._max_bytes // 64)
        if rejected == len(piece.entries):
            return  # that is no proof that it takes anything
        self._health.took()
        self._bury(attempt.batch.taken(attempt.number), "", told)
        if self._suspended:
            told.news.append(News(Event.AGAIN))
        for batch in tuple(self._suspended):
            batch.taken_elsewhere(attempt.number)
            if not batch.suspended:
                self._suspended.remove(batch)
                self._weight -= batch.bytes
                self._held.append(batch)
        if not self._suspended:
            self._retrial_s = None

    def _bury(self, guilty: Sequence[Guilty], message: str, told: Told) -> None:
        for each in guilty:
            told.outcomes.append(Outcome(Fate.DEAD, [each.entry], reason=each.reason))
        if guilty:
            told.news.append(News(Event.DEAD, message, len(guilty)))

    def _put_back(self, batch: Batch, answer: Answer, now_s: float, told: Told) -> None:
        """Keep what is left of a batch whose answer has come."""
        if batch.over:
            return
        if not batch.suspended:
            self._held.appendleft(batch)
            return
        self._suspended.append(batch)
        self._weight += batch.bytes
        if self._retrial_s is None:
            self._retrial_s = now_s + SLOW_WAIT_S
        told.news.append(News(Event.REFUSING, answer.message))
        if len(self._suspended) > 1:
            self._health.refusing(self._number, now_s)
