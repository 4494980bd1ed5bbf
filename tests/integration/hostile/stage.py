"""What a row of hostile input is played on: four ways to run, three ways to hand something over, and what must hold afterwards.

Rules for this file: strict. Nothing of ours reaches the application, no line above a warning is logged and none twice, the
neighbours' spans are delivered, what was handed over is as it was, and no run stays open.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Any, Final
from uuid import UUID, uuid4

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableLambda
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import AsyncOTelCallbackHandler, OTelCallbackHandler
from otel_callbacks.callbacks import AsyncCallbackManager, CallbackManager
from tests.property import hostile
from tests.property.delivery import MAX_SPAN_BYTES, delivered
from tests.property.delivery import values as said_by
from tests.signals import Signals

MAX_BYTES: Final = (
    2 * MAX_SPAN_BYTES
)  # of a span: its content has a limit of its own beside that of everything else
INVOKE, AINVOKE, STREAM, ASTREAM = WAYS = ("invoke", "ainvoke", "stream", "astream")
OURS: Final = "otel_callbacks"


class Driven(Enum):
    """How what is hostile gets to the handler. Each goes all four ways: a stream has a chunk between start and end."""

    LANGCHAIN = "by LangChain's own runnables"
    MANAGERS = "by our managers: LangChain would refuse it itself, or fails on it before any callback"
    DIRECT = "by the handler's methods: no framework hands over the like, or not in that order"


@dataclass(frozen=True)
class Row:
    """One row of hostile input in one of its variants: *make* is called afresh for every way, *play* is given what it made."""

    number: int
    name: str
    driven: Driven
    make: Callable[[], Any]
    play: Callable[[Stage, Any], Awaitable[None]]

    def __str__(self) -> str:
        return f"{self.number:02}-{self.play.__name__}-{self.name}".rstrip("-").replace(" ", "-")


ROWS: Final[list[Row]] = []
_Play = Callable[["Stage", Any], Awaitable[None]]


def row(number: int, driven: Driven, /, **makes: Callable[[], Any]) -> Callable[[_Play], _Play]:
    """Enter what is decorated in the table: once for each of *makes*, whose name says what is made."""

    def enter(play: _Play) -> _Play:
        for name, make in (makes or {"": lambda: None}).items():
            ROWS.append(Row(number, name.replace("_", " "), driven, make, play))
        return play

    return enter


class Says(BaseChatModel):
    """Answers with the one message that it has, whatever that is; a stream says it in one chunk."""

    message: Any

    @property
    def _llm_type(self) -> str:
        return "says"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        generation = ChatGeneration.model_construct(message=self.message, text="", generation_info=None)
        return ChatResult.model_construct(generations=[generation], llm_output=None)

    def _stream(
        self,
        messages: Any,
        stop: Any = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        message = AIMessageChunk(content="")
        for name in ("content", "usage_metadata", "response_metadata", "tool_calls"):
            setattr(message, name, getattr(self.message, name))
        yield ChatGenerationChunk.model_construct(message=message, text="", generation_info=None)


@dataclass
class Stage:
    """One provider with all three signals in memory, content taken down as well; and a handler as applications have it."""

    way: str
    watched: list[tuple[Any, Any]] = field(default_factory=list)
    expected_faults: tuple[str, ...] = ()
    own_lines: int = 0
    """How many warnings there may be besides one for each of the faults."""
    signals: Signals = field(default_factory=Signals)

    def __post_init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.handler = self.new_handler()

    def new_handler(self, *, spans_alone: bool = False, **settings: Any) -> OTelCallbackHandler:
        """Return a handler of the provider: the asynchronous one where the way is."""
        kind = AsyncOTelCallbackHandler if self.asynchronous else OTelCallbackHandler
        if spans_alone:
            return kind(self.provider, **settings)
        given: Any = {"capture_content": "SPAN_AND_EVENT", **settings}
        return kind(self.provider, self.signals.meters, self.signals.loggers, **given)

    @property
    def asynchronous(self) -> bool:
        """Whether the way is asynchronous."""
        return self.way in (AINVOKE, ASTREAM)

    @property
    def streaming(self) -> bool:
        """Whether the way is a stream's."""
        return self.way in (STREAM, ASTREAM)

    def watch(self, value: Any) -> Any:
        """Return *value*, which is to be afterwards as it is now."""
        self.watched.append((value, fingerprint(value)))
        return value

    # -- ways to hand something over -----------------------------------------------------------------------------------

    async def langchain(self, runnable: Any, given: Any, **config: Any) -> Any:
        """Run *runnable* with the handler; return what it returns, of a stream the last chunk."""
        whole = {"callbacks": [self.handler], **config}
        if self.way == INVOKE:
            return runnable.invoke(given, whole)
        if self.way == AINVOKE:
            return await runnable.ainvoke(given, whole)
        chunks: list[Any] = []
        if self.way == STREAM:
            chunks += runnable.stream(given, whole)
        else:
            chunks += [chunk async for chunk in runnable.astream(given, whole)]
        return chunks[-1] if chunks else None

    async def passed(self, given: Any, **config: Any) -> None:
        """Let *given* go through a chain: it comes out as it went in."""
        chain = RunnableLambda(lambda value: value, name="identity")
        assert await self.langchain(chain, given, **config) is given

    async def call(self, event: str, *args: Any, **kwargs: Any) -> None:
        """Call a method of the handler."""
        result = getattr(self.handler, event)(*args, **kwargs)
        if self.asynchronous:
            await result

    async def start(self, kind: str, run_id: Any, parent: Any = None, **given: Any) -> None:
        """Call a start as a dispatcher does, *given* replacing what is usual."""
        usual: dict[str, Any] = {"serialized": None, "input": "in", "tags": [], "metadata": {}, "name": kind}
        said: dict[str, Any] = {**usual, **given}
        first, second = said.pop("serialized"), said.pop("input")
        await self.call(f"on_{kind}_start", first, second, run_id=run_id, parent_run_id=parent, **said)

    async def token(self, run_id: Any, token: Any = "t", **given: Any) -> None:  # noqa: S107 - no password
        """Call what comes in between, where the way is a stream's."""
        if self.streaming:
            await self.call("on_llm_new_token", token, run_id=run_id, **given)

    async def end(self, kind: str, run_id: Any, output: Any = None, **given: Any) -> None:
        """Call an end."""
        await self.call(f"on_{_ENDS.get(kind, kind)}_end", output, run_id=run_id, **given)

    async def fail(self, kind: str, run_id: Any, error: Any, **given: Any) -> None:
        """Call an error."""
        await self.call(f"on_{_ENDS.get(kind, kind)}_error", error, run_id=run_id, **given)

    async def run(self, kind: str, output: Any = None, **given: Any) -> UUID:
        """Call all of one run."""
        run_id = uuid4()
        await self.start(kind, run_id, **given)
        await self.token(run_id)
        await self.end(kind, run_id, output)
        return run_id

    async def managed(self, kind: str, given: Any, output: Any, **extra: Any) -> None:
        """Let our managers run all of one run."""
        tags, metadata = extra.pop("tags", None), extra.pop("metadata", None)
        scope: Any = AsyncCallbackManager if self.asynchronous else CallbackManager
        manager = scope.configure([self.handler], inheritable_tags=tags, inheritable_metadata=metadata)
        serialized = extra.pop("serialized", {})
        started = await _done(getattr(manager, f"on_{kind}_start")(serialized, given, **extra))
        for run in started if type(started) is list else [started]:
            if self.streaming and kind == "chat_model":
                await _done(run.on_llm_new_token("token"))
            await _done(getattr(run, f"on_{_ENDS.get(kind, kind)}_end")(output))

    # -- what came of it -----------------------------------------------------------------------------------------------

    @property
    def spans(self) -> list[ReadableSpan]:
        """Return the finished spans of runs."""
        finished = self.exporter.get_finished_spans()
        return [span for span in finished if "langchain.run.kind" in (span.attributes or {})]

    @property
    def only(self) -> ReadableSpan:
        """Return the one finished span of a run."""
        spans = self.spans
        assert len(spans) == 1, [span.name for span in spans]
        return spans[0]

    @property
    def said(self) -> dict[str, Any]:
        """Return the attributes of the one finished span."""
        return dict(self.only.attributes or {})

    def said_of(self, number: int) -> dict[str, Any]:
        """Return the attributes of one of the finished spans."""
        return dict(self.spans[number].attributes or {})

    @property
    def everything(self) -> str:
        """Return every text that left the process."""
        spans = [
            (
                span.name,
                span.status.description,
                dict(span.attributes or {}),
                [(e.name, dict(e.attributes or {})) for e in span.events],
            )
            for span in self.spans
        ]
        return repr((spans, self.signals.events()))


