"""Whatever the application hands over: it never notices, no neighbour is lost, and what can be recorded is recorded."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
import sys
import threading
import types
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableLambda
from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import AsyncOTelCallbackHandler, OTelCallbackHandler
from otel_callbacks.core import completion, normalize, reading
from tests.property import hostile
from tests.property.delivery import delivered
from tests.property.delivery import values as said_by
from tests.property.hostile import CANARY, VALUES

Handler: TypeAlias = OTelCallbackHandler
Exporter: TypeAlias = InMemorySpanExporter

KINDS: Final = ("chain", "chat_model", "llm", "tool", "retriever")
ENDS: Final = {"chat_model": "llm"}


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    """What a test leaves behind in the context is not the next one's."""
    token = context_api.attach(Context())
    yield
    context_api.detach(token)


@pytest.fixture(autouse=True)
def _neighbour(request: pytest.FixtureRequest, _own_context: None) -> Iterator[None]:
    """An ordinary span before and one after, of somebody else: both are delivered as they were."""
    if "handler" not in request.fixturenames:
        yield
        return
    provider: TracerProvider = request.getfixturevalue("provider")
    exporter: Exporter = request.getfixturevalue("exporter")
    tracer = provider.get_tracer("somebody else")
    with tracer.start_as_current_span("before", attributes={"n": 1}):
        pass
    yield
    with tracer.start_as_current_span("after", attributes={"n": 2}) as span:
        assert getattr(span, "parent", None) is None  # nothing of ours is still current
    theirs = {span.name: said_by(span) for span in delivered(exporter) if said_by(span).keys() == {"n"}}
    assert theirs == {"before": {"n": 1}, "after": {"n": 2}}


def start(handler: Handler, kind: str, run_id: Any, parent: Any = None, **given: Any) -> None:
    """Call a start event as a dispatcher does, *given* replacing what is usual."""
    usual: dict[str, Any] = {"tags": [], "metadata": {}, "name": kind, "serialized": None, "input": "in"}
    arguments = {**usual, **given}
    event = getattr(handler, f"on_{kind}_start")
    event(
        arguments.pop("serialized"), arguments.pop("input"), run_id=run_id, parent_run_id=parent, **arguments
    )


def end(handler: Handler, kind: str, run_id: Any, output: Any = None, **given: Any) -> None:
    getattr(handler, f"on_{ENDS.get(kind, kind)}_end")(output, run_id=run_id, **given)


def fail(handler: Handler, kind: str, run_id: Any, error: Any, **given: Any) -> None:
    getattr(handler, f"on_{ENDS.get(kind, kind)}_error")(error, run_id=run_id, **given)


def ours(exporter: Exporter) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if "langchain.run.kind" in (span.attributes or {})]


def only(exporter: Exporter) -> ReadableSpan:
    spans = ours(exporter)
    assert len(spans) == 1, [span.name for span in spans]
    return spans[0]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def everything_said(exporter: Exporter) -> str:
    """Return every text of ours that left the process."""
    said = [(span.name, span.status.description, attributes(span)) for span in ours(exporter)]
    events = [(event.name, dict(event.attributes or {})) for span in ours(exporter) for event in span.events]
    return repr((said, events))


# -- odd values, everywhere at once -------------------------------------------------------------------------------------

_PARAMETERS: Final = (
    "model", "_type", "temperature", "max_tokens", "stop", "top_p", "top_k", "seed", "n", "stream", "response_format",
    "base_url", "frequency_penalty",
)  # fmt: skip
_METADATA: Final = (
    "ls_provider", "ls_model_name", "ls_temperature", "ls_integration", "lc_agent_name", "thread_id", "langgraph_node",
    "langgraph_triggers", "ls_vector_store_provider", "ls_embedding_model", "own key",
)  # fmt: skip
_MESSAGE: Final = ("usage_metadata", "response_metadata", "id", "status", "tool_call_id", "chunk_position")


class Anything:
    """An object with one value under every name that is asked for."""

    def __init__(self, value: Any, names: tuple[str, ...]) -> None:
        for name in names:
            object.__setattr__(self, name, value)


def wrapped(value: Any) -> Iterator[Any]:
    """Yield results that hold *value* at each depth at which a result is read."""
    message = Anything(value, _MESSAGE)
    inner = Anything(value, ("generation_info", "status", "tool_call_id"))
    object.__setattr__(inner, "message", message)
    yield value
    for generations in (value, [value], [[value]], [[inner]], [[inner, inner]]):
        result = Anything(value, ("llm_output", "generation_info"))
        object.__setattr__(result, "generations", generations)
        yield result
    usage = {
        "input_tokens": value,
        "output_tokens": value,
        "input_token_details": value,
        "token_usage": value,
    }
    object.__setattr__(message, "usage_metadata", usage)
    object.__setattr__(
        message, "response_metadata", dict.fromkeys(("model_name", "finish_reason", "id"), value)
    )
    object.__setattr__(result, "llm_output", {"token_usage": usage, "model_name": value})
    yield result


