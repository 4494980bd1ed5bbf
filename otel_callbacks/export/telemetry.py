"""What ``configure()`` returns: the exporters that run, how to flush them, how to end them.

Rules for this file: no call takes longer than it was told, whatever a collector does; the SDK's own timeouts are not kept
(its issues 4555 and 4568), so the waiting is done here. Nothing raises into the application. A forked child that
`multiprocessing` ends by ``os._exit`` is flushed all the same.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import metrics as metrics_api

from otel_callbacks.core.shield import class_name
from otel_callbacks.export.children import call_in_children
from otel_callbacks.export.delivery import meters
from otel_callbacks.otel.observers import is_real

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import TracerProvider

    from otel_callbacks.export.delivery.ledger import Ledger
    from otel_callbacks.export.fanout import Fanout
    from otel_callbacks.export.guard import GuardedExporter
    from otel_callbacks.export.outlets import Outlet
    from otel_callbacks.export.parts import Part
    from otel_callbacks.settings import Signal

TIMEOUT_S: Final = 5.0
NOTHING: Final = "nothing is exported"
_SHARE: Final = 0.9  # of a timeout, for delivering; the rest is for closing files and ending threads

_logger = logging.getLogger(__name__)


class Telemetry:
    """Running exporters. A context manager: leaving it is :meth:`shutdown`.

    ``on_shutdown`` are functions that are called first of all at a shutdown, for example to end what is still open; what they
    end is exported.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider,
        fanout: Fanout | None = None,
        receivers: Sequence[SpanProcessor] = (),
        parts: Sequence[Part] = (),
        *,
        outlets: Mapping[Signal, Outlet] | None = None,
        exporters: Sequence[GuardedExporter] = (),
        description: str = NOTHING,
        release: Callable[[], object] = lambda: None,
        exit_timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.on_shutdown: list[Callable[[], object]] = []
        self._provider = tracer_provider
        self._fanout = fanout
        self._receivers = tuple(receivers)
        self._parts = tuple(parts)
        self._outlets = dict(outlets or {})
        self._exporters = tuple(exporters)
        self._description = description
        self._release = release
        self._exit_timeout_s = exit_timeout_s
        self._lock = threading.RLock()  # a signal's handler may end what is just being ended
        self._ended = threading.Event()
        self._active = fanout is not None
        self._finalizer: Any = None
        """In a child of `multiprocessing`."""

    def start(self) -> None:
        """Begin to receive; end by itself when the interpreter exits."""
        if self._fanout:
            self._fanout.members = self._receivers
            for part in self._parts:
                part.start()
            self._fanout.flush, self._fanout.close = self.force_flush, self._exit
            atexit.register(self._exit)
            process: Any = sys.modules.get("multiprocessing.process")
            if process is not None and process.parent_process() is not None:
                self._in_multiprocessing()
            call_in_children(self._in_child)

    def replace(self, former: Telemetry) -> None:
        """Take over from *former*, and end it: everything new comes here already, so that nothing falls in between."""
        # Not called now: what is open goes on, and will be exported by this one.
        self.on_shutdown, former.on_shutdown = former.on_shutdown, []
        for signal, outlet in self._outlets.items():
            if signal in former._outlets:
                outlet.follow(former._outlets[signal])
        former.shutdown()

    def show(self) -> None:
        """Make metrics of what becomes of everything, from now on: the figures of those before no longer change."""
        if self._outlets and is_real(provider := metrics_api.get_meter_provider()):
            meters.show(provider, {signal: outlet.delivery for signal, outlet in self._outlets.items()})

    def _exit(self) -> None:
        self.shutdown(self._exit_timeout_s)

    def _in_child(self) -> None:
        """See that a child of `multiprocessing`, which runs no exit handlers, calls its own."""
        # Threads of the parent may have held them.
        self._lock, self._ended = threading.RLock(), threading.Event()
        if not self._active:
            self._ended.set()  # if the parent is just ending it: its thread is not here, and would be waited for in vain
        util: Any = sys.modules.get("multiprocessing.util")
        if util is not None and self._active:
            # It forgets whatever was registered before the fork, and calls this when it has done so.
            util.register_after_fork(self, Telemetry._in_multiprocessing)

    def _in_multiprocessing(self) -> None:
        from multiprocessing import util  # noqa: PLC0415 - it is there already

        self._finalizer = util.Finalize(None, self._exit, exitpriority=0)

    @property
    def tracer_provider(self) -> TracerProvider:
        """The provider whose spans are exported: the application's own if it had set one."""
        return self._provider

    @property
    def description(self) -> str:
        """Where telemetry goes, without the secrets of addresses; ``NOTHING`` if nowhere."""
        return self._description

    @property
    def active(self) -> bool:
        """Whether spans are exported: not if the SDK is disabled, nor after a shutdown."""
        return self._active

    def stats(self) -> dict[Signal, Ledger]:
        """Return what became of everything that goes to a collector, by signal: exact if nothing is under way."""
        return {signal: outlet.delivery.ledger() for signal, outlet in self._outlets.items()}

    def force_flush(self, timeout_s: float = TIMEOUT_S) -> bool:
        """Export what has ended, and wait.

        Returns: Whether everything that was flushed reached its receiver in time.
        """
        if not self._active:
            return True
        before = self._failures()
        share_s = timeout_s * _SHARE
        flushed = _within(timeout_s, [partial(part.force_flush, share_s) for part in self._parts])
        return flushed and self._failures() == before

    def shutdown(self, timeout_s: float = TIMEOUT_S) -> None:
        """Call ``on_shutdown``, flush, and end our processors; the provider and others' processors stay as they are.

        What a collector does not take in time waits in the spool for the next process, or is lost, with a warning. A second call
        does nothing but wait for the first.
        """
        with self._lock:
            first, self._active = self._active, False
        if self._fanout is None:
            return
        if not first:
            self._ended.wait(timeout_s)
            return
        try:
            self._shutdown(self._fanout, timeout_s)
        finally:
            self._ended.set()

    def _shutdown(self, fanout: Fanout, timeout_s: float) -> None:
        for call in self.on_shutdown:
            try:
                call()
            except Exception as error:  # noqa: BLE001  (the exporters must be ended all the same)
                _logger.warning("A function of on_shutdown failed: %s.", class_name(error))
        before = self._failures()
        if fanout.close == self._exit:  # else another one has taken over
            fanout.members, fanout.flush, fanout.close = (), None, None
        atexit.unregister(self._exit)
        if self._finalizer is not None:
            self._finalizer.cancel()
        share_s = timeout_s * _SHARE
        done = _within(timeout_s, [partial(part.shutdown, share_s) for part in self._parts])
        if not done or self._failures() > before:
            _logger.warning("Not everything was delivered at the shutdown, within %s s.", timeout_s)
        self._release()

    def _failures(self) -> int:
        return sum(exporter.failures for exporter in self._exporters)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()

    def __repr__(self) -> str:
        return f"<Telemetry: {self._description}{'' if self._active or not self._fanout else ', shut down'}>"


def _within(timeout_s: float, calls: Sequence[Callable[[], object]]) -> bool:
    """Make *calls* beside each other; return whether all came to their end in time and none answered False or raised."""
    results: list[bool] = []

    def make(call: Callable[[], object]) -> None:
        try:
            results.append(call() is not False)
        except Exception as error:  # noqa: BLE001  (telemetry never reaches the application)
            _logger.warning("An exporter failed: %s.", class_name(error))
            results.append(False)

    threads: list[threading.Thread] = []
    for call in calls:
        # Daemons: one that hangs must not keep the interpreter from its exit.
        thread = threading.Thread(target=make, args=(call,), name="otel-callbacks-flush", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is going and starts no more threads
            make(call)
        else:
            threads.append(thread)
    deadline_s = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))
    return len(results) == len(calls) and all(results)
