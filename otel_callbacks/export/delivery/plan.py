"""What a delivery works with, from its store to its clock: chosen once, for every process that has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from otel_callbacks.export.delivery.trial import Shorten
from otel_callbacks.export.items import Entry, Store, Transport
from otel_callbacks.settings import Signal


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a delivery works with."""

    store: Store
    connect: Callable[[], Transport]
    signal: Signal
    delay_s: float
    batch_items: int
    max_request_bytes: int
    timeout_s: float
    encode: Callable[[Sequence[Entry]], bytes]
    shorten: Shorten
    upkeep: Sequence[Callable[[], object]]
    clock: Callable[[], float]
    random: Random
