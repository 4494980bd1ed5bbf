"""The model server: an OpenAI-compatible HTTP server on loopback, for the demo and for tests.

It owns the sockets, the threads and the queue of what is staged; what it answers is decided in `replies`. Standard
library only; it listens on 127.0.0.1 and nowhere else.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast
from urllib.parse import urlsplit

from otel_callbacks.demo.brain import Draft
from otel_callbacks.demo.faults import Fault, Once, of_model
from otel_callbacks.demo.loose import as_object, as_text, fingerprint
from otel_callbacks.demo.record import Exchange, Record
from otel_callbacks.demo.replies import Reply, Request, reply_to

if TYPE_CHECKING:
    from types import TracebackType

    from otel_callbacks.demo.loose import JsonObject

Step: TypeAlias = Fault | Draft | None
"""What is staged for one chat completion: a fault, a dictated answer, or nothing special."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the simulated model takes: seconds before the first chunk (or the whole answer), and between chunks."""

    first_chunk_s: float = 0.0
    chunk_s: float = 0.0


@dataclass(slots=True)
class Stage:
    """What is staged for the requests to come, and which requests have met a fault that strikes once."""

    steps: deque[Step] = field(default_factory=deque[Step])
    once: Once = field(default_factory=Once)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_step(self, path: str, body: JsonObject) -> Step:
        """Take the next step for a chat completion; other requests, and an empty queue, follow the model's name."""
        if path == "/v1/chat/completions":
            with self.lock:
                if self.steps:
                    return self.steps.popleft()
        fault = of_model(as_text(body.get("model")))
        if fault is not None and fault.once and not self.once.strikes(fingerprint(body)):
            return None
        return fault


class ModelServer:
    """Serves from construction's ``with`` to its end; `exchanges` is what it was asked and what it sent.

    ::

        with ModelServer() as server:
            model = ChatOpenAI(model="simulated-small", base_url=server.base_url, api_key="none")
            model.invoke("hello")
            assert server.exchanges[0].status == 200
    """

    def __init__(self, pace: Pace | None = None) -> None:
        self.record = Record()
        self.stage = Stage()
        self.pace = pace or Pace()
        self._http: _HttpServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """The URL to give to an OpenAI client. Raises: RuntimeError: the server is not running."""
        if self._http is None:
            raise RuntimeError("the model server is not running: use it in a with statement")
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def exchanges(self) -> list[Exchange]:
        """What was asked and sent so far, in the order of the answers: a copy."""
        return self.record.snapshot()

    def script(self, *steps: Step) -> None:
        """Stage *steps* for the next chat completions, one each, in the order of their arrival."""
        with self.stage.lock:
            self.stage.steps.extend(steps)

    def clear(self) -> None:
        """Forget the exchanges and what is staged."""
        self.record.clear()
        self.stage.once.clear()
        with self.stage.lock:
            self.stage.steps.clear()

    def __enter__(self) -> Self:
        self._http = _HttpServer(self)
        # The poll interval is how long leaving may take.
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.02,), name="model-server", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        http, thread, self._http, self._thread = self._http, self._thread, None, None
        if http is not None and thread is not None:
            http.shutdown()
            thread.join()
            http.hang_up()
            http.server_close()


class _HttpServer(ThreadingHTTPServer):
    """One thread per connection. Connections are known, so that closing does not wait for idle clients."""

    request_queue_size = 128  # the default of 5 refuses some of twenty clients that arrive at once
    # With it, another process that asks for any free port may get ours between its binding and its listening.
    allow_reuse_address = False
    daemon_threads = False  # so that closing joins the threads: none outlives the server

    def __init__(self, owner: ModelServer) -> None:
        self.owner = owner
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and remember it."""
        connection, address = super().get_request()
        with self._lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and forget it."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # the base class's signature
        """Report a fault of this server's own as any thread's, so that a test which meets it fails and says why."""
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))

    def hang_up(self) -> None:
        """Wake every thread that waits for a client's next request."""
        with self._lock:
            for connection in self._connections:
                _cut(connection)


class _Handler(BaseHTTPRequestHandler):
    """Carries out replies on one connection."""

    server: _HttpServer  # pyright: ignore[reportIncompatibleVariableOverride]  # narrowed: only that server makes it
    protocol_version = "HTTP/1.1"
    server_version = "otel-callbacks-model-server"
    sys_version = ""
    disable_nagle_algorithm = True  # small chunks should leave at once

    def do_GET(self) -> None:
        """Serve what is read: the list of models."""
        self._serve({}, malformed=False)

    def do_POST(self) -> None:
        """Serve what is asked of a model."""
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            parsed: object = json.loads(raw)
        except ValueError:
            parsed = None
        self._serve(as_object(parsed), malformed=not isinstance(parsed, dict))

    def handle(self) -> None:
        """Serve requests until the client leaves; leaving in the middle is its right."""
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Say nothing: requests are recorded, not printed."""

    def _serve(self, body: JsonObject, *, malformed: bool) -> None:
        owner = self.server.owner
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = urlsplit(self.path).path
        request = Request(owner.record.next_number(), self.command, path, headers, body, malformed=malformed)
        step = owner.stage.next_step(path, body)
        reply = reply_to(
            request,
            fault=step if isinstance(step, Fault) else None,
            draft=step if isinstance(step, Draft) else None,
        )
        owner.record.add(reply.exchange)
        time.sleep(reply.first_chunk_s + owner.pace.first_chunk_s)
        self._send(reply, owner.pace.chunk_s)
        if reply.cut:
            # Closing is not enough: the handler's own file objects hold the socket open.
            _cut(cast("socket.socket", self.connection))
            self.close_connection = True

    def _send(self, reply: Reply, chunk_s: float) -> None:
        streamed = reply.exchange.streamed
        self.send_response(reply.exchange.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("x-request-id", reply.exchange.request_id)
        self.send_header(
            *(("transfer-encoding", "chunked") if streamed else ("content-length", str(reply.length)))
        )
        self.end_headers()
        for number, frame in enumerate(reply.frames):
            if streamed and number:
                time.sleep(chunk_s)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(frame), frame) if streamed else frame)
        if streamed and not reply.cut:
            self.wfile.write(b"0\r\n\r\n")


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was faster
