"""OTLP over HTTP/1.1: one connection that stays open, and a deadline for all of an exchange.

Rules for this file: nothing of the environment is consulted (no proxy, no ``.netrc``, no bundle of certificates), no redirect
is followed, nothing is raised. What is written down here of an exchange is an `Answer`.
"""

from __future__ import annotations

import gzip
import os
import re
import ssl
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Final

from otel_callbacks.export.items import Answer
from otel_callbacks.export.transport.answers import MAX_BODY_BYTES, Mask, http_answer
from otel_callbacks.export.transport.faults import answer_of
from otel_callbacks.export.transport.sockets import Deadline, Line, Route, TooLongError, connect
from otel_callbacks.export.transport.unobserved import unobserved

if TYPE_CHECKING:
    from otel_callbacks.settings import Compression, Signal

# Measured on spans with large prompts: level 9 costs fourteen times as much CPU as level 1, for a few per cent.
_LEVEL: Final = 1
COMPRESSIONS: Final[dict[Compression, Callable[[bytes], bytes]]] = {
    "none": bytes,
    "gzip": lambda body: gzip.compress(body, _LEVEL, mtime=0),
    "deflate": lambda body: zlib.compress(body, _LEVEL),  # RFC 9110, section 8.4.1.2: zlib's format
}
_NOT_IN_AN_IDENTITY: Final = re.compile(r"[^A-Za-z0-9.-]")
_ENDED: Final = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """What is the same for all connections of a signal."""

    signal: Signal
    route: Route
    head: bytes = field(repr=False)
    """The request's first lines, all but the length and the identity of its body, each with its end."""
    compress: Callable[[bytes], bytes]
    mask: Mask


class HttpTransport:
    """One connection, made when first needed, kept open, made anew when the collector has closed it."""

    def __init__(self, target: HttpTarget) -> None:
        self._target = target
        self._line: Line | None = None
        self._pid = os.getpid()

    def send(self, body: bytes, identity: str, timeout_s: float) -> Answer:
        """Send an encoded request and wait for its answer, never longer than *timeout_s* in total. Never raises."""
        if self._pid != os.getpid():
            self.abandon()
        deadline = Deadline(timeout_s)
        with unobserved():
            try:
                return self._exchange(self._request(body, identity), deadline)
            except Exception as error:  # noqa: BLE001  (whatever it is, nobody has answered)
                self.close()
                return answer_of(error)
            except BaseException:
                self.close()  # in the middle of something
                raise

    def close(self) -> None:
        """End the connection; a later `send` makes a new one."""
        line, self._line = self._line, None
        if line:
            line.close()

    def abandon(self) -> None:
        """Let go of the parent's connection. To close our copy of it takes nothing from the parent."""
        self._pid = os.getpid()
        self.close()

    def _request(self, body: bytes, identity: str) -> bytes:
        body = self._target.compress(body)
        name = _NOT_IN_AN_IDENTITY.sub("", identity)
        tail = f"Idempotency-Key: {name}\r\nContent-Length: {len(body)}\r\n\r\n"
        return b"".join((self._target.head, tail.encode("ascii"), body))

    def _exchange(self, request: bytes, deadline: Deadline) -> Answer:
        line = self._line
        if line is not None and not line.is_stale:
            try:
                return self._ask(line, request, deadline)
            except _ENDED:
                # It was closed under our hands: once more on a new one, unless an answer had begun.
                if line.heard:
                    raise
        self.close()
        self._line = line = connect(self._target.route, deadline)
        return self._ask(line, request, deadline)

    def _ask(self, line: Line, request: bytes, deadline: Deadline) -> Answer:
        line.begin(deadline)
        sent = False
        # A collector may answer before it has read everything, and close: what it says of a request that is too large.
        with suppress(*_ENDED):
            line.send_all(request)
            sent = True
        response = line.response("POST")
        body, whole = _body(response)
        headers = {name.lower(): str(value) for name, value in response.headers.items()}
        if not (sent and whole) or response.will_close:
            self.close()
        return http_answer(
            self._target.signal, response.status, headers, body, self._target.mask, time.time()
        )


def _body(response: HTTPResponse) -> tuple[bytes, bool]:
    """Return the body as far as it is read, and whether that is all of it.

    The status has said what became of the batch: a body that drips, goes on or breaks off changes nothing of it.
    """
    try:
        body = response.read(MAX_BODY_BYTES)
    except (OSError, HTTPException, ValueError, TooLongError):
        return b"", False
    return body, response.isclosed()
