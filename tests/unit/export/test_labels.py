"""What is said about one span."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import SpanKind, Status, StatusCode

from otel_callbacks.export.labels import error_of, failure, label, marker

from .conftest import make_span


def said(name: str = "chat m", **attributes: Any) -> str:
    span = make_span(
        name=name, attributes={key.replace("__", "."): value for key, value in attributes.items()}
    )
    return "".join(text for text, _style in label(span))


@pytest.mark.parametrize(
    ("attributes", "note"),
    [
        ({"gen_ai__request__model": "m"}, ""),
        ({"gen_ai__request__model": "m", "gen_ai__response__model": "m-2026-01-01"}, ""),
        ({"gen_ai__request__model": "other"}, "  other"),
        ({"gen_ai__response__model": 5}, ""),
        ({"gen_ai__usage__input_tokens": 3}, "  3 → ? tokens"),
        ({"gen_ai__usage__output_tokens": "x"}, "  ? → 0 tokens"),
        ({"gen_ai__response__time_to_first_chunk": 1}, "  first chunk 1.00 s"),
        ({"gen_ai__response__time_to_first_chunk": float("nan")}, ""),
        ({"gen_ai__response__time_to_first_chunk": float("inf")}, ""),
        ({"gen_ai__response__time_to_first_chunk": "soon"}, ""),
        ({"langchain__retriever__document_count": 0}, "  0 documents"),
        ({"langchain__retriever__document_count": 1}, "  1 document"),
        ({"langchain__run__retries": 2}, "  2 retries"),
        ({"langchain__run__outcome": "handed_off"}, "  ⊘ handed off"),
        (
            {"langchain__run__outcome": "abandoned", "langchain__run__end_reason": "parent_ended"},
            "  ⊘ abandoned (parent ended)",
        ),
        ({"url__full": "http://[", "http__response__status_code": 404}, "  404"),
        ({"http__url": "http://h:99999/x", "http__status_code": 500}, "  500"),
        ({"http__url": "relative?secret=1"}, ""),
        ({"http__url": "http://127.0.0.1:80/v1?secret=1"}, "  127.0.0.1:80/v1"),
    ],
)
def test_notes(attributes: dict[str, Any], note: str) -> None:
    assert said(**attributes) == "chat m" + note


@pytest.mark.parametrize(
    ("span", "sign", "style"),
    [
        (make_span(attributes={"gen_ai.operation.name": "embeddings"}), "◇", "cyan"),
        (make_span(attributes={"gen_ai.operation.name": ["chat"]}), "", ""),
        (make_span(attributes={"gen_ai.operation.name": "new"}, kind=SpanKind.CLIENT), "→", "dim"),
        (make_span(attributes={"langchain.run.kind": "chain"}), "", ""),
        (make_span(2, 1, attributes={"langchain.run.kind": "chain"}), "", "dim"),
        (
            make_span(2, 1, "node", attributes={"langchain.run.kind": "chain", "langgraph.node": "node"}),
            "",
            "",
        ),
        (make_span(kind=SpanKind.SERVER), "", ""),
    ],
)
def test_markers(span: ReadableSpan, sign: str, style: str) -> None:
    assert (marker(span).sign, marker(span).style) == (sign, style)


def test_an_error_is_the_last_exception_event_else_the_status() -> None:
    events = (
        Event("exception", {"exception.type": "a.A", "exception.message": "1"}),
        Event("langchain.text"),
    )
    span = ReadableSpan(
        "x", status=Status(StatusCode.ERROR, "told"), events=events, attributes={"error.type": "b"}
    )
    assert error_of(span) == ("a.A", "1")
    assert error_of(
        ReadableSpan("x", status=Status(StatusCode.ERROR, "told"), attributes={"error.type": "b"})
    ) == ("b", "told")
    assert error_of(ReadableSpan("x", status=Status(StatusCode.ERROR), events=(Event("exception"),))) == (
        "error",
        "",
    )
    assert error_of(ReadableSpan("x", events=events)) is None


def test_an_error_is_said_in_one_line_without_its_module() -> None:
    assert failure(("openai.RateLimitError", "slow down")) == "✗ RateLimitError: slow down"
    assert failure(("ValueError", "ValueError: bad")) == "✗ ValueError: bad"
    assert failure(("a.B", "a.B: bad")) == "✗ B: bad"
    assert failure(("odd.", "")) == "✗ odd."
