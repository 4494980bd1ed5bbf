"""What is counted exactly: steps of the event loop, bytes and objects of open runs.

Rules for this file: nothing here depends on how busy the machine is.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from benchmarks.cases import config_with, replayed_chain
from benchmarks.gate import Goal, Result
from benchmarks.recording import INPUTS, Recording
from benchmarks.targets import Work, dispatch, provider, raw, replay, script_of
from otel_callbacks import OTelCallbackHandler

RUNS: Final = 200
_KINDS: Final = ("on_chain_start", "on_chat_model_start")


class Offloaded(OTelCallbackHandler):
    """Our handler as LangChain treats one that is not inline: the slowdown that can be planted here."""

    run_inline = False


def counted(recording: Recording, *, planted: bool = False) -> tuple[Result, ...]:
    """Return the results of all exact counts; with *planted*, of a handler that is worse."""
    handler = (Offloaded if planted else OTelCallbackHandler)(provider())
    return (_loop_steps(recording, handler), *_open_runs(recording), _ended_runs(recording))


# -- steps of the event loop -----------------------------------------------------------------------------------------------


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts what it is asked to run."""

    steps = 0

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override] # not generic
        """Count a step that the loop itself asks for."""
        self.steps += 1
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override] # as above
        """Count a step that another thread asks for."""
        self.steps += 1
        return super().call_soon_threadsafe(callback, *args, context=context)


def steps_of(chain: Any, config: Any) -> int:
    """Return the loop's steps of one ``ainvoke``, after a first one."""

    async def twice() -> int:
        await chain.ainvoke(INPUTS, config)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        before = loop.steps
        await chain.ainvoke(INPUTS, config)
        return loop.steps - before

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        return runner.run(twice())


def _loop_steps(recording: Recording, handler: Any) -> Result:
    chain = replayed_chain(recording)
    ours, none = steps_of(chain, config_with(handler)), steps_of(chain, {})
    return Result(
        "loop steps of ainvoke",
        "no handler",
        Goal(final=1.0, gate=1.0, exact=True),
        count=ours / none,
        detail=f"{ours} / {none}",
    )


# -- memory ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """What one more of something keeps in memory."""

    size_bytes: float
    tracked: float


def held(make: Callable[[], Any], count: int = RUNS) -> Held:
    """Return what each of *count* calls of *make* keeps, beyond the objects that existed before it."""
    kept = [make() for _ in range(count)]  # what is allocated only once, and the growth of tables
    gc.collect()
    objects = len(gc.get_objects())
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    more = [make() for _ in range(count)]
    gc.collect()
    size = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    tracked = len(gc.get_objects()) - objects
    del kept, more
    return Held(size / count, tracked / count)


def _open_runs(recording: Recording) -> tuple[Result, ...]:
    results = []
    for event in _KINDS:
        ours, theirs = _open_handler(recording, event), _open_sdk(recording, event)
        kind = event.removeprefix("on_").removesuffix("_start")
        results.append(
            Result(
                f"bytes of an open {kind} run",
                "span of the SDK",
                Goal(final=0.35),
                count=ours.size_bytes / theirs.size_bytes,
                detail=f"{ours.size_bytes:.0f} / {theirs.size_bytes:.0f} bytes",
            )
        )
        results.append(
            Result(
                f"tracked objects of an open {kind} run",
                "span of the SDK",
                Goal(final=0.35),
                count=ours.tracked / theirs.tracked,
                detail=f"{ours.tracked:.1f} / {theirs.tracked:.1f}",
            )
        )
    return tuple(results)


def _open_handler(recording: Recording, event: str) -> Held:
    """Return what an open run keeps; the callback's own arguments are the application's and are not counted."""
    handler, start = OTelCallbackHandler(provider()), recording.start_of(event)
    calls = iter([start.fresh({None: None, start.run_id: uuid4()}) for _ in range(2 * RUNS)])

    def make() -> None:
        contextvars.copy_context().run(dispatch, handler, [next(calls)])

    return held(make)


def _open_sdk(recording: Recording, event: str) -> Held:
    tracer = provider().get_tracer("raw")
    index = next(
        at for at, call in enumerate(c for c in recording.calls if c.is_start) if call.event == event
    )
    step = [step for step in script_of(recording) if step.name is not None][index]
    assert step.name is not None
    name = step.name
    return held(lambda: tracer.start_span(name, None, step.kind, step.attributes))


def _ended_runs(recording: Recording) -> Result:
    """Count what the collector has to look at for every span that waits in the exporter's queue."""
    spans = sum(call.is_start for call in recording.calls)
    ours = _queued(replay(recording, OTelCallbackHandler(provider())))
    theirs = _queued(raw(recording, provider().get_tracer("raw")))
    return Result(
        "tracked objects of a queued span",
        "span of the SDK",
        Goal(final=0.35),
        count=ours / theirs,
        detail=f"{ours / spans:.1f} / {theirs / spans:.1f}",
    )


def _queued(work: Work) -> float:
    operations = iter([work(1) for _ in range(2 * RUNS)])
    return held(lambda: next(operations)()).tracked  # noqa: PLW0108 - the next at each call
