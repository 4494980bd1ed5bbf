"""What is fuzzed: the normaliser, and every parser that reads bytes or texts of somebody else's. One row a target.

Rules for this file: a target takes bytes and raises if what it calls raises, or breaks its word; it keeps nothing from one call
to the next that would make the second answer another one.
"""

from __future__ import annotations

import os
import struct
import tempfile
from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from uuid import UUID, uuid4

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.core import normalize
from otel_callbacks.core.events import RunKind
from otel_callbacks.core.redact import MASK, secrets
from otel_callbacks.export.items import Origin
from otel_callbacks.export.spool import segment, started
from otel_callbacks.export.spool.files import Files
from otel_callbacks.export.spool.slots import LeftFile, SlotFile, source_of
from otel_callbacks.export.transport import answers
from otel_callbacks.export.wire.shortening import shorten
from otel_callbacks.otel.engines import end_open_runs
from otel_callbacks.settings import VARIABLES, Settings
from tests.fuzz.making import Maker
from tests.property import hostile
from tests.property.hostile import CANARY

KINDS: Final = ("chain", "chat_model", "llm", "tool", "retriever")
_ENDS: Final = {"chat_model": "llm"}


@dataclass(frozen=True)
class Target:
    """A row: *run* is called with any bytes; *seeds* are where a fuzzer begins."""

    name: str
    run: Callable[[bytes], None]
    seeds: Sequence[bytes] = ()


# -- the normaliser: raw callback arguments -> event -> attributes -> span -> bytes --------------------------------------------