def whole(handler: Handler, kind: str, value: Any) -> None:
    """One run with *value* as every argument."""
    run_id = uuid.uuid4()
    start(
        handler, kind, run_id, serialized=value, input=value, tags=value, metadata=value, name=value,
        invocation_params=value, options=value, tool_call_id=value, batch_size=value, unheard_of=value,
    )  # fmt: skip
    handler.on_text(value, run_id=run_id)
    handler.on_retry(value, run_id=run_id)
    handler.on_agent_action(value, run_id=run_id)
    handler.on_agent_finish(value, run_id=run_id)
    handler.on_custom_event(value, value, run_id=run_id)
    handler.on_llm_new_token(value, chunk=value, run_id=run_id)
    handler.on_interrupt(value)
    handler.on_resume(value)
    end(handler, kind, run_id, value, tags=value)


def parts(handler: Handler, kind: str, value: Any) -> None:
    """Runs with *value* inside of every argument, one run for each way to end."""
    serialized = {
        "id": [value],
        "name": value,
        "kwargs": {"base_url": value, "k": value},
        "description": value,
    }
    given: dict[str, Any] = {
        "serialized": serialized,
        "tags": [value, "tag"],
        "metadata": dict.fromkeys(_METADATA, value),
        "name": value,
        "invocation_params": dict.fromkeys(_PARAMETERS, value),
        "options": {"ls_structured_output_format": value},
    }
    for result in wrapped(value):
        run_id = uuid.uuid4()
        start(handler, kind, run_id, **given)
        chunk = Anything(value, ("generation_info",))
        object.__setattr__(chunk, "message", Anything(value, _MESSAGE))
        handler.on_llm_new_token("", chunk=chunk, run_id=run_id)
        handler.on_retry(Anything(value, ("attempt_number",)), run_id=run_id)
        handler.on_agent_action(Anything(value, ("tool",)), run_id=run_id)
        event = Anything(value, ("interrupts", "status", "checkpoint_id", "checkpoint_ns"))
        object.__setattr__(event, "run_id", run_id)
        handler.on_interrupt(event)
        handler.on_resume(event)
        end(handler, kind, run_id, result)
    for error in (value, OddError(value)):
        run_id = uuid.uuid4()
        start(handler, kind, run_id, **given)
        fail(handler, kind, run_id, error, response=value)


