"""From a handler's arguments and its environment to its content policy.

Rules for this file: an argument is stronger than a variable, our variable than OpenTelemetry's; where no content is wanted and
no hook is named there is no policy, and nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

from otel_callbacks import parsing
from otel_callbacks.core.content import FIELDS, Capture, Limits, Where
from otel_callbacks.errors import ConfigurationError
from otel_callbacks.otel.completion_hook import completion_hook
from otel_callbacks.settings import Settings


def where(asked: bool | str | None, settings: Settings) -> Where:
    """Return where content goes.

    Args:
        asked: A handler's ``capture_content``: None is as the environment says; True as well, or spans if it says nothing.
        settings: The environment's.

    Raises: ConfigurationError: *asked* is a text that is no mode.
    """
    said = Where(settings.capture_content or settings.genai_content)
    if asked is None:
        return said
    if isinstance(asked, str):
        try:
            return Where(parsing.content(asked.strip()))
        except ValueError:
            raise ConfigurationError(
                f"capture_content={asked[:80]!r} is not allowed. Allowed: {parsing.ANY_CONTENT_MODE}."
            ) from None
    if not asked:
        return Where.NO_CONTENT
    return Where.SPAN_ONLY if said is Where.NO_CONTENT else said


def limits(settings: Settings) -> Limits:
    """Return how much is said: never more in one attribute than the SDK keeps, which would cut the JSON."""
    longest = (settings.max_content_bytes, settings.max_attribute_bytes, settings.sdk_value_length)
    return Limits(
        string=settings.max_value_length,
        attribute=min(limit for limit in longest if limit is not None),
        span=settings.max_content_bytes,
    )


def longest_value(provider: object) -> int | None:
    """Return where the SDK's *provider* cuts attributes, as code may have told it; None if it does not, or is another's."""
    found = getattr(getattr(provider, "_span_limits", None), "max_span_attribute_length", None)
    return found if type(found) is int else None


def allowed(asked: Sequence[str] | None, settings: Settings) -> Sequence[str]:
    """Return which fields of content may be looked at: a handler's ``content_fields``, else the environment's, else all.

    Raises: ConfigurationError: one that is *asked* for does not exist.
    """
    if asked is None:
        return tuple(FIELDS) if settings.content_fields is None else settings.content_fields
    names = asked.split(",") if isinstance(asked, str) else asked
    found = [str(name).strip().lower() for name in names]
    for name in found:
        if name not in FIELDS:
            raise ConfigurationError(
                f"content_fields={name[:80]!r} is not allowed. Allowed: {', '.join(parsing.CONTENT_FIELDS)}."
            )
    return found


def content_policy(
    asked: bool | str | None,
    settings: Settings,
    fields: Sequence[str] | None = None,
) -> Capture | None:
    """Return the policy; None if nothing is to be taken down."""
    wanted, names = where(asked, settings), allowed(fields, settings)
    hook = completion_hook(settings.completion_hook) if settings.completion_hook else None
    if wanted is Where.NO_CONTENT and hook is None:
        return None
    return Capture(wanted, limits(settings), hook, names)
