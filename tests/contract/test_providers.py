"""What the handler makes of each provider's real results: recordings in, the table of attributes out.

The recordings are what the callbacks received from each provider's own LangChain package (`tests/recordings`); none of the
packages is needed here.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, GenerationChunk, LLMResult
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import AsyncOTelCallbackHandler, OTelCallbackHandler
from tests.recordings import expected

FOLDER: Final = Path(__file__).parents[1] / "recordings"
RECORDINGS: Final[Mapping[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))
}
CLASSES: Final[Mapping[str, Any]] = {
    cls.__name__: cls
    for cls in (AIMessage, AIMessageChunk, ChatGeneration, ChatGenerationChunk, Generation, GenerationChunk)
}
REQUIRED: Final = (
    "openai", "openai-responses", "azure-openai", "anthropic", "google-genai", "google-vertexai", "bedrock-converse",
    "bedrock-invoke", "mistral", "groq", "cohere", "ollama", "deepseek", "fireworks", "xai",
)  # fmt: skip


def runs(*scenarios: str) -> list[Any]:
    """Return every recorded run of these *scenarios* as a parameter: provider, scenario, ways, what was said."""
    return [
        pytest.param(name, run["scenario"], run["ways"], run["said"], id=f"{name}-{run['scenario']}-{run['ways'][0]}")
        for name, recording in RECORDINGS.items()
        for run in recording["runs"]
        if run["scenario"] in scenarios
    ]  # fmt: skip


def rebuilt(result: Mapping[str, Any]) -> LLMResult:
    """Return the recorded result as LangChain's own objects."""
    return LLMResult(
        generations=[[_generation(dict(item)) for item in given] for given in result["generations"]],
        llm_output=result["llm_output"],
    )


def _generation(item: dict[str, Any]) -> Any:
    cls = CLASSES[item.pop("class")]
    message = item.pop("message", None)
    if message is not None:
        about = dict(message)
        item["message"] = CLASSES[about.pop("class")](**about)
    return cls(**item)


def failed_with(error: Mapping[str, Any]) -> Exception:
    """Return an exception of a class of the same name and place, with the recorded fields."""
    module, _, name = error["class"].rpartition(".")
    about = {key: value for key, value in error.items() if key not in {"class", "message"}}
    raised: Exception = type(name, (Exception,), {"__module__": module, **about})(error["message"])
    return raised


class _Stage:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def _calls(self, said: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any]]]:
        """Yield the callbacks: name, arguments."""
        run = {"run_id": uuid.uuid4(), "parent_run_id": None}
        chat = said["kind"] == "chat_model"
        asked = [[HumanMessage("capital?")]] if chat else ["capital?"]
        yield f"on_{said['kind']}_start", (said["serialized"], asked), {**run, **said["start"]}
        for _ in range(said["tokens"]):
            yield "on_llm_new_token", ("x",), run
        result = rebuilt(said["result"]) if "result" in said else None
        if "error" in said:
            yield "on_llm_error", (failed_with(said["error"]),), {**run, "response": result}
        else:
            yield "on_llm_end", (result,), run

    def span(self, said: Mapping[str, Any]) -> ReadableSpan:
        """Return the span of the recorded callbacks, through the synchronous handler."""
        handler = OTelCallbackHandler(self.provider, raise_errors=True)
        for name, given, named in self._calls(said):
            getattr(handler, name)(*given, **named)
        return self.exporter.get_finished_spans()[-1]

    def span_of_async(self, said: Mapping[str, Any]) -> ReadableSpan:
        """Return the span of the recorded callbacks, through the asynchronous handler."""
        handler = AsyncOTelCallbackHandler(self.provider, raise_errors=True)

        async def tell() -> None:
            for name, given, named in self._calls(said):
                await getattr(handler, name)(*given, **named)

        # asyncio.run would take the thread's own loop away.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(tell())
        return self.exporter.get_finished_spans()[-1]


OURS: Final = (
    "langchain.", "gen_ai.response.time_to_first_chunk", "gen_ai.operation.name", "otel_callbacks.",
)  # fmt: skip


