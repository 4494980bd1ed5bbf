"""The case of the journal: what it costs that a run is on disk from its start, where its end is on disk anyway.

Rules for this file: both write to a spool of their own, in a folder that goes with the process; nobody sends what is in it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from benchmarks.cases import Case
from benchmarks.gate import Goal
from benchmarks.recording import Recording
from benchmarks.targets import replay
from otel_callbacks import OTelCallbackHandler
from otel_callbacks.export.spool.journal import Journal
from otel_callbacks.export.spool.store import SpoolStore
from otel_callbacks.export.wire.origins import origin_of
from otel_callbacks.export.wire.spans import span_item

_ROOM_BYTES: Final = 32 << 20  # what is older makes room, as it does where a collector is away for long
_folders: Final[list[tempfile.TemporaryDirectory[str]]] = []


class Spooling(SpanProcessor):
    """Does with a span what the delivery does on the caller's thread."""

    def __init__(self, *, journal: bool) -> None:
        _folders.append(tempfile.TemporaryDirectory(prefix="benchmark-spool-"))
        folder = Path(_folders[-1].name)
        self._store = SpoolStore(
            directory=folder, signal="traces", destination="none", max_bytes=_ROOM_BYTES, fsync="never"
        )
        self._journal = Journal(self._store.directory, "none", fsync="never") if journal else None

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        """Have the journal note a span."""
        del parent_context
        if self._journal is not None:
            self._journal.begin(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Write a span to the spool."""
        self._store.put(origin_of(span.resource, span.instrumentation_scope), (span_item(span),))
        if self._journal is not None:
            self._journal.end(span)


def _handler(*, journal: bool) -> OTelCallbackHandler:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Spooling(journal=journal))
    return OTelCallbackHandler(provider)


def journalled(recording: Recording) -> tuple[Case, ...]:
    """Return the case: the same callbacks with a spool, and with or without a journal."""
    return (
        Case(
            "8 callbacks, spool and journal",
            replay(recording, _handler(journal=True)),
            "the same without the journal",
            replay(recording, _handler(journal=False)),
            Goal(final=1.10),
        ),
    )
