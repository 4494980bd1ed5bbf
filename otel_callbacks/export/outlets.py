"""Where one signal goes by OTLP: its store, its delivery, its journal, built from settings.

Rules for this file: what is wrong raises before anything runs. A destination's name says nothing of its address or its keys, so
that it may stand on disk, and a new key is the same destination.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from otel_callbacks.export.delivery.delivery import Delivery
from otel_callbacks.export.delivery.processors import LogDelivery, MetricDelivery, SpanDelivery
from otel_callbacks.export.masking import without_secrets
from otel_callbacks.export.spool.journal import Journal
from otel_callbacks.export.spool.memory import MemoryStore
from otel_callbacks.export.spool.recovery import recover
from otel_callbacks.export.spool.store import SpoolStore
from otel_callbacks.export.transport.addresses import endpoint_of
from otel_callbacks.export.transport.connect import transports

if TYPE_CHECKING:
    from otel_callbacks.settings import Settings, Signal

_RECOVER_EVERY: Final = 5  # upkeeps, of about a second each


class Outlet:
    """The way of one signal."""

    def __init__(self, settings: Settings, signal: Signal, *, any_destination: bool = False) -> None:
        """Build it. Raises: ConfigurationError."""
        self._exit_timeout_s = settings.exit_timeout_s
        self._spooled: SpoolStore | None = None
        self._journal: Journal | None = None
        self._beats = 0
        connect = transports(settings, signal)
        if settings.spool_dir is None:
            store: SpoolStore | MemoryStore = MemoryStore(
                max_bytes=settings.memory_max_bytes, max_items=settings.queue_items
            )
        else:
            store = self._spooled = SpoolStore(
                directory=settings.spool_dir,
                signal=signal,
                destination=destination_of(settings, signal),
                max_bytes=settings.spool_max_bytes,
                fsync=settings.spool_fsync,
                memory_max_bytes=settings.memory_max_bytes,
                any_destination=any_destination,
            )
            if signal == "traces":
                self._journal = Journal(store.directory, store.destination, fsync=settings.spool_fsync)
        self.delivery = Delivery(
            store,
            connect,
            signal=signal,
            delay_s=settings.batch_delay_ms / 1000,
            batch_items=min(settings.batch_items, settings.queue_items or settings.batch_items),
            max_request_bytes=settings.max_request_bytes,
            timeout_s=settings.timeout_s,
            upkeep=() if self._journal is None else (self._upkeep,),
        )

    @property
    def destination(self) -> str:
        """The name of where it goes; empty without a spool."""
        return self._spooled.destination if self._spooled is not None else ""

    @property
    def has_recovered(self) -> bool:
        """Whether the journals that dead processes have left were looked for; where there are none, they need not be."""
        return self._journal is None or self._beats > 0

    @property
    def journal(self) -> Journal | None:
        """What keeps the spans that are open, if there is a spool."""
        return self._journal

    def receiver(self) -> Any:
        """Return what stands in the signal's provider, or in the place of its exporter."""
        signal = self.delivery.signal
        if signal == "traces":
            return SpanDelivery(self.delivery, self._journal, self._exit_timeout_s)
        return (MetricDelivery if signal == "metrics" else LogDelivery)(self.delivery, self._exit_timeout_s)

    def start(self) -> None:
        """Deliver what dead processes have left, now and later; without a spool there is nothing to start."""
        if self._spooled is not None:
            self.delivery.start()

    def follow(self, former: Outlet) -> None:
        """Take over the open spans of *former*, which is about to end."""
        if self._journal is not None and former.journal is not None:
            for span in former.journal.open_spans():
                self._journal.begin(span)
                if span.end_time is not None:  # meanwhile: nobody would tell this journal
                    self._journal.end(span)

    def shutdown(self, timeout_s: float) -> None:
        """Deliver what there is in time, and end."""
        self.delivery.shutdown(timeout_s)
        if self._journal is not None:
            self._journal.close()

    def _upkeep(self) -> None:
        journal, store = self._journal, self._spooled
        assert journal is not None  # noqa: S101  (both are there, or this is not called)
        assert store is not None  # noqa: S101
        journal.refresh()
        if self._beats % _RECOVER_EVERY == 0:
            recover(store.directory, None if store.any_destination else store.destination, store.put)
        self._beats += 1


def destination_of(settings: Settings, signal: Signal) -> str:
    """Return the name of where a signal goes: the same for the same address, whatever keys it holds."""
    address = f"{settings.protocol} {without_secrets(endpoint_of(settings, signal))}"
    return sha256(address.encode()).hexdigest()[:12]
