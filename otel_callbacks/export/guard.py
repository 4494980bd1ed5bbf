"""What stands between the SDK's processors and an exporter: built when first used, once per process, and counted.

Rules for this file: an exporter's exception stops here. An exporter that was built before a fork is not used after it, and not
closed either: a gRPC channel that is inherited may hang, and closing a shared connection harms the parent.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

_logger = logging.getLogger(__name__)


class GuardedExporter(SpanExporter):
    """An exporter that is built by *build* at the first export in each process."""

    failures: int
    """Batches that were not delivered, since the start."""

    def __init__(self, build: Callable[[], SpanExporter]) -> None:
        self.failures = 0
        self._build = build
        self._built: list[
            tuple[int, SpanExporter]
        ] = []  # by process; inherited ones are kept, so that nothing closes them

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, and count a failure."""
        try:
            result = self._exporter().export(spans)
        except Exception as error:  # noqa: BLE001  (the message may hold an address with a key: the type is enough)
            _logger.warning("%d spans could not be exported: %s.", len(spans), type(error).__name__)
            result = SpanExportResult.FAILURE
        if result is not SpanExportResult.SUCCESS:
            self.failures += 1
        return result

    def _exporter(self) -> SpanExporter:
        pid = os.getpid()
        if not self._built or self._built[-1][0] != pid:
            self._built.append((pid, self._build()))  # no lock: the processor exports one batch at a time
        return self._built[-1][1]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002  (the SDK's signature)
        """Nothing is held back."""
        return True

    def shutdown(self) -> None:
        """Shut down what this process built."""
        if self._built and self._built[-1][0] == os.getpid():
            self._built[-1][1].shutdown()
