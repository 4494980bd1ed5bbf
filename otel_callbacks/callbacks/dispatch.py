"""Dispatch: every handler gets every event that it wants, in its own way, and no handler can spoil another's.

Rules for this file:

- ``run_inline`` handlers come first, in order, in the caller's own thread and context; then the others: in a
  synchronous run in the same thread, in an asynchronous one concurrently, a synchronous one in a thread with a copy of
  the context. The call returns when all have had the event.
- A coroutine that a method returns, ``async def`` or not, is awaited in both worlds.
- A handler that raises is logged, without the exception's message, which may quote a prompt. With ``raise_error`` the
  exception reaches the caller too, but only after every other handler has had the event; exceptions that are not
  ``Exception`` always do. A start that raises is taken back: who saw it gets the error event.
- Cancellation does not keep the last event of a run from anybody.
- Each handler gets a list of tags and a dict of metadata of its own.
- Handlers' methods are called in this module and nowhere else. Tasks, threads and shields are made only for what has
  to wait; asyncio is not even imported before.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from contextvars import copy_context
from types import coroutine
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from otel_callbacks.callbacks import blocking
from otel_callbacks.callbacks.events import EVENTS, Event
from otel_callbacks.callbacks.roster import Handler, Roster
from otel_callbacks.callbacks.types import conversation_text

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Generator, Iterable, Sequence

    from otel_callbacks.callbacks.roster import Call, Plan

T = TypeVar("T")

_logger = logging.getLogger("otel_callbacks.callbacks")


Occasion: TypeAlias = "tuple[tuple[Any, ...], dict[str, Any]]"
"""One event in one run: what every handler's method is called with, by position and by keyword."""

Failures: TypeAlias = "list[BaseException]"
"""What has to reach the caller."""

Unreached: TypeAlias = "dict[int, tuple[Call, Occasion]]"
"""The calls that have not begun, each under a number of its own."""


def dispatch(plan: Plan, roster: Roster, event: Event, occasions: Sequence[Occasion]) -> None:
    """Send *event*, in as many runs as there are *occasions*, from synchronous code.

    Args:
        plan: The calls that *roster* makes for *event*.
        roster: Who is to be told as well when a start has to be taken back.
        event: What happened.
        occasions: In which runs, and what goes with it.

    Raises:
        BaseException: What a handler with ``raise_error`` raised, or anything that is not an ``Exception``.
    """
    failures = _deliver(plan, occasions)
    if failures:
        for undo, closing in _undoing(event, occasions, _gravest(failures), roster, {}):
            failures += _beyond_errors(_deliver(undo, (closing,)))
        try:
            raise _gravest(failures)
        finally:
            failures.clear()  # which the exception's own frames hold: prompts would live until the garbage collector comes


async def adispatch(plan: Plan, roster: Roster, event: Event, occasions: Sequence[Occasion]) -> None:
    """Send *event*, in as many runs as there are *occasions*, from a coroutine; the arguments are those of ``dispatch``.

    Raises:
        BaseException: As ``dispatch``, and CancelledError when the caller was cancelled meanwhile.
    """
    unreached: Unreached = {}
    failures = await _adeliver(plan, occasions, unreached, shielded=event.closes)
    if failures:
        for undo, closing in _undoing(event, occasions, _gravest(failures), roster, unreached):
            failures += _beyond_errors(await _adeliver(undo, (closing,), {}, shielded=True))
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
    plan = roster.plan(event)
    if plan is not None:
        dispatch(plan, roster, event, ((args, kwargs),))


async def ahandle_event(
    handlers: Iterable[Handler], event_name: str, ignore_condition_name: str | None, *args: Any, **kwargs: Any
) -> None:
    """Send an event of any name to *handlers* that do not switch it off, from a coroutine."""
    event = _named(event_name, ignore_condition_name)
    roster = Roster(handlers)
    plan = roster.plan(event)
    if plan is not None:
        await adispatch(plan, roster, event, ((args, kwargs),))


