"""An agent written on this package's managers, to be run where LangChain cannot be imported: the twin of the one in the test.

``python -m tests.integration.twin sync|async`` prints its finished spans as `described`. The agent retrieves documents, asks
a model, which streams and wants two tools, runs both at once (one of them fails), and asks the model again. A second agent
fails with its model.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from importlib.abc import MetaPathFinder
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

QUESTION = "what is it?"
TAGS = ["twin"]
METADATA = {"customer": "c-7", "thread_id": "th-1"}
MODEL = "twin-large"
MODEL_METADATA = {
    "ls_provider": "twin",
    "ls_model_name": MODEL,
    "ls_model_type": "chat",
    "ls_temperature": 0.5,
    "ls_max_tokens": 64,
}
RETRIEVER_METADATA = {"ls_retriever_name": "twin"}
CALLS: list[dict[str, Any]] = [
    {"name": "lookup", "args": {"key": "a"}, "id": "call-1", "type": "tool_call"},
    {"name": "lookup", "args": {"key": "boom"}, "id": "call-2", "type": "tool_call"},
]
TOKENS = ["let ", "me ", "see"]
ANSWERS: list[dict[str, Any]] = [
    {
        "content": "".join(TOKENS),
        "tool_calls": CALLS,
        "id": "resp-1",
        "response_metadata": {"model_name": MODEL, "finish_reason": "tool_calls"},
        "usage_metadata": {"input_tokens": 11, "output_tokens": 5, "total_tokens": 16},
    },
    {
        "content": "it is one",
        "id": "resp-2",
        "response_metadata": {"model_name": MODEL, "finish_reason": "stop"},
        "usage_metadata": {"input_tokens": 30, "output_tokens": 3, "total_tokens": 33},
    },
]

OF_ONE_RUN_ONLY = ("langchain.run.id", "langchain.run.parent_id", "gen_ai.response.time_to_first_chunk")
"""Attributes whose presence must agree, while their values cannot."""


def lookup(key: str) -> str:
    """Look a thing up."""
    if key == "boom":
        raise LookupError("no such key")
    return "one"


def given(answer: dict[str, Any] | None) -> dict[str, Any]:
    """Return the model's answer, if the model is there."""
    if answer is None:
        raise ConnectionError("model is gone")
    return answer


def described(spans: Iterable[ReadableSpan]) -> list[Any]:
    """Return what is the same for twins: [path of names from the root, kind, status, attributes, events], in order."""
    known = {span.context.span_id: span for span in spans if span.context}

    def path(span: ReadableSpan) -> list[str]:
        parent = known.get(span.parent.span_id) if span.parent else None
        return [*(path(parent) if parent else []), span.name]

    rows = []
    for span in known.values():
        attributes = {
            key: "…" if key in OF_ONE_RUN_ONLY else value for key, value in (span.attributes or {}).items()
        }
        events = [
            [
                event.name,
                (event.attributes or {}).get("exception.type"),
                (event.attributes or {}).get("exception.message"),
            ]
            for event in span.events
        ]
        status = [span.status.status_code.name, span.status.description]
        rows.append([path(span), span.kind.name, status, attributes, events])
    return sorted(json.loads(json.dumps(rows)), key=lambda row: (row[0], json.dumps(row[1:], sort_keys=True)))


class _Blocked(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname.partition(".")[0] in {
            "langchain",
            "langchain_core",
            "langgraph",
            "langsmith",
            "pydantic",
        }:
            raise ImportError(f"{fullname} is blocked")


def _model_start() -> dict[str, Any]:
    parameters = {"model": MODEL, "temperature": 0.5, "max_tokens": 64, "_type": "twin", "stop": None}
    return {"invocation_params": parameters, "options": {"stop": None}, "name": None, "batch_size": 1}


class SyncAgent:
    """The agent in synchronous code."""

    def __init__(self, handler: Any) -> None:
        from otel_callbacks import callbacks  # noqa: PLC0415 - after the blocking

        self.types = callbacks
        self.manager = callbacks.CallbackManager.configure([handler], None, False, TAGS, None, METADATA)

    def model(self, parent: Any, answer: dict[str, Any] | None, tokens: Iterable[str] = ()) -> Any:
        types = self.types
        manager = types.CallbackManager.configure(parent.get_child(), local_metadata=MODEL_METADATA)
        messages: Any = [[types.HumanMessage(QUESTION)]]
        (run,) = manager.on_chat_model_start({"name": "TwinModel"}, messages, **_model_start())
        for token in tokens:
            run.on_llm_new_token(token)
        try:
            message = types.AIMessage(**given(answer))
        except ConnectionError as error:
            run.on_llm_error(error)
            raise
        run.on_llm_end(types.LLMResult([[types.ChatGeneration(message)]]))
        return message

    def tool(self, parent: Any, call: Any) -> Any:
        manager = self.types.CallbackManager.configure(parent.get_child())
        serialized = {"name": "lookup", "description": lookup.__doc__}
        run = manager.on_tool_start(
            serialized, str(call["args"]), inputs=call["args"], tool_call_id=call["id"]
        )
        try:
            output = lookup(**call["args"])
        except LookupError as error:
            run.on_tool_error(error, tool_call_id=call["id"])
            return error
        run.on_tool_end(self.types.ToolMessage(output, tool_call_id=call["id"], name="lookup"))
        return output

    def retrieve(self, parent: Any) -> None:
        manager = self.types.CallbackManager.configure(parent.get_child(), local_metadata=RETRIEVER_METADATA)
        run = manager.on_retriever_start(None, QUESTION, name="TwinRetriever")
        run.on_retriever_end([self.types.Document("a thing"), self.types.Document("another")])

    def answer(self) -> None:
        run = self.manager.on_chain_start(None, QUESTION, name="agent")
        self.retrieve(run)
        first = self.model(run, ANSWERS[0], TOKENS)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda call: copy_context().run(self.tool, run, call), first.tool_calls))
        last = self.model(run, ANSWERS[1])
        run.on_chain_end(last)

    def fail(self) -> None:
        run = self.manager.on_chain_start(None, QUESTION, name="failing agent")
        try:
            self.model(run, None)
        except ConnectionError as error:
            run.on_chain_error(error)


