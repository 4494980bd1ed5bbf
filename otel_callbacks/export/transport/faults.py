"""What it means that there is no answer: from an exception of the connection to an `Answer`.

Rules for this file: no exception's own text is shown; it may hold an address. The types and OpenSSL's words are enough.
"""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from typing import Final

from otel_callbacks.export.items import Answer, Verdict
from otel_callbacks.export.transport.answers import http_verdict
from otel_callbacks.export.transport.sockets import ProxyError, TooLongError

_RETRY: Final = Verdict.RETRY
_WRONG: Final = Verdict.MISCONFIGURED

# The first that fits. RemoteDisconnected is both a ConnectionError and an HTTPException, SSLError and TimeoutError are OSErrors.
_FAULTS: Final[tuple[tuple[type[Exception], Verdict, str], ...]] = (
    (TimeoutError, _RETRY, "no answer in time"),
    (ssl.SSLEOFError, _RETRY, "the connection has ended without an answer"),
    (ssl.SSLZeroReturnError, _RETRY, "the connection has ended without an answer"),
    (socket.gaierror, _RETRY, "the name of its host cannot be resolved"),
    (ConnectionRefusedError, _RETRY, "nobody listens at its port"),
    (ConnectionError, _RETRY, "the connection has ended without an answer"),
    (
        http.client.HTTPException,
        _WRONG,
        "what answers does not speak HTTP; OTLP over gRPC has another port (4317 by default)",
    ),
    (TooLongError, _WRONG, "what answers does not come to an end"),
)


def answer_of(error: Exception) -> Answer:
    """Return what a failed exchange means."""
    if isinstance(error, ProxyError):
        return _proxy(error.status)
    for kind, verdict, text in _FAULTS:
        if isinstance(error, kind):
            return Answer(verdict, text)
    if isinstance(error, ssl.SSLError):
        return Answer(_WRONG, f"TLS: {_reason(error)}")
    if isinstance(error, OSError) and error.errno is not None:
        return Answer(_RETRY, f"the system says {errno.errorcode.get(error.errno, error.errno)}")
    return Answer(_RETRY, f"{type(error).__name__} while sending")


def _proxy(status: int) -> Answer:
    verdict = _RETRY if http_verdict(status) is _RETRY else _WRONG
    return Answer(verdict, f"the proxy refuses with HTTP {status}", explicit=verdict is _RETRY)


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        # 62 and 64: the name or the address does not match; OpenSSL's text says which.
        return {
            62: "the certificate is for another name",
            64: "the certificate is for another address",
        }.get(error.verify_code, error.verify_message)
    return error.reason or "it failed"
