"""What an exception means for a run: a failure, a cancellation, an abandoned stream, or control flow.

Rules for this file: recognises other people's exceptions by name and module along the MRO, never by importing them;
formats a stack from file, line and function alone, because source lines mean disk reads on the application's thread and
locals mean content.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Final, TypeAlias, TypeGuard

from otel_callbacks.core.events import Failure
from otel_callbacks.core.reading import either, field
from otel_callbacks.core.redact import LONGEST
from otel_callbacks.core.values import class_path, clean, string
from otel_callbacks.semconv import ERROR_TYPE_OTHER, Outcome

MAX_MESSAGE_LENGTH: Final = 4_096
MAX_STACK_LENGTH: Final = 8_192  # characters; the innermost frames are kept, they are where it happened
MAX_FRAMES: Final = 64
MAX_CAUSES: Final = 8
NOT_CAPTURED: Final = "[not captured]"
# Between which words pydantic quotes a value that is not valid, and LangGraph's tool node the arguments of a call.
_QUOTED: Final = (("input_value=", ", input_type="), (" with kwargs ", " with error:"))

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


def outcome_of(error: object) -> Outcome | None:
    """Return what *error* means when it is not a failure; None when it is one."""
    for base in type.__getattribute__(type(error), "__mro__"):
        if base is Exception:  # every outcome below stands in the table by a class of its own
            break
        module, _, name = class_path(base).partition(".")
        found = _OUTCOMES.get((module, name.rpartition(".")[2]))
        if found is not None:
            return found
    return None


def type_of(error: object) -> str:
    """Return the value of ``error.type`` for *error*: its class's name with the module, builtins without."""
    if not _is_exception(error):
        # Callbacks get None and plain strings from frameworks that gave up; no class tells more than "other".
        return ERROR_TYPE_OTHER
    path = class_path(type(error))
    # asyncio.exceptions is where CPython keeps what everybody calls asyncio.CancelledError
    return path.removeprefix("builtins.").replace("asyncio.exceptions.", "asyncio.", 1)


def _is_exception(error: object) -> TypeGuard[BaseException]:
    return issubclass(type(error), BaseException)  # isinstance would ask the object, which may lie or raise


def failure_of(error: object, *, capture: bool) -> Failure:
    """Take *error* down; its message and stack only if *capture*."""
    kind = type_of(error)
    message = _message(error) if capture else None
    if not _is_exception(error):
        return Failure(kind, message, None, hash((id(error), message)))
    first, omitted, last = _frames(error.__traceback__)
    stacktrace = _stack(first, omitted, last, kind) if capture else None
    origin = last[-1] if last else first[-1] if first else None
    # An address alone is soon another exception's, but hardly one's of the same type, text and origin.
    return Failure(kind, message, stacktrace, hash((id(error), kind, message, origin)))


def _message(error: object) -> str | None:
    if _is_exception(error):
        try:
            error = str(error)
        except Exception:  # noqa: BLE001 - an exception whose __str__ raises is still an exception worth recording
            return None
    text = string(error)
    # Longer than what is said of it: the policy cuts it after redaction, so that no half of a secret is left.
    return clean(text[: MAX_MESSAGE_LENGTH + 2 * LONGEST]) if text else None


def without_quotes(error: object, message: str) -> str:
    """Return *message* without what libraries quote in theirs of what was said to a tool or by a model."""
    for begin, end in _QUOTED:
        message = _blotted(message, begin, end)
    causes: list[object] = []
    while error is not None and len(causes) < MAX_CAUSES and all(error is not cause for cause in causes):
        causes.append(error)
        output = string(field(error, "llm_output"))
        if output is not None:
            message = message.replace(output, NOT_CAPTURED)
        error = either(field(error, "__cause__"), field(error, "__context__"))
    return message


def _blotted(text: str, begin: str, end: str) -> str:
    """Return *text* without what is between each *begin* and the next *end*; to its own end if there is none."""
    pieces: list[str] = []
    done = 0
    while (found := text.find(begin, done)) >= 0:
        pieces += (text[done : found + len(begin)], NOT_CAPTURED)
        done = text.find(end, found)
        if done < 0:
            return "".join(pieces)
    return "".join((*pieces, text[done:]))


_Frame: TypeAlias = tuple[str, int, str]  # file, line, function


def _stack(first: Sequence[_Frame], omitted: int, last: Sequence[_Frame], kind: str) -> str:
    lines = [f'  File "{file}", line {line}, in {function}' for file, line, function in (*first, *last)]
    if omitted:
        lines.insert(len(first), f"  [{omitted} frames]")
    text = "\n".join(["Traceback (most recent call last):", *lines, kind])
    return clean(
        "…" + text[-MAX_STACK_LENGTH:] if len(text) > MAX_STACK_LENGTH else text, MAX_STACK_LENGTH + 1
    )


def _frames(traceback: TracebackType | None) -> tuple[list[_Frame], int, deque[_Frame]]:
    """Return the outermost frames, how many are left out, and the innermost ones: a stack may be very deep."""
    first: list[_Frame] = []
    last: deque[_Frame] = deque(maxlen=MAX_FRAMES // 2)
    count = 0
    while traceback is not None:
        code = traceback.tb_frame.f_code
        (first if count < MAX_FRAMES // 2 else last).append(
            (code.co_filename, traceback.tb_lineno or 0, code.co_qualname)
        )
        count += 1
        traceback = traceback.tb_next
    return first, count - len(first) - len(last), last
