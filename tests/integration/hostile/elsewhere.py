"""What needs a process of its own: ``python -m tests.integration.hostile.elsewhere WHAT``, which prints what came of it, each of the ways.

Every line of its output is JSON. A log line or a traceback goes to the other stream, and is a failure.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import sys
from typing import Any
from uuid import uuid4

from langchain_core.runnables import RunnableLambda
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from otel_callbacks import OTelCallbackHandler

WAYS = ("invoke", "ainvoke", "stream", "astream")


class Printing(SpanProcessor):
    """Prints the way and the name of each span that ends, with the process in which it does."""

    def on_end(self, span: ReadableSpan) -> None:
        where = "child" if os.getpid() != _PARENT else "parent"
        said = span.attributes or {}
        way, _, name = span.name.partition(": ")
        line = json.dumps([way, where, name, said.get("langchain.run.end_reason")])
        os.write(1, line.encode() + b"\n")


_PARENT = os.getpid()


async def _same(given: Any) -> Any:
    return given


def run(handler: Any, way: str, name: str = "identity") -> None:
    """Run a chain."""
    chain = RunnableLambda(lambda given: given, _same, name=f"{way}: {name}")
    config: Any = {"callbacks": [handler]}

    async def later() -> None:
        if way == "ainvoke":
            await chain.ainvoke(1, config)
        else:
            async for _ in chain.astream(1, config):
                pass

    if way == "invoke":
        chain.invoke(1, config)
    elif way == "stream":
        list(chain.stream(1, config))
    else:
        asyncio.run(later())


def main() -> None:
    """Do what is asked, each of the ways."""
    (what,) = sys.argv[1:]
    provider = TracerProvider()
    provider.add_span_processor(Printing())
    if what == "exit":
        handler = OTelCallbackHandler(provider)
        for way in WAYS:
            before_the_exit(handler, way)
    elif what == "fork":
        trace.set_tracer_provider(provider)
        around_the_fork(OTelCallbackHandler())


def before_the_exit(handler: Any, way: str) -> None:
    """Run a chain, leave one open, and have others run at the exit."""
    run(handler, way, "before the exit")
    handler.on_chain_start(None, {}, run_id=uuid4(), name=f"{way}: open at the exit")
    atexit.register(run, handler, way, "at the exit")
    _late.append(_AtTheVeryEnd(handler, way))


def around_the_fork(handler: Any) -> None:
    """Fork while runs are open, and end them in both processes."""
    open_runs = {way: uuid4() for way in WAYS}
    for way, run_id in open_runs.items():
        handler.on_chain_start(None, {}, run_id=run_id, name=f"{way}: of the parent")
    child = os.fork()
    for way, run_id in open_runs.items():
        run(handler, way, "after the fork")
        handler.on_chain_end({}, run_id=run_id)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


class _AtTheVeryEnd:
    """Reports a run when the interpreter takes the module apart."""

    def __init__(self, handler: Any, way: str) -> None:
        self._handler = handler
        self._way = way
        self._id = uuid4()

    def __del__(self) -> None:
        self._handler.on_chain_start(None, {}, run_id=self._id, name=f"{self._way}: at the very end")
        self._handler.on_chain_end({}, run_id=self._id)


_late: list[_AtTheVeryEnd] = []

if __name__ == "__main__":
    main()