_ENDS: Final = {"chat_model": "llm"}


async def _done(result: Any) -> Any:
    return await result if isinstance(result, Coroutine) else result


# -- what must hold --------------------------------------------------------------------------------------------------------


def play(row: Row, way: str) -> None:
    """Play *row* one of the four ways, and check what is common to all."""
    stage = Stage(way)
    with _heard() as lines:
        played = _played(row, stage)
        if stage.asynchronous:
            asyncio.run(played)
        else:
            _driven(played)
        _check(stage)
    spoken = [line for line in lines if line.name.startswith((OURS, "opentelemetry"))]
    assert not [line.getMessage() for line in spoken if line.levelno > logging.WARNING]
    # A dispatcher logs what a handler raises.
    assert not [
        text
        for line in lines
        if OURS not in line.name and "OTelCallbackHandler" in (text := line.getMessage())
    ]
    reasons = Counter((line.name, line.getMessage()) for line in spoken if line.levelno == logging.WARNING)
    assert not [reason for reason, count in reasons.items() if count > 1]
    assert len(reasons) <= len(stage.expected_faults) + stage.own_lines, reasons
    assert not [line for line in spoken if hostile.CANARY in line.getMessage()]


async def _played(row: Row, stage: Stage) -> None:
    tracer = stage.provider.get_tracer("somebody else")
    with tracer.start_as_current_span("before", attributes={"n": 1}):
        pass
    given = row.make()
    await row.play(stage, given)
    with tracer.start_as_current_span("after", attributes={"n": 2}) as span:
        assert getattr(span, "parent", None) is None  # nothing of ours is still current


