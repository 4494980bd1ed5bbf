"""The contract with langchain-core: the same events with the same signatures, and its objects take our handlers.

The installed langchain-core is the oracle. An event that it adds makes this file fail with the event's name.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any, TypeVar

import langchain_core.callbacks as theirs
import pytest
from langchain_core.callbacks import base as their_base
from langchain_core.callbacks import manager as their_manager
from langchain_core.callbacks.manager import CallbackManager as TheirManager
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    get_buffer_string,
)
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_core.tracers.context import register_configure_hook

import otel_callbacks.callbacks as ours
from otel_callbacks.callbacks.events import CHAIN_END, CHAIN_START, EVENTS, Event
from otel_callbacks.callbacks.types import conversation_text

ONLY_IN_SOME_RELEASES = frozenset({"on_stream_event"})
"""Events that the older of the supported langchain-core releases lack."""

MIXINS = (
    "LLMManagerMixin",
    "ChainManagerMixin",
    "ToolManagerMixin",
    "RetrieverManagerMixin",
    "CallbackManagerMixin",
    "RunManagerMixin",
)
RUN_MANAGERS = [name for name in theirs.__all__ if name.endswith(("Run", "RunManager"))]


def public(cls: type, prefix: str = "") -> dict[str, Any]:
    names = (name for name in dir(cls) if name.startswith(prefix) and not name.startswith("_"))
    return {name: getattr(cls, name) for name in names}


def shape(function: Any) -> list[tuple[str, Any, Any]]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def own_events(cls: type) -> set[str]:
    return {name for name in vars(cls) if name.startswith("on_")}


@pytest.mark.parametrize("mixin", MIXINS)
def test_every_mixin_has_the_events_of_its_namesake(mixin: str) -> None:
    their_events, our_events = own_events(getattr(their_base, mixin)), own_events(getattr(ours, mixin))
    assert their_events - our_events == set(), "langchain-core has events that we lack"
    assert our_events - their_events <= ONLY_IN_SOME_RELEASES


@pytest.mark.parametrize("base", ["BaseCallbackHandler", "AsyncCallbackHandler"])
def test_every_event_has_the_signature_of_its_namesake(base: str) -> None:
    their_events = public(getattr(their_base, base), "on_")
    assert set(their_events) - set(EVENTS) == set(), "langchain-core has events that we lack"
    for name, theirs_ in their_events.items():
        our_method = getattr(getattr(ours, base), name)
        assert shape(our_method) == shape(theirs_), name
        assert inspect.iscoroutinefunction(our_method) == inspect.iscoroutinefunction(theirs_), name


def test_the_switches_are_the_same() -> None:
    assert (
        public(ours.BaseCallbackHandler, "ignore_").keys()
        == public(theirs.BaseCallbackHandler, "ignore_").keys()
    )
    for name in ("raise_error", "run_inline"):
        assert getattr(ours.BaseCallbackHandler, name) == getattr(theirs.BaseCallbackHandler, name)


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_each_event_is_switched_off_by_the_same_property(event: Event) -> None:
    """Observed, not read: which switch their dispatch asks for when the event is sent."""
    asked: list[str] = []

    class Their(theirs.BaseCallbackHandler):
        def __getattribute__(self, name: str, /) -> Any:
            if name.startswith("ignore_"):
                asked.append(name)
            return super().__getattribute__(name)

        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> Any:
            """Do not fall back."""

    send = sender(TheirManager([Their()]), event.name)
    asked.clear()
    send()
    assert asked == ([event.ignore] if event.ignore else [])


def sender(manager: Any, event: str) -> Callable[[], Any]:
    """Return what makes *manager*, or a run that it has started, send *event*."""
    starts: dict[str, Callable[[], Any]] = {
        "on_llm_start": lambda: manager.on_llm_start({}, ["p"])[0],
        "on_chat_model_start": lambda: manager.on_chat_model_start({}, [[HumanMessage("m")]])[0],
        "on_chain_start": lambda: manager.on_chain_start({}, {}),
        "on_tool_start": lambda: manager.on_tool_start({}, "in"),
        "on_retriever_start": lambda: manager.on_retriever_start({}, "q"),
        "on_custom_event": lambda: manager.on_custom_event("n", {}),
    }
    if event in starts:
        return starts[event]
    run = next(run for run in (start() for start in list(starts.values())[:-1]) if hasattr(run, event))
    return lambda: getattr(run, event)("x")


@pytest.mark.parametrize("name", RUN_MANAGERS)
def test_every_run_manager_has_the_methods_of_its_namesake(name: str) -> None:
    for method, theirs_ in public(getattr(theirs, name)).items():
        our_method = getattr(getattr(ours, name), method)
        assert shape(our_method) == shape(theirs_), method
        assert inspect.iscoroutinefunction(our_method) == inspect.iscoroutinefunction(theirs_), method


@pytest.mark.parametrize("name", ["BaseCallbackManager", "CallbackManager", "AsyncCallbackManager"])
def test_every_manager_has_the_methods_of_its_namesake(name: str) -> None:
    for method, theirs_ in public(getattr(theirs, name)).items():
        our_method = getattr(getattr(ours, name), method)
        if isinstance(theirs_, property):
            assert isinstance(our_method, property), method
            continue
        missing = [row for row in shape(theirs_) if row not in shape(our_method)]
        assert missing == [], method
        assert inspect.iscoroutinefunction(our_method) == inspect.iscoroutinefunction(theirs_), method


def their_public() -> dict[str, Any]:
    """Return what langchain-core's callback modules define and do not hide."""
    found = {name: getattr(theirs, name) for name in theirs.__all__}
    for module in (their_base, their_manager):
        for name, value in vars(module).items():
            home = getattr(value, "__module__", None) or ""
            if home.startswith("langchain_core.callbacks") and not name.startswith("_"):
                found[name] = value
    found["register_configure_hook"] = register_configure_hook
    return {name: value for name, value in found.items() if not isinstance(value, TypeVar)}