class OddError(Exception):
    """An exception that holds something odd, and is caused by itself."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.args = (value,)
        self.__cause__ = self

    def __str__(self) -> str:
        return "text"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name in VALUES if name not in hostile.BIG])
def test_an_odd_value_anywhere_is_no_fault(
    name: str, kind: str, handler: Handler, exporter: Exporter
) -> None:
    value = VALUES[name]()
    whole(handler, kind, value)
    parts(handler, kind, value)
    assert handler.open_runs == 0
    assert hostile.calls(value) == 0
    assert CANARY not in everything_said(exporter)
    assert len(ours(exporter)) == 10
    if type(value) is types.GeneratorType:
        assert list(value) == [0, 1, 2]  # not consumed


@pytest.mark.parametrize("name", sorted(hostile.BIG))
def test_a_huge_value_is_walked_as_far_as_its_budget_goes(
    name: str, handler: Handler, exporter: Exporter
) -> None:
    value = VALUES[name]()
    whole(handler, "chain", value)
    run_id = uuid.uuid4()
    start(handler, "tool", run_id, metadata={"a": value, "b": [value], "c": {"d": value}}, tags=[value])
    end(handler, "tool", run_id, value)
    said = attributes(ours(exporter)[-1])
    assert all(len(str(item)) < 40_000 for item in said.values())
    assert any(
        "more]" in str(item) or "truncated" in str(item) or "bytes>" in str(item) for item in said.values()
    )


# -- through LangChain ---------------------------------------------------------------------------------------------------


async def by_invoke(chain: Any, value: Any, config: Any) -> Any:
    return chain.invoke(value, config)


async def by_ainvoke(chain: Any, value: Any, config: Any) -> Any:
    return await chain.ainvoke(value, config)


async def by_stream(chain: Any, value: Any, config: Any) -> Any:
    return list(chain.stream(value, config))[-1]


async def by_astream(chain: Any, value: Any, config: Any) -> Any:
    return [chunk async for chunk in chain.astream(value, config)][-1]


WAYS: Final = {"invoke": by_invoke, "ainvoke": by_ainvoke, "stream": by_stream, "astream": by_astream}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", sorted(VALUES.keys() - hostile.BIG - hostile.NOT_AN_INPUT))
async def test_an_odd_value_passes_through_langchain_untouched(
    name: str, way: str, handler: Handler, exporter: Exporter
) -> None:
    value = VALUES[name]()
    chain = RunnableLambda(lambda given: given, name="identity")
    config = {"callbacks": [handler], "metadata": {"key": value}, "tags": ["tag"]}
    assert await WAYS[way](chain, value, config) is value
    assert only(exporter).name == "identity"
    assert CANARY not in everything_said(exporter)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["hostile", "hostile dict", "hostile list", "liar"])
async def test_an_object_that_cannot_be_looked_at_is_metadata_like_any_other(
    name: str, way: str, handler: Handler, exporter: Exporter
) -> None:
    value = VALUES[name]()
    chain = RunnableLambda(lambda given: given, name="identity")
    assert await WAYS[way](chain, 1, {"callbacks": [handler], "metadata": {"key": value}}) == 1
    assert attributes(only(exporter))["langchain.metadata.key"]
    assert hostile.calls(value) == 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "error",
    [
        hostile.HostileError(CANARY),
        ExceptionGroup("many", [ValueError(str(n)) for n in range(10_000)]),
        OddError(3),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_odd_exception_reaches_the_caller_as_it_was_raised(
    error: Exception, way: str, handler: Handler, exporter: Exporter
) -> None:
    def body(_: Any) -> Any:
        raise error

    with pytest.raises(type(error)) as caught:
        await WAYS[way](RunnableLambda(body), 1, {"callbacks": [handler]})
    assert caught.value is error
    error.__traceback__ = None  # the parameter outlives the test, and would keep its frames
    assert str(attributes(only(exporter))["error.type"]).endswith(type(error).__qualname__)
    assert only(exporter).status.status_code.name == "ERROR"


@pytest.mark.parametrize("way", WAYS)
async def test_a_model_with_odd_usage_and_content_keeps_what_can_be_read(
    way: str, handler: Handler, exporter: Exporter
) -> None:
    usage: Any = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    odd: Any = [{"type": "unheard of", "x": None}, {"type": "image", "base64": "A" * 200_000}]
    message = AIMessage(
        odd, usage_metadata=usage, response_metadata={"finish_reason": "\ud800", "model_name": 7}
    )
    model = GenericFakeChatModel(messages=iter([message]))
    if "stream" in way:  # the fake streams strings only
        model = GenericFakeChatModel(messages=iter([AIMessage("a b", response_metadata={"model_name": 7})]))
    await WAYS[way](model, "question \ud800", {"callbacks": [handler], "run_name": "x\ny" * 5_000})
    said = attributes(only(exporter))
    assert "gen_ai.response.model" not in said
    if "stream" not in way:
        assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (3, 4)
        assert said["gen_ai.response.finish_reasons"] == ("\ufffd",)


# -- rows 1 to 5: results of models --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "result",
    [
        None,
        "text",
        LLMResult(generations=[]),
        LLMResult(generations=[[]]),
        Anything([[None]], ("generations", "llm_output")),
        Anything(None, ("generations", "llm_output")),
        {"generations": [[{"message": None}]], "llm_output": "text"},
    ],
    ids=["None", "text", "no-lists", "an-empty-list", "None-in-a-list", "no-generations", "a-mapping"],
)
def test_a_result_without_content_ends_the_run_well(
    result: Any, handler: Handler, exporter: Exporter
) -> None:
    run_id = uuid.uuid4()
    start(handler, "chat_model", run_id)
    end(handler, "chat_model", run_id, result)
    said = attributes(only(exporter))
    assert only(exporter).status.status_code.name == "UNSET"
    assert not [key for key in said if key.startswith(("gen_ai.usage", "gen_ai.response", "error"))]


class _Raising:
    """Has every field, and raises when asked for one."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(CANARY)


@pytest.mark.parametrize(
    "part", ["llm_output", "generation_info", "response_metadata", "usage_metadata", "all"]
)
def test_a_part_of_a_result_that_raises_is_passed_over(
    part: str, handler: Handler, exporter: Exporter
) -> None:
    run_id = uuid.uuid4()
    start(handler, "chat_model", run_id)
    message = {"response_metadata": {"model_name": "m"}, "usage_metadata": {"input_tokens": 1}}
    generation = {"message": message, "generation_info": {"finish_reason": "stop"}}
    result: Any = {"generations": [[generation]], "llm_output": {"id": "r"}}
    for holder in (message, generation, result):
        if part in holder:
            holder[part] = _Raising()
    end(handler, "chat_model", run_id, _Raising() if part == "all" else result)
    said = attributes(only(exporter))
    assert ("gen_ai.response.id" in said) == (part not in ("llm_output", "all"))
    assert ("gen_ai.response.model" in said) == (part not in ("response_metadata", "all"))


