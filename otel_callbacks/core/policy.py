"""What one handler was told: what to take down, what to hide, whom to ask, and whether its own faults may be heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from otel_callbacks import semconv
from otel_callbacks.core.redact import (
    Redactor,
    are_clean,
    bounded,
    in_bytes,
    redact,
    remember,
    secrets,
    without_secrets,
)
from otel_callbacks.core.sink import Content, Observer
from otel_callbacks.core.values import CUT, DEFAULT_MAX_LENGTH, AttributeValue, unique
from otel_callbacks.core.view import Mapper

# Values out of our own tables, which no redactor needs to see and none may break.
_VOCABULARY: Final = frozenset(
    {
        semconv.OPERATION_NAME,
        semconv.PROVIDER_NAME,
        semconv.RUN_ID,
        semconv.RUN_PARENT_ID,
        semconv.RUN_KIND,
        semconv.RUN_OUTCOME,
        semconv.RUN_END_REASON,
        semconv.TOOL_TYPE,
        semconv.ERROR_TYPE,
    }
)


_TEXTUAL: Final = frozenset({str, tuple, bytes})
_PREFIX: Final = len(semconv.METADATA_PREFIX)
_IDS: Final = frozenset({semconv.RUN_ID, semconv.RUN_PARENT_ID})


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One handler's settings. Compared by identity: two handlers with equal settings are still two.

    Attributes:
        capture_errors: Record messages and stack traces of exceptions, not their types alone.
        redactors: Applied in order to every string from the application.
        mappers: Called at a run's end with the run and its attributes.
        content: Takes down messages, arguments, results and documents; None: nothing of them is looked at.
        observers: Told of every run that this handler started, after its span.
        max_length: Characters of one attribute value.
        raise_errors: Let this package's own faults reach the application; for its developers.
    """

    capture_errors: bool = True
    redactors: Sequence[Redactor] = ()
    mappers: Sequence[Mapper] = ()
    content: Content | None = None
    observers: Sequence[Observer] = ()
    max_length: int = DEFAULT_MAX_LENGTH
    raise_errors: bool = False

    def error_text(self, text: str, limit: int) -> str:
        """Return at most *limit* characters of an error's text as it may leave: model clients quote keys and URLs in theirs."""
        found, left_out = bounded(text, limit, self.redactors)
        return found + CUT.format(left_out) if left_out else found

    def described(self, attributes: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
        """Return the *attributes* of a start without secrets, and redacted; the same dict if there is nothing to hide.

        The first ones are the run's ids. Most values have been seen before.
        """
        ids = 2 if semconv.RUN_PARENT_ID in attributes else 1
        if not self.redactors and are_clean(islice(attributes.values(), ids, None)):
            return attributes
        found = {
            name: value if name in _VOCABULARY else without_secrets(value)
            for name, value in attributes.items()
        }
        remember(value for name, value in found.items() if value is attributes[name] and name not in _IDS)
        return self.redacted(found) if self.redactors or found != attributes else attributes

    def noted(self, attributes: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
        """Return the *attributes* of a span event without secrets, and redacted."""
        return {name: self._redacted(without_secrets(value)) for name, value in attributes.items()}

    def name(self, name: str) -> str:
        """Return a run's name without secrets, and redacted."""
        return redact(secrets(name), self.redactors)

    def redacted(self, attributes: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
        """Return *attributes* with every string from the application redacted; the same dict if there is no redactor."""
        if not self.redactors:
            return attributes
        found: dict[str, AttributeValue] = {}
        for name, value in attributes.items():
            key = name
            if name[:_PREFIX] == semconv.METADATA_PREFIX:
                key = self._key(name)
                key = name if key == name else unique(key, found)
            found[key] = value if name in _VOCABULARY else self._redacted(value)
        return found

    def finished(self, attributes: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
        """Return the *attributes* of an end without secrets, and redacted; the same dict if there is nothing to hide."""
        hidden = {
            name: found
            for name, value in attributes.items()
            if type(value) in _TEXTUAL and (found := without_secrets(value)) is not value
        }
        return self.redacted({**attributes, **hidden} if hidden else attributes)

    def _key(self, name: str) -> str:
        """Return an attribute's name with the application's part of it redacted: data is kept by e-mail address."""
        return semconv.METADATA_PREFIX + redact(name[_PREFIX:], self.redactors)

    def _redacted(self, value: AttributeValue) -> AttributeValue:
        if type(value) is str:
            return redact(value, self.redactors)
        if type(value) is tuple:
            items: tuple[Any, ...] = value  # pyright: ignore[reportUnknownVariableType] # of anything
            return tuple([redact(item, self.redactors) if type(item) is str else item for item in items])
        if type(value) is bytes:
            return in_bytes(lambda text: redact(text, self.redactors), value)
        return value