def said_of(span: ReadableSpan) -> dict[str, Any]:
    """Return what *span* says of the request and the response, without what each run says of itself."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in sorted((span.attributes or {}).items())
        if not name.startswith(OURS)
    }


@pytest.fixture
def stage() -> _Stage:
    return _Stage()


USAGE: Final = "gen_ai.usage."
COLUMNS: Final = {
    "model": "gen_ai.response.model",
    "id": "gen_ai.response.id",
    "finish": "gen_ai.response.finish_reasons",
    "in": USAGE + "input_tokens",
    "out": USAGE + "output_tokens",
    "read": USAGE + "cache_read.input_tokens",
    "write": USAGE + "cache_write.input_tokens",
    "reason": USAGE + "reasoning.output_tokens",
}
COUNTS: Final = ("in", "out", "read", "write", "reason")
LISTS: Final = ("finish",)


def table() -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the rows of the table of responses: (recording, scenario, first way) -> attributes."""
    header, *lines = (line.split() for line in expected.RESPONSES.strip().splitlines())
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for line in lines:
        row = dict(zip(header, line, strict=True))
        attributes: dict[str, Any] = {"gen_ai.request.stream": True} if row["stream"] == "yes" else {}
        for column, name in COLUMNS.items():
            value: Any = row[column]
            if value == "-":
                continue
            if column in COUNTS:
                value = int(value)
            elif column in LISTS:
                value = value.split(",")
            attributes[name] = value
        if "gen_ai.usage.cache_write.input_tokens" in attributes:
            attributes["gen_ai.usage.cache_creation.input_tokens"] = attributes[
                "gen_ai.usage.cache_write.input_tokens"
            ]
        rows[row["recording"], row["scenario"], row["ways"].partition("/")[0]] = attributes
    return rows


TABLE: Final = table()


def request_of(provider: str, scenario: str) -> dict[str, Any]:
    """Return what a span of *provider* says of its request."""
    attributes = dict(expected.REQUESTS[provider])
    if provider not in expected.SERVERLESS:
        attributes |= {"server.address": "127.0.0.1", "server.port": 8443}
    if scenario == "choices":
        attributes["gen_ai.request.choice.count"] = 2
    return attributes


def test_every_provider_that_is_promised_is_recorded() -> None:
    assert set(REQUIRED) <= set(RECORDINGS)
    assert set(RECORDINGS) == set(expected.REQUESTS)
    for recording in RECORDINGS.values():
        assert len(recording["versions"]) == 2
        assert {"answer"} <= {run["scenario"] for run in recording["runs"]}


def test_every_recorded_answer_has_a_row_and_every_row_an_answer() -> None:
    recorded = {
        (given.values[0], given.values[1], given.values[2][0])
        for given in runs("answer", "tools", "choices")
    }  # fmt: skip
    assert recorded == set(TABLE)


@pytest.mark.parametrize("handler_of", ["span", "span_of_async"])
@pytest.mark.parametrize(("provider", "scenario", "ways", "said"), runs("answer", "tools", "choices"))
def test_an_answer_says_what_the_provider_said(
    provider: str, scenario: str, ways: list[str], said: Mapping[str, Any], handler_of: str, stage: _Stage
) -> None:
    span = getattr(stage, handler_of)(said)
    wanted = {
        **request_of(provider, scenario),
        **TABLE[provider, scenario, ways[0]],
        **expected.MORE.get(provider, {}),
    }
    if provider == "google-vertexai" and "stream" not in ways:
        wanted |= expected.BY_MODALITY
    assert said_of(span) == wanted
    operation = "text_completion" if said["kind"] == "llm" else "chat"
    assert span.name == " ".join(filter(None, (operation, wanted.get("gen_ai.request.model"))))
    assert span.status.is_unset


@pytest.mark.parametrize("handler_of", ["span", "span_of_async"])
@pytest.mark.parametrize(("provider", "scenario", "ways", "said"), runs("limited", "rejected"))
def test_a_refusal_says_the_request_and_the_error_and_nothing_of_a_response(
    provider: str, scenario: str, ways: list[str], said: Mapping[str, Any], handler_of: str, stage: _Stage
) -> None:
    span = getattr(stage, handler_of)(said)
    wanted = request_of(provider, scenario)
    assert said_of(span) == {**wanted, "error.type": said["error"]["class"]}
    assert not span.status.is_ok
    assert not span.status.is_unset


@pytest.mark.parametrize(
    ("provider", "scenario"), sorted({key[:2] for key in TABLE if key[1] in {"answer", "tools"}})
)
def test_streamed_or_not_an_answer_says_the_same(provider: str, scenario: str, stage: _Stage) -> None:
    """But for what LangChain's integration itself does not hand on of a stream, which is listed."""
    spans = {
        way: said_of(stage.span(run["said"]))
        for run in RECORDINGS[provider]["runs"]
        if run["scenario"] == scenario
        for way in run["ways"]
    }
    lost = {"gen_ai.request.stream", "gen_ai.response.id", *expected.LOST.get(provider, ())}
    seen = [{name: value for name, value in said.items() if name not in lost} for said in spans.values()]
    assert all(said == seen[0] for said in seen)
    asynchronous = [way for way in spans if way.startswith("a")]
    assert all(spans[way] == spans[way[1:]] for way in asynchronous)
    assert sorted(spans) == sorted(["ainvoke", "astream", "invoke", "stream"][(0 if asynchronous else 2) :])


def test_no_recording_holds_a_key() -> None:
    text = "".join(path.read_text() for path in FOLDER.glob("*.json"))
    assert "not-a-key" not in text
    assert "hf_not_a_key" not in text
