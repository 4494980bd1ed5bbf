"""Whatever goes wrong at whichever line of ours, and whenever ``Ctrl-C`` comes: runs stay accounted for, each span ends once.

The lines are those that one tree of runs takes through ``core`` and ``otel``; at each of them, in turn, something is raised.
"""

from __future__ import annotations

import contextvars
import linecache
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.otel.engines import end_open_runs

# Where a run is out of the table and its span not yet ended, or the span has begun and the run does not know it: a few single
# steps in each, without a loop. Python has nothing that would make them one.
_STEPS: Final = frozenset(
    {
        "pop",
        "end",
        "_end",
        "_end_one",
        "finish",
        "close",
        "start",
        "open",
        "get_span_context",
        "is_recording",
        "_status",
        "cut_short",
    }
)
_PACKAGES: Final = ("/otel_callbacks/core/", "/otel_callbacks/otel/")


class Spans(SpanProcessor):
    """Which spans have begun, and how often each has ended."""

    def __init__(self) -> None:
        self.begun: set[int] = set()
        self.ended: Counter[int] = Counter()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.begun.add(span.context.span_id)

    def on_end(self, span: Any) -> None:
        self.ended[span.context.span_id] += 1


class Injected:
    """Raises *error* at the *left*-th line of ours; says where that was."""

    def __init__(self, left: int, error: BaseException) -> None:
        self.left = left
        self.error = error
        self.at: tuple[CodeType, int] | None = None

    def of_call(self, frame: FrameType, event: str, arg: Any) -> Any:
        return self.of_line if any(package in frame.f_code.co_filename for package in _PACKAGES) else None

    def of_line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line" and self.at is None:
            # A line that only says "try" is outside of what it begins, for a tracer and for nobody else.
            if linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip() == "try:":
                return self.of_line
            self.left -= 1
            if self.left <= 0:
                self.at = frame.f_code, frame.f_lineno
                raise self.error
        return self.of_line

    def into(self, call: Callable[[], None]) -> BaseException | None:
        """Call; return what came out."""
        before = sys.gettrace()
        sys.settrace(self.of_call)
        try:
            call()
        except BaseException as raised:
            return raised
        finally:
            sys.settrace(before)
        return None


@pytest.mark.parametrize("kind", [MemoryError, RecursionError, KeyboardInterrupt])
@pytest.mark.logs
def test_whatever_is_raised_at_any_line_no_run_is_left_open_and_no_span_ends_twice(
    kind: type[BaseException], provider: TracerProvider
) -> None:
    spans = Spans()
    provider.add_span_processor(spans)
    handler = OTelCallbackHandler(provider, capture_content=True)

    def tree() -> None:
        root, model = uuid.uuid4(), uuid.uuid4()
        given: Any = {"messages": [("human", "hello")]}
        handler.on_chain_start(None, given, run_id=root, name="chain", metadata={"a": [1]}, tags=["tag"])
        handler.on_chat_model_start({"name": "m"}, [[("human", "hello")]], run_id=model, parent_run_id=root)
        handler.on_llm_new_token("t", run_id=model)
        handler.on_llm_error(ValueError("x"), run_id=model)
        handler.on_chain_end({"answer": "hello"}, run_id=root)

    tree()
    lost: list[str] = []
    line, step = 1, 7  # every seventh: enough of each function, and a second instead of ten
    while True:
        spans.begun.clear()
        spans.ended.clear()
        injected = Injected(line, kind("injected"))
        raised = contextvars.copy_context().run(injected.into, tree)
        if injected.at is None:
            break
        if kind is KeyboardInterrupt:  # not ours to keep
            assert raised is injected.error
        # Between its first line and its first "try", an event has nothing of its own that could fail.
        elif injected.at[0].co_name not in ("start", "fail", "is_dispatcher"):
            assert raised is None, injected.at
        end_open_runs(provider)
        assert handler.open_runs == 0
        assert set(spans.ended.values()) <= {1}
        if spans.begun - spans.ended.keys():
            lost.append(injected.at[0].co_name)
        line += step
    assert line > 1_000
    assert set(lost) <= _STEPS
    assert len(lost) < line / step / 10