class AsyncAgent(SyncAgent):
    """The agent in asynchronous code."""

    def __init__(self, handler: Any) -> None:
        super().__init__(handler)
        self.async_manager = self.types.AsyncCallbackManager.configure(self.manager)

    async def amodel(self, parent: Any, answer: dict[str, Any] | None, tokens: Iterable[str] = ()) -> Any:
        types = self.types
        manager = types.AsyncCallbackManager.configure(parent.get_child(), local_metadata=MODEL_METADATA)
        messages: Any = [[types.HumanMessage(QUESTION)]]
        (run,) = await manager.on_chat_model_start({"name": "TwinModel"}, messages, **_model_start())
        for token in tokens:
            await run.on_llm_new_token(token)
        try:
            message = types.AIMessage(**given(answer))
        except ConnectionError as error:
            await run.on_llm_error(error)
            raise
        await run.on_llm_end(types.LLMResult([[types.ChatGeneration(message)]]))
        return message

    async def atool(self, parent: Any, call: Any) -> Any:
        manager = self.types.AsyncCallbackManager.configure(parent.get_child())
        serialized = {"name": "lookup", "description": lookup.__doc__}
        run = await manager.on_tool_start(
            serialized, str(call["args"]), inputs=call["args"], tool_call_id=call["id"]
        )
        await asyncio.sleep(0)  # the two tools take turns
        try:
            output = lookup(**call["args"])
        except LookupError as error:
            await run.on_tool_error(error, tool_call_id=call["id"])
            return error
        await run.on_tool_end(self.types.ToolMessage(output, tool_call_id=call["id"], name="lookup"))
        return output

    async def aretrieve(self, parent: Any) -> None:
        manager = self.types.AsyncCallbackManager.configure(
            parent.get_child(), local_metadata=RETRIEVER_METADATA
        )
        run = await manager.on_retriever_start(None, QUESTION, name="TwinRetriever")
        await run.on_retriever_end([self.types.Document("a thing"), self.types.Document("another")])

    async def aanswer(self) -> None:
        run = await self.async_manager.on_chain_start(None, QUESTION, name="agent")
        await self.aretrieve(run)
        first = await self.amodel(run, ANSWERS[0], TOKENS)
        await asyncio.gather(*(self.atool(run, call) for call in first.tool_calls))
        last = await self.amodel(run, ANSWERS[1])
        await run.on_chain_end(last)

    async def afail(self) -> None:
        run = await self.async_manager.on_chain_start(None, QUESTION, name="failing agent")
        try:
            await self.amodel(run, None)
        except ConnectionError as error:
            await run.on_chain_error(error)


def _main(world: str) -> None:
    sys.meta_path.insert(0, _Blocked())
    from otel_callbacks import OTelCallbackHandler  # noqa: PLC0415 - after the blocking

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handler = OTelCallbackHandler(provider, raise_errors=True)
    if world == "sync":
        agent = SyncAgent(handler)
        agent.answer()
        agent.fail()
    else:

        async def both() -> None:
            agent = AsyncAgent(handler)
            await agent.aanswer()
            await agent.afail()

        asyncio.run(both())
    if handler.open_runs:
        raise SystemExit(f"{handler.open_runs} runs are open")
    sys.stdout.write(json.dumps(described(exporter.get_finished_spans())))


if __name__ == "__main__":
    _main(sys.argv[1])
