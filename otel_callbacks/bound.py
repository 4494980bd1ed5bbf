"""What both handlers are beside their events: settings, bound to a provider's engine at the first run.

Rules for this file: nothing that the engine's shield does not cover may raise into a dispatcher.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, Self
from uuid import UUID

from opentelemetry._logs import LoggerProvider
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from otel_callbacks import plugins
from otel_callbacks.callbacks.base import BaseCallbackHandler
from otel_callbacks.core import frameworks
from otel_callbacks.core.content import Capture
from otel_callbacks.core.engine import Engine
from otel_callbacks.core.events import RunKind
from otel_callbacks.core.patience import Patience
from otel_callbacks.core.policy import Policy
from otel_callbacks.core.redact import Redactor
from otel_callbacks.core.shield import Shield
from otel_callbacks.core.tasks import AWAITED
from otel_callbacks.core.values import AttributeValue
from otel_callbacks.core.view import Mapper
from otel_callbacks.otel import prices
from otel_callbacks.otel.capture import content_policy, longest_value
from otel_callbacks.otel.engines import engine_of, global_provider
from otel_callbacks.otel.observers import observers_of
from otel_callbacks.otel.traces import hex_trace_id
from otel_callbacks.redactors import named
from otel_callbacks.settings import Settings

logger = logging.getLogger("otel_callbacks")

# Who dispatches is told by the calling frames and by nothing else; every CPython has this function.
_frame: Final = sys._getframe  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
_shield: Final = Shield()


class BoundHandler(BaseCallbackHandler):
    """A handler's settings and its engine. The methods with an underscore are for the events."""

    run_inline = True
    foreign_bases: ClassVar[tuple[tuple[str, str], ...]] = (
        *BaseCallbackHandler.foreign_bases,
        ("langgraph.callbacks", "GraphCallbackHandler"),  # only its instances are told of interrupts
    )

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
        *,
        capture_content: bool | str | None = None,
        content_fields: Sequence[str] | None = None,
        capture_errors: bool | None = None,
        redactors: Sequence[Redactor] = (),
        mappers: Sequence[Mapper] = (),
        raise_errors: bool = False,
    ) -> None:
        settings = Settings.lenient(os.environ)
        redactors = (*(one for one in named(settings.redactors or ()) if one not in redactors), *redactors)
        chosen = plugins.before(settings.mappers, mappers, logger.warning)
        self._policy = Policy(
            capture_errors=settings.capture_errors if capture_errors is None else capture_errors,
            redactors=redactors,
            patience=Patience(settings.redaction_budget_ms * 1_000_000),
            content=content_policy(capture_content, settings, content_fields),
            mappers=prices.before(chosen) if settings.cost else chosen,
            max_length=settings.max_value_length,
            raise_errors=raise_errors,
        )
        self._bound: Engine | None = None
        self._providers = (tracer_provider, meter_provider, logger_provider)
        self._details = settings.emit_event
        # Reentrant: a garbage collection inside may close a generator, whose run ends here.
        self._binding = threading.RLock()
        # ``raise_error`` is how dispatchers ask a handler whether its exceptions may pass.
        self.raise_error = raise_errors

    def _engine(self) -> Engine | None:
        """Return the engine; None as long as the application has no provider, and then nothing is kept.

        The first event of a run binds the handler to it, and to those who observe: from then on, the policy is the same one.
        """
        if self._bound is None:
            engine = self._known()
            if engine is not None:
                self._bind(engine)
        return self._bound

    def _known(self) -> Engine | None:
        """Return the engine, if there is one by now, without being bound to it."""
        if self._bound is not None:
            return self._bound
        try:
            provider = self._providers[0] or global_provider()
            return engine_of(provider) if provider is not None else None
        except Exception as fault:  # noqa: BLE001 - a provider of somebody else's: the application must not suffer
            _shield.fault("provider", fault, reraise=self._policy.raise_errors)
            return None

    def _bind(self, engine: Engine) -> None:
        with self._binding:
            if self._bound is not None:
                return
            policy = self._policy
            if type(policy.content) is Capture:
                policy.content.fit(longest_value(self._providers[0] or global_provider()))
            try:
                observers = observers_of(
                    engine, *self._providers[1:], details=self._details, redactors=policy.redactors
                )
            except Exception as fault:  # noqa: BLE001 - as above; the spans are to come all the same
                observers = ()
                _shield.fault("observers", fault, reraise=policy.raise_errors)
            if observers:
                self._policy = replace(policy, observers=observers)
            self._bound, self._providers = engine, (None, None, None)

    def trace_id(self, run_id: UUID | str) -> str | None:
        """Return the trace of an open or lately ended run as 32 hex digits, for a link into a backend; None if unknown."""
        engine = self._known()
        return hex_trace_id(engine.span_of(run_id)) if engine is not None else None

    @property
    def open_runs(self) -> int:
        """How many runs of the provider are open, whichever handler reported them."""
        engine = self._known()
        return engine.open_count if engine is not None else 0

    # -- for the events ------------------------------------------------------------------------------------------------

    def _start(
        self,
        kind: RunKind,
        given: object,
        run_id: object,
        parent_run_id: object,
        serialized: object,
        tags: object,
        metadata: object,
        extra: dict[str, Any],
    ) -> None:
        engine = self._bound or self._engine()
        if engine is None:
            return
        event = _frame(1)
        caller, name = event.f_back, event.f_code.co_name
        while caller is not None and caller.f_code.co_name in (name, AWAITED):  # overridden, with super()
            caller = caller.f_back
        framework = caller is not None and frameworks.is_dispatcher(caller.f_globals.get("__name__"))
        engine.start(
            kind,
            self._policy,
            run_id,
            parent_run_id,
            serialized,
            tags,
            metadata,
            extra,
            framework=framework,
            given=given,
        )

    def _end(
        self, kind: RunKind, run_id: object, parent_run_id: object, output: object, given: object = None
    ) -> None:
        engine = self._bound or self._engine()
        if engine is not None:
            engine.end(kind, self._policy, run_id, parent_run_id, output, given=given)

    def _fail(
        self,
        kind: RunKind,
        run_id: object,
        parent_run_id: object,
        error: object,
        partial: object = None,
        given: object = None,
    ) -> None:
        engine = self._bound or self._engine()
        if engine is not None:
            engine.fail(kind, self._policy, run_id, parent_run_id, error, partial, given=given)

    def _note(self, run_id: object, name: str, attributes: dict[str, AttributeValue]) -> None:
        engine = self._bound or self._engine()
        if engine is not None:
            engine.note(self._policy, run_id, name, attributes)

    # -- copies --------------------------------------------------------------------------------------------------------

    def __copy__(self) -> Self:
        """Return the handler itself: it has no state of its own but its settings."""
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        """Return the handler itself, as checkpointers copy what they find in a configuration."""
        return self

    def __reduce_ex__(self, _protocol: Any, /) -> Any:
        """Pickle the settings; a provider stays behind, and the copy uses its own process's global one."""
        policy = self._policy
        content = policy.content
        where = content.where.value if isinstance(content, Capture) else False
        fields = tuple(sorted(content.fields)) if isinstance(content, Capture) else None
        return (
            _restored,
            (type(self), where, fields, policy.capture_errors, policy.redactors, policy.mappers, policy.raise_errors),
        )  # fmt: skip


def _restored(
    cls: type[BoundHandler],
    capture_content: bool | str,
    content_fields: Sequence[str] | None,
    capture_errors: bool,
    redactors: Sequence[Redactor],
    mappers: Sequence[Mapper],
    raise_errors: bool,
) -> BoundHandler:
    return cls(
        capture_content=capture_content,
        content_fields=content_fields,
        capture_errors=capture_errors,
        redactors=redactors,
        mappers=mappers,
        raise_errors=raise_errors,
    )
