"""What ``configure()`` returns: the exporters that run, how to flush them, how to end them.

Rules for this file: no call takes longer than it was told, whatever a collector does; the SDK's own timeouts are not kept
(its issues 4555 and 4568), so the waiting is done here. Nothing raises into the application.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import TracerProvider

    from otel_callbacks.export.fanout import Fanout
    from otel_callbacks.export.guard import GuardedExporter
    from otel_callbacks.export.providers import Part

TIMEOUT_S: Final = 5.0
NOTHING: Final = "nothing is exported"

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
        processors: Sequence[SpanProcessor] = (),
        exporters: Sequence[GuardedExporter] = (),
        description: str = NOTHING,
        release: Callable[[], object] = lambda: None,
        parts: Sequence[Part] = (),
    ) -> None:
        self.on_shutdown: list[Callable[[], object]] = []
        self._provider = tracer_provider
        self._fanout = fanout
        self._processors = tuple(processors)
        self._exporters = tuple(exporters)
        self._members: tuple[SpanProcessor | Part, ...] = (*self._processors, *parts)
        self._parts = tuple(parts)
        self._description = description
        self._release = release
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._active = fanout is not None

    def start(self) -> None:
        """Begin to receive; end by itself when the interpreter exits."""
        if self._fanout:
            self._fanout.members = self._processors
            for part in self._parts:
                part.start()
            self._fanout.flush, self._fanout.close = self.force_flush, self.shutdown
            atexit.register(self.shutdown)

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

    def force_flush(self, timeout_s: float = TIMEOUT_S) -> bool:
        """Export what has ended, and wait.

        Returns: Whether everything that was flushed reached its receiver in time.
        """
        if not self._active:
            return True
        before = self._failures()
        flushed = _within(timeout_s, [member.force_flush for member in self._members])
        return flushed and self._failures() == before

    def shutdown(self, timeout_s: float = TIMEOUT_S) -> None:
        """Call ``on_shutdown``, flush, and end our processors; the provider and others' processors stay as they are.

        Spans that a collector does not take in time are lost, with a warning. A second call does nothing but wait for the first.
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
                _logger.warning("A function of on_shutdown failed: %s.", type(error).__name__)
        before = self._failures()
        fanout.members, fanout.flush, fanout.close = (), None, None
        atexit.unregister(self.shutdown)
        done = _within(timeout_s, [member.shutdown for member in self._members])
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
            _logger.warning("An exporter failed: %s.", type(error).__name__)
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
