"""Ready-made handlers, groups and custom events on both sides: ours on LangChain's objects, LangChain's on our managers.

Where LangChain has the same thing, what it does is the oracle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any
from uuid import UUID

import langchain_core.callbacks as theirs
import pytest
from langchain.agents import create_agent
from langchain_core.agents import AgentAction, AgentFinish
from langchain_core.language_models.fake_chat_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph

import otel_callbacks.callbacks as ours


class Model(GenericFakeChatModel):
    """A chat model that can be given tools."""

    def bind_tools(self, *args: Any, **kwargs: Any) -> Any:
        return self


@tool
def add(a: int) -> int:
    """Add one."""
    return a + 1


USAGE = {
    "input_tokens": 3,
    "output_tokens": 4,
    "total_tokens": 7,
    "input_token_details": {"cache_read": 1},
    "output_token_details": {"reasoning": 2},
}


def answer(text: str, **kwargs: Any) -> AIMessage:
    usage: Any = USAGE
    return AIMessage(text, usage_metadata=usage, response_metadata={"model_name": "m"}, **kwargs)


def agent() -> Any:
    call: Any = {"name": "add", "args": {"a": 1}, "id": "1", "type": "tool_call"}
    messages: Iterator[Any] = iter([answer("I add", tool_calls=[call]), answer("it is 2")])
    return create_agent(Model(messages=messages), [add])


QUESTION: Any = {"messages": [("user", "q")]}


def with_callbacks(*handlers: Any) -> RunnableConfig:
    return {"callbacks": list(handlers)}


class TestTokensAsAnIterator:
    """langchain-core has no such handler; LangChain's classic one is specified by its defects."""

    async def test_the_tokens_of_all_models_are_read_to_the_end_of_the_chain(self) -> None:
        handler = ours.AsyncIteratorCallbackHandler()
        first, second = FakeListChatModel(responses=["one"]), FakeListChatModel(responses=["two"])
        chain = first | RunnableLambda(lambda message: message.content) | second

        async def run() -> None:
            async for _ in chain.astream("q", with_callbacks(handler)):
                pass

        task = asyncio.create_task(run())
        assert [token async for token in handler.aiter()] == list("onetwo")
        await task

    async def test_a_graph_whose_models_do_not_stream_has_none_and_ends(self) -> None:
        handler = ours.AsyncIteratorCallbackHandler()
        task = asyncio.create_task(agent().ainvoke(QUESTION, with_callbacks(handler)))
        assert [token async for token in handler.aiter()] == []
        assert (await task)["messages"][-1].content == "it is 2"

    async def test_so_are_those_of_a_model_that_has_it_in_its_constructor(self) -> None:
        handler: Any = ours.AsyncIteratorCallbackHandler()
        model = FakeListChatModel(responses=["one"], callbacks=[handler])

        async def run() -> list[Any]:
            return [chunk async for chunk in model.astream("q")]

        task = asyncio.create_task(run())
        assert [token async for token in handler.aiter()] == list("one")
        await task

    async def test_and_those_of_a_synchronous_run_in_a_thread(self) -> None:
        handler: Any = ours.AsyncIteratorCallbackHandler()
        model = FakeListChatModel(responses=["one"])
        running = asyncio.create_task(
            asyncio.to_thread(lambda: list(model.stream("q", with_callbacks(handler))))
        )
        assert [token async for token in handler.aiter()] == ["o", "n", "e"]
        await running

    async def test_a_chain_that_fails_before_its_model_ends_the_iteration(self) -> None:
        def fail(_: str) -> str:
            raise LookupError("no prompt")

        handler: Any = ours.AsyncIteratorCallbackHandler()
        chain = RunnableLambda(fail) | FakeListChatModel(responses=["never"])
        task = asyncio.create_task(chain.ainvoke("q", with_callbacks(handler)))
        with pytest.raises(LookupError, match="no prompt"):
            await anext(handler.aiter())
        with pytest.raises(LookupError):
            await task

    async def test_a_reader_who_leaves_can_end_the_run(self) -> None:
        handler: Any = ours.AsyncIteratorCallbackHandler()
        model = FakeListChatModel(responses=["endless" * 1000], sleep=0.001)

        async def run() -> None:
            async for _ in model.astream("q", with_callbacks(handler)):
                pass

        task = asyncio.create_task(run())
        tokens = handler.aiter()
        assert await anext(tokens) == "e"
        await tokens.aclose()
        await handler.done.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert handler.queue.empty()


