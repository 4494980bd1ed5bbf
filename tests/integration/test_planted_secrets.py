"""Two hundred secrets, planted wherever an application has texts: nothing of them leaves with capture off, nothing in clear with it on.

One test a requirement, S1 to S8, for what a handler does; transports have tests of their own.
"""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.core.redact import LONGEST
from tests.planted import PLANTED, Planted, alnum, in_clear
from tests.property import hostile
from tests.schemas import read

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

CANARY = "an-ordinary-canary-in-the-text"
ids = [planted.name for planted in PLANTED]


def everything(exporter: InMemorySpanExporter) -> str:
    """Return all that leaves: names, attributes, events, status, and the bytes as they are sent."""
    spans = exporter.get_finished_spans()
    said = [str(encode_spans(spans)), encode_spans(spans).SerializeToString().decode(errors="replace")]
    for span in spans:
        said += [span.name, str(dict(span.attributes or {})), str(span.status.description)]
        said += [f"{event.name} {dict(event.attributes or {})}" for event in span.events]
    exporter.clear()
    return "\n".join(said)


def run_everything(handler: OTelCallbackHandler, text: str, *, metadata: bool = True) -> None:
    """Say *text* in every place where an application says something: to each kind of run, at its start, middle, end and error."""
    root, *others = [uuid.uuid4() for _ in range(6)]
    told: dict[str, Any] = {"note": text, "list": ["a", text], "deep": {"a": {"b": text}}} if metadata else {}
    call = {"name": "f", "args": {"q": text, "list": [text], text[:200]: 1}, "id": "c", "type": "tool_call"}
    messages = [
        SystemMessage(text),
        HumanMessage(
            [
                {"type": "text", "text": text},
                {"type": "image_url", "image_url": {"url": f"https://host/?q={text}"}},
            ]
        ),
        AIMessage(text, tool_calls=[call], additional_kwargs={"reasoning_content": text}),
        ToolMessage(text, tool_call_id="c"),
    ]
    result = LLMResult(
        generations=[[ChatGeneration(message=messages[2]), ChatGeneration(message=AIMessage(text))]]
    )
    tags = [text] if metadata else []
    handler.on_chain_start(
        None,
        {"messages": messages},
        run_id=root,
        tags=tags,
        metadata=told,
        name=text if metadata else "chain",
    )
    below: dict[str, Any] = {"parent_run_id": root, "metadata": told, "tags": tags}
    model, words, tool, retriever, step = others
    parameters = {
        "instructions": text,
        "tools": [{"name": "f", "description": text, "input_schema": {"d": text}}],
    }
    handler.on_chat_model_start(None, [messages], run_id=model, invocation_params=parameters, **below)
    handler.on_text(text, run_id=model)
    handler.on_custom_event("note", {"data": text}, run_id=model)
    handler.on_llm_end(result, run_id=model)
    handler.on_llm_start(None, [text], run_id=words, **below)
    handler.on_llm_error(ValueError(text), run_id=words, response=result)
    handler.on_tool_start({"name": "f"}, text, run_id=tool, inputs=call["args"], **below)  # type: ignore[arg-type] # a dict
    handler.on_tool_end({"said": text, "rows": [text]}, run_id=tool)
    handler.on_retriever_start(None, text, run_id=retriever, **below)
    handler.on_retriever_end([Document(text, metadata={"source": text})], run_id=retriever)
    handler.on_chain_start(None, text, run_id=step, **below)
    handler.on_chain_error(RuntimeError(f"failed with {text}"), run_id=step)
    handler.on_chain_end({"messages": messages, "answer": text}, run_id=root)


@pytest.fixture(params=[None, "SPAN_AND_EVENT"], ids=["off", "on"])
def either(request: pytest.FixtureRequest, provider: TracerProvider) -> OTelCallbackHandler:
    return OTelCallbackHandler(provider, capture_content=request.param, raise_errors=True)