PUBLIC = their_public()


def test_every_public_name_is_here() -> None:
    assert set(PUBLIC) - set(ours.__all__) == set(), "langchain-core has names that we lack"


@pytest.mark.parametrize("name", [name for name, value in PUBLIC.items() if inspect.isfunction(value)])
def test_every_function_takes_the_arguments_of_its_namesake(name: str) -> None:
    assert_takes(getattr(ours, name), PUBLIC[name], name)


@pytest.mark.parametrize("name", [name for name, value in PUBLIC.items() if inspect.isclass(value)])
def test_every_class_has_the_members_of_its_namesake(name: str) -> None:
    our_class = getattr(ours, name)
    assert_takes(our_class, PUBLIC[name], name)
    for member, theirs_ in public(PUBLIC[name]).items():
        our_member = getattr(our_class, member, None)
        assert our_member is not None or theirs_ is None, f"langchain-core has {name}.{member}, which we lack"
        if inspect.isroutine(theirs_):
            assert_takes(our_member, theirs_, f"{name}.{member}")


def assert_takes(our: Any, their: Any, name: str) -> None:
    known = shape(our)
    assert [row for row in shape(their) if row not in known] == [], f"parameters of {name} that we lack"
    assert inspect.iscoroutinefunction(our) == inspect.iscoroutinefunction(their), name


