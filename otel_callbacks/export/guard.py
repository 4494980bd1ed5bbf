"""What stands between the SDK's processors and an exporter: built when first used, once per process, and counted.

Rules for this file: an exporter's exception stops here. An exporter that was built before a fork is not used after it, and not
closed either: a gRPC channel that is inherited may hang, and closing a shared connection harms the parent. A backend that takes
traces only is told of metrics and log events once, and then left in peace.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_callbacks.export.masking import EXPORTERS_LOGGERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_callbacks.settings import Signal

_NOUNS: Final[dict[Signal, str]] = {"traces": "spans", "metrics": "metrics", "logs": "log events"}
# What the exporters log of a backend that does not know a path or a method: HTTP's codes, gRPC's.
_REFUSAL: Final = re.compile(r"code: (?:404|405|501|StatusCode\.UNIMPLEMENTED)\b")

_logger = logging.getLogger(__name__)


class GuardedExporter(SpanExporter):
    """An exporter of one signal that is built by *build* at the first export in each process.

    For the SDK, exporters of all signals are alike: what has `export`, `force_flush` and `shutdown`.
    """

    failures: int
    """Batches that were not delivered, since the start."""
    refused: bool
    """The backend takes traces, but not this signal: nothing more is sent to it."""

    def __init__(self, build: Callable[[], Any], signal: Signal = "traces") -> None:
        self.failures = 0
        self.refused = False
        self.failing = False
        self.signal: Signal = signal
        self._build = build
        self._built: list[
            tuple[int, Any]
        ] = []  # by process; inherited ones are kept, so that nothing closes them
        if signal != "traces":
            for name in EXPORTERS_LOGGERS:
                filters = logging.getLogger(name).filters
                if _unheard not in filters:
                    filters.insert(
                        0, _unheard
                    )  # the exporters' own ones pass over what they have said before

    def export(self, spans: Sequence[Any], **options: Any) -> Any:
        """Export a batch of the signal, and count a failure."""
        if self._is_refused():
            return SpanExportResult.SUCCESS
        _exporting.guard = self
        try:
            result = self._exporter().export(spans, **options)
        except Exception as error:  # noqa: BLE001  (the message may hold an address with a key: the type is enough)
            count = "" if self.signal == "metrics" else f"{len(spans)} "
            _logger.warning(
                "%s%s could not be exported: %s.", count, _NOUNS[self.signal], type(error).__name__
            )
            result = SpanExportResult.FAILURE
        finally:
            _exporting.guard = None
        # Each signal's result is an enumeration of its own, alike in its names.
        self.failing = result.name != SpanExportResult.SUCCESS.name
        if self._is_refused():  # by now: the filter below has heard it
            _logger.warning(
                "The backend takes no %s: no more are sent to it. OTEL_%s_EXPORTER=none says so beforehand.",
                _NOUNS[self.signal],
                self.signal.upper(),
            )
        elif self.failing:
            self.failures += 1
        return result

    def _is_refused(self) -> bool:
        return self.refused

    def _exporter(self) -> Any:
        pid = os.getpid()
        if not self._built or self._built[-1][0] != pid:
            self._built.append((pid, self._build()))  # no lock: the processor exports one batch at a time
        return self._built[-1][1]

    def preferences(self) -> tuple[Any, Any]:
        """Return the temporality and the aggregation that an exporter of metrics wants, by instrument."""
        exporter = self._exporter()
        return exporter._preferred_temporality, exporter._preferred_aggregation  # noqa: SLF001  (as the SDK's reader)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002  (the SDK's signature)
        """Nothing is held back."""
        return True

    def shutdown(self) -> None:
        """Shut down what this process built."""
        if self._built and self._built[-1][0] == os.getpid():
            self._built[-1][1].shutdown()


class _Exporting(threading.local):
    guard: GuardedExporter | None = None


class _Unheard(logging.Filter):
    """Takes out what the exporters say of metrics and log events while our guard exports them: a refusal, and repetitions."""

    def filter(self, record: logging.LogRecord) -> bool:
        guard = _exporting.guard
        if guard is None or guard.signal == "traces":
            return True
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001  (a wrong format is the logger's own to report)
            return True
        if _REFUSAL.search(text):
            guard.refused = True
            return False
        return not guard.failing


_exporting: Final = _Exporting()
_unheard: Final = _Unheard()
