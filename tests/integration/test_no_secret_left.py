"""Secrets in the places that are neither a text nor its end: keys, bytes, names, ids, pairs, fields, and behind a cut."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pydantic
import pytest
from langchain_core.documents import Document
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.redactors import credit_cards, emails
from tests.integration.test_planted_secrets import everything
from tests.planted import alnum, upper

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

KEY = f"sk-proj-{alnum(40)}"
SECRET = alnum(40)
ACCESS_KEY = f"AKIA{upper(16)}"  # no shape knows it by a part
MAIL = "jane.doe@mail.example"


@dataclass
class Login:
    user: str
    words: str = field(repr=False)


class Settings(pydantic.BaseModel):
    user: str
    words: str = pydantic.Field(repr=False)
    other: str = pydantic.Field(default="", exclude=True)


def chain(handler: OTelCallbackHandler, **kwargs: Any) -> None:
    run_id = uuid.uuid4()
    handler.on_chain_start(None, {}, run_id=run_id, **kwargs)
    handler.on_chain_end({}, run_id=run_id)


def tool(handler: OTelCallbackHandler, inputs: Any, output: Any = None, **kwargs: Any) -> None:
    run_id = uuid.uuid4()
    handler.on_tool_start(
        {"name": "f", "description": kwargs.pop("said", "")}, "", run_id=run_id, inputs=inputs, **kwargs
    )
    handler.on_tool_end(output, run_id=run_id)


def chat(handler: OTelCallbackHandler, asked: Any, answer: AIMessage, **parameters: Any) -> None:
    run_id = uuid.uuid4()
    handler.on_chat_model_start(None, [[asked]], run_id=run_id, invocation_params=parameters)
    handler.on_llm_end(LLMResult(generations=[[ChatGeneration(message=answer)]]), run_id=run_id)


def answered(secret: str) -> AIMessage:
    return AIMessage(
        "",
        name=f"n {secret}",
        id=secret,
        tool_calls=[{"name": secret, "args": {}, "id": secret, "type": "tool_call"}],
        response_metadata={"model_name": secret, "finish_reason": secret, "id": secret},
    )


PLACES: dict[str, Callable[[OTelCallbackHandler, str], None]] = {
    "metadata key": lambda handler, secret: chain(handler, metadata={f"of {secret}": 1, f"{secret}_password": 2}),
    "metadata bytes": lambda handler, secret: chain(handler, metadata={"a": secret.encode(), "b": bytearray(secret.encode())}),
    "metadata bytes that are no text": lambda handler, secret: chain(handler, metadata={"a": b"\xff " + secret.encode()}),
    "metadata under a number": lambda handler, secret: chain(handler, metadata={"a": {5: [secret.encode()]}}),
    "metadata path": lambda handler, secret: chain(handler, metadata={"a": [PurePosixPath(f"/x/{secret}")]}),
    "tag": lambda handler, secret: chain(handler, tags=[f"of {secret}"]),
    "arguments' bytes": lambda handler, secret: tool(handler, {"a": secret.encode(), "b": [bytearray(secret.encode())]}),
    "arguments' path": lambda handler, secret: tool(handler, {"a": PurePosixPath(f"/x/{secret}")}),
    "names and ids": lambda handler, secret: chat(handler, HumanMessage("", name=secret, id=secret), answered(secret)),
    "unknown block": lambda handler, secret: chat(handler, HumanMessage([{"type": f"of {secret}", secret: 1}]), AIMessage("")),
    "tool definition": lambda handler, secret: chat(
        handler, HumanMessage(""), AIMessage(""), tools=[{"type": "function", "function": {"name": secret}}, {"type": secret}]
    ),
    "file": lambda handler, secret: chat(
        handler,
        HumanMessage([{"type": "file", "file_id": secret}, {"type": "image", "base64": "AAAA", "mime_type": secret}]),
        AIMessage(""),
    ),
    "call id": lambda handler, secret: tool(handler, {}, tool_call_id=secret),
}  # fmt: skip


@pytest.fixture(params=[None, "SPAN_AND_EVENT"], ids=["off", "on"])
def handler(request: pytest.FixtureRequest, provider: TracerProvider) -> OTelCallbackHandler:
    return OTelCallbackHandler(provider, capture_content=request.param, raise_errors=True)


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_masked_wherever_it_stands(
    place: str, handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    PLACES[place](handler, KEY)
    said = everything(exporter)
    assert alnum(12) not in said
    assert "chain" in said or "chat" in said or "execute_tool" in said


@pytest.mark.parametrize("place", [place for place in PLACES if place != "call id"])
def test_a_redactor_sees_it_wherever_it_stands(
    place: str, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    PLACES[place](
        OTelCallbackHandler(provider, capture_content=True, redactors=[emails], raise_errors=True), MAIL
    )
    assert MAIL not in everything(exporter)


@pytest.mark.parametrize("limit", range(100, 280, 3))
def test_a_secret_behind_which_a_short_text_is_cut_is_not_said_in_part(
    limit: int, handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    text = f"{'word ' * (limit // 5)}{ACCESS_KEY} {'more ' * 300}"
    chain(handler, name=text, tags=[text], metadata={text: 1, "session_id": text})
    tool(handler, {text: 1}, tool_call_id=text)
    run_id = uuid.uuid4()
    handler.on_chain_start(None, {}, run_id=run_id, name="a")
    handler.on_custom_event(text, {}, run_id=run_id)
    handler.on_chain_end({}, run_id=run_id)
    assert f"AKIA{upper(3)}" not in everything(exporter)


@pytest.mark.parametrize("before", [1_010, 1_020, 32_750, 32_760])
def test_a_secret_behind_which_a_long_text_is_cut_is_not_said_in_part(
    before: int, handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    text = f"{'a ' * (before // 2)}{ACCESS_KEY} {'more ' * 300}"
    chain(handler, metadata={"a": text, "b": [text], "c": {"d": text}})
    tool(handler, {"a": text}, said=text)
    assert f"AKIA{upper(3)}" not in everything(exporter)


@pytest.mark.parametrize(
    "value",
    [
        {"password": ["swordfish"]},
        {"n": {"credentials": {"user": "x", "word": "swordfish"}}},
        {"Authorization": "swordfish"},
        {"headers": {"cookie": "swordfish"}},
        {"env": [{"name": "DB_PASSWORD", "value": "swordfish"}]},
        {"env": [{"Name": "API_TOKEN", "Value": "swordfish"}]},
        {"argv": ["run", "--api-key", "swordfish", "x"]},
        {"headers": [("authorization", "sword-fish")]},
    ],
)
def test_what_a_name_says_is_secret_is_masked_in_any_form(
    value: dict[str, Any], handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    tool(handler, value, value, metadata=value)
    tool(handler, {"deep": value}, json.dumps(value), metadata={"deep": value})
    said = everything(exporter)
    assert "swordfish" not in said
    assert "sword-fish" not in said


def test_pairs_and_lists_of_names_stay(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    value = {
        "columns": ["password", "email"],
        "kinds": [("token", "keyword")],
        "field": {"name": "size", "value": 5},
    }
    tool(OTelCallbackHandler(provider, capture_content=True, raise_errors=True), value)
    (span,) = exporter.get_finished_spans()
    assert json.loads(str((span.attributes or {})["gen_ai.tool.call.arguments"])) == {
        **value,
        "kinds": [["token", "keyword"]],
    }


def test_fields_that_their_class_does_not_show_are_not_said(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = OTelCallbackHandler(provider, capture_content=True, raise_errors=True)
    tool(
        handler, {"a": Login("u", "swordfish"), "b": Settings(user="u", words="swordfish", other="swordfish")}
    )
    said = everything(exporter)
    assert "swordfish" not in said
    assert '{\\"user\\":\\"u\\"}' in said or '{"user":"u"}' in said


def test_a_number_is_a_text_to_a_redactor_that_knows_it(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = OTelCallbackHandler(provider, capture_content=True, redactors=[credit_cards], raise_errors=True)
    tool(handler, {"card": 4111111111111111, "order": 4111111111111112, "count": 5})
    (span,) = exporter.get_finished_spans()
    assert json.loads(str((span.attributes or {})["gen_ai.tool.call.arguments"])) == {
        "card": "[credit card]",
        "order": 4111111111111112,
        "count": 5,
    }


def test_a_secret_in_pieces_is_masked_as_the_whole_that_a_reader_sees(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = OTelCallbackHandler(provider, capture_content=True, raise_errors=True)
    pieces = [f"use {KEY[:20]}", KEY[20:35], f"{KEY[35:]} now"]
    blocks: list[Any] = [{"type": "text", "text": piece, "index": at} for at, piece in enumerate(pieces)]
    chat(handler, HumanMessage(blocks), AIMessage(blocks))
    said = everything(exporter)
    assert KEY[20:30] not in said
    assert KEY[35:45] not in said
    chat(handler, HumanMessage([{"type": "text", "text": "one"}, "two"]), AIMessage(""))
    (span,) = exporter.get_finished_spans()
    (message,) = json.loads(str((span.attributes or {})["gen_ai.input.messages"]))
    assert [part["content"] for part in message["parts"]] == ["one", "two"]


# -- errors that quote what was said ---------------------------------------------------------------------------------------


class Arguments(pydantic.BaseModel):
    count: int


def of_validation(text: str) -> Exception:
    try:
        Arguments.model_validate({"count": text})
    except pydantic.ValidationError as error:
        return error
    raise AssertionError


def of_a_chain(text: str) -> Exception:
    try:
        try:
            raise OutputParserException(f"Invalid json output: {text}", llm_output=text)
        except OutputParserException as error:
            raise RuntimeError(f"Step failed: {error}") from error
    except RuntimeError as error:
        return error


QUOTING: list[Callable[[str], Exception]] = [
    of_validation,
    of_a_chain,
    lambda text: OutputParserException(f"Invalid json output: {text}", llm_output=text),
    lambda text: ValueError(f"Error invoking tool 'f' with kwargs {{'q': '{text}'}} with error:\n bad\n"),
    lambda text: ValueError(f"bad: input_value='{text}'"),
]


@pytest.mark.parametrize("made", QUOTING)
def test_an_error_does_not_quote_what_was_said_when_that_is_not_captured(
    made: Callable[[str], Exception], provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    for capture, seen in ((None, False), (True, True)):
        handler = OTelCallbackHandler(provider, capture_content=capture, raise_errors=True)
        run_id = uuid.uuid4()
        handler.on_tool_start({"name": "f"}, "", run_id=run_id)
        handler.on_tool_error(made("an ordinary canary"), run_id=run_id)
        said = everything(exporter)
        assert ("an ordinary canary" in said) is seen
        assert ("[not captured]" in said) is not seen


def test_documents_keep_their_text_and_lose_their_secret(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = OTelCallbackHandler(provider, capture_content=True, raise_errors=True)
    run_id = uuid.uuid4()
    handler.on_retriever_start(None, "q", run_id=run_id)
    handler.on_retriever_end([Document(f"before {KEY} after", id=KEY, metadata={"id": KEY})], run_id=run_id)
    said = everything(exporter)
    assert "before [redacted] after" in said
    assert alnum(12) not in said


def test_content_is_cut_inside_its_json_where_a_provider_was_told_its_limit_in_code(
    exporter: InMemorySpanExporter,
) -> None:
    provider = sdk.TracerProvider(
        span_limits=sdk.SpanLimits(max_span_attribute_length=500), shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handler = OTelCallbackHandler(provider, capture_content=True, raise_errors=True)
    chat(handler, HumanMessage("word " * 3_000), AIMessage("answer " * 3_000))
    (span,) = exporter.get_finished_spans()
    for name in ("gen_ai.input.messages", "gen_ai.output.messages"):
        assert "truncated" in str(json.loads(str((span.attributes or {})[name])))
