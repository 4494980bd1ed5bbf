"""Content as LangChain and LangGraph applications say it: the same in every way of running them, on spans and in events."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from pydantic import ValidationError

from otel_callbacks import AsyncOTelCallbackHandler, OTelCallbackHandler, instrument, semconv, uninstrument
from otel_callbacks.core.content import FIELDS, Capture
from otel_callbacks.errors import ConfigurationError
from otel_callbacks.parsing import CONTENT_FIELDS
from tests.fakes import AsyncChat, Chat, Text
from tests.schemas import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SPANS = "SPAN_ONLY"
CONTENT = (
    semconv.INPUT_MESSAGES,
    semconv.OUTPUT_MESSAGES,
    semconv.TOOL_CALL_ARGUMENTS,
    semconv.TOOL_CALL_RESULT,
    semconv.TOOL_DEFINITIONS,
    semconv.SYSTEM_INSTRUCTIONS,
    semconv.RETRIEVAL_DOCUMENTS,
    semconv.RETRIEVAL_QUERY,
)


@tool
def weather(city: str) -> dict[str, Any]:
    """Say how the weather is."""
    return {"city": city, "degrees": 21}


class Calling(GenericFakeChatModel):
    """A model that may be given tools."""

    def bind_tools(self, *_: Any, **__: Any) -> Any:
        return self


class Finding(BaseRetriever):
    """Finds two documents."""

    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        return [Document(f"about {query}", id="1", metadata={"score": 0.5}), Document("more")]


def agent() -> Any:
    call = AIMessage(
        "", tool_calls=[{"name": "weather", "args": {"city": "Rome"}, "id": "c1", "type": "tool_call"}]
    )
    return create_agent(
        Calling(messages=iter([call, AIMessage("It is warm.")])), [weather], name="forecaster"
    )


def chain() -> Any:
    return (
        ChatPromptTemplate.from_messages([("system", "Be kind."), ("user", "{topic}")])
        | AsyncChat()
        | StrOutputParser()
    )


SUBJECTS: dict[str, tuple[Callable[[], Any], Any]] = {
    "chain": (chain, {"topic": "cats"}),
    "model": (AsyncChat, [HumanMessage("question")]),
    "text model": (Text, "question"),
    "agent": (agent, {"messages": [("user", "How is the weather?")]}),
    "retriever": (Finding, "cats"),
    "tool": (lambda: weather, {"city": "Rome"}),
}


def content(exporter: InMemorySpanExporter) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for span in exporter.get_finished_spans():
        said = {name: value for name, value in (span.attributes or {}).items() if name in CONTENT}
        found.append(
            (
                span.name,
                {
                    name: value if name == semconv.RETRIEVAL_QUERY else read(name, value)
                    for name, value in said.items()
                },
            )
        )
    exporter.clear()
    return sorted(found, key=lambda pair: json.dumps(pair, sort_keys=True))


async def _astream(subject: Any, given: Any, config: Any) -> None:
    async for _ in subject.astream(given, config):
        pass


WAYS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "invoke": lambda subject, given, config: subject.invoke(given, config),
    "stream": lambda subject, given, config: [*subject.stream(given, config)],
    "batch": lambda subject, given, config: subject.batch([given], config),
    "ainvoke": lambda subject, given, config: subject.ainvoke(given, config),
    "astream": _astream,
    "abatch": lambda subject, given, config: subject.abatch([given], config),
}


@pytest.mark.parametrize("name", SUBJECTS)
async def test_the_same_content_in_every_way(
    name: str, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    make, given = SUBJECTS[name]
    seen: dict[str, Any] = {}
    for way, run in WAYS.items():
        for kind in (OTelCallbackHandler, AsyncOTelCallbackHandler):
            if kind is AsyncOTelCallbackHandler and way in {"invoke", "stream", "batch"}:
                continue
            handler = kind(provider, capture_content=SPANS, raise_errors=True)
            result = run(make(), given, {"callbacks": [handler]})
            if asyncio.iscoroutine(result):
                await result
            seen[f"{way} {kind.__name__}"] = content(exporter)
    handler = instrument(provider, capture_content=SPANS)
    make().invoke(given)
    uninstrument()
    seen["instrument()"] = content(exporter)
    first = seen.pop("invoke OTelCallbackHandler")
    assert any(said for _, said in first)
    for way, said in seen.items():
        assert said == first, way


def test_an_agents_tree_with_content(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    handler = OTelCallbackHandler(provider, capture_content=True, raise_errors=True)
    agent().invoke({"messages": [("user", "How is the weather?")]}, {"callbacks": [handler]})
    spans = {span.name: dict(span.attributes or {}) for span in exporter.get_finished_spans()}
    user = {"role": "user", "parts": [{"type": "text", "content": "How is the weather?"}]}
    answer = {"role": "assistant", "parts": [{"type": "text", "content": "It is warm."}]}
    root = spans["invoke_agent forecaster"]
    assert read(semconv.INPUT_MESSAGES, root[semconv.INPUT_MESSAGES]) == [user]
    (said,) = read(semconv.OUTPUT_MESSAGES, root[semconv.OUTPUT_MESSAGES])
    assert (said["role"], said["parts"]) == ("assistant", answer["parts"])
    called = spans["execute_tool weather"]
    assert read(semconv.TOOL_CALL_ARGUMENTS, called[semconv.TOOL_CALL_ARGUMENTS]) == {"city": "Rome"}
    assert read(semconv.TOOL_CALL_RESULT, called[semconv.TOOL_CALL_RESULT]) == {"city": "Rome", "degrees": 21}
    last = read(semconv.INPUT_MESSAGES, spans["chat"][semconv.INPUT_MESSAGES])
    assert [message["role"] for message in last] == ["user", "assistant", "tool"]
    assert last[1]["parts"][-1] == {
        "type": "tool_call",
        "id": "c1",
        "name": "weather",
        "arguments": {"city": "Rome"},
    }
    assert last[2]["parts"] == [
        {"type": "tool_call_response", "id": "c1", "response": {"city": "Rome", "degrees": 21}}
    ]


def test_what_a_stream_said_before_it_failed_is_there(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    class Breaking(Chat):
        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            for number, chunk in enumerate(super()._stream(*args, **kwargs)):
                if number == 2:
                    raise ValueError("cut")
                yield chunk

    handler = OTelCallbackHandler(provider, capture_content=SPANS, raise_errors=True)
    with pytest.raises(ValueError, match="cut"):
        list(Breaking().stream("question", {"callbacks": [handler]}))
    (span,) = exporter.get_finished_spans()
    attributes = dict(span.attributes or {})
    (said,) = read(semconv.OUTPUT_MESSAGES, attributes[semconv.OUTPUT_MESSAGES])
    assert said["parts"] == [{"type": "text", "content": "one two "}]
    assert (
        read(semconv.INPUT_MESSAGES, attributes[semconv.INPUT_MESSAGES])[0]["parts"][0]["content"]
        == "question"
    )


def test_a_handled_tool_error_says_what_the_model_was_told(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = OTelCallbackHandler(provider, capture_content=SPANS, raise_errors=True)

    @tool
    def failing(city: str) -> str:
        """Fail."""
        raise ValueError(f"no weather in {city}")

    failing.handle_tool_error = True
    with pytest.raises(ValueError, match="Rome"):
        failing.invoke({"city": "Rome"}, {"callbacks": [handler]})
    (span,) = exporter.get_finished_spans()
    assert semconv.TOOL_CALL_RESULT not in (span.attributes or {})
    assert semconv.TOOL_CALL_ARGUMENTS in (span.attributes or {})


# -- the switch ----------------------------------------------------------------------------------------------------------

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
OURS = "OTEL_CALLBACKS_CAPTURE_CONTENT"
SWITCHES: list[tuple[dict[str, str], Any, str | None]] = [
    ({}, None, None),
    ({}, False, None),
    ({}, True, "SPAN_ONLY"),
    ({}, "event_only", "EVENT_ONLY"),
    ({}, "true", "SPAN_ONLY"),
    ({VARIABLE: "span_and_event"}, None, "SPAN_AND_EVENT"),
    ({VARIABLE: "SPAN_AND_EVENT"}, False, None),
    ({VARIABLE: "EVENT_ONLY"}, True, "EVENT_ONLY"),
    ({VARIABLE: "NO_CONTENT"}, True, "SPAN_ONLY"),
    ({VARIABLE: "true"}, None, None),  # no mode: as util-genai has it, with a warning
    ({OURS: "true"}, None, "SPAN_ONLY"),
    ({OURS: "false", VARIABLE: "SPAN_ONLY"}, None, None),
    ({OURS: "EVENT_ONLY", VARIABLE: "SPAN_ONLY"}, None, "EVENT_ONLY"),
    ({OURS: "nonsense"}, None, None),
]  # fmt: skip


@pytest.mark.parametrize(("environment", "argument", "expected"), SWITCHES)
def test_the_switch(
    environment: dict[str, str], argument: Any, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    handler = OTelCallbackHandler(capture_content=argument)
    capture: Any = handler._policy.content
    assert (capture.where if capture is not None else None) == expected
    restored = pickle.loads(pickle.dumps(handler))  # noqa: S301 - our own
    again = restored._policy.content
    assert (again.where if again is not None else None) == expected


def test_a_wrong_argument_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="SPAN_AND_EVENT"):
        OTelCallbackHandler(capture_content="everything")


FIELDS_ASKED: list[tuple[str | None, Any, set[str]]] = [
    (None, None, set(FIELDS)),
    ("output_messages, TOOL_RESULTS", None, {"output_messages", "tool_results"}),
    ("output_messages", ["input_messages"], {"input_messages"}),
    ("output_messages", "tool_results,input_messages", {"tool_results", "input_messages"}),
    ("output_mesages", None, set()),  # a slip of the pen must not be the opposite of what was meant
    ("nothing", ["input_messages"], {"input_messages"}),
    (None, [], set()),
]


@pytest.mark.parametrize(("variable", "argument", "expected"), FIELDS_ASKED)
def test_the_fields_that_are_allowed(
    variable: str | None, argument: Any, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable is not None:
        monkeypatch.setenv("OTEL_CALLBACKS_CONTENT_FIELDS", variable)
    handler = OTelCallbackHandler(capture_content=True, content_fields=argument)
    restored: Any = pickle.loads(pickle.dumps(handler))  # noqa: S301 - our own
    for one in (handler._policy.content, restored._policy.content):
        assert isinstance(one, Capture)
        assert one.fields == expected
    assert OTelCallbackHandler(content_fields=argument)._policy.content is None  # off stays off


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="retrieval_documents"):
        OTelCallbackHandler(content_fields=["prompts"])


def test_the_fields_of_the_switch_are_those_of_the_policy() -> None:
    assert set(CONTENT_FIELDS) == set(FIELDS)


def _answer(_question: str) -> str:
    return "an answer"


def test_with_output_messages_alone_nothing_else_that_was_said_leaves(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = instrument(provider, capture_content=SPANS, content_fields=["output_messages"])
    try:
        Chat().invoke([SystemMessage("CANARY"), HumanMessage("CANARY")])
        weather.invoke({"city": "CANARY"})
        RunnableLambda(_answer).invoke("CANARY")
        with pytest.raises(ValidationError):
            weather.invoke({"city": ["CANARY"]})
    finally:
        uninstrument()
    said = [dict(span.attributes or {}) for span in exporter.get_finished_spans()]
    assert [semconv.OUTPUT_MESSAGES in attributes for attributes in said] == [True, False, True, False]
    everything = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "CANARY" not in everything
    assert "an answer" in everything
    assert handler._policy.content is not None


def test_limits_come_from_the_environment_and_stay_below_the_sdks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_CALLBACKS_MAX_CONTENT_BYTES", "9000")
    monkeypatch.setenv("OTEL_CALLBACKS_MAX_VALUE_LENGTH", "700")
    monkeypatch.setenv("OTEL_CALLBACKS_MAX_CONTENT_ATTRIBUTE_BYTES", "4096")
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "2048")
    capture: Any = OTelCallbackHandler(capture_content=True)._policy.content
    assert (capture.limits.string, capture.limits.attribute, capture.limits.span) == (700, 2048, 9000)


def test_redactors_are_named_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    monkeypatch.setenv("OTEL_CALLBACKS_REDACTORS", "emails, credit_cards")
    handler = OTelCallbackHandler(provider, capture_content=True, raise_errors=True)
    Chat().invoke(
        "I am bob@example.com, 4111 1111 1111 1111",
        {"callbacks": [handler], "metadata": {"mail": "bob@example.com"}},
    )
    (span,) = exporter.get_finished_spans()
    assert "I am [email], [credit card]" in str(span.attributes)
    assert "bob@example.com" not in str(span.attributes)


def test_a_message_of_a_tool_is_content_of_the_tool(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = OTelCallbackHandler(provider, capture_content=True, raise_errors=True)
    call: Any = {"name": "weather", "args": {"city": "Rome"}, "id": "c1", "type": "tool_call"}
    assert isinstance(weather.invoke(call, {"callbacks": [handler]}), ToolMessage)
    (span,) = exporter.get_finished_spans()
    assert read(semconv.TOOL_CALL_RESULT, (span.attributes or {})[semconv.TOOL_CALL_RESULT]) == {
        "city": "Rome",
        "degrees": 21,
    }
