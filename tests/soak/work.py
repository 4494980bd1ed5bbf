"""What a soak does over and over: every way in which a run begins, and every way in which it can fail to end.

Rules for this file: each kind of work says how many spans it leaves, by outcome and reason; no work waits for time to pass.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from opentelemetry.trace import NoOpTracerProvider

from otel_callbacks import OTelCallbackHandler, semconv
from tests.fakes import AsyncChat, Chat
from tests.soak.stage import MAX_IDLE_S, MAX_OPEN, Stage

Ends = Counter[tuple[Any, Any]]
GOOD: Final = (None, None)
CANCELLED: Final = ("cancelled", None)
_ROWS: Final = 40  # of one piece of work


def agents(stage: Stage) -> Ends:
    """A model that asks for a tool, the tool that is linked to it, a retriever; tokens, notes, errors, hidden runs."""
    handler = stage.handler
    for number in range(_ROWS):
        root, hidden, model, tool, retriever = (uuid4() for _ in range(5))
        metadata = {"thread_id": f"t{number}", "key": number}
        handler.on_chain_start(None, {}, run_id=root, name="root", metadata=metadata)
        handler.on_chain_start(None, {}, run_id=hidden, parent_run_id=root, tags=[semconv.HIDDEN_TAG])
        handler.on_chat_model_start(
            {"name": "m"}, [[]], run_id=model, parent_run_id=hidden, metadata=metadata
        )
        for token in ("a", "b", ""):
            handler.on_llm_new_token(token, run_id=model)
        handler.on_retry(None, run_id=model)
        call = {"id": f"call {root}", "name": "t", "args": {}}
        usage = {"input_tokens": number, "output_tokens": 1, "total_tokens": number + 1}
        message = {"tool_calls": [call], "usage_metadata": usage}
        handler.on_llm_end({"generations": [[{"message": message}]]}, run_id=model)
        handler.on_tool_start({"name": "t"}, "x", run_id=tool, parent_run_id=root, tool_call_id=call["id"])
        if number % 2:
            handler.on_tool_error(ValueError(str(root)), run_id=tool)
        else:
            handler.on_tool_end("out", run_id=tool)
        handler.on_retriever_start({}, "q", run_id=retriever, parent_run_id=root)
        handler.on_custom_event(f"event {number}", {}, run_id=retriever)
        handler.on_retriever_end([], run_id=retriever)
        handler.on_chain_end({}, run_id=hidden)
        handler.on_chain_end({}, run_id=root)
    return Ends({GOOD: 4 * _ROWS})


def lost_ends(stage: Stage) -> Ends:
    """Roots whose end nobody reports: too many of them, then too old."""
    for _ in range(MAX_OPEN + _ROWS):
        stage.handler.on_chain_start(None, {}, run_id=uuid4(), name="lost")
    evicted = MAX_OPEN + _ROWS - stage.engine.open_count
    stage.clock.advance(2 * MAX_IDLE_S)
    stage.engine.sweep()
    return Ends({("abandoned", "evicted"): evicted, ("abandoned", "expired"): MAX_OPEN + _ROWS - evicted})


def odd_orders(stage: Stage) -> Ends:
    """The same id again, an error that nobody started, a child after its parent."""
    handler = stage.handler
    for _ in range(_ROWS):
        run_id, parent, child = uuid4(), uuid4(), uuid4()
        handler.on_tool_start({}, "", run_id=run_id)
        handler.on_tool_start({}, "", run_id=run_id)
        handler.on_tool_end("", run_id=run_id)
        handler.on_tool_error(ValueError(), run_id=uuid4())
        handler.on_chain_start(None, {}, run_id=parent)
        handler.on_tool_start({}, "", run_id=child, parent_run_id=parent)
        handler.on_chain_end({}, run_id=parent)
        handler.on_tool_end("", run_id=child)
    return Ends(
        {
            ("abandoned", "duplicate_start"): _ROWS,
            GOOD: 2 * _ROWS,
            (None, "start_missing"): _ROWS,
            ("abandoned", "parent_ended"): _ROWS,
        }
    )


_chain: Final = RunnableLambda(lambda given: given, name="before") | Chat()


def invoked(stage: Stage) -> Ends:
    """LangChain's own."""
    for _ in range(10):
        _chain.invoke("x", stage.config)
    return Ends({GOOD: 30})


