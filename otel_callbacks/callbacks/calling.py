"""Handlers get an event: what they are called with, and what becomes of their failures.

Rules for this file: handlers' methods are called here and nowhere else. Each gets a list of tags and a dict of metadata
of its own. A failure is logged without the exception's message, which may quote a prompt.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from otel_callbacks.callbacks.names import class_name, plain
from otel_callbacks.callbacks.types import conversation_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_callbacks.callbacks.roster import Call, Handler

_logger = logging.getLogger("otel_callbacks.callbacks")

Occasion: TypeAlias = (
    "tuple[tuple[Any, ...], dict[str, Any], tuple[str, ...] | None, Mapping[str, Any] | None]"
)
"""One event in one run: what every handler's method is called with by position and by keyword; the tags and the metadata, if
there are any, of which each gets a copy. Only one thread at a time may ``tell`` of it."""

Row: TypeAlias = "tuple[Handler, ...]"
"""A roster's handlers, where calls find theirs."""

Failures: TypeAlias = "list[BaseException]"
"""What has to reach the caller."""


class Pending(NamedTuple):
    """A call that returned a coroutine, and the calls that come after it."""

    call: Call
    result: Coroutine[Any, Any, Any]
    rest: tuple[Call, ...]


def tell(calls: tuple[Call, ...], row: Row, occasion: Occasion, failures: Failures) -> Pending | None:
    """Make *calls*, one after another, as far as nothing has to be awaited; return what has to, None when all are made."""
    args, kwargs, tags, metadata = occasion
    for call in calls:
        handler = row[call.place]
        try:
            if call.asks and any(getattr(handler, switch) for switch in call.asks):
                continue
            if tags is not None:
                kwargs["tags"] = [*tags]
            if metadata is not None:
                kwargs["metadata"] = {**metadata}
            given = _as_prompts(*args) if call.as_prompt else args
            result = getattr(handler, call.name)(*given, **kwargs)
        except NotImplementedError as error:
            if call.fallback is None:
                failed(call, handler, error, failures)
            else:
                instead = tell(call.fallback, row, occasion, failures)
                if instead is not None:
                    return instead._replace(rest=_after(call, calls))
        except BaseException as error:  # noqa: BLE001 - collected: the others get their event first
            failed(call, handler, error, failures)
        else:
            if result is not None and isinstance(result, Coroutine):
                return Pending(call, result, _after(call, calls))
    return None


def _after(call: Call, calls: tuple[Call, ...]) -> tuple[Call, ...]:
    return calls[calls.index(call) + 1 :]


def _as_prompts(serialized: Any, conversations: Any, *rest: Any) -> tuple[Any, ...]:
    return serialized, [conversation_text(messages) for messages in conversations], *rest


def told_apart(occasion: Occasion) -> Occasion:
    """Return *occasion* for another thread."""
    args, kwargs, tags, metadata = occasion
    return args, kwargs.copy(), tags, metadata


def occasion_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Occasion:
    """Return the event that these arguments, ``tags`` and ``metadata`` among them perhaps, tell of."""
    return args, kwargs, kwargs.get("tags"), kwargs.get("metadata")


async def finish(pending: Pending, row: Row, occasion: Occasion, failures: Failures) -> None:
    """Await the coroutine of *pending*, not the rest."""
    call = pending.call
    try:
        await pending.result
    except NotImplementedError as error:
        if call.fallback is None:
            failed(call, row[call.place], error, failures)
            return
    except BaseException as error:  # noqa: BLE001 - collected: the others get their event first
        failed(call, row[call.place], error, failures)
        return
    else:
        return
    instead = tell(call.fallback, row, occasion, failures)
    if instead is not None:
        await finish(instead, row, occasion, failures)


def failed(call: Call, handler: Handler, error: BaseException, failures: Failures) -> None:
    """Log *error* if it is the handler's own, and note it if it has to reach the caller."""
    if not isinstance(error, Exception):
        failures.append(error)
        return
    _logger.warning("%s in %s.%s (%s)", class_name(error), class_name(handler), call.name, _place(error))
    # NotImplementedError is a handler's way to say that it has nothing for an event, whatever else it raises.
    if getattr(handler, "raise_error", False) and not isinstance(error, NotImplementedError):
        failures.append(error)


def _place(error: BaseException) -> str:
    """Return the module and line that raised: what a developer needs, and nothing that the handler was told."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return plain(place)
