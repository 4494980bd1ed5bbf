"""What one handler was told: what to take down, what to hide, whom to ask, and whether its own faults may be heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otel_callbacks.core.patience import USUAL, Patience
from otel_callbacks.core.redact import Redactor
from otel_callbacks.core.sink import Content, Observer
from otel_callbacks.core.values import DEFAULT_MAX_LENGTH
from otel_callbacks.core.view import Mapper


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One handler's settings. Compared by identity: two handlers with equal settings are still two.

    Attributes:
        capture_errors: Record messages and stack traces of exceptions, not their types alone.
        redactors: Applied in order to every string from the application.
        patience: How long they may take in one run.
        mappers: Called at a run's end with the run and its attributes.
        content: Takes down messages, arguments, results and documents; None: nothing of them is looked at.
        observers: Told of every run that this handler started, after its span.
        max_length: Characters of one attribute value.
        raise_errors: Let this package's own faults reach the application; for its developers.
    """

    capture_errors: bool = True
    redactors: Sequence[Redactor] = ()
    patience: Patience = USUAL
    mappers: Sequence[Mapper] = ()
    content: Content | None = None
    observers: Sequence[Observer] = ()
    max_length: int = DEFAULT_MAX_LENGTH
    raise_errors: bool = False
