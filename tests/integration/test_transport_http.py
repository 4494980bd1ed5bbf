"""OTLP over HTTP against a real server on loopback: what it answers, how long it takes, and what it never sees."""

from __future__ import annotations

import gzip
import http.client
import os
import socket
import subprocess
import sys
import textwrap
import threading
import zlib
from collections.abc import Callable, Iterator

import pytest
from opentelemetry import context
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel_callbacks.export.items import Answer, Transport, Verdict
from otel_callbacks.export.transport import sockets
from otel_callbacks.export.transport.connect import transports
from otel_callbacks.export.transport.sockets import Deadline
from otel_callbacks.settings import Settings
from tests.collectors import PATIENCE_S, Collector, HttpCollector, Reply, wait_for

OTLP = "OTEL_EXPORTER_OTLP_"
OK = Answer(Verdict.DELIVERED)
SOON_S = 0.5
"""What a test gives an exchange that must not succeed; nothing is asserted of how long it took."""


def a_request(*names: str) -> bytes:
    spans = [Span(name=name) for name in names]
    request = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])]
    )
    return request.SerializeToString()  # type: ignore[no-any-return,unused-ignore]


def transport_to(endpoint: str, **variables: str) -> Transport:
    names = {name if name.startswith("OTEL_") else OTLP + name: value for name, value in variables.items()}
    return transports(Settings.from_env({f"{OTLP}ENDPOINT": endpoint, **names}), "traces")()


@pytest.fixture
def collector() -> Iterator[HttpCollector]:
    with HttpCollector() as collector:
        yield collector


@pytest.fixture
def transport(collector: HttpCollector) -> Iterator[Transport]:
    transport = transport_to(collector.endpoint)
    yield transport
    transport.close()


def test_a_batch_is_delivered_with_its_identity_and_the_connection_is_kept(
    collector: HttpCollector, transport: Transport
) -> None:
    assert transport.send(a_request("a"), "seg-1.0", PATIENCE_S) == OK
    assert transport.send(a_request("b"), "seg-1.1\r\nx-evil: 1", PATIENCE_S) == OK
    assert collector.names() == ["a", "b"]
    assert [received.identity for received in collector.seen] == ["seg-1.0", "seg-1.1x-evil1"]
    assert len(collector.connections) == 1
    headers = collector.seen[0].headers
    assert collector.seen[0].path == "/v1/traces"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["host"] == f"127.0.0.1:{collector.port}"
    assert headers["user-agent"].startswith("otel-callbacks/")


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_what_is_compressed_arrives(collector: HttpCollector, compression: str) -> None:
    transport = transport_to(collector.endpoint, COMPRESSION=compression)
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    transport.close()
    assert collector.names() == ["a"]
    assert collector.seen[0].headers["content-encoding"] == compression


def test_an_error_keeps_the_connection_and_says_what_it_means(
    collector: HttpCollector, transport: Transport
) -> None:
    collector.script(Reply(status=503, message="later", retry_after_s=7))
    answer = transport.send(a_request("a"), "1", PATIENCE_S)
    assert answer == Answer(
        Verdict.RETRY, "HTTP 503 Service Unavailable: 'later'", retry_after_s=7, explicit=True
    )
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    assert len(collector.connections) == 1


def test_a_partial_success_is_counted(collector: HttpCollector, transport: Transport) -> None:
    collector.script(Reply(rejected=2, message="too old"))
    answer = transport.send(a_request("a"), "1", PATIENCE_S)
    assert answer == Answer(Verdict.DELIVERED, "2 rejected: 'too old'", rejected=2)