def _named(name: str, ignore: str | None) -> Event:
    known = EVENTS.get(name)
    if known is None:
        return Event(name, ignore)
    # A start sent by hand is not taken back: whose run it is, and what ends it, is known to the sender only.
    return Event(name, ignore, closes=known.closes, fallback=known.fallback)


def _deliver(plan: Plan, occasions: Sequence[Occasion]) -> Failures:
    failures: Failures = []
    waiting: list[Coroutine[Any, Any, BaseException | None]] = []
    for calls in (plan.inline, plan.others):
        for occasion in occasions:
            for call in calls:
                try:
                    result = _call(call, occasion)
                except BaseException as error:  # noqa: BLE001 - collected: the others get their event first
                    _failed(call, error, failures)
                else:
                    if result is not None and isinstance(result, Coroutine):
                        waiting.append(_guarded(call, _finish, call, occasion, result))
    if waiting:
        try:
            failures += [failure for failure in blocking.run(waiting) if failure is not None]
        except BaseException as error:  # noqa: BLE001 - the wait itself was interrupted
            failures.append(error)
    return failures


async def _adeliver(
    plan: Plan, occasions: Sequence[Occasion], unreached: Unreached, *, shielded: bool
) -> Failures:
    failures: Failures = []
    for occasion in occasions:
        for call in plan.inline:
            try:
                result = _call(call, occasion)
                if result is not None and isinstance(result, Coroutine):
                    finished = _finish(call, occasion, result)
                    await (_shielded(finished) if shielded else finished)
            except BaseException as error:  # noqa: BLE001 - collected: the others get their event first
                _failed(call, error, failures)
    if plan.others:
        try:
            results = await _concurrently(plan.others, occasions, unreached, shielded=shielded)
            failures += [failure for failure in results if failure is not None]
        except BaseException as error:  # noqa: BLE001 - the caller was cancelled; the undoing comes first
            failures.append(error)
    return failures


async def _concurrently(
    calls: tuple[Call, ...], occasions: Sequence[Occasion], unreached: Unreached, *, shielded: bool
) -> Sequence[BaseException | None]:
    """Make all *calls* at once; a single one is awaited where we are, without a task, unless it must be shielded."""
    if len(calls) == len(occasions) == 1:
        job = _guarded(calls[0], _perform, calls[0], occasions[0])
        return (await (_shielded(job) if shielded else _in_copied_context(job)),)
    from asyncio import gather  # noqa: PLC0415 - see the rules above

    unreached.update(enumerate((call, occasion) for occasion in occasions for call in calls))
    jobs = gather(
        *(_guarded(call, _begin, unreached, n, call, occasion) for n, (call, occasion) in unreached.items())
    )
    results: Sequence[BaseException | None] = await (_shielded(jobs) if shielded else jobs)
    return results