@pytest.mark.parametrize("planted", PLANTED, ids=ids)
def test_a_planted_secret_is_nowhere_in_clear(
    planted: Planted, either: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    run_everything(either, f"before {planted.text}\nafter")
    said = everything(exporter)
    assert len(said) > 5_000
    assert not in_clear(said, planted)


@pytest.mark.parametrize(
    "key", ["password", "db_password", "api_key", "apiKey", "client_secret", "access_token"]
)
def test_what_stands_under_a_secrets_name_is_not_said(
    key: str, either: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    run_id = uuid.uuid4()
    either.on_tool_start(
        None,
        "",
        run_id=run_id,
        inputs={key: "swordfish", "n": {key: ["swordfish"]}},
        metadata={key: "swordfish", "n": {key: "swordfish"}},
    )
    either.on_tool_end({key: "swordfish"}, run_id=run_id)
    assert "swordfish" not in everything(exporter)


def test_s1_with_capture_off_nothing_that_was_said_leaves(
    provider: TracerProvider, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    handler = OTelCallbackHandler(provider, capture_errors=False, raise_errors=True)
    run_everything(handler, CANARY, metadata=False)
    assert CANARY not in everything(exporter)
    assert CANARY not in caplog.text
    run_everything(
        OTelCallbackHandler(provider, capture_content=True, raise_errors=True), CANARY, metadata=False
    )
    assert everything(exporter).count(CANARY) > 10  # the test can see


def test_s2_an_errors_text_passes_the_redactors_and_locals_are_never_said(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = OTelCallbackHandler(
        provider, redactors=[lambda text: text.replace(CANARY, "?")], raise_errors=True
    )
    run_id = uuid.uuid4()
    handler.on_chain_start(None, {}, run_id=run_id)
    try:
        local = "local " + alnum(20)
        raise ValueError(f"{CANARY} sk-{alnum(30)}" + local[:0])
    except ValueError as error:
        handler.on_chain_error(error, run_id=run_id)
    said = everything(exporter)
    assert CANARY not in said
    assert alnum(30) not in said
    assert "? [redacted]" in said
    assert "local " + alnum(20) not in said


@pytest.mark.parametrize(
    "redactor", [lambda _: None, lambda _: 5, lambda text: text[10**9], lambda _: hostile.hostile()]
)
def test_s3_a_redactor_that_fails_costs_the_text(
    redactor: Any, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = OTelCallbackHandler(provider, capture_content=True, redactors=[redactor], raise_errors=True)
    run_everything(handler, CANARY)
    said = everything(exporter)
    assert CANARY not in said
    assert "withheld" in said


def test_s3_a_redactor_that_runs_a_chain_of_its_own_ends(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    def asks_a_model(text: str) -> str:
        run_id = uuid.uuid4()
        handler.on_chat_model_start(None, [[HumanMessage(text)]], run_id=run_id)
        handler.on_llm_end(LLMResult(generations=[[]]), run_id=run_id)
        return "redacted by a model"

    handler = OTelCallbackHandler(provider, capture_content=True, redactors=[asks_a_model], raise_errors=True)
    run_id = uuid.uuid4()
    handler.on_retriever_start(None, CANARY, run_id=run_id)
    handler.on_retriever_end([], run_id=run_id)
    said = everything(exporter)
    assert CANARY not in said
    assert "redacted by a model" in said


@pytest.mark.parametrize(
    "piece", ["a", "a@", "1 ", "eyJ", "sk-", "password=", "://", "-----BEGIN PRIVATE KEY-----"]
)
def test_s4_a_megabyte_of_anything_is_looked_at_to_a_bounded_length(
    piece: str, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    seen: list[int] = []

    def measure(text: str) -> str:
        seen.append(len(text))
        return text

    handler = OTelCallbackHandler(provider, capture_content=True, redactors=[measure], raise_errors=True)
    run_everything(handler, piece * (1_000_000 // len(piece)))
    assert max(seen) <= 2 * (32_768 + LONGEST)  # a mask may be longer than what it masks
    assert len(everything(exporter)) > 0


def test_s5_a_prompt_of_fifty_megabytes_is_a_span_of_at_most_256_kilobytes(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = OTelCallbackHandler(provider, capture_content=True, raise_errors=True)
    run_id = uuid.uuid4()
    text = "word " * 10_000_000
    handler.on_chat_model_start(None, [[HumanMessage(text) for _ in range(20)]], run_id=run_id)
    handler.on_llm_end(LLMResult(generations=[[ChatGeneration(message=AIMessage(text))]]), run_id=run_id)
    (span,) = exporter.get_finished_spans()
    attributes = dict(span.attributes or {})
    assert len(encode_spans([span]).SerializeToString()) <= 262_144 + 2_048
    asked = read("gen_ai.input.messages", attributes["gen_ai.input.messages"])
    assert "truncated" in asked[-1]["parts"][0]["content"]
    assert "omitted" in asked[0]["parts"][0]["content"]
    assert attributes["langchain.content.truncated"] is True


def test_s6_media_is_said_by_type_and_size_and_never_copied(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = OTelCallbackHandler(provider, capture_content=True, raise_errors=True)
    data = "A" * 20_000_000
    blocks: list[Any] = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": data}},
        {"type": "media", "mime_type": "video/mp4", "data": bytes(1_000)},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
        {"type": "file", "base64": data, "mime_type": "application/pdf"},
    ]
    run_id = uuid.uuid4()
    handler.on_chat_model_start(None, [[HumanMessage(blocks)]], run_id=run_id)
    handler.on_llm_end(LLMResult(generations=[[]]), run_id=run_id)
    (span,) = exporter.get_finished_spans()
    (message,) = read("gen_ai.input.messages", (span.attributes or {})["gen_ai.input.messages"])
    assert [(part["mime_type"], part["size_bytes"]) for part in message["parts"]] == [
        ("image/png", 15_000_000),
        ("image/jpeg", 15_000_000),
        ("video/mp4", 1_000),
        ("audio/wav", 15_000_000),
        ("application/pdf", 15_000_000),
    ]
    assert len(everything(exporter)) < 20_000


def test_s7_objects_are_read_by_their_fields_and_never_printed(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = OTelCallbackHandler(provider, capture_content=True, raise_errors=True)
    made = [hostile.hostile(), hostile.HostileDict(), hostile.HostileList(), hostile.LyingClass()]
    hostile.HostileDict.calls = hostile.HostileList.calls = 0
    for thing in made:
        run_id = uuid.uuid4()
        handler.on_tool_start(None, "", run_id=run_id, inputs={"a": thing, "b": [thing]})
        handler.on_tool_end({"a": thing}, run_id=run_id)
    assert hostile.CANARY not in everything(exporter)
    assert (type(made[0]).calls, hostile.HostileDict.calls, hostile.HostileList.calls) == (0, 0, 0)


@pytest.mark.logs
def test_s8_no_secret_is_in_a_log_or_a_repr(
    provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    secret = f"sk-{alnum(40)}"

    def breaks(text: str) -> str:
        raise ValueError(text)

    def mapper(*_: Any) -> None:
        breaks(secret)

    handler = OTelCallbackHandler(provider, capture_content=True, redactors=[breaks], mappers=[mapper])
    run_everything(handler, f"{secret} {CANARY}")
    assert CANARY not in caplog.text
    assert alnum(40) not in caplog.text + repr(handler) + str(vars(handler))
