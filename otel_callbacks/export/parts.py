"""The parts of a running `Telemetry`: how each is started, flushed and ended.

Rules for this file: a part is told how long it may take; what keeps no time by itself (the SDK's processors) is waited for by
the caller, beside the others. Nothing raises that the caller does not catch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

    from otel_callbacks.export.outlets import Outlet


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