@pytest.mark.parametrize(
    ("given", "recorded"),
    [(12, 12), (12.0, 12), ("12", 12), (0, None), (None, None), (12.5, None), ("1.5", None), (float("nan"), None),
     (float("inf"), None), (-5, None), (True, None), (2**70, None), (-1.0, None), (b"12", None), ([12], None),
     ("9" * 5_000, None)],
)  # fmt: skip
def test_a_token_count_is_a_whole_number_or_is_left_out(
    given: Any, recorded: int | None, handler: Handler, exporter: Exporter
) -> None:
    run_id = uuid.uuid4()
    start(handler, "chat_model", run_id)
    end(
        handler,
        "chat_model",
        run_id,
        {"generations": [[{"message": {"usage_metadata": {"input_tokens": given}}}]]},
    )
    found = attributes(only(exporter)).get("gen_ai.usage.input_tokens")
    assert found == recorded
    assert found is None or type(found) is int


# -- rows 7 to 22, 41: values as they are recorded -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("\0\x1b\u202e", "\0\x1b\u202e"),
        ([1.0, float("nan")], '[1.0,"NaN"]'),
        (1 << 63, str(1 << 63)),
        (-(1 << 63), -(1 << 63)),
        (b"\xff", b"\xff"),
        (b"x" * 2_000, "<2000 bytes>"),
        (hostile.cyclic_dict(), '{"a":1,"self":"<cycle>"}'),
        (["a", "b"], ("a", "b")),
        ([True, False], (True, False)),
        ([1, "a"], '[1,"a"]'),
        ({1: "a", "1": "b"}, '{"1":"a","1#2":"b"}'),
        (hostile.Colour.RED, "red"),
        (hostile.Word.ONE, "one"),
        (hostile.Point(1, "y"), '[1,"y"]'),
        (uuid.UUID(int=5), str(uuid.UUID(int=5))),
        (hostile.Secret, "tests.property.hostile.Secret"),
        (hostile.Secret(), "<tests.property.hostile.Secret>"),
        (ValueError(CANARY), "<builtins.ValueError>"),
        (None, None),
        ([], None),
        ({}, None),
        ("", ""),
    ],
    ids=repr,
)
def test_metadata_is_recorded_as(given: Any, recorded: Any, handler: Handler, exporter: Exporter) -> None:
    run_id = uuid.uuid4()
    start(handler, "chain", run_id, metadata={"key": given})
    end(handler, "chain", run_id)
    assert attributes(only(exporter)).get("langchain.metadata.key") == recorded


def test_not_a_number_stays_a_double(handler: Handler, exporter: Exporter) -> None:
    run_id = uuid.uuid4()
    start(handler, "chain", run_id, metadata={"key": float("nan")})
    end(handler, "chain", run_id)
    found = attributes(only(exporter))["langchain.metadata.key"]
    assert type(found) is float
    assert found != found  # noqa: PLR0124 - what NaN is


def test_what_the_application_changes_afterwards_is_recorded_as_it_was(
    handler: Handler, exporter: Exporter
) -> None:
    inner = ["a"]
    metadata = {"key": inner}
    tags = ["one"]
    run_id = uuid.uuid4()
    start(handler, "chain", run_id, metadata=metadata, tags=tags)
    inner.append("b")
    tags.append("two")
    metadata["later"] = ["c"]
    end(handler, "chain", run_id)
    said = attributes(only(exporter))
    assert said["langchain.metadata.key"] == ("a",)
    assert said["langchain.tags"] == ("one",)
    assert "langchain.metadata.later" not in said


def test_many_keys_leave_room_for_what_the_run_itself_says(handler: Handler, exporter: Exporter) -> None:
    run_id = uuid.uuid4()
    metadata = {f"key {n}": n for n in range(500)} | {"langgraph_node": "agent", "thread_id": "t"}
    start(handler, "chat_model", run_id, metadata=metadata)
    fail(handler, "chat_model", run_id, ValueError("v"))
    said = attributes(only(exporter))
    assert {
        "gen_ai.operation.name",
        "error.type",
        "langchain.run.id",
        "langgraph.node",
        "gen_ai.conversation.id",
    } <= said.keys()
    assert said["langchain.metadata_omitted_count"] == 502 - 66
    assert only(exporter).dropped_attributes == 0


@pytest.mark.parametrize(
    ("tags", "recorded"),
    [(None, None), ("one", ("one",)), (["a", 1, None, "b"], ("a", "b")), ([], None), (5, None), ({"a"}, None),
     (("a",), ("a",)), ([hostile.Word.ONE], ("one",)), (["x" * 500], ("x" * 127 + "…",)),
     ([str(n) for n in range(10_000)], tuple(str(n) for n in range(64)))],
    ids=str,
)  # fmt: skip
def test_tags_are_recorded_as(tags: Any, recorded: Any, handler: Handler, exporter: Exporter) -> None:
    run_id = uuid.uuid4()
    start(handler, "chain", run_id, tags=tags)
    end(handler, "chain", run_id)
    assert attributes(only(exporter)).get("langchain.tags") == recorded