def abandoned_streams(stage: Stage) -> Ends:
    """Generators that are dropped after their first chunk."""
    for number in range(10):
        stream = _chain.stream("x", stage.config)
        next(stream)
        if number % 2:
            stream.close()  # type: ignore[attr-defined] # a generator
        del stream
    gc.collect()
    # The sequence and the model; what came before has ended well.
    return Ends({GOOD: 10, ("abandoned", None): 10, ("abandoned", "parent_ended"): 10})


def interrupted_bodies(stage: Stage) -> Ends:
    """``Ctrl-C``, as a body raises it."""

    def body(_: Any) -> Any:
        raise KeyboardInterrupt

    chain = RunnableLambda(lambda given: given, name="before") | RunnableLambda(body, name="stopped")
    for _ in range(10):
        try:
            chain.invoke("x", stage.config)
        except KeyboardInterrupt:
            continue
    return Ends({GOOD: 10, CANCELLED: 20})


def interrupted_threads(stage: Stage) -> Ends:
    """A thread in whose body another one raises."""
    raise_in: Any = ctypes.pythonapi.PyThreadState_SetAsyncExc

    def work() -> None:
        def body(_: Any) -> Any:
            inside.set()
            while True:  # until the exception comes, which it does between two steps of the interpreter
                leave.wait(0.001)

        try:
            RunnableLambda(body, name="stopped").invoke("x", stage.config)
        except KeyboardInterrupt:
            return

    for _ in range(3):
        inside, leave = threading.Event(), threading.Event()
        thread = threading.Thread(target=work)
        thread.start()
        inside.wait()
        raise_in(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt))
        thread.join()
    return Ends({CANCELLED: 3})


def cancelled_tasks(stage: Stage) -> Ends:
    """Tasks that are cancelled while their model hangs, and streams whose reader goes."""
    chain = RunnableLambda(lambda given: given, name="before") | AsyncChat()

    async def hung() -> None:
        task = asyncio.create_task(chain.ainvoke([HumanMessage("hang")], stage.config))
        await _open(stage, "AsyncChat")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def left() -> None:
        stream = chain.astream("x", stage.config)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined] # a generator

    async def every() -> None:
        for work in (hung, left) * 5:
            await work()
            while stage.engine.open_count:  # noqa: ASYNC110 - sets no event of ours
                await asyncio.sleep(0)

    asyncio.run(every())
    return Ends(
        {
            GOOD: 10,
            CANCELLED: 5,
            ("cancelled", "task_cancelled"): 5,
            ("abandoned", None): 5,
            ("abandoned", "parent_ended"): 5,
        }
    )


async def _open(stage: Stage, name: str) -> None:
    """Wait until a run of that *name* is open, and as far as it goes."""
    while not any(run.name == name for run in list(stage.engine._table.open.values())):  # noqa: ASYNC110 - sets no event of ours
        await asyncio.sleep(0)
    for _ in range(30):
        await asyncio.sleep(0)


def dropped_handlers(stage: Stage) -> Ends:
    """Handlers that nobody shuts down: on this provider, and with one of their own, a run still open."""
    for _ in range(_ROWS):
        handler, run_id = stage.fresh_handler(), uuid4()
        handler.on_chain_start(None, {}, run_id=run_id)
        other = stage.fresh_handler()
        del handler
        other.on_chain_end({}, run_id=run_id)
        # Not one of the SDK's: each of those stays in its interpreter's list of what to do after a fork.
        alone = OTelCallbackHandler(NoOpTracerProvider())
        alone.on_chain_start(None, {}, run_id=uuid4())
        del alone
    return Ends({GOOD: _ROWS})


def measured(stage: Stage) -> Ends:
    """What a metric reader does."""
    stage.reader.get_metrics_data()
    return Ends()


Work = Callable[[Stage], Ends]
WORK: Final[tuple[Work, ...]] = (
    *(agents,) * 12,
    lost_ends,
    odd_orders,
    invoked,
    abandoned_streams,
    interrupted_bodies,
    interrupted_threads,
    cancelled_tasks,
    dropped_handlers,
    measured,
)
