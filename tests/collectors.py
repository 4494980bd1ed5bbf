"""A collector whose answers are scripted: OTLP over HTTP and gRPC on loopback, for every signal.

It keeps what it has accepted, item by item, parsed by the official classes. It answers by a script, can hold its answer back,
drip it, close without one, and be away for a while: its port stays its own. Nothing here waits for a time to pass, but for
events; what a test waits for, it waits for with `Collector.wait_for`.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

import grpc  # type: ignore[import-untyped]  # grpcio ships no types

from tests.otlp import DECODERS, SERVICES, items_in, refusal, retry_info, success

__all__ = [
    "DECODERS", "OK", "PATIENCE_S", "SERVICES", "Collector", "GrpcCollector", "HttpCollector", "Received", "Reply",
    "collector_of", "items_in", "retry_info", "success", "wait_for",
]  # fmt: skip

PATIENCE_S: Final = 120.0
"""How long a condition is waited for on a machine that is busy; it is reached in a test that fails only."""
_BLINK_S: Final = 0.005
# What gRPC says where HTTP says a status.
_CODES: Final = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED", 413: "RESOURCE_EXHAUSTED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE",
}  # fmt: skip
_TOO_LARGE: Final = "grpc: received message after decompression larger than max (5000000 vs. 4194304)"


def wait_for(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    """Return when *condition* holds; fail if it does not in a very long time."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(_BLINK_S)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer. HTTP's status is said in gRPC's words too; where there are none, it is UNKNOWN."""

    status: int = 200
    code: str | None = None
    """gRPC's, where it is to be another one than the status says."""
    message: str = ""
    """What a refusal says (``google.rpc.Status``, gRPC's details), or a partial success."""
    rejected: int = 0
    retry_after_s: float | None = None
    """``Retry-After``; gRPC's RetryInfo."""
    headers: Mapping[str, str | bytes] = field(default_factory=dict[str, str | bytes])
    """Further headers; trailers of gRPC."""
    body: bytes | None = None
    """Instead of the message."""
    content_type: str = "application/x-protobuf"
    keeps: bool | None = None
    """Whether what was sent counts as accepted: if the status says so, by default. With *close*: stored, and the answer lost."""
    hold: threading.Event | None = None
    """Set by the test when the answer may go out; the collector's end sets free too."""
    close: bool = False
    """No answer: the connection ends (gRPC: UNAVAILABLE, as a client sees it)."""
    raw: bytes | None = None
    """HTTP: these bytes instead of an answer, and the end of the connection."""
    endless: bytes | None = None
    """HTTP: these bytes again and again after the head, or after `raw`, until the client goes."""
    drip_s: float | None = None
    """HTTP: seconds from one byte to the next."""

    @property
    def accepts(self) -> bool:
        success = 200 <= self.status < 300 and self.code in {None, "OK"} and not self.close
        return success if self.keeps is None else self.keeps

    @property
    def grpc_code(self) -> str:
        return self.code or ("OK" if 200 <= self.status < 300 else _CODES.get(self.status, "UNKNOWN"))


OK: Final = Reply()


@dataclass(frozen=True)
class Received:
    """A request that has come."""

    signal: str
    path: str
    headers: Mapping[str, str]
    """By lower-case name; gRPC's metadata."""
    body: bytes
    """Decompressed."""
    request: Any
    items: tuple[Any, ...]
    """Its spans, log records or metrics."""
    client: object
    """The connection it came over."""

    @property
    def identity(self) -> str | None:
        return self.headers.get("idempotency-key")

    @property
    def names(self) -> list[str]:
        """Return what the items are called; of a log record, its event's name."""
        return [item.event_name if self.signal == "logs" else item.name for item in self.items]


