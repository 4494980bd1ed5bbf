"""Our one place in a tracer provider: a span processor whose members can be put in and taken out.

Rules for this file: the SDK cannot remove a processor, so each provider gets one of these, once, and ``configure()`` fills it
again and again without leaving dead processors behind. A member that raises harms neither the application nor the next member.
"""

from __future__ import annotations

import logging
import threading
import weakref
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from otel_callbacks.core.shield import class_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

_logger = logging.getLogger(__name__)


class Fanout(SpanProcessor):
    """Hands every span to its members, in order; ``flush`` and ``close`` hear of the provider's own."""

    def __init__(self) -> None:
        self.members: tuple[SpanProcessor, ...] = ()
        """Replaced, never changed: a span that is being handed round sees the old ones or the new ones."""
        self.flush: Callable[[float], bool] | None = None
        self.close: Callable[[], object] | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Hand on a span that started."""
        self._hand_on("on_start", span, parent_context)

    def _on_ending(self, span: Span) -> None:
        self._hand_on(
            "_on_ending", span
        )  # newer SDKs call it, and a processor of the application's may need it

    def on_end(self, span: ReadableSpan) -> None:
        """Hand on a span that ended."""
        self._hand_on("on_end", span)

    def _hand_on(self, event: str, *arguments: object) -> None:
        for member in self.members:
            try:
                if method := getattr(member, event, None):
                    method(*arguments)
            except Exception as error:  # noqa: BLE001  (telemetry never reaches the application)
                _logger.warning("%s failed on a span: %s.", class_name(member), class_name(error))

    def shutdown(self) -> None:
        """Shut down the members: the provider is going."""
        if self.close:
            self.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the members."""
        return self.flush is None or self.flush(timeout_millis / 1000)


_installed: Final[weakref.WeakKeyDictionary[TracerProvider, Fanout]] = weakref.WeakKeyDictionary()
_lock: Final = threading.Lock()


def fanout_of(provider: TracerProvider) -> Fanout:
    """Return the fan-out in *provider*, which is added to it at the first call."""
    with _lock:
        if provider not in _installed:
            fanout = _installed[provider] = Fanout()
            provider.add_span_processor(fanout)
        return _installed[provider]
