"""The way of one signal's items from the application to the collector: what the application's threads may call of it.

Rules for this file: `put` waits for nothing but its store, takes no lock that it could meet again out of a garbage collection or
a signal handler, and raises nothing. A forked child begins anew: what waits, and every thread and connection, is the parent's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from otel_callbacks.export.children import call_in_children
from otel_callbacks.export.delivery.plan import Plan
from otel_callbacks.export.delivery.workers import Workers
from otel_callbacks.export.items import REFUSED
from otel_callbacks.export.wire.requests import request

if TYPE_CHECKING:
    from otel_callbacks.export.delivery.ledger import Ledger
    from otel_callbacks.export.delivery.trial import Shorten
    from otel_callbacks.export.items import Entry, Origin, Store, Transport
    from otel_callbacks.settings import Signal


class Delivery:
    """Keeps items in *store* and sends them, in threads that start at the first `put`."""

    def __init__(
        self,
        store: Store,
        connect: Callable[[], Transport],
        *,
        signal: Signal,
        delay_s: float = 5.0,
        batch_items: int = 512,
        max_request_bytes: int = 3_670_016,
        timeout_s: float = 10.0,
        encode: Callable[[Sequence[Entry]], bytes] = request,
        shorten: Shorten | None = None,
        upkeep: Sequence[Callable[[], object]] = (),
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
    ) -> None:
        """Build it; nothing runs yet.

        *connect* makes a connection: each sending thread has its own, a few are kept. An item waits *delay_s* for others, if they
        are fewer than *batch_items*; those of one request have *max_request_bytes* in sum, and *timeout_s* is for one request
        from its beginning to its answer. *encode* makes a request of items, *shorten* an item smaller. *upkeep* is called about
        once a second by a thread of the delivery, before the store's own `tend`.
        """
        self._store = store
        self._batch_items = batch_items
        self._plan = Plan(
            store,
            connect,
            signal,
            delay_s,
            batch_items,
            max_request_bytes,
            timeout_s,
            encode,
            shorten or _shortening(signal),
            tuple(upkeep),
            clock,
            random or Random(),  # noqa: S311 - waits are to differ, nothing is secret
        )
        self._workers = Workers(self._plan)
        self._fresh = 0
        self._open = [True]
        call_in_children(self._after_fork)

    @property
    def signal(self) -> Signal:
        """What the items are."""
        return self._plan.signal

    @property
    def refused(self) -> bool:
        """Whether the server knows no such signal, so that what is put now is dropped."""
        return self._workers.sending.refused

    def put(self, origin: Origin, items: Sequence[bytes]) -> None:
        """Keep *items* until they are delivered. With a disk, they are on it when this returns."""
        workers = self._workers
        if workers.sending.refused:
            workers.turn_away(len(items), REFUSED)
            return
        try:
            self._store.put(origin, items)
        except Exception as error:  # noqa: BLE001 - a store raises nothing; if it does, the application must not know
            workers.fault("the store", error)
            return
        self._fresh += len(items)  # two threads may count one for both: the delay is there for it
        if not workers.running:
            workers.start()
        if self._fresh >= self._batch_items:
            self._fresh = 0
            workers.start()
            workers.wake()

    def turn_away(self, items: int, reason: str) -> None:
        """Count *items* that could not even be put, by *reason*."""
        self._workers.turn_away(items, reason)

    def start(self) -> None:
        """Start to deliver what other processes have left: without it, the first `put` does."""
        self._workers.start()
        self._workers.wake()

    def flush(self, timeout_s: float) -> bool:
        """Deliver now what has been put, and wait for it, but no longer than *timeout_s*.

        A wait of our own after a failure is ended by it; one that the collector has asked for is not. It returns at once when
        that is longer, or when the collector's answer says that only a person can help: a wrong key, a wrong address.

        Returns: Whether everything that was put before is settled: delivered, refused by the collector for good, or given up
            because it knows no such signal; False if some of it waits, or had to make room.
        """
        return self._workers.flush(timeout_s)

    def shutdown(self, timeout_s: float) -> bool:
        """Flush and end, within *timeout_s* in total; a second call does nothing.

        What is not delivered stays on disk for the next process; what is in memory is lost, which is counted and logged.

        Returns: Whether nothing was left.
        """
        workers = self._workers
        try:
            self._open.pop()  # no lock: a signal's handler may be the second one
        except IndexError:
            return workers.ledger().waiting == 0
        deadline_s = self._plan.clock() + timeout_s
        flushed = workers.flush(timeout_s)
        workers.stop(deadline_s - self._plan.clock())
        workers.close()
        return flushed

    def ledger(self) -> Ledger:
        """Return what became of everything: exact if nothing is being put or sent."""
        return self._workers.ledger()

    def _after_fork(self) -> None:
        self._workers.abandon()
        self._store.after_fork()
        self._fresh = 0
        self._workers = Workers(self._plan)
        self._workers.over = not self._open


def _shortening(signal: Signal) -> Shorten:
    def shortened(item: bytes, max_bytes: int) -> bytes | None:
        from otel_callbacks.export.wire.shortening import shorten  # noqa: PLC0415 - rare, and it imports much

        return shorten(item, max_bytes, signal)

    return shortened
