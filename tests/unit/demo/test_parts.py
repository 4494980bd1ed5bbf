"""The demo's small parts: destinations, requirements, schemas, HTTP spans."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import openai
import pytest

from otel_callbacks.demo import requirements
from otel_callbacks.demo.destination import DEFAULT_FILE, Destination, choose, without_user
from otel_callbacks.demo.http import http_spans
from otel_callbacks.demo.schema import Filler
from otel_callbacks.errors import MissingExtraError

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}
MINE = Path("mine.jsonl")


@pytest.mark.parametrize(
    ("file", "env", "expected"),
    [
        (None, {}, Destination(None, DEFAULT_FILE)),
        (MINE, {}, Destination(None, MINE)),
        (None, ENDPOINT, Destination("http://c:4318", None)),
        (MINE, ENDPOINT, Destination("http://c:4318", MINE)),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, Destination(None, DEFAULT_FILE)),
        (
            None,
            ENDPOINT | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/v1"},
            Destination("http://t/v1", None),
        ),
    ],
)
def test_traces_go_to_the_endpoint_or_else_to_a_file(
    file: Path | None, env: dict[str, str], expected: Destination
) -> None:
    assert choose(file, env) == expected


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:pass@c:4318/x", "http://c:4318/x"),
        ("http://c:4318", "http://c:4318"),
        ("c:4317", "c:4317"),
    ],
)
def test_a_password_in_a_url_is_not_shown(url: str, shown: str) -> None:
    assert without_user(url) == shown


def test_what_is_missing_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "NEEDED", {"langgraph": "langgraph", "absent_thing": "absent-thing"})
    with pytest.raises(MissingExtraError) as caught:
        requirements.check()
    assert str(caught.value) == (
        "the demo needs absent-thing. Install it with: pip install 'otel-callbacks[demo]'"
    )


def test_the_client_s_own_http_library_is_instrumented_and_let_go_again() -> None:
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.httpx")
    roots = {base.__module__.partition(".")[0] for base in openai.DefaultHttpxClient.__mro__}
    maker = (
        instrumentation.HTTPX2ClientInstrumentor
        if "httpx2" in roots
        else instrumentation.HTTPXClientInstrumentor
    )
    with http_spans() as seen:
        assert seen
        assert maker().is_instrumented_by_opentelemetry
        with http_spans() as again:
            assert again
        assert maker().is_instrumented_by_opentelemetry
    assert not maker().is_instrumented_by_opentelemetry


def test_without_the_instrumentation_the_demo_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    module = importlib.import_module("otel_callbacks.demo.http")
    monkeypatch.setattr(module, "import_module", refuse)
    with http_spans() as seen:
        assert not seen


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "Oslo"),
        ({"type": "integer"}, 12),
        ({"type": "number"}, 12.0),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"enum": ["Lima", "NOK"]}, "NOK"),
        ({"enum": ["Lima", "Rome"]}, "Lima"),
        ({"const": 7}, 7),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 12),
        ({"type": ["string", "null"]}, "Oslo"),
        ({"$ref": "#/$defs/City"}, {"name": "Oslo"}),
        ({"type": "array", "items": {"$ref": "#/$defs/City"}}, [{"name": "Oslo"}]),
        ({"properties": {"a": {"type": "null"}}}, {"a": None}),
        ({}, "Oslo"),
        ({"type": 7, "enum": {}, "anyOf": 3, "$ref": []}, "Oslo"),
    ],
)
def test_a_schema_is_filled_from_the_question(schema: dict[str, Any], value: object) -> None:
    root = {"$defs": {"City": {"type": "object", "properties": {"name": {"type": "string"}}}}}
    assert Filler(root, "Say 12 things about Oslo in NOK.", "label").fill(schema) == value


def test_a_schema_that_contains_itself_comes_to_an_end() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}, "required": ["next"]}
    value = Filler({"$defs": {"Node": node}}, "", "label").fill(node)
    depth = 0
    while isinstance(value, dict):
        value, depth = value["next"], depth + 1
    assert value is None
    assert depth > 2


@pytest.mark.parametrize(("question", "value"), [("", "label"), ("Say something", "label")])
def test_a_string_that_the_question_does_not_offer_is_labelled(question: str, value: str) -> None:
    assert Filler({}, question, "label").fill({"type": "string"}) == value
