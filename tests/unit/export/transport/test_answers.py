"""What every status, code, header and body of a collector means, and that nothing of it can harm."""

from __future__ import annotations

import math
from typing import Any

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_callbacks.export.items import Answer, Verdict
from otel_callbacks.export.transport.answers import (
    MAX_MESSAGE_CHARACTERS,
    grpc_answer,
    grpc_delivered,
    http_answer,
    mask_of,
    retry_after_s,
)
from otel_callbacks.settings import Signal
from tests.collectors import retry_info, success

NOW_S = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
NO_MASK = mask_of(())
SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")


def http(status: int, body: bytes = b"", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http_answer("traces", status, named, body, NO_MASK, NOW_S)


def by_grpc(code: str, details: str = "", *trailers: tuple[str, str | bytes]) -> Answer:
    return grpc_answer(code, details, trailers, NO_MASK)


DELIVERED, RETRY, WRONG = Verdict.DELIVERED, Verdict.RETRY, Verdict.MISCONFIGURED
HTTP = {
    DELIVERED: [200, 201, 202, 204, 299],
    RETRY: [408, 425, 429, 500, 502, 503, 504, 520, 529, 599],
    WRONG: [-1, 0, 100, 101, 199, 300, 301, 302, 303, 304, 307, 308, 401, 402, 403, 404, 405, 406, 407, 409, 410,
            411, 415, 418, 421, 431, 451, 499, 501, 505, 511, 600, 999],
    Verdict.TOO_BIG: [413],
    Verdict.REJECTED: [400, 422],
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "verdict"), [(status, verdict) for verdict, found in HTTP.items() for status in found]
)
def test_every_status_has_a_verdict(status: int, verdict: Verdict) -> None:
    answer = http(status)
    assert answer.verdict is verdict
    assert answer.explicit is (verdict is RETRY)
    assert answer.unknown_signal is (status in {404, 405, 501})
    assert answer.rejected == 0
    assert (str(status) in answer.message) is (verdict is not DELIVERED)


GRPC = {
    RETRY: ["CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "OUT_OF_RANGE", "INTERNAL",
            "UNAVAILABLE", "DATA_LOSS"],
    WRONG: ["UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED", "NOT_FOUND", "ALREADY_EXISTS",
            "FAILED_PRECONDITION", "NEW_CODE"],
    Verdict.REJECTED: ["INVALID_ARGUMENT"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "verdict"), [(code, verdict) for verdict, found in GRPC.items() for code in found]
)
def test_every_code_has_a_verdict(code: str, verdict: Verdict) -> None:
    answer = by_grpc(code, "its words")
    assert answer == Answer(
        verdict,
        f"gRPC {code}: 'its words'",
        unknown_signal=code == "UNIMPLEMENTED",
        explicit=verdict is RETRY,
    )


@pytest.mark.parametrize(
    "text",
    [
        "http: request body too large",
        "grpc: received message larger than max (5000000 vs. 4194304)",
        "SERVER: Received message larger than max (9000 vs. 5000)",
        "grpc: received message after decompression larger than max 4194304",
        "Message too large",
        "Payload Too Large",
    ],
)
def test_a_request_that_is_too_large_is_known_by_what_is_said_of_it(text: str) -> None:
    assert http(400, text.encode(), content_type="text/plain").verdict is Verdict.TOO_BIG
    assert by_grpc("RESOURCE_EXHAUSTED", text).verdict is Verdict.TOO_BIG
    assert by_grpc("INVALID_ARGUMENT", text).verdict is Verdict.TOO_BIG
    # Said of a quota, with a time: patience, not smaller pieces.
    patient = by_grpc("RESOURCE_EXHAUSTED", text, ("grpc-status-details-bin", retry_info(3)))
    assert (patient.verdict, patient.retry_after_s) == (RETRY, 3)


FAILED = "failed to connect to all addresses; last error:"


