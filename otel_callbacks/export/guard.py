"""What stands between the SDK's processors and an exporter of theirs: its exceptions stop here, and its failures are counted.

Rules for this file: for the SDK, exporters of all signals are alike: what has ``export``, ``force_flush`` and ``shutdown``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_callbacks.core.shield import class_name

if TYPE_CHECKING:
    from collections.abc import Sequence

_logger = logging.getLogger(__name__)


class GuardedExporter(SpanExporter):
    """Hands everything to *exporter*: a terminal's, a file's."""

    failures: int
    """Batches that were not taken, since the start."""

    def __init__(self, exporter: Any) -> None:
        self.failures = 0
        self._exporter = exporter

    def export(self, spans: Sequence[Any], **options: Any) -> Any:
        """Export a batch of any signal, and count a failure."""
        try:
            result = self._exporter.export(spans, **options)
        except Exception as error:  # noqa: BLE001  (the message may hold what was exported: the type is enough)
            _logger.warning("%s failed: %s.", class_name(self._exporter), class_name(error))
            result = SpanExportResult.FAILURE
        # Each signal's result is an enumeration of its own, alike in its names.
        self.failures += result.name != SpanExportResult.SUCCESS.name
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002  (the SDK's signature)
        """Nothing is held back."""
        return True

    def shutdown(self) -> None:
        """Shut down the exporter."""
        self._exporter.shutdown()