class TestWhatIsPrinted:
    def runs(self, handler: Any) -> None:
        """Let *handler* see an agent and, because LangChain sends them no more, an old agent's thoughts."""
        agent().invoke(QUESTION, with_callbacks(handler))
        for module in (ours, theirs):
            manager: Any = module.CallbackManager.configure([handler])
            run = manager.on_chain_start({"name": "old"}, {"i": 1})
            run.on_agent_action(AgentAction("t", "in", "thinking\n"))
            run.on_agent_action(AgentAction("t", "in", "blue\n"), color="blue")
            used = run.get_child().on_tool_start({"name": "t"}, "in")
            used.on_tool_end("out", color="yellow", observation_prefix="saw: ", llm_prefix="so: ")
            run.on_text("text", color="pink", end="\n")
            run.on_agent_finish(AgentFinish({}, "done"))
            run.on_chain_end({})

    @pytest.mark.parametrize("color", [None, "green", "red"])
    def test_on_standard_output_is_the_same(
        self, color: str | None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        printed = []
        for module in (ours, theirs):
            self.runs(module.StdOutCallbackHandler(color))
            printed.append(capsys.readouterr().out)
        assert "Entering new LangGraph chain" in printed[0]
        assert printed[0] == printed[1]

    @pytest.mark.parametrize("color", [None, "green"])
    def test_in_a_file_is_the_same(self, color: str | None, tmp_path: Path) -> None:
        written = []
        for module in (ours, theirs):
            path = tmp_path / module.__name__
            with module.FileCallbackHandler(str(path), color=color) as handler:
                self.runs(handler)
            written.append(path.read_text())
        assert "Entering new LangGraph chain" in written[0]
        assert written[0] == written[1]

    @pytest.mark.parametrize("module", [ours, theirs])
    def test_of_a_stream_is_every_token(self, module: Any, capsys: pytest.CaptureFixture[str]) -> None:
        handler = module.StreamingStdOutCallbackHandler()
        list(FakeListChatModel(responses=["one "], callbacks=[handler]).stream("q"))
        run = ours.CallbackManager.configure([handler]).on_chat_model_start({}, [[]])[0]
        run.on_llm_new_token("two")
        assert capsys.readouterr().out == "one two"

    async def test_of_asynchronous_runs_too(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with ours.FileCallbackHandler(tmp_path / "runs") as file:
            handlers = (ours.StreamingStdOutCallbackHandler(), file)
            model = FakeListChatModel(responses=["one"], callbacks=list[Any](handlers))
            [chunk async for chunk in model.astream("q")]
            await agent().ainvoke(QUESTION, with_callbacks(file))
        assert capsys.readouterr().out == "one"
        assert "Entering new LangGraph chain" in (tmp_path / "runs").read_text()


class TestUsage:
    async def test_the_sums_are_the_same_whoever_adds_and_whoever_reports(self) -> None:
        sums = []
        for module in (ours, theirs):
            handler: Any = module.UsageMetadataCallbackHandler()
            agent().invoke(QUESTION, with_callbacks(handler))
            await agent().ainvoke(QUESTION, with_callbacks(handler))
            Model(messages=iter([answer("a")]), callbacks=[handler]).invoke("q")
            result: Any = LLMResult(generations=[[ChatGeneration(message=answer("a"))]])
            ours.CallbackManager.configure([handler]).on_chat_model_start({}, [[]])[0].on_llm_end(result)
            sums.append(handler.usage_metadata)
        assert sums[0] == sums[1]
        assert sums[0]["m"]["input_tokens"] == 6 * 3
        assert sums[0]["m"]["output_token_details"] == {"reasoning": 6 * 2}

    def test_a_block_counts_langchains_models_without_being_given_to_them(self) -> None:
        with ours.get_usage_metadata_callback() as outer:
            agent().invoke(QUESTION)
            with ours.get_usage_metadata_callback() as inner:
                agent().invoke(QUESTION)
        agent().invoke(QUESTION)
        assert outer.usage_metadata["m"]["input_tokens"] == 4 * 3
        assert inner.usage_metadata["m"]["input_tokens"] == 2 * 3

    async def test_also_asynchronous_ones_each_in_its_own_block(self) -> None:
        async def count(times: int) -> int:
            with ours.get_usage_metadata_callback() as counted:
                for _ in range(times):
                    await agent().ainvoke(QUESTION)
            return counted.usage_metadata["m"]["total_tokens"]

        assert await asyncio.gather(*map(count, (1, 2, 3))) == [14, 28, 42]


class Log(ours.BaseCallbackHandler):
    """Records chains, models and custom events with their parents' names."""

    run_inline = True

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.names: dict[UUID | None, str] = {}

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.names[run_id] = kwargs.get("name") or serialized["name"]
        self.told.append((self.names[run_id], self.names.get(kwargs["parent_run_id"])))

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.told.append(("model", self.names.get(kwargs["parent_run_id"])))

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: UUID, **kwargs: Any) -> None:
        self.names[run_id] = serialized["name"]

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.told.append((name, data, self.names[run_id], kwargs))


class TestGroups:
    def test_langchains_runs_take_a_groups_manager_as_callbacks(self) -> None:
        log, own = Log(), Log()
        chain = RunnableLambda(lambda x: x) | FakeListChatModel(responses=["a"] * 3)
        with ours.trace_as_chain_group("g", [log], tags=["t"]) as group:
            manager: Any = group
            chain.invoke("q", {"callbacks": manager})
            chain.with_config(callbacks=[own]).invoke("q", {"callbacks": manager})
            chain.with_config(callbacks=manager).invoke("q", {"callbacks": manager})
        inside = [
            ("RunnableSequence", "g"),
            ("RunnableLambda", "RunnableSequence"),
            ("model", "RunnableSequence"),
        ]
        assert log.told == [("g", None), *inside * 3]
        assert len(own.told) == 3

    async def test_so_do_asynchronous_ones(self) -> None:
        log = Log()
        async with ours.atrace_as_chain_group("g", [log]) as group:
            manager: Any = group
            await FakeListChatModel(responses=["a"]).ainvoke("q", {"callbacks": manager})
            await agent().ainvoke(QUESTION, {"callbacks": manager})
            events = [
                event["event"] async for event in agent().astream_events(QUESTION, {"callbacks": manager})
            ]
        assert log.told[:3] == [("g", None), ("model", "g"), ("LangGraph", "g")]
        assert log.told.count(("LangGraph", "g")) == 2
        assert "on_chat_model_end" in events

    @pytest.mark.parametrize("kind", ["CallbackManager", "AsyncCallbackManager"])
    def test_our_managers_are_managers_to_langchains_types(self, kind: str) -> None:
        manager: Any = getattr(ours, kind)([])
        assert isinstance(manager, getattr(theirs, kind))
        assert isinstance(manager, theirs.BaseCallbackManager)
        assert not isinstance(ours.BaseCallbackManager([]), getattr(theirs, kind))
        assert FakeListChatModel(responses=["a"], callbacks=manager).callbacks is manager
        assert type(copy(manager)) is type(manager.copy()) is getattr(ours, kind)

    def test_their_handlers_are_told_of_our_groups(self) -> None:
        told = []

        class Their(theirs.BaseCallbackHandler):
            def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
                told.append((serialized["name"], inputs))

            def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
                told.append(outputs)

        their: Any = theirs.CallbackManager.configure([Their()])
        with ours.trace_as_chain_group("g", their, inputs={"i": 1}) as group:
            group.on_chain_end({"o": 1})
        assert told == [("g", {"i": 1}), {"o": 1}]

    def test_a_group_in_a_langchain_body_belongs_to_its_run(self) -> None:
        log: Any = Log()

        def body(x: str) -> str:
            with ours.trace_as_chain_group("g"):
                return x

        RunnableLambda(body).invoke("q", with_callbacks(log))
        assert log.told == [("body", None), ("g", "body")]


class TestCustomEvents:
    """Ours, sent from the bodies of LangChain's runs, are told as theirs are."""

    def told(self, module: Any) -> list[Any]:
        """Return what a handler is told of events that are sent from every kind of body, synchronously."""
        log: Any = Log()
        config: RunnableConfig = {"callbacks": [log], "tags": ["t"], "metadata": {"k": 1}}

        def body(x: Any, config: RunnableConfig) -> Any:
            module.dispatch_custom_event("ambient", {"x": 1})
            module.dispatch_custom_event("explicit", 2, config=config)
            module.dispatch_custom_event("more", 3, config={"tags": ["u"], "metadata": {"l": 2}})
            return x

        @tool
        def busy(a: int, config: RunnableConfig) -> int:
            """Be busy."""
            return body(a, config)  # type: ignore[no-any-return]  # what came in

        (RunnableLambda(body) | busy.with_config(tags=["tool"])).invoke({"a": 1}, config)
        graph: Any = StateGraph(MessagesState)
        graph.add_node("node", body)
        graph.add_edge(START, "node")
        graph.add_edge("node", END)
        graph.compile().invoke({"messages": []}, config)
        return [
            (name, data, run, kwargs["tags"], plain(kwargs["metadata"]))
            for name, data, run, kwargs in (event for event in log.told if len(event) == 4)
        ]

    def test_synchronously(self) -> None:
        told = self.told(ours)
        assert [event[2] for event in told if event[0] == "ambient"] == ["body", "busy", "node"]
        assert told == self.told(theirs)

    async def test_asynchronously(self) -> None:
        told = []
        for module in (ours, theirs):
            log: Any = Log()

            async def body(x: Any, module: Any = module) -> Any:
                await module.adispatch_custom_event("n", x)
                await asyncio.to_thread(module.dispatch_custom_event, "in a thread", x)
                return x

            chain: Any = RunnableLambda(body) | RunnableLambda(body)
            await chain.ainvoke("q", {"callbacks": [log], "tags": ["t"], "metadata": {"k": 1}})
            told.append([event for event in log.told if len(event) == 4])
        assert len(told[0]) == 4
        assert told[0] == told[1]

    async def test_their_event_stream_has_ours(self) -> None:
        async def body(x: Any) -> Any:
            await ours.adispatch_custom_event("n", x)
            return x

        chain: Any = RunnableLambda(body)
        events = [event async for event in chain.astream_events("q", version="v2")]
        assert [(e["name"], e["data"]) for e in events if e["event"] == "on_custom_event"] == [("n", "q")]

    def test_outside_of_all_runs_both_refuse(self) -> None:
        for module in (ours, theirs):
            with pytest.raises(RuntimeError):
                module.dispatch_custom_event("n", 1)


def plain(metadata: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is different at every run."""
    return {key: value for key, value in metadata.items() if "checkpoint" not in key}