@pytest.mark.parametrize(
    ("name", "serialized", "recorded"),
    [
        (None, None, "chain"),
        (None, {}, "chain"),
        (5, {"id": None, "name": 7}, "chain"),
        ("", {"id": ["a", "Class"]}, "Class"),
        (None, {"name": "Named", "id": ["a", "Class"]}, "Named"),
        ("two\nlines\u2028", None, "two lines"),
        ("x" * 10_000, None, "x" * 127 + "…"),
        ("\ud800", None, "\ufffd"),
        (hostile.Text("text"), None, "text"),
        ([], {"id": "text"}, "chain"),
    ],
)
def test_a_span_is_called(
    name: Any, serialized: Any, recorded: str, handler: Handler, exporter: Exporter
) -> None:
    run_id = uuid.uuid4()
    start(handler, "chain", run_id, name=name, serialized=serialized)
    end(handler, "chain", run_id)
    assert only(exporter).name == recorded


# -- rows 24 to 37: events out of order ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: None,
        lambda: 5,
        lambda: "text",
        lambda: "x" * 32,
        lambda: uuid.UUID(int=0),
        lambda: b"x",
        hostile.hostile,
    ],
)
def test_a_run_without_a_usable_id_is_only_counted(
    make: Callable[[], Any], handler: Handler, exporter: Exporter
) -> None:
    run_id = make()
    for kind in KINDS:
        start(handler, kind, run_id)
        handler.on_llm_new_token("x", run_id=run_id)
        handler.on_text("x", run_id=run_id)
        handler.on_retry(None, run_id=run_id)
        end(handler, kind, run_id)
        fail(handler, kind, run_id, ValueError())
    assert ours(exporter) == []
    assert handler.trace_id(run_id) is None


@pytest.mark.parametrize("written", [str, lambda run_id: run_id.hex, lambda run_id: str(run_id).upper()])
def test_an_id_as_text_is_the_same_id(
    written: Callable[[uuid.UUID], str], handler: Handler, exporter: Exporter
) -> None:
    run_id: Any = uuid.uuid4()
    start(handler, "chain", written(run_id))
    handler.on_llm_new_token("x", run_id=written(run_id))  # type: ignore[arg-type] # as some frameworks have it
    end(handler, "chain", run_id)
    assert attributes(only(exporter))["langchain.run.id"] == str(run_id)
    assert attributes(only(exporter))["langchain.run.chunks"] == 1


class _OwnUUID(uuid.UUID):
    """As libraries with fast ids have them."""


def test_an_id_of_a_subclass_is_the_same_id(handler: Handler, exporter: Exporter) -> None:
    run_id = uuid.uuid4()
    start(handler, "chain", _OwnUUID(int=run_id.int))
    end(handler, "chain", run_id)
    assert attributes(only(exporter))["langchain.run.id"] == str(run_id)


def test_a_second_start_ends_the_first_run(handler: Handler, exporter: Exporter) -> None:
    run_id = uuid.uuid4()
    start(handler, "chain", run_id, name="first")
    start(handler, "chain", run_id, name="second")
    end(handler, "chain", run_id)
    first, second = ours(exporter)
    assert attributes(first)["langchain.run.end_reason"] == "duplicate_start"
    assert "langchain.run.end_reason" not in attributes(second)
    assert second.links[0].context == first.get_span_context()


def test_an_id_used_again_is_a_new_span_that_links_to_the_old(handler: Handler, exporter: Exporter) -> None:
    run_id = uuid.uuid4()
    for _ in range(2):
        start(handler, "chain", run_id)
        end(handler, "chain", run_id)
    first, second = ours(exporter)
    assert [link.context for link in second.links] == [first.get_span_context()]


def test_an_end_without_a_start_is_a_span_where_its_parent_is_known(
    handler: Handler, exporter: Exporter
) -> None:
    parent = uuid.uuid4()
    start(handler, "chain", parent)
    end(handler, "tool", uuid.uuid4(), parent_run_id=parent)
    end(handler, "tool", uuid.uuid4(), parent_run_id=uuid.uuid4())
    end(handler, "tool", uuid.uuid4())
    end(handler, "chain", parent)
    late, root = ours(exporter)
    assert attributes(late)["langchain.run.end_reason"] == "start_missing"
    assert late.parent == root.get_span_context()
    assert late.start_time == late.end_time


