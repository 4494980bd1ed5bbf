"""What the terminal says about one span: its sign, its name, what is worth knowing of it, how it ended.

Rules for this file: pure; every text of a span passes ``plain``; attribute names come from ``semconv``. A note is a function of
the span in the table ``_NOTES``. Content is never shown: only names, numbers and errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind, StatusCode

from otel_callbacks import semconv
from otel_callbacks.export.terminal import cut, duration, plain

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

MAX_NAME_COLUMNS: Final = 60
GAP: Final = "  "

Attributes = Mapping[str, Any]
Pieces = Iterator[tuple[str, str]]
"""Texts with the style of each ("" for none), side by side."""


@dataclass(frozen=True, slots=True)
class Marker:
    """How an operation is told from the others at a glance."""

    sign: str
    style: str


_MODEL: Final = Marker("◆", "cyan")
_PLUMBING: Final = Marker("", "dim")
_PLAIN: Final = Marker("", "")
_REQUEST: Final = Marker("→", "dim")
_MARKERS: Final[Mapping[object, Marker]] = {
    "chat": _MODEL,
    "text_completion": _MODEL,
    "generate_content": _MODEL,
    "embeddings": Marker("◇", "cyan"),
    "execute_tool": Marker("■", "green"),
    "retrieval": Marker("▤", "blue"),
    "invoke_agent": Marker("●", "magenta"),
    "create_agent": Marker("●", "magenta"),
    "invoke_workflow": Marker("○", "magenta"),
}
# A tuple: what an attribute holds may not be hashable.
_USES_TOKENS: Final = ("chat", "text_completion", "generate_content", "embeddings")


def attributes_of(span: ReadableSpan) -> Attributes:
    """Return the span's attributes, none if it has none."""
    return span.attributes or {}


def failed(span: ReadableSpan) -> bool:
    """Say whether the span has error status."""
    return span.status.status_code is StatusCode.ERROR


def marker(span: ReadableSpan) -> Marker:
    """Return the span's sign and style. A graph's own nodes are what its author named; runnables between are plumbing."""
    attributes = attributes_of(span)
    operation = attributes.get(semconv.OPERATION_NAME)
    if isinstance(operation, str) and operation in _MARKERS:
        return _MARKERS[operation]
    if semconv.RUN_KIND in attributes:
        node = attributes.get(semconv.LANGGRAPH_METADATA["langgraph_node"])
        return _PLAIN if span.parent is None or node == span.name else _PLUMBING
    return _REQUEST if span.kind is SpanKind.CLIENT else _PLAIN


def label(span: ReadableSpan) -> Pieces:
    """Say the span's name, its notes and its outcome."""
    sign, style = (mark := marker(span)).sign, mark.style
    name = cut(plain(str(span.name)), MAX_NAME_COLUMNS) or "(no name)"
    yield f"{sign} {name}" if sign else name, style
    attributes = attributes_of(span)
    notes = " · ".join(note for make in _NOTES if (note := make(name, attributes)))
    if notes:
        yield f"{GAP}{notes}", "dim" if style == "dim" else ""
    outcome, reason = (_words(attributes.get(key)) for key in (semconv.RUN_OUTCOME, semconv.RUN_END_REASON))
    if outcome:
        # "cancelled (task cancelled)" says it twice.
        yield f"{GAP}⊘ {outcome}{f' ({reason})' if reason and outcome not in reason else ''}", "yellow"


def error_of(span: ReadableSpan) -> tuple[str, str] | None:
    """Return type and message of a failed span, from its exception event or else its status; None if it did not fail."""
    if not failed(span):
        return None
    attributes = attributes_of(span)
    kind: object = attributes.get(semconv.ERROR_TYPE)
    if not kind:  # an answer that is an error: older HTTP instrumentations give no type beside its status
        kind = next((f"HTTP {attributes[name]}" for name in _STATUS_NAMES if name in attributes), None)
    message: object = span.status.description
    for event in span.events:
        if event.name == semconv.EXCEPTION_EVENT:
            said: Attributes = event.attributes or {}
            kind = said.get(semconv.EXCEPTION_TYPE, kind)
            message = said.get(semconv.EXCEPTION_MESSAGE, message)
    return plain(str(kind or "")) or "error", plain(str(message or ""))


