"""What an exception means for a run: a failure, a cancellation, an abandoned stream, or control flow.

Rules for this file: recognises other people's exceptions by name and module along the MRO, never by importing them;
formats a stack from file, line and function alone, because source lines mean disk reads on the application's thread and
locals mean content.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Final

from otel_callbacks.core.events import Failure
from otel_callbacks.core.values import clean
from otel_callbacks.semconv import ERROR_TYPE_OTHER, Outcome

MAX_MESSAGE_LENGTH: Final = 4_096
MAX_STACK_LENGTH: Final = 8_192  # characters; the innermost frames are kept, they are where it happened
MAX_FRAMES: Final = 64

# (module prefix, class name) -> what it means. asyncio's CancelledError lives in asyncio.exceptions, concurrent.futures
# has its own; a GeneratorExit is how an early-closed stream ends; LangGraph's bubble-ups are its control flow.
_OUTCOMES: Final[dict[tuple[str, str], Outcome]] = {
    ("asyncio", "CancelledError"): Outcome.CANCELLED,
    ("concurrent", "CancelledError"): Outcome.CANCELLED,
    ("builtins", "KeyboardInterrupt"): Outcome.CANCELLED,
    ("builtins", "SystemExit"): Outcome.CANCELLED,
    ("builtins", "GeneratorExit"): Outcome.ABANDONED,
    ("langgraph", "GraphInterrupt"): Outcome.INTERRUPTED,
    ("langgraph", "ParentCommand"): Outcome.HANDED_OFF,
    ("langgraph", "GraphDrained"): Outcome.DRAINED,
    ("langgraph", "GraphBubbleUp"): Outcome.INTERRUPTED,
}
CONTROL_FLOW: Final = frozenset({Outcome.INTERRUPTED, Outcome.HANDED_OFF, Outcome.DRAINED})

_outcome_of_type: dict[type, Outcome | None] = {}  # bounded by MAX_TYPES: classes can be made at run time
MAX_TYPES: Final = 1_024


def outcome_of(error: object) -> Outcome | None:
    """Return what *error* means when it is not a failure; None when it is one."""
    cls = type(error)
    try:
        return _outcome_of_type[cls]
    except KeyError:
        pass
    found = None
    for base in cls.__mro__:
        found = _OUTCOMES.get((str(base.__module__).partition(".")[0], base.__name__))
        if found is not None:
            break
    if len(_outcome_of_type) < MAX_TYPES:
        _outcome_of_type[cls] = found
    return found


def type_of(error: object) -> str:
    """Return the value of ``error.type`` for *error*: its class's name with the module, builtins without."""
    if not isinstance(error, BaseException):
        # Callbacks get None and plain strings from frameworks that gave up; no class tells more than "other".
        return ERROR_TYPE_OTHER
    cls = type(error)
    module = cls.__module__
    if module == "asyncio.exceptions":  # where CPython keeps what everybody calls asyncio.CancelledError
        module = "asyncio"
    return clean(cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}", 256)


def failure_of(error: object, *, capture: bool) -> Failure:
    """Take *error* down; its message and stack only if *capture*."""
    kind = type_of(error)
    message = stacktrace = None
    if capture:
        message = _message(error)
        if isinstance(error, BaseException):
            stacktrace = _stack(error.__traceback__, kind)
    return Failure(kind, message, stacktrace, (id(error), kind))


def _message(error: object) -> str | None:
    if type(error) is str:
        return clean(error, MAX_MESSAGE_LENGTH)
    if not isinstance(error, BaseException):
        return None
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception whose __str__ raises is still an exception worth recording
        return None
    return clean(text, MAX_MESSAGE_LENGTH) if type(text) is str and text else None


def _stack(traceback: TracebackType | None, kind: str) -> str:
    lines = [f'  File "{file}", line {line}, in {function}' for file, line, function in _frames(traceback)]
    if len(lines) > MAX_FRAMES:
        half = MAX_FRAMES // 2
        lines[half:-half] = [f"  [{len(lines) - MAX_FRAMES} frames]"]
    text = "\n".join(["Traceback (most recent call last):", *lines, kind])
    return clean(
        text if len(text) <= MAX_STACK_LENGTH else "…" + text[-MAX_STACK_LENGTH:], MAX_STACK_LENGTH + 1
    )


def _frames(traceback: TracebackType | None) -> Iterable[tuple[str, int, str]]:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        yield code.co_filename, traceback.tb_lineno or 0, code.co_qualname
        traceback = traceback.tb_next