def test_an_error_without_a_start_is_never_dropped(handler: Handler, exporter: Exporter) -> None:
    run_id = uuid.uuid4()
    fail(handler, "tool", run_id, ValueError("v"))
    start(handler, "tool", run_id)  # too late
    end(handler, "tool", run_id)
    assert only(exporter).status.status_code.name == "ERROR"
    assert attributes(only(exporter))["error.type"] == "ValueError"


@pytest.mark.parametrize("second", [end, fail])
@pytest.mark.parametrize("first", [end, fail])
def test_the_first_end_wins(first: Any, second: Any, handler: Handler, exporter: Exporter) -> None:
    run_id = uuid.uuid4()
    start(handler, "chain", run_id)
    first(handler, "chain", run_id, ValueError("v"))
    second(handler, "chain", run_id, KeyError("k"))
    assert attributes(only(exporter)).get("error.type") == ("ValueError" if first is fail else None)


@pytest.mark.parametrize("late", [True, False], ids=["started after its parent's end", "ended after it"])
def test_a_child_outlives_its_parent(late: bool, handler: Handler, exporter: Exporter) -> None:
    parent, child = uuid.uuid4(), uuid.uuid4()
    start(handler, "chain", parent)
    if not late:
        start(handler, "tool", child, parent)
    end(handler, "chain", parent)
    if late:
        start(handler, "tool", child, parent)
    end(handler, "tool", child)
    by_kind = {attributes(span)["langchain.run.kind"]: span for span in ours(exporter)}
    assert len(ours(exporter)) == 2
    assert by_kind["tool"].parent == by_kind["chain"].get_span_context()
    assert attributes(by_kind["tool"]).get("langchain.run.end_reason") == (None if late else "parent_ended")


def test_an_unknown_parent_is_named(handler: Handler, exporter: Exporter) -> None:
    run_id, parent = uuid.uuid4(), uuid.uuid4()
    start(handler, "chain", run_id, parent)
    start(handler, "chain", parent)  # starts later: nothing is put under it any more
    end(handler, "chain", parent)
    end(handler, "chain", run_id)
    orphan = ours(exporter)[-1]
    assert orphan.parent is None
    assert attributes(orphan)["langchain.run.parent_id"] == str(parent)


def test_a_run_is_not_its_own_parent_nor_its_grandchild(handler: Handler, exporter: Exporter) -> None:
    a, b = uuid.uuid4(), uuid.uuid4()
    start(handler, "chain", a, a)
    start(handler, "chain", b, a)
    start(handler, "chain", a, b)  # ends the first of that id, and b below it
    end(handler, "chain", a)
    end(handler, "chain", b)
    assert handler.open_runs == 0
    assert len(ours(exporter)) == 3
    assert "langchain.run.parent_id" not in attributes(next(s for s in ours(exporter) if s.parent is None))


def test_chunks_are_counted_and_the_first_is_timed_whatever_they_are(
    handler: Handler, exporter: Exporter
) -> None:
    run_id = uuid.uuid4()
    handler.on_llm_new_token("early", run_id=run_id)
    start(handler, "chat_model", run_id)
    tokens: list[Any] = ["a", None, "", ["block"], [], 5, b"x"]
    for token in tokens:
        handler.on_llm_new_token(token, chunk=None, run_id=run_id)
    end(handler, "chat_model", run_id)
    handler.on_llm_new_token("late", run_id=run_id)
    said = attributes(only(exporter))
    assert said["langchain.run.chunks"] == len(tokens)
    assert said["gen_ai.response.time_to_first_chunk"] >= 0
    assert only(exporter).events == ()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()], ids=repr)
def test_an_interruption_is_recorded_and_is_no_error(
    error: BaseException, handler: Handler, exporter: Exporter
) -> None:
    run_id = uuid.uuid4()
    start(handler, "chain", run_id)
    fail(handler, "chain", run_id, error)
    assert only(exporter).status.status_code.name == "UNSET"
    assert attributes(only(exporter))["error.type"] == type(error).__name__
    assert attributes(only(exporter))["langchain.run.outcome"] in ("cancelled", "abandoned")


@pytest.mark.parametrize(
    ("make", "description"),
    [
        (lambda: None, "_OTHER"),
        (lambda: "it broke", "it broke"),
        (lambda: 5, "_OTHER"),
        (hostile.hostile, "_OTHER"),
        (lambda: ValueError, "_OTHER"),
    ],
)
def test_an_error_that_is_no_exception_is_an_error(
    make: Callable[[], Any], description: str, handler: Handler, exporter: Exporter
) -> None:
    run_id = uuid.uuid4()
    start(handler, "chain", run_id)
    fail(handler, "chain", run_id, make())
    assert attributes(only(exporter))["error.type"] == "_OTHER"
    assert only(exporter).status.description == description


