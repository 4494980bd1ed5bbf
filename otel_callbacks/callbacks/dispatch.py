"""Dispatch: every handler gets every event that it wants, in its own way, and no handler can spoil another's.

Rules for this file:

- ``run_inline`` handlers come first, in order, in the caller's own thread and context; then the others: in a
  synchronous run in the same thread, in an asynchronous one concurrently, a synchronous one in a thread with a copy of
  the context. The call returns when all have had the event.
- A coroutine that a method returns, ``async def`` or not, is awaited in both worlds.
- A handler that raises is logged. With ``raise_error`` the exception reaches the caller too, but only after every other
  handler has had the event; exceptions that are not ``Exception`` always do. A start that raises is taken back: who saw
  it gets the error event.
- Cancellation does not keep the last event of a run from anybody.
- Tasks, threads and shields are made only for what has to wait.
"""

from __future__ import annotations

from collections.abc import Coroutine
from contextvars import copy_context
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from otel_callbacks.callbacks import blocking
from otel_callbacks.callbacks.calling import (
    Failures,
    Occasion,
    Pending,
    finish,
    occasion_of,
    tell,
    told_apart,
)
from otel_callbacks.callbacks.events import EVENTS, Event
from otel_callbacks.callbacks.roster import Handler, Roster
from otel_callbacks.callbacks.waiting import in_thread, shielded, together, within

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_callbacks.callbacks.roster import Call, Plan

_NAMES: Final = 64  # events of other frameworks that are sent by name; there are a few

Unreached: TypeAlias = "dict[int, tuple[Call, Occasion]]"
"""The calls that have not begun, each under a number of its own."""


def dispatch(plan: Plan, roster: Roster, event: Event, occasions: Sequence[Occasion]) -> None:
    """Send *event*, in as many runs as there are *occasions*, from synchronous code.

    Args:
        plan: The calls that *roster* makes for *event*.
        roster: The handlers; all of them are told when a start has to be taken back.
        event: What happened.
        occasions: In which runs, and what goes with it.

    Raises:
        BaseException: What a handler with ``raise_error`` raised, or anything that is not an ``Exception``.
    """
    failures: Failures = []
    waiting: list[Coroutine[Any, Any, None]] = []
    for occasion in occasions:
        _go_on(tell(plan.in_order, roster.row, occasion, failures), roster, occasion, waiting, failures)
    if waiting or failures:
        _settle(roster, event, occasions, waiting, failures)


def go_on(
    pending: Pending | None, roster: Roster, event: Event, occasion: Occasion, failures: Failures
) -> None:
    """Do the rest of a ``dispatch`` in one run whose calls were made as far as *pending*."""
    waiting: list[Coroutine[Any, Any, None]] = []
    _go_on(pending, roster, occasion, waiting, failures)
    _settle(roster, event, (occasion,), waiting, failures)


def _go_on(
    pending: Pending | None,
    roster: Roster,
    occasion: Occasion,
    waiting: list[Coroutine[Any, Any, None]],
    failures: Failures,
) -> None:
    while pending is not None:
        waiting.append(finish(pending, roster.row, occasion, failures))
        pending = tell(pending.rest, roster.row, occasion, failures)


def _settle(
    roster: Roster,
    event: Event,
    occasions: Sequence[Occasion],
    waiting: Sequence[Coroutine[Any, Any, None]],
    failures: Failures,
) -> None:
    """Wait for what has to be awaited; take back a start that failed, and raise."""
    if waiting:
        try:
            blocking.run(waiting)
        except BaseException as error:  # noqa: BLE001 - the wait itself was interrupted
            failures.insert(0, error)  # before the cancellations that it caused
    if failures:
        for undoing in _undoing(event, occasions, roster, {}, _gravest(failures)):
            try:
                dispatch(*undoing)
            except BaseException as error:  # noqa: BLE001 - that the start failed comes first
                failures.append(error)
        try:
            raise _gravest(failures)
        finally:
            failures.clear()  # which the exception's own frames hold: prompts would live until the garbage collector comes


async def adispatch(plan: Plan, roster: Roster, event: Event, occasions: Sequence[Occasion]) -> None:
    """Send *event*, in as many runs as there are *occasions*, from a coroutine; the arguments are those of ``dispatch``.

    Raises:
        BaseException: As ``dispatch``, and CancelledError when the caller was cancelled meanwhile.
    """
    failures: Failures = []
    for occasion in occasions:
        await _ago_on(tell(plan.inline, roster.row, occasion, failures), roster, event, occasion, failures)
    await _asettle(plan, roster, event, occasions, failures)


async def ago_on(
    pending: Pending | None,
    plan: Plan,
    roster: Roster,
    event: Event,
    occasion: Occasion,
    failures: Failures,
) -> None:
    """Do the rest of an ``adispatch`` in one run whose inline calls were made as far as *pending*."""
    if pending is not None:
        await _ago_on(pending, roster, event, occasion, failures)
    await _asettle(plan, roster, event, (occasion,), failures)