@coroutine
def _in_copied_context(work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await *work* where we are, but keep what it sets in its context from the caller, as a task of its own would."""
    run, step, value = copy_context().run, work.send, None
    while True:
        try:
            awaited = run(step, value)
        except StopIteration as done:
            result: T = done.value
            return result
        try:
            step, value = work.send, (yield awaited)
        except BaseException as error:  # noqa: BLE001 - a cancellation is the work's to see
            step, value = work.throw, error


async def _guarded(
    call: Call, work: Callable[..., Coroutine[Any, Any, None]], *args: Any
) -> BaseException | None:
    """Do *work* for *call*; return what has to reach the caller."""
    failures: Failures = []
    try:
        await work(*args)
    except BaseException as error:  # noqa: BLE001 - collected: the others get their event first
        _failed(call, error, failures)
    return failures.pop() if failures else None


async def _begin(unreached: Unreached, number: int, call: Call, occasion: Occasion) -> None:
    del unreached[number]  # a task that is cancelled before its first step does not come here
    await _perform(call, occasion)


async def _perform(call: Call, occasion: Occasion) -> None:
    """Make one call of those that wait for nobody."""
    result = _call(call, occasion) if call.is_coroutine else await _in_thread(call, occasion)
    if result is not None and isinstance(result, Coroutine):
        await _finish(call, occasion, result)


async def _in_thread(call: Call, occasion: Occasion) -> Any:
    from asyncio import CancelledError, get_running_loop, shield, wait  # noqa: PLC0415 - see the rules above

    context = copy_context()
    future = get_running_loop().run_in_executor(None, lambda: context.run(_outcome, call, occasion))
    try:
        result, error = await shield(future)
    except CancelledError:
        # A thread cannot be cancelled, and the run's next event must not overtake this one.
        await wait((future,))
        raise
    if error is not None:
        raise error
    return result


def _outcome(call: Call, occasion: Occasion) -> tuple[Any, BaseException | None]:
    """Return an exception instead of raising it: some (StopIteration) a future cannot carry."""
    try:
        return _call(call, occasion), None
    except BaseException as error:  # noqa: BLE001 - raised again where the loop is
        return None, error


def _call(call: Call, occasion: Occasion) -> Any:
    """Call a handler's method: the only place that does."""
    handler = call.handler
    for switch in call.asks:
        if getattr(handler, switch):
            return None
    args, kwargs = occasion
    own = kwargs.copy()
    tags = own.get("tags")
    if tags is not None:
        own["tags"] = list(tags)
    metadata = own.get("metadata")
    if metadata is not None:
        own["metadata"] = dict(metadata)
    if call.as_prompt:
        serialized, conversations, *rest = args
        args = (serialized, [conversation_text(messages) for messages in conversations], *rest)
    if call.fallback is None:
        return call.method(*args, **own)
    try:
        return call.method(*args, **own)
    except NotImplementedError:
        return _call(call.fallback[0], occasion) if call.fallback else None


async def _finish(call: Call, occasion: Occasion, result: Any) -> None:
    """Await the coroutine that a method returned."""
    try:
        await result
    except NotImplementedError:
        if call.fallback is None:
            raise
        instead = _call(call.fallback[0], occasion) if call.fallback else None
        if isinstance(instead, Coroutine):
            await instead


def _failed(call: Call, error: BaseException, failures: Failures) -> None:
    """Log *error* if it is the handler's own, and note it if it has to reach the caller."""
    if not isinstance(error, Exception):
        failures.append(error)
        return
    _logger.warning(
        "%s in %s.%s (%s)", type(error).__name__, type(call.handler).__name__, call.name, _place(error)
    )
    if getattr(call.handler, "raise_error", False):
        failures.append(error)


def _place(error: BaseException) -> str:
    """Return the module and line that raised: what a developer needs, and nothing that the handler was told."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _beyond_errors(failures: Failures) -> Failures:
    return [failure for failure in failures if not isinstance(failure, Exception)]


def _gravest(failures: Failures) -> BaseException:
    """Return what the caller must know first: cancellation and interrupts before handlers' errors."""
    return (_beyond_errors(failures) or failures)[0]


def _undoing(
    event: Event, occasions: Sequence[Occasion], reason: BaseException, roster: Roster, unreached: Unreached
) -> Iterable[tuple[Plan, Occasion]]:
    """Yield what closes each run of a start that did not succeed, for those who saw the start."""
    if event.undo is None:
        return
    for occasion in occasions:
        strangers = {id(call.handler) for call, missed in unreached.values() if missed is occasion}
        plan = Roster(handler for handler in roster if id(handler) not in strangers).plan(event.undo)
        if plan is not None:
            yield plan, ((reason,), {key: occasion[1][key] for key in _OF_EVERY_EVENT})


_OF_EVERY_EVENT: Final = ("run_id", "parent_run_id", "tags")

_orphans: set[Future[Any]] = set()
"""Shielded work that nobody waits for any more; the loop itself holds tasks weakly."""


async def _shielded(work: Coroutine[Any, Any, Any] | Future[Any]) -> Any:
    """Await *work* so that the caller's cancellation does not reach it."""
    from asyncio import CancelledError, ensure_future, shield  # noqa: PLC0415 - see the rules above

    future: Future[Any] = ensure_future(work)
    try:
        return await shield(future)
    except CancelledError:
        if not future.done():
            _orphans.add(future)
            future.add_done_callback(_orphans.discard)
        raise
    finally:
        del future  # which holds the exception that holds this frame