def test_a_deep_stack_is_capped_at_both_ends(handler: Handler, exporter: Exporter) -> None:
    def outermost(left: int) -> None:
        if left:
            outermost(left - 1)
        else:
            innermost()

    def innermost() -> None:
        raise ValueError("x" * 10_000)

    run_id = uuid.uuid4()
    start(handler, "chain", run_id)
    try:
        outermost(500)
    except ValueError as error:
        fail(handler, "chain", run_id, error)
    event = only(exporter).events[0]
    stack = str((event.attributes or {})["exception.stacktrace"])
    assert len(stack) <= 8_200
    assert stack.index("frames]") < stack.index("innermost")
    assert "truncated 5904 characters" in str((event.attributes or {})["exception.message"])


# -- rows 40, 42, 43 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "output", [ToolMessage("x", tool_call_id="c", status="error"), b"x", None, "x" * 10_000_000]
)
def test_a_tool_may_return_anything(output: Any, handler: Handler, exporter: Exporter) -> None:
    run_id = uuid.uuid4()
    start(handler, "tool", run_id, input="{not json", inputs=None)
    end(handler, "tool", run_id, output)
    failed = isinstance(output, ToolMessage)
    assert attributes(only(exporter)).get("error.type") == ("tool_error" if failed else None)


@pytest.mark.parametrize(
    ("documents", "count"), [(None, None), ("text", None), ([], 0), ([None, 5], 2), ((1,), 1)]
)
def test_documents_are_counted_and_not_looked_at(
    documents: Any, count: int | None, handler: Handler, exporter: Exporter
) -> None:
    run_id = uuid.uuid4()
    start(handler, "retriever", run_id)
    end(handler, "retriever", run_id, documents)
    assert attributes(only(exporter)).get("langchain.retriever.document_count") == count


# -- rows 13, 20, 45, 46, 49, 50 -------------------------------------------------------------------------------------------


def _with_frames_left(frames: int, call: Callable[[], None]) -> None:
    """Call with so much stack left, in a thread of its own: what an overflow does to the interpreter's count stays there."""

    def down(left: int) -> None:
        if left:
            down(left - 1)
        else:
            call()

    def bottom() -> None:
        depth = 0
        frame: Any = sys._getframe()
        while frame is not None:
            depth, frame = depth + 1, frame.f_back
        down(sys.getrecursionlimit() - depth - frames)

    thread = threading.Thread(target=bottom)
    thread.start()
    thread.join()


@pytest.mark.parametrize("frames", [*range(3, 40, 3), 60])
@pytest.mark.logs
def test_a_host_near_its_recursion_limit_goes_on(
    frames: int, provider: TracerProvider, exporter: Exporter
) -> None:
    handler = OTelCallbackHandler(provider)
    parent, run_id = uuid.uuid4(), uuid.uuid4()
    start(handler, "chain", parent)
    reached: list[str] = []

    def call() -> None:
        try:
            handler.on_tool_start(
                {"name": "t"},
                "in",
                run_id=run_id,
                parent_run_id=parent,
                tags=["a"],
                metadata={"k": hostile.nested(2_000)},
            )
            handler.on_tool_end("out", run_id=run_id)
        except RecursionError:
            reached.append("no room for the call itself")
        reached.append("host")

    _with_frames_left(frames, call)
    end(handler, "chain", parent)
    assert reached == (["host"] if frames > 6 else ["no room for the call itself", "host"])
    assert handler.open_runs == 0


def test_twenty_frames_are_enough_to_record_a_run(handler: Handler, exporter: Exporter) -> None:
    run_id = uuid.uuid4()

    def call() -> None:
        handler.on_tool_start({"name": "t"}, "in", run_id=run_id, metadata={"k": {"a": [1]}})
        handler.on_tool_end("out", run_id=run_id)

    _with_frames_left(20, call)
    assert only(exporter).name == "execute_tool t"


def test_a_dict_that_another_thread_changes_is_recorded_or_named(
    handler: Handler, exporter: Exporter
) -> None:
    metadata: dict[str, Any] = {str(n): n for n in range(50)}
    nested: dict[str, Any] = {"inner": metadata}
    stop: list[bool] = []

    def change() -> None:
        n = 0
        while not stop:
            metadata[f"new {n % 200}"] = n
            metadata.pop(f"new {(n - 100) % 200}", None)
            n += 1

    with ThreadPoolExecutor(1) as pool:
        pool.submit(change)
        try:
            for _ in range(100):
                run_id = uuid.uuid4()
                start(handler, "chain", run_id, metadata=metadata)
                end(handler, "chain", run_id)
                start(handler, "chain", run_id, metadata=nested)
                end(handler, "chain", run_id)
        finally:
            stop.append(True)
    assert len(ours(exporter)) == 200


def test_a_dict_that_cannot_be_copied_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(*_: object) -> Any:
        raise RuntimeError("dictionary changed size during iteration")

    monkeypatch.setattr(reading, "islice", changed)
    assert reading.pairs({"a": 1}) == []