@cache
def _stage() -> tuple[OTelCallbackHandler, TracerProvider, InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handler = OTelCallbackHandler(provider, capture_content=True, raise_errors=True)
    return handler, provider, exporter


def callbacks(data: bytes) -> None:
    """Events of a few runs in any order, with anything as their arguments."""
    handler, provider, exporter = _stage()
    made, ids = Maker(data), [uuid4() for _ in range(3)]
    anything = made.value

    def one() -> Any:
        chosen = made.byte()
        return ids[chosen % 3] if chosen < 220 else anything()

    for _ in range(12):
        if made.is_over:
            break
        event, kind = made.byte() % 8, KINDS[made.byte() % len(KINDS)]
        run_id: UUID = one()
        if event <= 2:
            getattr(handler, f"on_{kind}_start")(
                anything(), anything(), run_id=run_id, parent_run_id=one(), tags=anything(), metadata=anything(), name=anything(),
                invocation_params=anything(), options=anything(),
            )  # fmt: skip
        elif event <= 4:
            getattr(handler, f"on_{_ENDS.get(kind, kind)}_end")(
                anything(), run_id=run_id, parent_run_id=one()
            )
        elif event == 5:
            getattr(handler, f"on_{_ENDS.get(kind, kind)}_error")(
                anything(), run_id=run_id, response=anything()
            )
        elif event == 6:
            handler.on_llm_new_token(anything(), chunk=anything(), run_id=run_id)
        else:
            handler.on_custom_event(anything(), anything(), run_id=run_id)
            handler.on_retry(anything(), run_id=run_id)
            handler.on_interrupt(anything())
    end_open_runs(provider)
    spans = exporter.get_finished_spans()
    exporter.clear()
    request = encode_spans(spans)
    encoded = [
        span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
    ]
    assert len(encoded) == len(spans)
    for span in encoded:
        assert span.end_time_unix_nano >= span.start_time_unix_nano
        assert CANARY not in str(span)
    assert sum(map(hostile.calls, made.odd)) == 0


def start_arguments(data: bytes) -> None:
    """The arguments of a start, to its event."""
    made = Maker(data)
    kind = list(RunKind)[made.byte() % len(RunKind)]
    event = normalize.started(
        kind, made.value(), made.value(), made.value(), {"name": made.value(), "batch_size": made.value()}
    )
    assert event.name is None or 0 < len(event.name) <= 128
    assert all(type(tag) is str for tag in event.tags)
    assert len(event.tags) <= normalize.MAX_TAGS


# -- what was left on disk --------------------------------------------------------------------------------------------------------

_SALT: Final = 0x5EED


@cache
def _segment() -> bytes:
    header = segment.pack_page(segment.Header("traces", "d" * 32, 7, 1_700_000_000, _SALT))
    items = [
        b"".join(segment.pack_record(segment.Kind.ITEM, number, 1, b"item %d" % number * 9, _SALT))
        for number in range(6)
    ]
    return header + segment.pack_origin(1, Origin(b"resource", b"scope"), _SALT) + b"".join(items)


def _damaged(whole: bytes, data: bytes) -> bytes:
    """Return *whole* with pieces of *data* written over it, and cut where it says."""
    made, found = Maker(data), bytearray(whole)
    while not made.is_over:
        where, size = struct.unpack("<HB", bytes(made.byte() for _ in range(3)))
        if size == 255:
            del found[where:]
        found[where : where + size % 16] = bytes(made.byte() for _ in range(size % 16))
    return bytes(found)


def left_segment(data: bytes) -> None:
    """A segment, damaged: what is read of it was written, in order, and every byte is a record's or a gap's."""
    whole = _segment()
    for file in (_damaged(whole, data), whole[: segment.PAGE] + data, data):
        segment.parse_header(file[: segment.PAGE])
        ack = segment.parse_ack(file[: segment.PAGE], _SALT)
        assert ack.offset >= 0
        at = min(segment.PAGE, len(file))

        def read(start: int, size: int, file: bytes = file) -> bytes:
            return file[start : start + size]

        for found in segment.records(read, at, len(file), _SALT):
            assert at <= found.start < found.end <= len(file)
            at = found.end
            if isinstance(found, segment.Record) and found.kind == segment.Kind.ORIGIN:
                segment.parse_origin(found.payload)
            elif isinstance(found, segment.Record) and found.kind == segment.Kind.ITEM:
                assert found.payload in whole or file is data
    segment.parse_origin(data)


class _InMemory(Files):
    """A file that is bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = data

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        return self.data[offset : offset + size]


@cache
def _journal() -> bytes:
    with tempfile.TemporaryFile() as file:
        slots = SlotFile(Files(), os.dup(file.fileno()), "journal", "d" * 32, 1_700_000_000)
        for number in range(3):
            slot = slots.take(600)
            assert slot is not None
            source = source_of(Origin(b"resource", b"scope"))
            body = b'["name", 0, null, false, 5, {"a": 1}]'
            slots.write(slot, (1, 2 + number), 1, 10**18, source, started.Form.START, body)
        return os.pread(file.fileno(), 1 << 20, 0)


def left_journal(data: bytes) -> None:
    """A journal of open spans, damaged: no bytes raise, and what is found makes an item or nothing."""
    whole = _journal()
    for file in (_damaged(whole, data), data):
        left = LeftFile(_InMemory(file), 0)
        for found in left.records():
            assert 0 <= found.offset < len(file)
            started.item_of(found.form, found.body, found.identity)


def left_start(data: bytes) -> None:
    """What a journal's slot has of a start: an item that OTLP can read, or nothing."""
    made = Maker(data)
    form, identity = made.byte() % 4, bytes(range(1, 25))
    item = started.item_of(form, made.rest(), identity)
    if item is not None and form != started.Form.ITEM:
        assert Span.FromString(item).trace_id == identity[:16]


def too_big(data: bytes) -> None:
    """An item that is to be made smaller."""
    made = Maker(data)
    limit = made.byte()
    item = made.rest()
    for signal in ("traces", "logs", "metrics"):
        found = shorten(item, limit, signal)
        assert found is None or len(found) <= limit


# -- what servers answer ----------------------------------------------------------------------------------------------------------

_SECRET: Final = "s3cret-of-the-header"  # noqa: S105 - planted


def _check(answer: Any) -> None:
    assert answer.message is None or (
        answer.message.isprintable() and len(answer.message) <= answers.MAX_MESSAGE_CHARACTERS
    )
    assert _SECRET not in str(answer.message)
    assert answer.retry_after_s is None or 0 <= answer.retry_after_s <= answers.MAX_PATIENCE_S
    assert answer.rejected >= 0


def http_answers(data: bytes) -> None:
    """A response, whatever it is."""
    made = Maker(data)
    status = made.byte() << 2 | made.byte() & 3
    kinds = ("", "application/json", "application/x-protobuf", "text/html", made.text())
    headers = {"content-type": kinds[made.byte() % len(kinds)], "retry-after": made.text()}
    body = made.rest()
    for signal in ("traces", "metrics", "logs"):
        for content in (body, body + _SECRET.encode()):
            _check(answers.http_answer(signal, status, headers, content, answers.mask_of([_SECRET]), 1.7e9))


def grpc_answers(data: bytes) -> None:
    """A status with its trailers."""
    made, mask = Maker(data), answers.mask_of([_SECRET])
    codes = (
        "OK",
        "UNAVAILABLE",
        "RESOURCE_EXHAUSTED",
        "INVALID_ARGUMENT",
        "UNAUTHENTICATED",
        "SOMETHING_NEW",
    )
    code, details = codes[made.byte() % len(codes)], made.text() + _SECRET
    rest = made.rest()
    trailers: list[tuple[str, str | bytes]] = [
        ("grpc-status-details-bin", rest),
        (made.text(), rest),
        ("retry-after", made.text()),
    ]
    _check(answers.grpc_answer(code, details, trailers, mask))
    _check(answers.grpc_delivered("traces", rest, mask))


# -- texts: variables, and secrets in anything --------------------------------------------------------------------------------------


def variables(data: bytes) -> None:
    """An environment: handlers never fail for it."""
    made = Maker(data)
    names = [name for row in VARIABLES for name in row.names]
    env = {names[(made.byte() << 8 | made.byte()) % len(names)]: made.text() for _ in range(4)}
    Settings.lenient(env)


def texts(data: bytes) -> None:
    """Any text: secrets are taken out of it, and nothing is put in but the mark."""
    text = data.decode("utf-8", "replace")
    found = secrets(text)
    assert len(found) <= len(text) + len(MASK) * found.count(MASK)


_SAMPLES: Final = (
    b"",
    bytes(range(256)),
    b"\x07" * 200,
    b"\x06\x05\x07\x04" * 60,
    bytes(range(0, 256, 3)) * 4,
)
_UNASKABLE_TOOLS: Final = b64decode("CAExAAASAAGoAGH4ewQAAAAAAAB9AV06/w==")  # tools that have no truth value
TARGETS: Final = (
    Target("callbacks", callbacks, (*_SAMPLES, _UNASKABLE_TOOLS)),
    Target("start_arguments", start_arguments, _SAMPLES),
    Target("left_segment", left_segment, (*_SAMPLES, b"\x00\x10\x04abcd", b"\x40\x10\xff")),
    Target("left_journal", left_journal, (*_SAMPLES, b"\x00\x10\x04abcd", b"\x20\x10\xff")),
    Target("left_start", left_start, (*_SAMPLES, b'\x01["name", 0, null, false, 5, {"a": [1, {"b": "c"}]}]')),
    Target("too_big", too_big, (*_SAMPLES, b"\x40" + Span(name="n" * 200).SerializeToString())),
    Target(
        "http_answers",
        http_answers,
        (*_SAMPLES, b'\x64\x00\x01\x01{"message": "no", "partialSuccess": {"rejectedSpans": "3"}}'),
    ),
    Target("grpc_answers", grpc_answers, _SAMPLES),
    Target("variables", variables, _SAMPLES),
    Target(
        "texts",
        texts,
        (
            *_SAMPLES,
            b"key=sk-" + b"a" * 40,
            b"-----BEGIN PRIVATE KEY-----\nQUJD",
            b"https://user:password@host/?api_key=x",
        ),
    ),
)
"""The table: a parser that is written later gets a row, and with it the tests and the fuzzer."""