def _check(stage: Stage) -> None:
    theirs = [
        (span.name, said_by(span))
        for span in delivered(stage.exporter, MAX_BYTES)
        if said_by(span).keys() == {"n"}
    ]
    assert theirs == [("before", {"n": 1}), ("after", {"n": 2})]
    assert stage.handler.open_runs == 0
    engine = stage.handler._known()
    faults = (
        {reason for reason in engine.counts if reason.startswith("fault")} if engine is not None else set()
    )
    assert faults == {f"fault_{where}" for where in stage.expected_faults}
    for value, before in stage.watched:
        assert fingerprint(value) == before
        assert hostile.calls(value) == 0


def _driven(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what awaits nothing, without a loop: so that the synchronous ways are synchronous."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise AssertionError("a synchronous way has waited")


@contextmanager
def _heard() -> Iterator[list[logging.LogRecord]]:
    lines: list[logging.LogRecord] = []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record)

    heard = Heard(logging.WARNING)
    logging.getLogger().addHandler(heard)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(heard)


_LOOKED_AT: Final = 5_000  # elements of one value
_OWN: Final = ("langchain_core", "tests.integration")  # classes whose fields are looked at


def fingerprint(value: Any) -> Any:
    """Return what tells whether *value* is the same object with the same in it, without running code of its own."""
    found: list[Any] = []
    seen: set[int] = set()
    left = [value]
    while left and len(found) < _LOOKED_AT:
        one = left.pop()
        kind = type(one)
        found.append((id(one), kind))
        if id(one) in seen:
            continue
        seen.add(id(one))
        if issubclass(kind, dict):
            left += [part for pair in islice(dict.items(one), _LOOKED_AT) for part in pair]
            found.append(dict.__len__(one))
        elif issubclass(kind, (list, tuple)):
            base = list if issubclass(kind, list) else tuple
            left += islice(base.__iter__(one), _LOOKED_AT)
            found.append(base.__len__(one))
        elif kind.__module__.startswith(_OWN):
            left.append(getattr(one, "__dict__", None))
    return found