MESSAGES = [
    HumanMessage("hi"),
    SystemMessage("be kind"),
    AIMessage("yes"),
    AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1}, "id": "c", "type": "tool_call"}]),
    AIMessage("x", additional_kwargs={"function_call": {"name": "f", "arguments": "{}"}}),
    ToolMessage("3", tool_call_id="c"),
    FunctionMessage(content="4", name="f"),
    ChatMessage(content="arr", role="pirate"),
    HumanMessage([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m.type)
def test_the_prompt_for_a_conversation_is_theirs(message: Any) -> None:
    assert conversation_text([message]) == get_buffer_string([message])


def pickled(handler: Any) -> Any:
    return pickle.loads(pickle.dumps(handler))  # noqa: S301 - our own bytes


class Recorder(ours.BaseCallbackHandler):
    """A handler that a user wrote on this package."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.events.append("chain start")

    def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> None:
        self.events.append(f"model start {prompts}")

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.events.append(f"model end {response.generations[0][0].text}")


class AsyncRecorder(ours.AsyncCallbackHandler):
    """The same in the other world."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.events.append(f"model start {prompts}")

    async def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.events.append(f"model end {response.generations[0][0].text}")


MODEL_EVENTS = ["model start ['Human: q']", "model end a"]


class TestOurHandlersThere:
    """Attached to LangChain's objects, without a change."""

    @pytest.mark.parametrize("kind", [Recorder, AsyncRecorder])
    def test_a_models_constructor_takes_them(self, kind: Any) -> None:
        handler = kind()
        FakeListChatModel(responses=["a"], callbacks=[handler]).invoke("q")
        assert handler.events == MODEL_EVENTS

    @pytest.mark.parametrize("kind", [Recorder, AsyncRecorder])
    async def test_a_models_constructor_takes_them_for_async_calls(self, kind: Any) -> None:
        handler = kind()
        await FakeListChatModel(responses=["a"], callbacks=[handler]).ainvoke("q")
        assert handler.events == MODEL_EVENTS

    def test_a_config_takes_them(self) -> None:
        handler: Any = Recorder()  # their types cannot know what isinstance says
        RunnableLambda(lambda x: x).invoke("q", config={"callbacks": [handler]})
        assert handler.events == ["chain start"]

    def test_a_tools_constructor_takes_them(self) -> None:
        class Tools(ours.BaseCallbackHandler):
            output: Any = None

            def on_tool_end(self, output: Any, **kwargs: Any) -> None:
                self.output = output

        @tool
        def double(x: int) -> int:
            """Double it."""
            return 2 * x

        handler = Tools()
        double.callbacks = [handler]  # type: ignore[list-item]  # theirs by isinstance, not by inheritance
        checked = type(double).model_validate({**dict(double), "callbacks": [handler]})
        checked.invoke({"x": 2})
        assert handler.output == 4

    def test_openais_model_takes_them(self) -> None:
        openai = pytest.importorskip("langchain_openai")
        handler = Recorder()
        model = openai.ChatOpenAI(model="m", api_key="none", callbacks=[handler])
        assert model.callbacks == [handler]

    def test_what_is_no_handler_is_still_refused(self) -> None:
        with pytest.raises(ValueError, match="callbacks"):
            FakeListChatModel(responses=["a"], callbacks=[object()])  # type: ignore[list-item]  # on purpose

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
    def test_they_are_copied_and_pickled_as_what_they_are(self, duplicate: Any) -> None:
        handler: Any = Recorder()
        handler.events.append("x")
        assert isinstance(handler, theirs.BaseCallbackHandler)
        again = duplicate(handler)
        assert (type(again), again.events) == (Recorder, ["x"])

    def test_our_manager_is_taken_as_callbacks(self) -> None:
        handler = Recorder()
        run = ours.CallbackManager.configure([handler]).on_chain_start(None, {})
        chain = RunnableLambda(lambda x: x) | FakeListChatModel(responses=["a"])
        child: Any = run.get_child()
        chain.invoke("q", config={"callbacks": child})
        assert handler.events == ["chain start"] * 3 + MODEL_EVENTS


class TestTheirHandlersHere:
    """Attached to our managers, without a change."""

    def test_their_handlers_get_our_events_and_their_empty_methods_cost_nothing(self) -> None:
        seen: list[Any] = []

        class Their(theirs.BaseCallbackHandler):
            def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> None:
                seen.append((prompts, kwargs["tags"]))

        manager = ours.CallbackManager([Their()], tags=["t"])
        manager.on_chat_model_start({}, [[ours.HumanMessage("hi")]])
        run = manager.on_chain_start(None, {})
        assert seen == [(["Human: hi"], ["t"])]
        assert run.scope.handlers.plans[CHAIN_START] is None

    async def test_their_async_handlers_too(self) -> None:
        seen: list[Any] = []

        class Their(theirs.AsyncCallbackHandler):
            async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
                seen.append(inputs)

        run = await ours.AsyncCallbackManager([Their()]).on_chain_start(None, "in")
        await run.on_chain_end({})
        assert seen == ["in"]
        assert run.scope.handlers.plans[CHAIN_END] is None
