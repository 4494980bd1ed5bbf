"""configure() into real OTLP receivers on loopback, over both protocols, through what goes wrong on the way."""

from __future__ import annotations

import gzip
import shutil
import ssl
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otel_callbacks.export.setup import configure
from otel_callbacks.export.telemetry import Telemetry

pytestmark = pytest.mark.usefixtures("fresh_process")

Protocol = Any  # "http/protobuf" or "grpc"
KEY = "sk-CANARY-1"


@dataclass
class Receiver:
    """A collector as far as traces go; what it got is kept."""

    port: int = 0
    scheme: str = "http"
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answer: int = 200
    answer_headers: dict[str, str] = field(default_factory=dict)
    wait: threading.Event | None = None

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def names(self) -> list[str]:
        return [
            span.name
            for request in self.requests
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        if headers["path"].endswith(("/metrics", "/logs")):
            return  # not what these tests are about
        if self.wait:
            self.wait.wait(30)
        self.headers.append({name.lower(): value for name, value in headers.items()})
        if self.answer == 200:
            self.requests.append(ExportTraceServiceRequest.FromString(body))


DECODERS: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


def serve_http(receiver: Receiver, context: ssl.SSLContext | None = None) -> Callable[[], None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.take(
                DECODERS[self.headers.get("content-encoding")](body), dict(self.headers) | {"path": self.path}
            )
            self.send_response(receiver.answer)
            for name, value in receiver.answer_headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:  # type: ignore[override,unused-ignore]
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_arguments: None  # type: ignore[method-assign]  # a client that refuses our certificate
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        receiver.scheme = "https"
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def serve_grpc(receiver: Receiver, credentials: Any = None) -> Callable[[], None]:
    def export(body: bytes, context: Any) -> bytes:
        receiver.take(body, dict(context.invocation_metadata()) | {"path": "grpc"})
        if receiver.answer != 200:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
        return ExportTraceServiceResponse().SerializeToString()  # type: ignore[no-any-return,unused-ignore]

    method = grpc.unary_unary_rpc_method_handler(export)  # no serializers: bytes in, bytes out
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    pool = ThreadPoolExecutor(4)
    server = grpc.server(pool)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
    if credentials:
        receiver.port, receiver.scheme = server.add_secure_port("127.0.0.1:0", credentials), "https"
    else:
        receiver.port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def stop() -> None:
        server.stop(0).wait()
        pool.shutdown()

    return stop


@pytest.fixture(params=["http/protobuf", "grpc"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    return request.param


@pytest.fixture
def receiver(protocol: Protocol) -> Iterator[Receiver]:
    receiver = Receiver()
    stop = (serve_grpc if protocol == "grpc" else serve_http)(receiver)
    yield receiver
    stop()


def a_trace(telemetry: Telemetry, *names: str) -> int:
    """Nest spans of these names, and return the id of their trace."""
    tracer = telemetry.tracer_provider.get_tracer("test", "1")
    context = None
    spans = []
    for name in names:
        spans.append(tracer.start_span(name, context, attributes={"named": name}))
        context = trace.set_span_in_context(spans[-1])
    for span in reversed(spans):
        span.end()
    return spans[0].get_span_context().trace_id


def test_a_trace_arrives_with_its_service_its_nesting_and_its_headers(
    receiver: Receiver, protocol: Protocol
) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={KEY}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_SERVICE_NAME": "shop",
    }
    with configure(env=env) as telemetry:
        trace_id = a_trace(telemetry, "root", "child")
        assert telemetry.force_flush(30)
        assert receiver.names() == ["child", "root"]
        a_trace(telemetry, "at the end")
    assert receiver.names() == ["child", "root", "at the end"]
    group = receiver.requests[0].resource_spans[0]
    child, root = group.scope_spans[0].spans
    assert {a.key: a.value.string_value for a in group.resource.attributes}["service.name"] == "shop"
    assert root.trace_id == child.trace_id == trace_id.to_bytes(16, "big")
    assert (child.parent_span_id, root.parent_span_id) == (root.span_id, b"")
    assert receiver.headers[0]["api-key"] == KEY
    assert receiver.headers[0]["path"] in {"/v1/traces", "grpc"}
    assert KEY not in repr(telemetry)


def test_arguments_say_it_too(receiver: Receiver, protocol: Protocol) -> None:
    env = {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9"}
    with configure(
        endpoint=receiver.endpoint, protocol=protocol, headers={"Api-Key": KEY}, env=env
    ) as telemetry:
        a_trace(telemetry, "x")
    assert receiver.names() == ["x"]
    assert receiver.headers[0]["api-key"] == KEY


def test_configured_twice_a_span_arrives_once(receiver: Receiver, protocol: Protocol) -> None:
    first = configure(endpoint=receiver.endpoint, protocol=protocol)
    a_trace(first, "one")
    second = configure(endpoint=receiver.endpoint, protocol=protocol)
    a_trace(first, "two")
    second.shutdown(30)
    third = configure(endpoint=receiver.endpoint, protocol=protocol)
    a_trace(third, "three")
    third.shutdown(30)
    assert receiver.names() == ["one", "two", "three"]


def test_a_refusal_makes_the_flush_false_and_shows_no_key(
    receiver: Receiver, protocol: Protocol, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = 400
    with configure(endpoint=receiver.endpoint, protocol=protocol, headers={"api-key": KEY}) as telemetry:
        a_trace(telemetry, "x")
        assert telemetry.force_flush(30) is False
        receiver.answer = 200
        a_trace(telemetry, "y")
        assert telemetry.force_flush(30) is True
    assert sorted(receiver.names()) == ["x", "y"]  # what takes the one may take the other by now
    assert KEY not in caplog.text


def test_a_collector_that_hangs_holds_neither_the_flush_nor_the_shutdown(
    receiver: Receiver, protocol: Protocol
) -> None:
    receiver.wait = threading.Event()
    telemetry = configure(endpoint=receiver.endpoint, protocol=protocol)
    a_trace(telemetry, "x")
    assert telemetry.force_flush(0.2) is False
    telemetry.shutdown(0.2)
    assert receiver.names() == []
    receiver.wait.set()


def test_a_collector_that_is_not_there_is_reported_without_secrets(
    protocol: Protocol, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    secret = "" if protocol == "grpc" else "?api_key=QUERYCANARY"
    env = {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.5"}
    telemetry = configure(
        endpoint=f"http://127.0.0.1:9/{secret}", protocol=protocol, headers={"api-key": KEY}, env=env
    )
    a_trace(telemetry, "x")
    assert telemetry.force_flush(3) is False
    telemetry.shutdown(0.5)
    assert caplog.records
    assert "CANARY" not in caplog.text + repr(telemetry)


@pytest.fixture
def http_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    stop = serve_http(receiver)
    yield receiver
    stop()


def test_deflate_is_for_http(http_receiver: Receiver) -> None:
    env = {"OTEL_EXPORTER_OTLP_COMPRESSION": "deflate", "OTEL_EXPORTER_OTLP_ENDPOINT": http_receiver.endpoint}
    with configure(env=env) as telemetry:
        a_trace(telemetry, "x")
    assert http_receiver.names() == ["x"]
    assert http_receiver.headers[0]["content-encoding"] == "deflate"


def test_neither_netrc_nor_a_proxy_comes_between(
    http_receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login u password NETRC\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with configure(endpoint=http_receiver.endpoint, headers={"Authorization": f"Bearer {KEY}"}) as telemetry:
        a_trace(telemetry, "x")
    assert [headers["authorization"] for headers in http_receiver.headers] == [f"Bearer {KEY}"]


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_is_no_delivery_and_takes_no_key_elsewhere(http_receiver: Receiver, status: int) -> None:
    elsewhere = Receiver()
    stop = serve_http(elsewhere)
    http_receiver.answer, http_receiver.answer_headers = (
        status,
        {"location": elsewhere.endpoint + "/v1/traces"},
    )
    telemetry = configure(
        endpoint=http_receiver.endpoint, headers={"api-key": KEY}, env={"OTEL_EXPORTER_OTLP_TIMEOUT": "2"}
    )
    a_trace(telemetry, "x")
    # Shorter than the pause after an answer that only a person can mend: the flush does not wait for the next request.
    assert telemetry.force_flush(5) is False
    telemetry.shutdown(5)
    stop()
    assert http_receiver.headers
    assert elsewhere.headers == []


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two self-signed certificates for 127.0.0.1, made by the openssl program."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program")
    folder = tmp_path_factory.mktemp("tls")
    for name in ("right", "wrong"):
        subprocess.run(  # noqa: S603
            [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
             "subjectAltName=IP:127.0.0.1", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize(("trusted", "names"), [("right.pem", ["x"]), ("wrong.pem", [])])
def test_only_the_given_authority_is_trusted_whatever_else_the_environment_says(
    protocol: Protocol,
    authorities: dict[str, Path],
    trusted: str,
    names: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certificate, key = authorities["right.pem"], authorities["right.key"]
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(authorities["wrong.pem" if names else "right.pem"]))
    receiver = Receiver()
    if protocol == "grpc":
        stop = serve_grpc(
            receiver, grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
        )
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        stop = serve_http(receiver, context)
    env = {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(authorities[trusted]),
        "OTEL_EXPORTER_OTLP_TIMEOUT": "3" if names else "0.5",
    }
    telemetry = configure(endpoint=receiver.endpoint, protocol=protocol, env=env)
    a_trace(telemetry, "x")
    assert telemetry.force_flush(5) is bool(names)
    telemetry.shutdown(0.5)
    stop()
    assert receiver.names() == names