@pytest.mark.parametrize(
    ("code", "details", "verdict", "word"),
    [
        ("UNAVAILABLE", f"{FAILED} UNKNOWN: ipv4:10.9.8.7:1: Failed to connect to remote host: Connection refused", RETRY, "nobody"),
        ("UNAVAILABLE", "errors resolving 10.9.8.7: [field:hostname lookup error:Domain name not found]", RETRY, "name"),
        ("UNAVAILABLE", "Socket closed", RETRY, "nobody"),
        ("UNAVAILABLE", "recvmsg:Connection reset by peer", RETRY, "nobody"),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", RETRY, "in time"),
        ("UNAVAILABLE", f"{FAILED} UNAVAILABLE: ipv4:10.9.8.7:1: Failed parsing HTTP/2 (Expected SETTINGS frame)", WRONG, "4318"),
        ("UNAVAILABLE", f"{FAILED} UNKNOWN: ipv4:10.9.8.7:1: Ssl handshake failed: CERTIFICATE_VERIFY_FAILED", WRONG, "certificate"),
        ("UNAVAILABLE", "Hostname Verification Check failed. 10.9.8.7", WRONG, "certificate"),
        ("RESOURCE_EXHAUSTED", "Stream removed (CLIENT: Received message larger than max (5000 vs. 1000))", DELIVERED, "long"),
    ],
)  # fmt: skip
def test_what_grpcs_own_client_says_is_nobodys_answer_and_shows_no_address(
    code: str, details: str, verdict: Verdict, word: str
) -> None:
    answer = by_grpc(code, details)
    assert answer.verdict is verdict
    assert answer.explicit is False
    assert word in answer.message
    assert "10.9.8.7" not in answer.message


@pytest.mark.parametrize(
    ("status", "verdict"), [(413, Verdict.TOO_BIG), (401, WRONG), (502, RETRY), (200, RETRY)]
)
def test_what_stands_before_a_grpc_server_and_speaks_http_is_understood(
    status: int, verdict: Verdict
) -> None:
    answer = by_grpc("UNKNOWN", f"Received http2 header with status: {status}")
    assert answer.verdict is verdict


def test_a_server_that_cannot_decompress_may_know_the_signal() -> None:
    answer = by_grpc("UNIMPLEMENTED", 'grpc: Decompressor is not installed for grpc-encoding "gzip"')
    assert (answer.verdict, answer.unknown_signal) == (WRONG, False)


# -- patience ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0), ("7", 7), (" 7 ", 7), ("1.5", 1.5), ("300", 300), ("301", 300), ("999999999", 300),
        ("-1", None), ("+1", None), ("nan", None), ("inf", None), ("-inf", None), ("1e308", None), ("1e2", None),
        ("9" * 400, None), ("", None), ("soon", None), ("0x10", None), ("\u0663", None), ("1_0", None), ("7;", None),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30), ("Tue, 14 Nov 2023 22:13:50 -0000", 30),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", 30), ("Tue Nov 14 22:13:50 2023", 30),
        ("Tue, 14 Nov 2123 22:13:50 GMT", 300), ("Tue, 14 Nov 2023 22:13:20 GMT", None),
        ("Tue, 14 Nov 1923 22:13:50 GMT", None), ("Tue, 99 Nov 2023 22:13:50 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", None), ("Tue, 14 Nov 99999999999 22:13:50 GMT", None),
    ],
)  # fmt: skip
def test_what_retry_after_asks_for_is_bounded(value: str, seconds: float | None) -> None:
    assert retry_after_s(value, NOW_S) == seconds
    for status in (429, 503):
        assert http(status, retry_after=value).retry_after_s == seconds


@pytest.mark.parametrize(
    ("seconds", "bounded"),
    [(0, 0), (3.5, 3.5), (300, 300), (301, 300), (2**38, 300), (-1, None), (-0.5, None)],
)
def test_what_retry_info_asks_for_is_bounded(seconds: float, bounded: float | None) -> None:
    details = retry_info(seconds, "busy")
    answer = by_grpc("UNAVAILABLE", "busy", ("other-bin", b"\xff"), ("grpc-status-details-bin", details))
    assert (answer.verdict, answer.retry_after_s, answer.explicit) == (RETRY, bounded, True)
    assert http(429, details).retry_after_s == bounded
    assert http(429, details, retry_after="9").retry_after_s == 9


