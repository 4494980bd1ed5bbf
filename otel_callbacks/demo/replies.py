"""Which request gets which reply: routing, refusals and staged faults, as plain data that a server can send.

No socket and no clock here; a `Reply` says what to write and when, and carries the `Exchange` that records it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from otel_callbacks.demo import brain, wire
from otel_callbacks.demo.loose import JsonObject, as_list, as_object, as_text, fingerprint
from otel_callbacks.demo.record import Exchange, Usage
from otel_callbacks.demo.words import count_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otel_callbacks.demo.brain import Draft
    from otel_callbacks.demo.faults import Fault

MODELS = ("simulated-small", "simulated-embedding")
MAX_CHOICES = 4
_DONE = b"data: [DONE]\n\n"
_FAULT_MESSAGES = {
    429: ("Rate limit reached (simulated).", "requests", "rate_limit_exceeded"),
    500: ("The server had an error (simulated).", "server_error", None),
}


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. *body* is empty when it was not a JSON object, *malformed* then says so."""

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: JsonObject
    malformed: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What to send: one body, or the frames of an event stream with *first_chunk_s* before the first.

    *cut* ends the connection after the last frame although more was promised.
    """

    exchange: Exchange
    headers: Mapping[str, str]
    frames: Sequence[bytes]
    first_chunk_s: float = 0.0
    cut: bool = False

    @property
    def length(self) -> int:
        """Bytes of a reply that is not streamed, as promised in its header: one more than a cut one sends."""
        return sum(len(frame) for frame in self.frames) + self.cut


def reply_to(request: Request, fault: Fault | None = None, draft: Draft | None = None) -> Reply:
    """Return the reply to *request*, spoilt by *fault*; *draft* dictates the answer of a chat completion."""
    if request.malformed:
        return _refusal(request, 400, "The body is not a JSON object.")
    match (request.method, request.path):
        case ("GET", "/v1/models"):
            return _whole(_exchange(request), wire.model_list(MODELS))
        case ("POST", "/v1/chat/completions"):
            make: Callable[[Request, Draft | None], Reply] = _chat
        case ("POST", "/v1/embeddings"):
            make = _embeddings
        case _:
            return _refusal(request, 404, f"There is no {request.method} {request.path} here.")
    if not as_text(request.body.get("model")):
        return _refusal(request, 400, "you must provide a model parameter")
    if fault is not None and fault.status != 200:  # noqa: PLR2004  # HTTP's own number
        return _fault(request, fault)
    reply = make(request, draft)
    return reply if fault is None else _spoil(reply, fault)


def _chat(request: Request, draft: Draft | None) -> Reply:
    body = request.body
    if not as_list(body.get("messages")):
        return _refusal(request, 400, "you must provide messages")
    choices = body.get("n") or 1
    if not isinstance(choices, int) or choices not in range(1, MAX_CHOICES + 1):
        return _refusal(request, 400, f"n must be from 1 to {MAX_CHOICES}")
    head = wire.Head(
        f"chatcmpl-simulated-{request.number:04d}-{fingerprint(body):016x}",
        wire.response_model(as_text(body["model"])),
    )
    answer = brain.answer(body, head.response_id, draft).times(choices)
    exchange = replace(
        _exchange(request),
        response_id=head.response_id,
        response_model=head.model,
        finish_reason=answer.finish_reason,
        text=answer.text,
        tool_calls=answer.tool_calls,
        usage=answer.usage,
    )
    if not body.get("stream"):
        return _whole(exchange, wire.completion(head, answer))
    include_usage = as_object(body.get("stream_options")).get("include_usage") is True
    chunks = wire.chunks(head, answer, include_usage=include_usage)
    streamed = replace(
        exchange,
        streamed=True,
        usage=answer.usage if include_usage else None,
        fragments=len(wire.fragments(answer)) * choices,
    )
    return Reply(
        streamed,
        {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"},
        [*(b"data: " + _encode(chunk) + b"\n\n" for chunk in chunks), _DONE],
    )


def _embeddings(request: Request, _draft: Draft | None) -> Reply:
    body = request.body
    given = body.get("input")
    texts = [given] if isinstance(given, str) else as_list(given)
    if not texts or not all(isinstance(text, str) for text in texts):
        return _refusal(request, 400, "input must be text: set check_embedding_ctx_length=False")
    dimensions = body.get("dimensions")
    if dimensions is not None and not (isinstance(dimensions, int) and dimensions > 0):
        return _refusal(request, 400, "dimensions must be a positive number")
    usage = Usage(sum(count_tokens(text) for text in texts))
    model = wire.response_model(as_text(body["model"]))
    exchange = replace(_exchange(request), response_model=model, usage=usage, embeddings=len(texts))
    base64 = body.get("encoding_format") == "base64"
    return _whole(
        exchange, wire.embedding_list(model, texts, usage.prompt_tokens, base64=base64, dimensions=dimensions)
    )


def _spoil(reply: Reply, fault: Fault) -> Reply:
    """Hold *reply* back, or cut it after half of its frames (of its bytes, when there is one frame)."""
    exchange = replace(reply.exchange, fault=fault.name, delay_s=fault.first_chunk_s)
    reply = replace(reply, exchange=exchange, first_chunk_s=fault.first_chunk_s)
    if not fault.cut:
        return reply
    if not exchange.streamed:
        body = reply.frames[0]
        return replace(
            reply,
            exchange=_unsaid(exchange),
            frames=[body[: len(body) // 2]],
            cut=True,
        )
    said = len(reply.frames) // 2
    roles = exchange.body.get("n") or 1  # the first frame of each choice
    heard = max(0, min(said - roles, exchange.fragments))
    text = "".join(
        as_text(as_object(as_object(choice).get("delta")).get("content"))
        for frame in reply.frames[:said]
        for choice in as_list(json.loads(frame.removeprefix(b"data: "))["choices"])
        if as_object(choice).get("index") == 0
    )
    spoilt = replace(_unsaid(exchange), text=text, fragments=heard)
    return replace(reply, exchange=spoilt, frames=reply.frames[:said], cut=True)


def _unsaid(exchange: Exchange) -> Exchange:
    """Take back what a cut answer has not told."""
    return replace(
        exchange, finish_reason=None, text="", tool_calls=(), usage=None, fragments=0, embeddings=0
    )


def _fault(request: Request, fault: Fault) -> Reply:
    message, kind, code = _FAULT_MESSAGES.get(fault.status, ("Refused (simulated).", "server_error", None))
    reply = _refusal(request, fault.status, message, kind, code, fault=fault.name)
    if fault.retry_after_s is None:
        return reply
    # Retry-After counts whole seconds (RFC 9110 10.2.3); the OpenAI clients look at the finer header first.
    retry = {
        "retry-after": str(max(1, round(fault.retry_after_s))),
        "retry-after-ms": str(round(fault.retry_after_s * 1000)),
    }
    return replace(reply, headers={**reply.headers, **retry}, first_chunk_s=fault.first_chunk_s)


def _refusal(
    request: Request,
    status: int,
    message: str,
    kind: str = "invalid_request_error",
    code: str | None = None,
    fault: str | None = None,
) -> Reply:
    return _whole(replace(_exchange(request), status=status, fault=fault), wire.error(message, kind, code))


def _whole(exchange: Exchange, body: JsonObject) -> Reply:
    return Reply(exchange, {"content-type": "application/json"}, [_encode(body)])


def _exchange(request: Request) -> Exchange:
    return Exchange(
        request.number,
        request.method,
        request.path,
        request.headers,
        request.body,
        status=200,
        request_id=f"req_simulated_{request.number:04d}",
    )


def _encode(value: JsonObject) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