def failure(error: tuple[str, str]) -> str:
    """Say an error in one line. Its class is what is recognised, so ``openai.RateLimitError`` loses the module."""
    kind, message = error
    name = kind.rpartition(".")[2] or kind
    message = message.removeprefix(f"{kind}: ").removeprefix(
        f"{name}: "
    )  # a status of the SDK's repeats the type
    return f"✗ {name}: {message}" if message else f"✗ {name}"


def summary(spans: list[ReadableSpan]) -> str:
    """Say how many tokens the models of these spans took and gave; "" if none is known.

    Only models count: an agent's span may hold the sum of its models.
    """
    models = [a for a in map(attributes_of, spans) if a.get(semconv.OPERATION_NAME) in _USES_TOKENS]
    taken = sum(_number(a.get(semconv.USAGE_INPUT_TOKENS)) for a in models)
    given = sum(_number(a.get(semconv.USAGE_OUTPUT_TOKENS)) for a in models)
    return f"{taken:,} → {given:,} tokens" if taken or given else ""


def _model(name: str, attributes: Attributes) -> str:
    """The model, where the name does not say it already; a dated version of the one in the name is no news."""
    model = attributes.get(semconv.RESPONSE_MODEL) or attributes.get(semconv.REQUEST_MODEL)
    if not isinstance(model, str) or model.startswith(name.rpartition(" ")[2]):
        return ""
    return cut(plain(model), MAX_NAME_COLUMNS)


def _tokens(_name: str, attributes: Attributes) -> str:
    taken, given = attributes.get(semconv.USAGE_INPUT_TOKENS), attributes.get(semconv.USAGE_OUTPUT_TOKENS)
    if taken is None and given is None:
        return ""
    said = ("?" if amount is None else f"{_number(amount):,}" for amount in (taken, given))
    return f"{' → '.join(said)} tokens"


def _first_chunk(_name: str, attributes: Attributes) -> str:
    seconds = attributes.get(semconv.RESPONSE_TIME_TO_FIRST_CHUNK)
    # NaN compares false; the upper bound keeps infinity out.
    if isinstance(seconds, int | float) and 0 <= seconds < 1e9:  # noqa: PLR2004  (thirty years)
        return f"first chunk {duration(round(seconds * 1e9))}"
    return ""


def _counted(key: str, one: str, many: str) -> Callable[[str, Attributes], str]:
    def note(_name: str, attributes: Attributes) -> str:
        if key not in attributes:
            return ""
        count = _number(attributes[key])
        return f"{count:,} {one if count == 1 else many}"

    return note


# The names of HTTP's conventions since 2023, and before.
_STATUS_NAMES: Final = ("http.response.status_code", "http.status_code")
_URL_NAMES: Final = ("url.full", "http.url")


def _request(_name: str, attributes: Attributes) -> str:
    """Host, path and status of an HTTP request; the query and the user may be secret."""
    status, url = (
        next((attributes[name] for name in names if name in attributes), "")
        for names in (_STATUS_NAMES, _URL_NAMES)
    )
    try:
        parts = urlsplit(str(url))
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return plain(str(status))
    target = cut(plain(f"{parts.hostname}{port}{parts.path}"), MAX_NAME_COLUMNS) if parts.hostname else ""
    return f"{target} {plain(str(status))}".strip()


# What follows the name, in this order.
_NOTES: Final[tuple[Callable[[str, Attributes], str], ...]] = (
    _model,
    _tokens,
    _first_chunk,
    _counted(semconv.RETRIEVER_DOCUMENTS, "document", "documents"),
    _counted(semconv.RUN_RETRIES, "retry", "retries"),
    _request,
)


def _words(value: object) -> str:
    return plain(str(value)).replace("_", " ") if value else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
