"""What a collector's answer means: statuses, codes, headers and bodies in, `Answer` out.

Rules for this file: pure, and it never raises, whatever the other side has sent. What the other side says is read as far as
it is bounded, and shown masked, escaped and cut. Sources: OTLP 1.7, sections "Failures" and "Partial Success"; where the
specification would have data thrown away that a repaired key, quota or address would let in, it is kept.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from otel_callbacks.core import redact
from otel_callbacks.export.items import Answer, Verdict

if TYPE_CHECKING:
    from otel_callbacks.settings import Signal

Mask = Callable[[str], str]
"""Takes the secrets of a configuration out of a text."""

MASK: Final = "***"
MAX_MESSAGE_CHARACTERS: Final = 200
MAX_PATIENCE_S: Final = 300.0
MAX_BODY_BYTES: Final = 65_536
_MAX_REJECTED: Final = 2**31 - 1
_NO_MESSAGE: Final = ""

_HTTP: Final = {
    400: Verdict.REJECTED,
    408: Verdict.RETRY,
    413: Verdict.TOO_BIG,
    422: Verdict.REJECTED,
    425: Verdict.RETRY,
    429: Verdict.RETRY,
    501: Verdict.MISCONFIGURED,
    505: Verdict.MISCONFIGURED,
    511: Verdict.MISCONFIGURED,
}
_HTTP_CLASSES: Final = {2: Verdict.DELIVERED, 5: Verdict.RETRY}
"""By the first digit. What is in neither table is a wrong key, address or quota: 1xx, 3xx, most of 4xx."""
_UNKNOWN_PATHS: Final = frozenset({404, 405, 501})

_GRPC: Final = {
    "OK": Verdict.DELIVERED,
    "CANCELLED": Verdict.RETRY,
    "UNKNOWN": Verdict.RETRY,
    "INVALID_ARGUMENT": Verdict.REJECTED,
    "DEADLINE_EXCEEDED": Verdict.RETRY,
    "RESOURCE_EXHAUSTED": Verdict.RETRY,
    "ABORTED": Verdict.RETRY,
    "OUT_OF_RANGE": Verdict.RETRY,
    "INTERNAL": Verdict.RETRY,
    "UNAVAILABLE": Verdict.RETRY,
    "DATA_LOSS": Verdict.RETRY,
}
"""What is not here is misconfigured: UNAUTHENTICATED, PERMISSION_DENIED, UNIMPLEMENTED, NOT_FOUND …"""

# The collector says so with 400 and INVALID_ARGUMENT too (net/http's MaxBytesReader; grpc-go's limit).
_TOO_BIG: Final = re.compile(
    r"(?:body|message|payload|entity|request)(?: is)? too (?:large|big)|larger than max", re.IGNORECASE
)
_MAY_BE_TOO_BIG: Final = frozenset({"RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "OUT_OF_RANGE"})

# What gRPC's own client says where no collector has answered: it is in the details, and only there (measured in 1.85).
_LOCAL: Final = (
    (
        re.compile(r"CLIENT: Received message larger than max"),
        Answer(Verdict.DELIVERED, "its answer is too long to be read"),
    ),
    (
        re.compile(
            r"CERTIFICATE_VERIFY_FAILED|not in peer certificate|Hostname Verification|CERTIFICATE_REQUIRED"
        ),
        Answer(Verdict.MISCONFIGURED, "TLS: a certificate is not accepted"),
    ),
    (
        re.compile(r"WRONG_VERSION_NUMBER|Cannot check peer"),
        Answer(Verdict.MISCONFIGURED, "TLS: what answers does not speak it"),
    ),
    (
        re.compile(r"Failed parsing HTTP/2|http1\.x"),
        Answer(
            Verdict.MISCONFIGURED,
            "what answers does not speak gRPC; OTLP over HTTP has another port (4318 by default)",
        ),
    ),
    (re.compile(r"\A(?:Stream removed \()?Deadline Exceeded"), Answer(Verdict.RETRY, "no answer in time")),
    (
        re.compile(r"errors resolving|[Nn]ame resolution|DNS"),
        Answer(Verdict.RETRY, "the name of its host cannot be resolved"),
    ),
    (
        re.compile(
            r"failed to connect|connections to all backends|[Ss]ocket closed|[Cc]onnection (?:reset|refused|closed)|Broken pipe"
            r"|\ASendmsg|\ARecvmsg|GOAWAY|[Kk]eepalive|\AStream removed|\AChannel closed|empty address list|Transport closed|Endpoint closing|\AFD "
        ),
        Answer(Verdict.RETRY, "nobody answers"),
    ),
)
_RESPONSES: Final[dict[Signal, tuple[str, str, str]]] = {
    "traces": ("trace.v1.trace", "Trace", "rejected_spans"),
    "metrics": ("metrics.v1.metrics", "Metrics", "rejected_data_points"),
    "logs": ("logs.v1.logs", "Logs", "rejected_log_records"),
}
"""Module and class of a signal's response, and its field that counts what was rejected."""
_BEHIND_HTTP: Final = re.compile(r"\AReceived http2 header with status: ([0-9]{3})\b")
_COMPRESSION: Final = re.compile(r"compress|grpc-encoding", re.IGNORECASE)
_SECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_WEB_PAGE: Final = re.compile(rb"\s*<(?:!doctype html|html)\b", re.IGNORECASE)


