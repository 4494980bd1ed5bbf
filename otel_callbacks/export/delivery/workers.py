"""The threads of one delivery: a keeper, which is there for the time, and senders, which are there while there is something to send.

Rules for this file: every decision is `Sending`'s, taken under the lock; nothing is sent, encoded or logged under it. No exception
ends the keeper, and each request that was begun is answered, whatever its transport does. Where no thread can be started (the
interpreter is going), the caller's own does the work. The application's threads never wait for the lock without an end: a signal's
handler may have interrupted a `put`, which holds the store's lock, for which a thread of ours may be waiting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from otel_callbacks.core.shield import class_name
from otel_callbacks.export.delivery.connections import Connections
from otel_callbacks.export.delivery.flushes import Ask, Mark, dropped
from otel_callbacks.export.delivery.ledger import Ledger, Tally
from otel_callbacks.export.delivery.plan import Plan
from otel_callbacks.export.delivery.quiet import quiet
from otel_callbacks.export.delivery.reports import Reports
from otel_callbacks.export.delivery.sending import MOST_SENDERS, Attempt, Event, Fate, Idle, Sending
from otel_callbacks.export.items import CLOSED, SHUTDOWN, Answer, Entry, Transport, Verdict

if TYPE_CHECKING:
    from otel_callbacks.export.delivery.sending import News, Outcome, Told

TEND_EVERY_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.25  # whoever waits for a flush looks for himself, should nobody tell him


class Workers:
    """The threads of a delivery in one process, and what they have under way."""

    def __init__(self, plan: Plan) -> None:
        self.tally = Tally()
        self.over = False
        self.sending = Sending(
            batch_items=plan.batch_items,
            max_bytes=plan.max_request_bytes,
            shorten=plan.shorten,
            random=plan.random,
            dispensable=plan.signal != "traces",
            most_senders=1 if plan.signal == "metrics" else MOST_SENDERS,
        )
        self._plan = plan
        self._lock = threading.RLock()
        self._counting = threading.RLock()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._reports = Reports(plan.signal)
        self._asks: list[Ask] = []
        self._keeper: threading.Thread | None = None
        self._starting: list[object] = []
        self._senders = 0
        self._connections = Connections(plan.connect, MOST_SENDERS)
        self._undone: list[Outcome] = []
        self._telling = 0
        """Threads that have news for the log: a flush is not over before it is said."""
        self._taken = 0  # items, ever, from the store
        self._goal = 0  # so many of them are to be taken now
        self._tick_s = plan.clock() + plan.delay_s
        self._tend_s = 0.0
        self._due_s: float | None = None

    # -- for the application's threads ---------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the keeper was started: asked at every put."""
        return self._keeper is not None

    def start(self) -> None:
        """Start the keeper if it is not there. Never waits for a lock: it may be called out of a garbage collection."""
        if self.over or (self._keeper is not None and self._keeper.is_alive()):
            return
        mine = object()  # a lock would stay locked after an interruption between taking it and the `try`
        try:
            self._starting.append(mine)
            if self._starting[0] is not mine:
                return
            keeper = self._thread(self._keep)
            self._keeper = keeper
            keeper.start()
        except RuntimeError:  # the interpreter is going and starts no more threads: a flush will send
            pass
        except BaseException:
            self._keeper = None
            raise
        finally:
            self._starting.remove(mine)

    def wake(self) -> None:
        """Have the keeper look what there is to do."""
        self._wake.put(None)

    def flush(self, timeout_s: float) -> bool:
        """Send what there is; return whether all of it was settled in time, False as soon as it is plain that it will not be."""
        if self.over:
            return self.ledger().waiting == 0
        if self._keeper is None and not self._plan.store.waiting:
            return True
        ask = Ask(self._plan.clock() + timeout_s, SimpleQueue())
        self._asks.append(ask)
        while True:
            self.start()
            self.wake()
            left_s = max(0.0, ask.deadline_s - self._plan.clock())
            if self._keeper is None or not self._keeper.is_alive():
                with quiet():
                    self._beat(left_s)
            with suppress(Empty):
                return ask.told.get(timeout=min(left_s, _LOOK_EVERY_S))
            if not left_s:
                return False  # what was asked for is done all the same

    def stop(self, timeout_s: float) -> None:
        """End the threads, but for one that waits for its answer: that will be heard by nobody."""
        deadline_s = self._plan.clock() + timeout_s
        self.over = True
        self.wake()
        keeper = self._keeper
        if keeper is None or not keeper.is_alive():
            self._let_go()
        else:
            keeper.join(max(0.0, deadline_s - self._plan.clock()))
        with self._watched("a connection"):
            self._connections.close()

    def abandon(self) -> None:
        """Let go of everything: this is a forked child, and all of it is the parent's."""
        self.over = True
        self._connections.abandon()

    def ledger(self) -> Ledger:
        """Return what became of everything."""
        return self.tally.ledger(self._plan.store.counts(), ended=self.over)

    def turn_away(self, items: int, reason: str) -> None:
        """Count items that do not get into the store."""
        with self._counting:
            self.tally.turned_away[reason] = self.tally.turned_away.get(reason, 0) + items

    def close(self) -> None:
        """Close the store, and say what was not delivered."""
        store = self._plan.store
        before = store.counts().dropped.get(CLOSED, 0)
        store.close()
        self.tally.left = store.counts().dropped.get(CLOSED, 0) - before
        ledger = self.ledger()
        self._reports.ended(ledger.dropped.get(SHUTDOWN, 0), ledger.on_disk)

    def fault(self, where: str, error: BaseException) -> None:
        """Count and say that something raised that should not have."""
        self.tally.faults += 1
        self._reports.fault(where, error, self._plan.clock())

    # -- a flush -------------------------------------------------------------------------------------------------------

    def _answer(self) -> None:
        """Tell those who wait for a flush, as far as there is something to tell."""
        for ask in tuple(self._asks):
            with self._lock:
                if ask.mark is None:
                    ask.mark = self._mark()
                settled = self._settled(ask.mark, ask.deadline_s)
            if settled is None and self._plan.clock() < ask.deadline_s:
                continue
            with suppress(ValueError):
                self._asks.remove(ask)
            ask.told.put(settled is True)

    def _mark(self) -> Mark:
        store = self._plan.store
        counts = store.counts()
        place = self._taken + store.waiting
        self._goal = max(self._goal, place)
        self.sending.hurry(self._plan.clock())
        return Mark(place, counts.adopted, dropped(counts), self.sending.number)

    def _settled(self, mark: Mark, deadline_s: float) -> bool | None:
        """Return whether all that was put before *mark* is settled; None if some of it is on its way."""
        counts, waiting = self._plan.store.counts(), self._plan.store.waiting
        if dropped(counts) > mark.dropped:
            return False
        # What was adopted since may have been taken first.
        place = mark.place + counts.adopted - mark.adopted
        oldest = self.sending.oldest
        reached = self._taken >= place or not waiting
        if not reached:
            self._goal = max(self._goal, place)
        if reached and (oldest is None or oldest >= place) and not (self._undone or self._telling):
            return True
        return False if self.sending.is_hopeless(mark.number, deadline_s, waiting) else None

    # -- the keeper ----------------------------------------------------------------------------------------------------

    def _thread(self, work: Callable[[], object]) -> threading.Thread:
        # A daemon: a collector that hangs must not keep the interpreter from its exit.
        return threading.Thread(target=work, name=f"otel-callbacks-{self._plan.signal}", daemon=True)

    def _keep(self) -> None:
        with quiet():
            while not self.over and threading.current_thread() is self._keeper:
                with self._watched("a thread"):
                    with suppress(Empty):
                        self._wake.get(timeout=self._pause_s())
                        while True:
                            self._wake.get_nowait()
                    self._beat()
            with self._watched("the store"):
                self._let_go()

    def _let_go(self) -> None:
        if self.over:
            self._carry_out_again()
            with self._lock:
                self._plan.store.give_back(self.sending.release())

    def _pause_s(self) -> float:
        next_s = min(self._tend_s, self._tick_s)
        if self._due_s is not None:
            next_s = min(next_s, self._due_s)
        return max(0.0, next_s - self._plan.clock())

    def _beat(self, limit_s: float | None = None) -> None:
        """Do what is due; *limit_s*: how long this thread may be held up."""
        now_s = self._plan.clock()
        if now_s >= self._tend_s:
            self._tend_s = now_s + TEND_EVERY_S
            for call in (*self._plan.upkeep, self._plan.store.tend):
                with self._watched("the store's upkeep"):
                    call()
            self._carry_out_again()
        if now_s >= self._tick_s:
            self._tick_s = now_s + self._plan.delay_s
            with self._lock:
                self._goal = max(self._goal, self._taken + self._plan.store.waiting)
        self._answer()
        self._dispatch(limit_s)
        self._answer()

    def _dispatch(self, limit_s: float | None) -> None:
        """Start as many senders as there is work for."""
        self._due_s = None
        while True:
            with self._lock:
                if self._senders >= self.sending.senders(self._plan.store.waiting):
                    return
                attempt = self._step()
                if attempt is None:
                    return
                self._senders += 1
            try:
                self._thread(lambda attempt=attempt: self._send(attempt)).start()  # type: ignore[misc]
            except Exception:  # noqa: BLE001 - no thread to be had: this one, then
                self._send(attempt, limit_s)

    # -- the senders ---------------------------------------------------------------------------------------------------

    def _send(self, first: Attempt, limit_s: float | None = None) -> None:
        """Make requests until there is nothing to send now."""
        stop_s = None if limit_s is None else self._plan.clock() + limit_s
        attempt: Attempt | None = first
        with quiet():
            while attempt is not None:
                left_s = self._plan.timeout_s
                if stop_s is not None:
                    left_s = min(left_s, max(0.001, stop_s - self._plan.clock()))
                with self._watched("a thread"):
                    self._make(attempt, left_s)
                late = stop_s is not None and self._plan.clock() >= stop_s
                attempt = self._next(late=late)
        self.wake()

    def _next(self, *, late: bool) -> Attempt | None:
        with self._lock:
            attempt: Attempt | None = None
            if not late:
                with self._watched("the store"):
                    attempt = self._step()
            if attempt is None:
                self._senders -= 1
            return attempt

    def _step(self) -> Attempt | None:
        """Return the request that is to be made now. With the lock."""
        while not self.over:
            waiting = self._plan.store.waiting
            if not waiting:
                self._goal = self._taken
            due = self._taken < self._goal or waiting >= self._plan.batch_items
            step = self.sending.next(self._plan.clock(), waiting, due=due)
            if isinstance(step, Attempt):
                return step
            if isinstance(step, Idle):
                self._due_s = step.until_s
                return None
            entries = self._plan.store.take(step.items, step.bytes)
            if not entries:  # whatever it said that it had: the keeper asks again
                return None
            told = self.sending.took(entries, self._taken)
            self._taken += len(entries)
            self._carry_out(told.outcomes)
        return None

    def _make(self, attempt: Attempt, timeout_s: float) -> None:
        """Make a request, and do what follows from its answer."""
        transport: Transport | None = None
        try:
            sent = attempt.piece.sent
            if isinstance(body := self._encoded(sent), Answer):
                answer = body
            else:
                transport = self._connections.borrow()
                answer = transport.send(body, self._plan.store.identity(sent), timeout_s)
        except BaseException as error:  # noqa: BLE001 - the request was begun, and its items are somebody's
            self.fault("a connection", error)
            answer = Answer(Verdict.RETRY, f"{class_name(error)} in the connection")
        if transport is not None:
            with self._watched("a connection"):
                self._connections.bring_back(transport)
        with self._lock:
            told = self._heard(attempt, answer)
            self._telling += 1
        if told is not None:
            self._tell(told.news)
        with self._lock:
            self._telling -= 1
        if self._asks:
            self.wake()

    def _encoded(self, entries: Sequence[Entry]) -> bytes | Answer:
        try:
            return self._plan.encode(entries)
        except Exception as error:  # noqa: BLE001 - what is wrong with one of them is found out as if the collector had said it
            self.fault("an item", error)
            return Answer(Verdict.REJECTED, f"{class_name(error)} in an item")

    def _heard(self, attempt: Attempt, answer: Answer) -> Told | None:
        if self.over:
            return None  # what was on its way was given up, or waits on disk for the next process
        told = self.sending.answered(attempt, answer, self._plan.clock())
        self._carry_out(told.outcomes)
        return told

    # -- what follows from an answer -----------------------------------------------------------------------------------

    def _carry_out(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            try:
                self._settle(outcome)
            except BaseException as error:  # noqa: BLE001 - it is tried again
                self._undone.append(outcome)
                self.fault("the store", error)

    def _carry_out_again(self) -> None:
        with self._lock:
            undone, self._undone = self._undone, []
            self._carry_out(undone)

    def _settle(self, outcome: Outcome) -> None:
        store, entries = self._plan.store, outcome.entries
        match outcome.fate:
            case Fate.DELIVERED:
                store.settle(entries)
                self.tally.delivered += len(entries) - outcome.rejected
                self.tally.rejected += outcome.rejected
            case Fate.DEAD:
                store.bury(entries[0], outcome.reason)
            case Fate.REFUSED:
                store.settle(entries)
                self.tally.refused += len(entries)

    def _tell(self, news: Sequence[News]) -> None:
        for each in news:
            with self._watched("the log"):
                self._reports.tell(each, self.ledger(), self._plan.clock())
            if each.event is Event.AGAIN:
                self.wake()

    def _watched(self, where: str) -> _Watch:
        return _Watch(self, where)


class _Watch:
    """Nothing that is raised under it gets any further."""

    def __init__(self, workers: Workers, where: str) -> None:
        self._workers = workers
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if error is not None:
            self._workers.fault(self._where, error)
        return error is not None
