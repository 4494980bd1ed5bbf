"""What the model server was asked and what it sent: the tests' independent witness.

An exchange is recorded before its first byte leaves, so whoever holds an answer finds it here. It says what was
sent; a client that leaves in the middle of a stream has received less than that.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_callbacks.demo.loose import JsonObject


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model asks for; *arguments* is JSON text, as on the wire."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer. Cached ones are part of the prompt's, reasoning ones part of the completion's."""

    prompt_tokens: int
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer.

    *fragments* counts the pieces of text or of tool arguments that a stream carried. *usage* is None when it was not
    sent: a stream without ``include_usage``, a stream that was cut, a refusal. *headers* have lower-case names.
    """

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: JsonObject
    status: int
    request_id: str
    fault: str | None = None
    streamed: bool = False
    response_id: str | None = None
    response_model: str | None = None
    finish_reason: str | None = None
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    fragments: int = 0
    delay_s: float = 0.0
    embeddings: int = 0

    @property
    def model(self) -> str:
        """The model that was asked for; empty when the request named none."""
        return str(self.body.get("model", ""))

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context that came with the request."""
        return self.headers.get("traceparent")

    @property
    def trace_id(self) -> str | None:
        """32 hex digits of the caller's trace, None without a ``traceparent``."""
        return self.traceparent.split("-")[1] if self.traceparent else None

    @property
    def parent_span_id(self) -> str | None:
        """16 hex digits of the span that sent the request, None without a ``traceparent``."""
        return self.traceparent.split("-")[2] if self.traceparent else None


class Record:
    """The exchanges of one server in the order of their answers. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exchanges: list[Exchange] = []
        self._numbers = 0

    def next_number(self) -> int:
        """Return the number of a request that arrives now: 1, 2, 3 …, also after `clear`."""
        with self._lock:
            self._numbers += 1
            return self._numbers

    def add(self, exchange: Exchange) -> None:
        """Keep *exchange*."""
        with self._lock:
            self._exchanges.append(exchange)

    def clear(self) -> None:
        """Forget every exchange."""
        with self._lock:
            self._exchanges.clear()

    def snapshot(self) -> list[Exchange]:
        """Return the exchanges so far, as a list of the caller's own."""
        with self._lock:
            return list(self._exchanges)