def test_a_duration_that_protobuf_does_not_allow_is_bounded_too() -> None:
    # RetryInfo { retry_delay { seconds: 2^62 } }, nanos: -2^31
    for delay, bounded in ((b"\x08" + _varint(2**62), 300.0), (b"\x10" + _varint(2**64 - 2**31), None)):
        info = b"\x0a" + bytes([len(delay)]) + delay
        packed = b"\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12" + bytes([len(info)]) + info
        details = b"\x1a" + bytes([len(packed)]) + packed
        assert by_grpc("UNAVAILABLE", "", ("grpc-status-details-bin", details)).retry_after_s == bounded


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def test_nobody_else_asks_for_patience() -> None:
    for status in (200, 400, 401, 413, 302):
        assert http(status, retry_after="7").retry_after_s is None
    trailers = ("grpc-status-details-bin", retry_info(7))
    for code in ("INVALID_ARGUMENT", "UNAUTHENTICATED"):
        assert by_grpc(code, "", trailers).retry_after_s is None


@pytest.mark.parametrize("details", [b"", b"\xff" * 100, b"\x1a\xff\xff\xff\xff\x0f", b"x" * 100_000, "text"])
def test_trailers_of_garbage_say_nothing(details: Any) -> None:
    answer = by_grpc("UNAVAILABLE", "busy", ("grpc-status-details-bin", details))
    assert answer == Answer(RETRY, "gRPC UNAVAILABLE: 'busy'", explicit=True)


# -- success -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_partial_success_is_counted_for_every_signal(signal: Signal) -> None:
    body = success(signal, 3, "too old")
    expected = Answer(DELIVERED, "3 rejected: 'too old'", rejected=3)
    assert grpc_delivered(signal, body, NO_MASK) == expected
    assert http_answer(signal, 200, {}, body, NO_MASK, NOW_S) == expected
    assert grpc_delivered(signal, success(signal, -3), NO_MASK) == Answer(DELIVERED)
    assert grpc_delivered(signal, success(signal, 2**62), NO_MASK).rejected == 2**31 - 1
    warned = Answer(DELIVERED, "accepted with a warning: 'use v2'")
    assert grpc_delivered(signal, success(signal, 0, "use v2"), NO_MASK) == warned


@pytest.mark.parametrize(
    ("signal", "field"),
    [("traces", "rejectedSpans"), ("metrics", "rejectedDataPoints"), ("logs", "rejectedLogRecords")],
)
def test_a_partial_success_in_json_is_counted_too(signal: Signal, field: str) -> None:
    body = b'{"partialSuccess": {"%s": "2", "errorMessage": "late", "new": 1}}' % field.encode()
    headers = {"content-type": "application/json; charset=utf-8"}
    assert http_answer(signal, 200, headers, body, NO_MASK, NOW_S) == Answer(
        DELIVERED, "2 rejected: 'late'", rejected=2
    )


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"OK", b"\xff" * 50, b"\x0a\xff\xff\xff\xff\x7f", b"[" * 50_000]
)
@pytest.mark.parametrize("kind", ["", "application/json", "text/html", "application/x-protobuf", ";;", "\0"])
def test_a_body_of_success_that_cannot_be_read_is_a_success(body: bytes, kind: str) -> None:
    assert http(200, body, content_type=kind).verdict is DELIVERED


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>Log in", b"\n <html lang=en>", b"<HTML>"])
def test_a_web_page_is_no_collector_whatever_its_status(page: bytes) -> None:
    answer = http(200, page, content_type="text/html")
    assert answer.verdict is WRONG
    assert answer.message == "HTTP 200 OK, but with a web page"


