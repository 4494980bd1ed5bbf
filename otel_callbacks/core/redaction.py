"""What a run's span says, with what must not leave taken out: attributes, names, errors.

Rules for this file: secrets first, then the run's own redactors; where there is nothing to hide, what is given is returned, the
same object.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from otel_callbacks.core.values import CUT, AttributeValue, unique

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


def error_text(text: str, limit: int, redactors: Sequence[Redactor]) -> str:
    """Return at most *limit* characters of an error's text as it may leave: model clients quote keys and URLs in theirs."""
    found, left_out = bounded(text, limit, redactors)
    return found + CUT.format(left_out) if left_out else found


def described(
    attributes: dict[str, AttributeValue], redactors: Sequence[Redactor]
) -> dict[str, AttributeValue]:
    """Return the *attributes* of a start without secrets, and redacted; the same dict if there is nothing to hide.

    The first ones are the run's ids. Most values have been seen before.
    """
    ids = 2 if semconv.RUN_PARENT_ID in attributes else 1
    if not redactors and are_clean(islice(attributes.values(), ids, None)):
        return attributes
    found = {
        name: value if name in _VOCABULARY else without_secrets(value) for name, value in attributes.items()
    }
    remember(value for name, value in found.items() if value is attributes[name] and name not in _IDS)
    return redacted(found, redactors) if redactors or found != attributes else attributes


def noted(attributes: dict[str, AttributeValue], redactors: Sequence[Redactor]) -> dict[str, AttributeValue]:
    """Return the *attributes* of a span event without secrets, and redacted."""
    return {name: _redacted(without_secrets(value), redactors) for name, value in attributes.items()}


def name(name: str, redactors: Sequence[Redactor]) -> str:
    """Return a run's name without secrets, and redacted."""
    return redact(secrets(name), redactors)


def redacted(
    attributes: dict[str, AttributeValue], redactors: Sequence[Redactor]
) -> dict[str, AttributeValue]:
    """Return *attributes* with every string from the application redacted; the same dict if there is no redactor."""
    if not redactors:
        return attributes
    found: dict[str, AttributeValue] = {}
    for name, value in attributes.items():
        key = name
        if name[:_PREFIX] == semconv.METADATA_PREFIX:
            # The application's part of it: data is kept by e-mail address.
            key = semconv.METADATA_PREFIX + redact(name[_PREFIX:], redactors)
            key = name if key == name else unique(key, found)
        found[key] = value if name in _VOCABULARY else _redacted(value, redactors)
    return found


def finished(
    attributes: dict[str, AttributeValue], redactors: Sequence[Redactor]
) -> dict[str, AttributeValue]:
    """Return the *attributes* of an end without secrets, and redacted; the same dict if there is nothing to hide."""
    hidden = {
        name: found
        for name, value in attributes.items()
        if type(value) in _TEXTUAL and (found := without_secrets(value)) is not value
    }
    return redacted({**attributes, **hidden} if hidden else attributes, redactors)


def _redacted(value: AttributeValue, redactors: Sequence[Redactor]) -> AttributeValue:
    if type(value) is str:
        return redact(value, redactors)
    if type(value) is tuple:
        items: tuple[Any, ...] = value  # pyright: ignore[reportUnknownVariableType] # of anything
        return tuple([redact(item, redactors) if type(item) is str else item for item in items])
    if type(value) is bytes:
        return in_bytes(lambda text: redact(text, redactors), value)
    return value