async def _ago_on(
    pending: Pending | None, roster: Roster, event: Event, occasion: Occasion, failures: Failures
) -> None:
    while pending is not None:
        finishing = finish(pending, roster.row, occasion, failures)
        try:
            await (shielded(finishing) if event.closes else finishing)
        except BaseException as error:  # noqa: BLE001 - the caller was cancelled; the others get their event first
            failures.append(error)
        pending = tell(pending.rest, roster.row, occasion, failures)


async def _asettle(
    plan: Plan, roster: Roster, event: Event, occasions: Sequence[Occasion], failures: Failures
) -> None:
    """Make the calls of those who are not inline; take back a start that failed, and raise."""
    unreached: Unreached = {}
    if plan.others:
        try:
            await _concurrently(plan.others, roster, event, occasions, unreached, failures)
        except BaseException as error:  # noqa: BLE001 - the caller was cancelled; the undoing comes first
            failures.insert(0, error)  # as above
    if failures:
        for undoing in _undoing(event, occasions, roster, unreached, _gravest(failures)):
            try:
                await adispatch(*undoing)
            except BaseException as error:  # noqa: BLE001 - as above
                failures.append(error)
        try:
            raise _gravest(failures)
        finally:
            failures.clear()  # as above


def handle_event(
    handlers: Iterable[Handler], event_name: str, ignore_condition_name: str | None, *args: Any, **kwargs: Any
) -> None:
    """Send an event of any name to *handlers* that do not switch it off, from synchronous code."""
    event = _named(event_name, ignore_condition_name)
    roster = Roster(handlers)
    plan = roster.plans[event]
    if plan is not None:
        dispatch(plan, roster, event, (occasion_of(args, kwargs),))


async def ahandle_event(
    handlers: Iterable[Handler], event_name: str, ignore_condition_name: str | None, *args: Any, **kwargs: Any
) -> None:
    """Send an event of any name to *handlers* that do not switch it off, from a coroutine."""
    event = _named(event_name, ignore_condition_name)
    roster = Roster(handlers)
    plan = roster.plans[event]
    if plan is not None:
        await adispatch(plan, roster, event, (occasion_of(args, kwargs),))


@lru_cache(_NAMES)
def _named(name: str, ignore: str | None) -> Event:
    known = EVENTS.get(name)
    if known is None:
        return Event(name, ignore)
    # A start sent by hand is not taken back: whose run it is, and what ends it, is known to the sender only.
    return Event(name, ignore, closes=known.closes, fallback=known.fallback)


# -- those who are waited for --------------------------------------------------------------------------------------------


async def _concurrently(
    calls: tuple[Call, ...],
    roster: Roster,
    event: Event,
    occasions: Sequence[Occasion],
    unreached: Unreached,
    failures: Failures,
) -> None:
    """Make all *calls* at once; a single one is awaited where we are, without a task, unless it must be shielded."""
    if len(calls) == len(occasions) == 1:
        job = _perform(calls[0], roster, occasions[0], failures)
        await (shielded(job) if event.closes else within(copy_context(), job))
        return
    unreached.update(enumerate((call, occasion) for occasion in occasions for call in calls))
    jobs = together([_begin(unreached, number, roster, failures) for number in unreached])
    await (shielded(jobs) if event.closes else jobs)


async def _begin(unreached: Unreached, number: int, roster: Roster, failures: Failures) -> None:
    call, occasion = unreached.pop(
        number
    )  # a task that is cancelled before its first step does not come here
    await _perform(call, roster, occasion, failures)


async def _perform(call: Call, roster: Roster, occasion: Occasion, failures: Failures) -> None:
    """Make one call of those that wait for nobody."""
    try:
        if call.is_coroutine:
            pending = tell((call,), roster.row, occasion, failures)
        else:
            pending = await in_thread(tell, (call,), roster.row, told_apart(occasion), failures)
        if pending is not None:
            await finish(pending, roster.row, occasion, failures)
    except BaseException as error:  # noqa: BLE001 - the caller was cancelled
        failures.append(error)


# -- failures ------------------------------------------------------------------------------------------------------------


def _gravest(failures: Failures) -> BaseException:
    """Return what the caller must know first: cancellation and interrupts before handlers' errors."""
    return next((failure for failure in failures if not isinstance(failure, Exception)), failures[0])


def _undoing(
    event: Event, occasions: Sequence[Occasion], roster: Roster, unreached: Unreached, reason: BaseException
) -> Iterable[tuple[Plan, Roster, Event, Sequence[Occasion]]]:
    """Yield what closes each run of a start that did not succeed, for those who saw the start."""
    if event.undo is None:
        return
    for occasion in occasions:
        strangers = {call.place for call, missed in unreached.values() if missed is occasion}
        witnesses = Roster(handler for place, handler in enumerate(roster.row) if place not in strangers)
        plan = witnesses.plans[event.undo]
        if plan is not None:
            _, kwargs, tags, _ = occasion
            about = {key: kwargs[key] for key in ("run_id", "parent_run_id")}
            yield plan, witnesses, event.undo, (((reason,), about, tags, None),)