class Collector(ABC):
    """What both protocols share. A context manager: it listens from its construction until its end."""

    scheme = "http"

    def __init__(self) -> None:
        self.seen: list[Received] = []
        """Everything that came, also what was refused."""
        self.accepted: list[Received] = []
        self.otherwise = OK
        """The answer when the script is over."""
        self.judge: Callable[[Received], Reply | None] = lambda _received: None
        """Looks at a request first; None leaves it to the script."""
        self.max_bytes: int | None = None
        """Of a request; a longer one is refused as too large."""
        self._script: deque[Reply] = deque()
        self._lock = threading.Lock()
        self.ending = threading.Event()
        self.wait_for = wait_for
        # The port stays ours while nobody listens: a connection is refused, and no other test can get it.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.port: int = self._reserved.getsockname()[1]
        self.start()

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def script(self, *replies: Reply) -> None:
        """Answer so, one after another; then as `otherwise` says."""
        with self._lock:
            self._script.extend(replies)

    def items(self, signal: str = "traces") -> list[Any]:
        """Return what was accepted, in the order of arrival, duplicates too."""
        return [item for received in self._taken(signal) for item in received.items]

    def names(self, signal: str = "traces") -> list[str]:
        """Return what the accepted items are called."""
        return [name for received in self._taken(signal) for name in received.names]

    def _taken(self, signal: str) -> Iterator[Received]:
        with self._lock:
            accepted = list(self.accepted)
        return (received for received in accepted if received.signal == signal)

    def answer(
        self, signal: str, path: str, headers: Mapping[str, str], body: bytes, client: object
    ) -> Reply:
        """Note a request, wait if the reply says so, and return what to answer."""
        request = SERVICES[signal].request.FromString(body)
        received = Received(signal, path, headers, body, request, items_in(signal, request), client)
        with self._lock:
            reply = self._reply(received)
            self.seen.append(received)
            if reply.accepts:
                self.accepted.append(received)
        while reply.hold and not reply.hold.is_set() and not self.ending.is_set():
            reply.hold.wait(_BLINK_S)
        return reply

    def _reply(self, received: Received) -> Reply:
        if self.max_bytes is not None and len(received.body) > self.max_bytes:
            return Reply(status=413, message=_TOO_LARGE)
        judged = self.judge(received)
        if judged is not None:
            return judged
        return self._script.popleft() if self._script else self.otherwise

    def start(self) -> None:
        """Listen again, at the same port."""
        self.ending.clear()
        self._start()

    def stop(self) -> None:
        """Be away: connections end, new ones are refused."""
        self.ending.set()
        self._stop()

    @abstractmethod
    def _start(self) -> None: ...

    @abstractmethod
    def _stop(self) -> None: ...

    def close(self) -> None:
        self.stop()
        self._reserved.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class HttpCollector(Collector):
    """OTLP over HTTP/1.1, with connections that stay open."""

    def __init__(self, context: ssl.SSLContext | None = None, *, idle: bool = True) -> None:
        """Listen.

        Args:
            context: For TLS.
            idle: Whether a connection is kept open after an answer.
        """
        self.context = context
        self.idle = idle
        self.connections: list[socket.socket] = []
        """All that ever were made, of this time of listening."""
        self.scheme = "https" if context else "http"
        super().__init__()

    def _start(self) -> None:
        self.connections = []
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def _stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.hang_up()

    def hang_up(self) -> None:
        """End every connection, and go on listening."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, collector: HttpCollector) -> None:
        self.collector = collector
        super().__init__(("127.0.0.1", collector.port), _Handler)

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.collector.connections.append(connection)
        return connection, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        # On the connection's own thread: a handshake that hangs holds nobody else.
        if self.collector.context:
            request = self.collector.context.wrap_socket(request, server_side=True)
            self.collector.connections.append(request)
        super().finish_request(request, client_address)
        if self.collector.context:
            request.close()  # the one that is wrapped is detached: the server cannot

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that refuses our certificate, or goes: what tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *_arguments: object) -> None:  # type: ignore[override,unused-ignore]
        """Say nothing."""

    def do_POST(self) -> None:
        collector = self.server.collector
        path = self.path.partition("?")[0]
        signal = path.rpartition("/")[2]
        body = self.rfile.read(int(self.headers["content-length"]))
        if signal not in SERVICES:
            self._send(Reply(status=404, message="no such path"), "traces")
            return
        body = DECODERS[self.headers.get("content-encoding")](body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(collector.answer(signal, self.path, headers, body, self.client_address), signal)

    def _send(self, reply: Reply, signal: str) -> None:
        collector = self.server.collector
        # What is not all of an answer, or is told apart from the next by its end only, ends the connection.
        self.close_connection = (
            not collector.idle or reply.close or reply.raw is not None or bool(reply.endless)
        )
        if reply.close or collector.ending.is_set():
            self.close_connection = True
            return
        data = reply.raw if reply.raw is not None else self._head_and_body(reply, signal)
        if reply.drip_s is None:
            self.wfile.write(data)
        else:
            for byte in data:
                if collector.ending.wait(reply.drip_s):
                    return
                self.wfile.write(bytes([byte]))
        while reply.endless and not collector.ending.is_set():
            self.wfile.write(reply.endless)
            if reply.drip_s is not None:
                collector.ending.wait(reply.drip_s)

    def _head_and_body(self, reply: Reply, signal: str) -> bytes:
        body = reply.body
        if body is None:
            said = success(signal, reply.rejected, reply.message)
            body = said if 200 <= reply.status < 300 else refusal(reply.message)
        headers: dict[str, str | bytes] = {"Content-Type": reply.content_type}
        if not reply.endless:
            headers["Content-Length"] = str(len(body))
        if reply.retry_after_s is not None:
            headers["Retry-After"] = f"{reply.retry_after_s:g}"
        if self.close_connection:
            headers["Connection"] = "close"
        self.send_response(reply.status)
        for name, value in {**headers, **reply.headers}.items():
            self.send_header(name, value.decode("latin-1") if isinstance(value, bytes) else value)
        head = b"".join([*self._headers_buffer, b"\r\n"])  # type: ignore[attr-defined,unused-ignore]
        self._headers_buffer: list[bytes] = []
        return head + body


class GrpcCollector(Collector):
    """OTLP over gRPC."""

    def __init__(self, credentials: Any = None, *, max_receive_bytes: int = 4 << 20) -> None:
        """Listen.

        Args:
            credentials: ``grpc.ssl_server_credentials(...)``, for TLS.
            max_receive_bytes: What gRPC itself takes, 4 MiB by its default.
        """
        self.credentials = credentials
        self.max_receive_bytes = max_receive_bytes
        self.scheme = "https" if credentials else "http"
        super().__init__()

    def _start(self) -> None:
        self._pool = ThreadPoolExecutor(16)
        options = [("grpc.max_receive_message_length", self.max_receive_bytes), ("grpc.so_reuseport", 1)]
        self._server = grpc.server(self._pool, options=options)
        for signal, service in SERVICES.items():
            handler = grpc.unary_unary_rpc_method_handler(self._handler_of(signal))  # bytes in, bytes out
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service.name, {"Export": handler}),)
            )
        address = f"127.0.0.1:{self.port}"
        bound = (
            self._server.add_secure_port(address, self.credentials)
            if self.credentials
            else self._server.add_insecure_port(address)
        )
        assert bound == self.port
        self._server.start()

    def _stop(self) -> None:
        self._server.stop(0).wait()
        self._pool.shutdown()

    def _handler_of(self, signal: str) -> Callable[[bytes, Any], bytes]:
        def export(body: bytes, context: Any) -> bytes:
            metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
            reply = self.answer(signal, SERVICES[signal].path, metadata, body, context.peer())
            trailers = list(reply.headers.items())
            if reply.close:
                context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            if reply.retry_after_s is not None:
                trailers.append(("grpc-status-details-bin", retry_info(reply.retry_after_s, reply.message)))
            context.set_trailing_metadata(tuple(trailers))
            if reply.grpc_code != "OK":
                message = _TOO_LARGE if reply.status == 413 and not reply.message else reply.message
                context.abort(grpc.StatusCode[reply.grpc_code], message)
            return success(signal, reply.rejected, reply.message) if reply.body is None else reply.body

        return export


def collector_of(protocol: str) -> Collector:
    """Return a collector of ``http/protobuf`` or ``grpc`` that listens."""
    return GrpcCollector() if protocol == "grpc" else HttpCollector()