# -- what is said --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("application/x-protobuf", b"\x12\x02no", ": 'no'"),
        ("", b"\x12\x02no", ": 'no'"),
        ("application/json", b'{"code": 3, "message": "no"}', ": 'no'"),
        ("application/json", b'{"error": "no"}', ": 'no'"),
        ("application/json", b'{"error": {"message": "no"}}', ": 'no'"),
        ("application/json", b'{"detail": "no"}', ": 'no'"),
        ("application/json", b'{"other": "no"}', ""),
        ("application/json", b"[1]", ""),
        ("application/json", b"[" * 60_000, ""),
        ("application/json", b"\xff", ""),
        ("Text/Plain; charset=utf-8", b"no\n", ": 'no'"),
        ("text/plain", b"n\xff", ": 'n\ufffd'"),
        ("text/html", b"<p>no", ""),
        ("", b"\xff\xff", ""),
    ],
)
def test_what_a_refusal_says_is_shown_if_it_is_meant_for_people(kind: str, body: bytes, said: str) -> None:
    assert http(400, body, content_type=kind).message == f"HTTP 400 Bad Request{said}"


def test_what_is_said_is_escaped_and_cut() -> None:
    evil = "x\nERROR root: fake \x1b]0;pwn\x07 \u202e \x9b31m \ud800"
    message = by_grpc("INTERNAL", evil).message
    assert message.isprintable()
    assert "\\nERROR" in message
    long = by_grpc("INTERNAL", "x" * 100_000).message
    assert len(long) == MAX_MESSAGE_CHARACTERS
    assert long.endswith("…")


def test_secrets_are_masked_before_the_text_is_cut_or_escaped() -> None:
    mask = mask_of({"It's-a-KEY", "It's-a-KEY-and-more"})
    for text in (
        "It's-a-KEY",
        "it's-A-key",
        "x" * 170 + "It's-a-KEY",
        "It's-a-KEY-and-more",
        "a sk-abcdefgh12345678",
    ):
        message = grpc_answer("INTERNAL", text, (), mask).message
        assert "key" not in message.lower()
        assert "more" not in message
        assert "sk-abc" not in message


TEXTS = st.text(st.characters(codec=None), max_size=300) | st.text(max_size=20_000)


@given(
    signal=st.sampled_from(SIGNALS),
    status=st.integers(),
    kind=st.sampled_from(["", "application/json", "text/plain", "application/x-protobuf", "text/html"])
    | TEXTS,
    after=TEXTS | st.floats().map(str) | st.integers().map(str),
    body=st.binary(max_size=2_000),
)
def test_no_answer_over_http_is_ever_out_of_bounds(
    signal: Signal, status: int, kind: str, after: str, body: bytes
) -> None:
    headers = {"content-type": kind, "retry-after": after}
    _check(http_answer(signal, status, headers, body, NO_MASK, NOW_S))


@given(
    signal=st.sampled_from(SIGNALS),
    code=st.sampled_from([code.name for code in grpc.StatusCode]),
    details=TEXTS,
    trailers=st.lists(
        st.tuples(st.just("grpc-status-details-bin") | TEXTS, st.binary(max_size=500) | TEXTS), max_size=3
    ),
    body=st.binary(max_size=2_000),
)
def test_no_answer_over_grpc_is_ever_out_of_bounds(
    signal: Signal, code: str, details: str, trailers: list[tuple[str, str | bytes]], body: bytes
) -> None:
    _check(grpc_answer(code, details, trailers, NO_MASK))
    _check(grpc_delivered(signal, body, NO_MASK))


def _check(answer: Answer) -> None:
    assert answer.message.isprintable()
    assert len(answer.message) <= MAX_MESSAGE_CHARACTERS
    assert 0 <= answer.rejected < 2**31
    seconds = answer.retry_after_s
    assert seconds is None or (math.isfinite(seconds) and 0 <= seconds <= 300 and answer.verdict is RETRY)
