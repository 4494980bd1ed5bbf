"""The ledgers as metrics: what became of everything, and how much waits.

Rules for this file: a meter provider's instruments are made once; a count never falls, whoever delivers after whom.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from otel_callbacks import semconv
from otel_callbacks.otel.kept import Kept
from otel_callbacks.version import version

if TYPE_CHECKING:
    from otel_callbacks.export.delivery.delivery import Delivery
    from otel_callbacks.settings import Signal

_OUTCOMES: Final = ("accepted", "adopted", "delivered", "rejected", "dead")


class Meters:
    """The instruments of one provider, and whose ledgers they show: one delivery a signal."""

    def __init__(self, provider: MeterProvider) -> None:
        self._current: dict[Signal, Delivery] = {}
        self._past: Counter[tuple[Signal, str, str]] = Counter()
        self._shown = self._past
        meter = provider.get_meter(semconv.SCOPE_NAME, version())
        made, wait = semconv.DELIVERED_ITEMS, semconv.WAITING_ITEMS
        meter.create_observable_counter(made.name, [self._items], made.unit, made.description)
        meter.create_observable_up_down_counter(wait.name, [self._waiting], wait.unit, wait.description)

    def show(self, deliveries: Mapping[Signal, Delivery]) -> None:
        """Show *deliveries* from now on; those of the same signals before them have ended."""
        for signal, delivery in deliveries.items():
            former = self._current.get(signal)
            if former is not None:
                self._past.update(_figures(signal, former))
            self._current[signal] = delivery

    def after_fork(self) -> None:
        """Go on from what was shown last, as all counters do in a forked child: its ledgers begin at 0."""
        self._past = self._shown  # no ledger is asked: another thread of the parent may hold its lock

    def _items(self, _options: CallbackOptions) -> Iterator[Observation]:
        total = Counter(self._past)
        for signal, delivery in list(self._current.items()):
            total.update(_figures(signal, delivery))
        self._shown = total
        for (signal, outcome, reason), count in total.items():
            said = {semconv.HEALTH_SIGNAL: signal, semconv.HEALTH_OUTCOME: outcome}
            if count:
                yield Observation(count, {**said, semconv.HEALTH_REASON: reason} if reason else said)

    def _waiting(self, _options: CallbackOptions) -> Iterator[Observation]:
        for signal, delivery in list(self._current.items()):
            ledger = delivery.ledger()
            for place, count in (("disk", ledger.on_disk), ("memory", ledger.in_memory)):
                yield Observation(count, {semconv.HEALTH_SIGNAL: signal, semconv.HEALTH_PLACE: place})


_locks: Final = [threading.RLock()]  # a garbage collection inside may come back here
_meters: Final[Kept[Meters]] = Kept()


def show(provider: MeterProvider, deliveries: Mapping[Signal, Delivery]) -> None:
    """Show the ledgers of *deliveries* as metrics of *provider* from now on."""
    with _locks[-1]:
        meters = _meters.of(provider) or _meters.keep(provider, Meters(provider))
        meters.show(deliveries)


def _figures(signal: Signal, delivery: Delivery) -> dict[tuple[Signal, str, str], int]:
    """Return the figures of a ledger by signal, outcome and reason."""
    ledger = delivery.ledger()
    figures: dict[tuple[Signal, str, str], int] = {
        (signal, outcome, ""): getattr(ledger, outcome) for outcome in _OUTCOMES
    }
    for reason, count in ledger.dropped.items():
        figures[signal, "dropped", reason] = count
    return figures


def _after_fork() -> None:
    _locks[:] = [threading.RLock()]
    for meters in _meters.things():
        meters.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch  (Windows does not fork)
    os.register_at_fork(after_in_child=_after_fork)