@pytest.mark.parametrize("event", ["start", "end", "error"])
@pytest.mark.parametrize("fault", [MemoryError, RecursionError, RuntimeError])
def test_a_fault_of_ours_costs_attributes_and_nothing_else(
    event: str,
    fault: type[Exception],
    provider: TracerProvider,
    exporter: Exporter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def raises(*_: object, **__: object) -> Any:
        raise fault(CANARY)

    handler = OTelCallbackHandler(provider)
    run_id = uuid.uuid4()
    if event == "start":
        monkeypatch.setattr(normalize, "started", raises)
    start(handler, "tool", run_id)
    if event != "start":
        monkeypatch.setattr(completion, "read_output" if event == "end" else "read_error", raises)
    (fail if event == "error" else end)(handler, "tool", run_id, ValueError("v"))
    assert attributes(only(exporter))["langchain.run.kind"] == "tool"
    assert handler.open_runs == 0
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert fault.__name__ in caplog.text
    assert CANARY not in caplog.text


@pytest.mark.logs
def test_a_mapper_that_raises_or_starts_runs_itself_costs_nothing(
    provider: TracerProvider, exporter: Exporter
) -> None:
    def reenters(run: Any, said: Any) -> None:
        said["own"] = "kept"
        if run.name == "outer":
            RunnableLambda(lambda x: x, name="inner").invoke(1, {"callbacks": [handler]})
        raise RuntimeError(CANARY)

    handler = OTelCallbackHandler(provider, mappers=[reenters])
    RunnableLambda(lambda x: x, name="outer").invoke(1, {"callbacks": [handler]})
    assert {span.name for span in ours(exporter)} == {"outer", "inner"}
    assert all(attributes(span)["own"] == "kept" for span in ours(exporter))
    assert CANARY not in everything_said(exporter)


@pytest.mark.parametrize(
    "redactor", [lambda _: None, lambda _: 5, lambda text: text[10**9], lambda _: hostile.hostile()]
)
def test_a_redactor_that_fails_costs_the_text(
    redactor: Any, provider: TracerProvider, exporter: Exporter
) -> None:
    handler = OTelCallbackHandler(provider, redactors=[redactor], raise_errors=True)
    run_id = uuid.uuid4()
    start(handler, "chain", run_id, metadata={"key": CANARY, "keys": [CANARY]}, tags=[CANARY])
    handler.on_custom_event("name", CANARY, run_id=run_id)
    fail(handler, "chain", run_id, ValueError(CANARY))
    assert CANARY not in everything_said(exporter)
    assert "withheld" in str(attributes(only(exporter))["langchain.tags"])


def test_a_handler_is_copied_pickled_compared_and_hashed(handler: Handler) -> None:
    assert copy.deepcopy({"handlers": [handler]})["handlers"][0] is handler
    assert copy.copy(handler) is handler
    assert {handler: 1}[handler] == 1
    for original in (OTelCallbackHandler(capture_errors=False), AsyncOTelCallbackHandler(raise_errors=True)):
        restored = pickle.loads(pickle.dumps(original))  # noqa: S301 - our own
        assert type(restored) is type(original)
        assert restored._policy.capture_errors == original._policy.capture_errors
        assert restored.raise_error == original.raise_error


@pytest.mark.parametrize("way", WAYS)
async def test_one_run_that_two_handlers_report_is_one_span(
    way: str, handler: Handler, provider: TracerProvider, exporter: Exporter
) -> None:
    other = OTelCallbackHandler(provider, raise_errors=True)
    model = GenericFakeChatModel(messages=iter([AIMessage("a b c")]), callbacks=[other])
    await WAYS[way](model, "question", {"callbacks": [handler, handler]})
    assert attributes(only(exporter)).get("langchain.run.chunks") in (None, 5, 6)


def test_nothing_of_the_application_is_kept_alive_after_a_runs_end(
    handler: Handler, exporter: Exporter
) -> None:
    class Mine(dict[str, Any]):
        pass

    class MyError(Exception):
        pass

    import weakref  # noqa: PLC0415 - beside its only use

    run_id = uuid.uuid4()
    objects: list[Any] = [Mine(a=1) for _ in range(5)]
    error = MyError("mine")
    start(
        handler,
        "chain",
        run_id,
        serialized=objects[0],
        input=objects[1],
        metadata=objects[2],
        invocation_params=objects[3],
    )
    child = uuid.uuid4()
    start(handler, "tool", child, run_id, input=objects[4])
    fail(handler, "tool", child, error)
    end(handler, "chain", run_id, objects[4])
    references = [weakref.ref(thing) for thing in (*objects, error)]
    del objects, error
    gc.collect()
    assert [reference() for reference in references] == [None] * 6
