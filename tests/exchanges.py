"""What tests of transports share: a request, a transport from variables, and a server that is written by hand."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel_callbacks.export.items import Answer, Transport, Verdict
from otel_callbacks.export.transport import sockets
from otel_callbacks.export.transport.connect import transports
from otel_callbacks.settings import Settings

OTLP = "OTEL_EXPORTER_OTLP_"
OK = Answer(Verdict.DELIVERED)
SOON_S = 0.5
"""What a test gives an exchange that must not succeed; nothing is asserted of how long it took."""


def a_request(*names: str) -> bytes:
    spans = [Span(name=name) for name in names]
    request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])])
    return request.SerializeToString()  # type: ignore[no-any-return,unused-ignore]


def transport_to(endpoint: str, **variables: str) -> Transport:
    names = {name if name.startswith("OTEL_") else OTLP + name: value for name, value in variables.items()}
    return transports(Settings.from_env({f"{OTLP}ENDPOINT": endpoint, **names}), "traces")()


def raw_server(handle: Callable[[socket.socket], None]) -> tuple[int, Callable[[], None]]:
    """Serve one connection after another by hand; return the port, and what ends it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                handle(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()

    def stop() -> None:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()

    return listener.getsockname()[1], stop


def longest_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list that will hold how long each step is allowed to take: no clock has to be asked whether that was kept."""
    waits: list[float] = []

    class Queue:
        def __init__(self) -> None:
            self._queue: SimpleQueue[Any] = SimpleQueue()
            self.put = self._queue.put

        def get(self, timeout: float) -> Any:
            waits.append(timeout)
            return self._queue.get(timeout=timeout)

    def settimeout(sock: socket.socket, timeout_s: float) -> None:
        waits.append(timeout_s)
        original(sock, timeout_s)

    original = socket.socket.settimeout
    monkeypatch.setattr(socket.socket, "settimeout", settimeout)
    monkeypatch.setattr(sockets, "SimpleQueue", Queue)
    return waits