def mask_of(secrets: Iterable[str]) -> Mask:
    """Return what takes *secrets* out of a text, in any case of letters, and what looks like a key beside them."""
    known = sorted(set(secrets), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, known)), re.IGNORECASE) if known else None

    def mask(text: str) -> str:
        return redact.secrets(pattern.sub(MASK, text) if pattern else text)

    return mask


def said(label: str, text: str, mask: Mask) -> str:
    """Return what may be logged: our *label*, and what the other side says, masked before it is escaped and cut."""
    text = mask(text).strip()
    message = f"{label}: {text!r}" if text else label
    return message if len(message) <= MAX_MESSAGE_CHARACTERS else message[: MAX_MESSAGE_CHARACTERS - 1] + "…"


# -- HTTP ----------------------------------------------------------------------------------------------------------------


def http_answer(
    signal: Signal, status: int, headers: Mapping[str, str], body: bytes, mask: Mask, now_s: float
) -> Answer:
    """Return what an HTTP response means.

    Args:
        signal: What was sent.
        status: As it came; any number.
        headers: By lower-case name; ``content-type`` and ``retry-after`` are looked at.
        body: As far as it was read.
        mask: Takes secrets out.
        now_s: Seconds since 1970, for a date in ``retry-after``.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    verdict = http_verdict(status)
    if verdict is Verdict.DELIVERED:
        if _WEB_PAGE.match(body):
            return Answer(
                Verdict.MISCONFIGURED, f"{_labelled(status)}, but with a web page", unknown_signal=True
            )
        return _delivered(signal, body, mask, as_json=kind == "application/json")
    text, asked_s = _refusal(kind, body)
    if verdict is Verdict.REJECTED and _TOO_BIG.search(text):
        verdict = Verdict.TOO_BIG
    patience_s = None
    if verdict is Verdict.RETRY:
        patience_s = retry_after_s(headers.get("retry-after", ""), now_s)
        patience_s = asked_s if patience_s is None else patience_s
    return Answer(
        verdict,
        said(_labelled(status), text, mask),
        patience_s,
        unknown_signal=status in _UNKNOWN_PATHS,
        explicit=verdict is Verdict.RETRY,
    )


def http_verdict(status: int) -> Verdict:
    """Return what a status means by itself."""
    return _HTTP.get(status) or _HTTP_CLASSES.get(status // 100, Verdict.MISCONFIGURED)


def _labelled(status: int) -> str:
    # Not the server's own phrase: it may say anything.
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def retry_after_s(value: str, now_s: float) -> float | None:
    """Return what ``Retry-After`` asks for, from 0 to 300; None for what is not allowed there, and for a date that is over."""
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), MAX_PATIENCE_S)
    try:
        date = parsedate_to_datetime(value)
        left_s = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now_s
    except Exception:  # noqa: BLE001  (the standard library's parser: by garbage, it raises half a dozen types)
        return None
    return min(left_s, MAX_PATIENCE_S) if left_s > 0 else None


def _refusal(kind: str, body: bytes) -> tuple[str, float | None]:
    """Return what the body of a refusal says, and the patience that it asks for."""
    if kind in {"", "application/x-protobuf", "application/protobuf", "application/octet-stream"}:
        return _status(body)
    if kind == "application/json":
        return _json_text(body), None
    # A web page says nothing that its status does not.
    return (body.decode("utf-8", "replace") if kind == "text/plain" else _NO_MESSAGE), None


def _json_text(body: bytes) -> str:
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return _NO_MESSAGE
    for name in ("message", "error", "detail", "message"):  # {"error": {"message": …}} too
        if isinstance(found, dict):
            found = cast("dict[str, Any]", found).get(name, found)
    return found if isinstance(found, str) else _NO_MESSAGE


# -- gRPC ----------------------------------------------------------------------------------------------------------------


def grpc_answer(code: str, details: str, trailers: Iterable[tuple[str, str | bytes]], mask: Mask) -> Answer:
    """Return what a call that failed means.

    Args:
        code: The name of a ``grpc.StatusCode``.
        details: The collector's words, or those of gRPC's client if there was no answer.
        trailers: The trailing metadata.
        mask: Takes secrets out.
    """
    patience_s = _retry_info_s(trailers)
    if patience_s is None:
        for pattern, answer in _LOCAL:
            if pattern.search(details):
                return answer
    verdict = _GRPC.get(code, Verdict.MISCONFIGURED)
    behind = _BEHIND_HTTP.match(details)
    if behind:  # something before the collector that speaks HTTP only
        verdict = http_verdict(int(behind[1]))
        verdict = Verdict.RETRY if verdict is Verdict.DELIVERED else verdict
    elif patience_s is None and code in _MAY_BE_TOO_BIG and _TOO_BIG.search(details):
        verdict = Verdict.TOO_BIG
    retries = verdict is Verdict.RETRY
    return Answer(
        verdict,
        said(f"gRPC {code}", details, mask),
        patience_s if retries else None,
        unknown_signal=code == "UNIMPLEMENTED" and not _COMPRESSION.search(details),
        explicit=retries,
    )


def grpc_delivered(signal: Signal, body: bytes, mask: Mask) -> Answer:
    """Return what the response of a call that succeeded says."""
    return _delivered(signal, body, mask)


def _retry_info_s(trailers: Iterable[tuple[str, str | bytes]]) -> float | None:
    for name, value in trailers:
        if name == "grpc-status-details-bin" and isinstance(value, bytes) and len(value) <= MAX_BODY_BYTES:
            return _status(value)[1]
    return None


# -- both ----------------------------------------------------------------------------------------------------------------


def _delivered(signal: Signal, body: bytes, mask: Mask, *, as_json: bool = False) -> Answer:
    """Return an answer of success, with what of it was rejected. A body that cannot be read says nothing."""
    try:
        response, field = _response_of(signal)
        if as_json:
            from google.protobuf import json_format  # type: ignore[import-untyped]  # noqa: PLC0415  (ships no types)

            json_format.Parse(body, response, ignore_unknown_fields=True)
        else:
            response.ParseFromString(body)
        partial = response.partial_success
        rejected = max(0, min(getattr(partial, field), _MAX_REJECTED))
        text: str = partial.error_message
    except Exception:  # noqa: BLE001  (a foreign parser of foreign bytes)
        return Answer(Verdict.DELIVERED)
    if not rejected and not text:
        return Answer(Verdict.DELIVERED)
    label = f"{rejected} rejected" if rejected else "accepted with a warning"
    return Answer(Verdict.DELIVERED, said(label, text, mask), rejected=rejected)


def _response_of(signal: Signal) -> tuple[Any, str]:
    """Return an empty response of the signal, and the field that counts what was rejected."""
    name, kind, field = _RESPONSES[signal]
    # Imported when a first answer has come: protobuf takes a while.
    module: Any = import_module(f"opentelemetry.proto.collector.{name}_service_pb2")
    return getattr(module, f"Export{kind}ServiceResponse")(), field


def _status(body: bytes) -> tuple[str, float | None]:
    """Return the message of an encoded ``google.rpc.Status``, and the patience that its RetryInfo asks for."""
    try:
        # As above.
        status: Any = import_module("google.rpc.status_pb2").Status.FromString(body)
        retry_info: Any = import_module("google.rpc.error_details_pb2").RetryInfo
        text: str = status.message
        for detail in status.details:
            info: Any = retry_info()
            if detail.Is(info.DESCRIPTOR) and detail.Unpack(info):
                delay = info.retry_delay
                return text, _bounded_s(delay.seconds + delay.nanos / 1e9)
    except Exception:  # noqa: BLE001  (a foreign parser of foreign bytes)
        return _NO_MESSAGE, None
    return text, None


def _bounded_s(seconds: float) -> float | None:
    return min(seconds, MAX_PATIENCE_S) if math.isfinite(seconds) and seconds >= 0 else None
