"""The parts of a running `Telemetry`: how each is started, flushed and ended.

Rules for this file: a part is told how long it may take; what keeps no time by itself (the SDK's processors) is waited for by
the caller, beside the others. Nothing raises that the caller does not catch.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import SpanProcessor

    from otel_callbacks.export.outlets import Outlet
    from otel_callbacks.export.providers import LogFanout, Switch


class Part(Protocol):
    """What a `Telemetry` starts, flushes and ends."""

    def start(self) -> None:
        """Begin to receive."""
        ...

    def force_flush(self, timeout_s: float) -> bool:
        """Export what there is; return whether it arrived."""
        ...

    def shutdown(self, timeout_s: float) -> None:
        """Export what there is, and end."""
        ...


class ProcessorPart:
    """A span processor of the SDK's kind: the application's own, the terminal's, the file's."""

    def __init__(self, processor: SpanProcessor) -> None:
        self._processor = processor

    def start(self) -> None:
        """Do nothing: the fan-out hands it its spans."""

    def force_flush(self, timeout_s: float) -> bool:
        """Flush it."""
        # The SDK's own batch processor says True whatever comes of it (its issue 4568).
        return self._processor.force_flush(int(timeout_s * 1000)) is not False

    def shutdown(self, timeout_s: float) -> None:  # noqa: ARG002  (the SDK's processors are not told)
        """End it."""
        self._processor.shutdown()


class OutletPart:
    """Where one signal goes, by a delivery of ours."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    def start(self) -> None:
        """Deliver what others have left."""
        self._outlet.start()

    def force_flush(self, timeout_s: float) -> bool:
        """Deliver what there is."""
        return self._outlet.delivery.flush(timeout_s)

    def shutdown(self, timeout_s: float) -> None:
        """Deliver what there is; the rest waits on disk, or is lost, which is counted."""
        self._outlet.shutdown(timeout_s)


class MetricsPart:
    """The metrics: collected first, then delivered."""

    def __init__(
        self,
        reader: PeriodicExportingMetricReader,
        switch: Switch,
        members: Sequence[Any],
        below: Sequence[Part],
    ) -> None:
        self._reader, self._switch = reader, switch
        self._members, self._below = tuple(members), tuple(below)

    def start(self) -> None:
        """Begin to export."""
        self._switch.members = self._members
        for part in self._below:
            part.start()

    def force_flush(self, timeout_s: float) -> bool:
        """Collect, and export."""
        deadline_s = time.monotonic() + timeout_s
        collected = self._reader.force_flush(timeout_s * 1000)
        flushed = [part.force_flush(max(0.0, deadline_s - time.monotonic())) for part in self._below]
        return collected and False not in flushed

    def shutdown(self, timeout_s: float) -> None:
        """Collect and export a last time."""
        deadline_s = time.monotonic() + timeout_s
        if self._switch.members is self._members:  # else another part has taken over, and collects
            self._reader.force_flush(timeout_s * 1000)
            self._switch.members = ()
        for part in self._below:
            part.shutdown(max(0.0, deadline_s - time.monotonic()))


class LogsPart:
    """The log events."""

    def __init__(self, fanout: LogFanout, members: Sequence[Any], below: Sequence[Part]) -> None:
        self._fanout, self._members, self._below = fanout, tuple(members), tuple(below)

    def start(self) -> None:
        """Begin to receive."""
        self._fanout.members = self._members
        for part in self._below:
            part.start()

    def force_flush(self, timeout_s: float) -> bool:
        """Export what was received."""
        flushed = [part.force_flush(timeout_s) for part in self._below]
        return False not in flushed

    def shutdown(self, timeout_s: float) -> None:
        """Export what was received, and end."""
        if self._fanout.members is self._members:  # else another part has taken over
            self._fanout.members = ()
        for part in self._below:
            part.shutdown(timeout_s)
