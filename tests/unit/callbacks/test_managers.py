"""Managers and runs: what each start and report sends, in both worlds, and what children are given."""

from __future__ import annotations

import gc
import inspect
import weakref
from typing import Any
from uuid import UUID

import pytest

from otel_callbacks import callbacks
from otel_callbacks.callbacks import AsyncCallbackManager, BaseCallbackHandler, CallbackManager, HumanMessage
from otel_callbacks.callbacks.events import EVENTS


class Everything(BaseCallbackHandler):
    """Records every event with its arguments."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattribute__(self, name: str) -> Any:
        if name in EVENTS:
            return lambda *args, **kwargs: self.seen.append((name, args, kwargs))
        return super().__getattribute__(name)

    on_chat_model_start = on_llm_start = on_llm_new_token = on_stream_event = on_llm_end = on_llm_error = None  # type: ignore[assignment]
    on_chain_start = on_chain_end = on_chain_error = on_agent_action = on_agent_finish = None  # type: ignore[assignment]
    on_tool_start = on_tool_end = on_tool_error = on_text = on_retry = on_custom_event = None  # type: ignore[assignment]
    on_retriever_start = on_retriever_end = on_retriever_error = None  # type: ignore[assignment]
    run_inline = True


async def done(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


MANAGERS = [CallbackManager, AsyncCallbackManager]
ERROR = ValueError("x")
# start, its arguments, what the handler gets of them; reports of that run
RUNS: list[tuple[str, tuple[Any, ...], tuple[Any, ...], list[tuple[str, Any]]]] = [
    (
        "on_llm_start",
        ({"s": 1}, ["p"]),
        ({"s": 1}, ["p"]),
        [("on_llm_new_token", "t"), ("on_stream_event", {}), ("on_llm_end", "r"), ("on_llm_error", ERROR)],
    ),
    (
        "on_chat_model_start",
        ({"s": 1}, [[HumanMessage("m")]]),
        ({"s": 1}, [[HumanMessage("m")]]),
        [("on_llm_end", "r"), ("on_llm_error", ERROR)],
    ),
    (
        "on_chain_start",
        (None, {"i": 1}),
        (None, {"i": 1}),
        [
            ("on_agent_action", "a"),
            ("on_agent_finish", "f"),
            ("on_chain_end", "o"),
            ("on_chain_error", ERROR),
            ("on_text", "x"),
            ("on_retry", "again"),
        ],
    ),
    ("on_tool_start", (None, "in"), (None, "in"), [("on_tool_end", "o"), ("on_tool_error", ERROR)]),
    (
        "on_retriever_start",
        (None, "q"),
        (None, "q"),
        [("on_retriever_end", []), ("on_retriever_error", ERROR)],
    ),
]


@pytest.mark.parametrize("manager_class", MANAGERS)
@pytest.mark.parametrize(("start", "given", "received", "reports"), RUNS, ids=[row[0] for row in RUNS])
async def test_a_start_and_every_report_carry_what_langchain_users_know(
    manager_class: Any, start: str, given: Any, received: Any, reports: Any
) -> None:
    handler, parent, run_id = Everything(), UUID(int=1), UUID(int=2)
    manager = manager_class([handler], parent_run_id=parent, tags=["t"], metadata={"k": 1})
    run = await done(getattr(manager, start)(*given, run_id=run_id, name="n"))
    run = run[0] if isinstance(run, list) else run
    about = {"run_id": run_id, "parent_run_id": parent, "tags": ["t"]}
    inputs = {"inputs": None} if start == "on_tool_start" else {}
    assert handler.seen.pop() == (start, received, {**about, **inputs, "metadata": {"k": 1}, "name": "n"})
    assert (run.run_id, run.parent_run_id) == (run_id, parent)
    for report, argument in reports:
        await done(getattr(run, report)(argument, extra=1))
        chunk = {"chunk": None} if report == "on_llm_new_token" else {}
        assert handler.seen.pop() == (report, (argument,), {**about, **chunk, "extra": 1})


@pytest.mark.parametrize("manager_class", MANAGERS)
@pytest.mark.parametrize("start", ["on_llm_start", "on_chat_model_start"])
async def test_each_prompt_is_a_run_of_its_own_and_the_first_gets_the_id(
    manager_class: Any, start: str
) -> None:
    handler, run_id = Everything(), UUID(int=2)
    runs = await done(getattr(manager_class([handler]), start)({}, ["a", "b", "c"], run_id=run_id))
    ids = [run.run_id for run in runs]
    assert ids[0] == run_id
    assert len(set(ids)) == 3
    assert [(args[1], kwargs["run_id"]) for _, args, kwargs in handler.seen] == [
        (["a"], ids[0]),
        (["b"], ids[1]),
        (["c"], ids[2]),
    ]


@pytest.mark.parametrize("manager_class", MANAGERS)
async def test_several_prompts_that_nobody_listens_to_are_runs_all_the_same(manager_class: Any) -> None:
    runs = await done(manager_class([]).on_llm_start({}, ["a", "b"]))
    assert len({run.run_id for run in runs}) == 2


@pytest.mark.parametrize("manager_class", MANAGERS)
async def test_without_prompts_there_are_no_runs(manager_class: Any) -> None:
    handler = Everything()
    assert await done(manager_class([handler]).on_llm_start({}, [])) == []
    assert handler.seen == []


@pytest.mark.parametrize("manager_class", MANAGERS)
async def test_ids_are_made_in_order_and_of_version_7(manager_class: Any) -> None:
    runs = [await done(manager_class([]).on_chain_start(None, {})) for _ in range(3)]
    ids = [run.run_id for run in runs]
    assert ids == sorted(ids)
    assert {run_id.version for run_id in ids} == {7}


@pytest.mark.parametrize("manager_class", MANAGERS)
async def test_a_tools_arguments_reach_the_handler(manager_class: Any) -> None:
    handler = Everything()
    await done(manager_class([handler]).on_tool_start(None, "{}", inputs={"a": 1}, tool_call_id="c"))
    assert (handler.seen[0][2]["inputs"], handler.seen[0][2]["tool_call_id"]) == ({"a": 1}, "c")


@pytest.mark.parametrize("manager_class", MANAGERS)
@pytest.mark.parametrize("start", ["on_tool_start", "on_retriever_start"])
async def test_the_managers_own_parent_counts(manager_class: Any, start: str) -> None:
    run = await done(getattr(manager_class([]), start)(None, "x", parent_run_id=UUID(int=9)))
    assert run.parent_run_id is None


@pytest.mark.parametrize("manager_class", MANAGERS)
async def test_a_custom_event_has_the_enclosing_run_and_no_parent(manager_class: Any) -> None:
    handler = Everything()
    manager = manager_class([handler], parent_run_id=UUID(int=1), tags=["t"], metadata={"k": 1})
    await done(manager.on_custom_event("mine", {"d": 1}, run_id=UUID(int=2)))
    await done(manager.on_custom_event("mine", None))
    about = {"run_id": UUID(int=2), "tags": ["t"], "metadata": {"k": 1}}
    assert handler.seen[0] == ("on_custom_event", ("mine", {"d": 1}), about)
    assert handler.seen[1][2]["run_id"].version == 7


@pytest.mark.parametrize("manager_class", MANAGERS)
async def test_a_custom_event_takes_no_other_keywords(manager_class: Any) -> None:
    with pytest.raises(ValueError, match="not in 'extra'"):
        await done(manager_class([Everything()]).on_custom_event("mine", {}, extra=1))
    await done(manager_class([]).on_custom_event("mine", {}, extra=1))  # nobody listens: nothing is looked at


@pytest.mark.parametrize("manager_class", MANAGERS)
@pytest.mark.parametrize("start", ["on_chain_start", "on_tool_start", "on_retriever_start"])
async def test_children_get_what_is_inheritable_and_the_tag(manager_class: Any, start: str) -> None:
    local, handed_on = Everything(), Everything()
    manager = manager_class(
        [local, handed_on],
        [handed_on],
        tags=["l", "i"],
        inheritable_tags=["i"],
        metadata={"l": 1, "i": 2},
        inheritable_metadata={"i": 2},
    )
    run = await done(getattr(manager, start)(None, "x"))
    child = run.get_child("seq:step:1")
    assert type(child) is manager_class
    grandchild = await done(child.on_chain_start(None, "y"))
    assert grandchild.parent_run_id == run.run_id
    assert (grandchild.tags, grandchild.metadata) == (["i", "seq:step:1"], {"i": 2})
    assert grandchild.get_child().tags == ["i"]
    assert [len(handler.seen) for handler in (local, handed_on)] == [1, 2]


def test_models_have_no_children() -> None:
    assert not hasattr(callbacks.CallbackManagerForLLMRun, "get_child")
    assert not hasattr(callbacks.AsyncCallbackManagerForLLMRun, "get_child")


@pytest.mark.parametrize(
    "name",
    [name for name in callbacks.__all__ if name.startswith("Async") and name.endswith(("Run", "RunManager"))],
)
def test_an_async_run_has_a_synchronous_twin_with_the_same_id_and_scope(name: str) -> None:
    run = getattr(callbacks, name)(
        run_id=UUID(int=1),
        handlers=[Everything()],
        inheritable_handlers=[],
        tags=["t"],
        parent_run_id=UUID(int=2),
    )
    twin = run.get_sync()
    assert type(twin) is getattr(callbacks, name.removeprefix("Async"))
    assert (twin.run_id, twin.parent_run_id, twin.tags) == (run.run_id, run.parent_run_id, ["t"])
    assert twin.handlers == run.handlers


@pytest.mark.parametrize(
    "kind", [callbacks.CallbackManagerForChainRun, callbacks.AsyncCallbackManagerForToolRun]
)
async def test_a_noop_run_reports_to_nobody(kind: Any) -> None:
    run = kind.get_noop_manager()
    await done(run.on_text("x"))
    assert (run.handlers, run.run_id.version) == ([], 7)


def test_only_the_async_manager_is_async() -> None:
    assert not CallbackManager([]).is_async
    assert AsyncCallbackManager([]).is_async


@pytest.mark.parametrize("manager_class", MANAGERS)
def test_the_methods_of_the_algebra_change_the_manager(manager_class: Any) -> None:
    one, two, manager = Everything(), Everything(), manager_class([])
    manager.add_handler(one)
    manager.add_handler(two, inherit=False)
    assert (manager.handlers, manager.inheritable_handlers) == ([one, two], [one])
    manager.remove_handler(one)
    assert (manager.handlers, manager.inheritable_handlers) == ([two], [])
    manager.set_handler(one)
    assert (manager.handlers, manager.inheritable_handlers) == ([one], [one])
    manager.set_handlers([two, one], inherit=False)
    assert (manager.handlers, manager.inheritable_handlers) == ([two, one], [])
    manager.add_tags(["a", "b"])
    manager.add_tags(["c"], inherit=False)
    manager.remove_tags(["a"])
    assert (manager.tags, manager.inheritable_tags) == (["b", "c"], ["b"])
    manager.add_metadata({"a": 1, "b": 2})
    manager.add_metadata({"c": 3}, inherit=False)
    manager.remove_metadata(["a"])
    assert (manager.metadata, manager.inheritable_metadata) == ({"b": 2, "c": 3}, {"b": 2})


@pytest.mark.parametrize("manager_class", MANAGERS)
async def test_nothing_keeps_a_handler_when_its_runs_are_over(manager_class: Any) -> None:
    class Handler(BaseCallbackHandler):
        run_inline = True

        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None: ...
        def on_chain_end(self, outputs: Any, **kwargs: Any) -> None: ...

    gc.collect()
    gc.disable()
    try:
        handler = Handler()
        gone = weakref.ref(handler)
        run = await done(manager_class.configure([handler]).on_chain_start(None, {}))
        await done((await done(run.get_child().on_chain_start(None, {}))).on_chain_end({}))
        await done(run.on_chain_end({}))
        del handler, run
        assert gone() is None
    finally:
        gc.enable()


def test_merge_keeps_the_class_and_the_order() -> None:
    """langchain-core loses the order in a set."""
    handlers = [Everything() for _ in range(20)]
    merged = AsyncCallbackManager(handlers[:10]).merge(CallbackManager(handlers[10:]))
    assert type(merged) is AsyncCallbackManager
    assert merged.handlers == handlers


def test_a_subclass_with_a_constructor_of_its_own_is_made_by_it() -> None:
    class Counting(CallbackManager):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.count = 0

    manager = Counting([Everything()], tags=["t"], inheritable_metadata={"k": 1}).copy()
    assert (type(manager), manager.count, manager.tags) == (Counting, 0, ["t"])
    assert (len(manager.handlers), manager.inheritable_metadata) == (1, {"k": 1})
