"""A span exporter that appends to a file: one OTLP/JSON request per line.

Rules for this file: a line is written by one call, so that processes may share the file; nothing raises out of ``export``. A
trace may hold what people said, so the file is made for its owner alone.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_callbacks.core.shield import class_name
from otel_callbacks.export.otlp_json import request_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

MODE: Final = 0o600

_logger = logging.getLogger(__name__)


class JsonLinesExporter(SpanExporter):
    """Appends every batch to *path* as one line, in the form of a collector's ``file`` exporter."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._descriptor: int | None = None
        self._lock = threading.Lock()
        self._torn = False
        self._warned = False

    def open(self) -> None:
        """Open the file now, to know at start-up that it can be written. Raises: OSError."""
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._descriptor = os.open(self._path, flags, MODE)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append *spans*; FAILURE if they could not be written, with one warning until it works again."""
        try:
            line = f"{request_json(spans)}\n".encode()
            with self._lock:
                self.open()
                self._append(line)
        except Exception as error:  # noqa: BLE001  (full, read-only, gone: the application goes on)
            if not self._warned:
                self._warned = True
                reason = error.strerror if isinstance(error, OSError) else None
                _logger.warning(
                    "Spans could not be written to %r: %s.", self._path[:200], reason or class_name(error)
                )
            return SpanExportResult.FAILURE
        self._warned = False
        return SpanExportResult.SUCCESS

    def _append(self, line: bytes) -> None:
        assert self._descriptor is not None  # noqa: S101  (opened by the caller)
        if self._torn:  # a disk that was full left half a line: it must not take the next one with it
            line = b"\n" + line
        written = 0
        while written < len(line):
            self._torn = True
            written += os.write(self._descriptor, line[written:])
        self._torn = False

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002  (the SDK's signature)
        """Nothing is held back."""
        return True

    def shutdown(self) -> None:
        """Close the file; a later export opens it again."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
