"""OTLP over HTTP against a real server on loopback: what it answers, how long it takes, and what it never sees."""

from __future__ import annotations

import http.client
import itertools
import os
import socket
import struct
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry import context
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel_callbacks.export.items import Answer, Transport, Verdict
from otel_callbacks.export.transport import sockets
from otel_callbacks.export.transport.connect import transports
from otel_callbacks.export.transport.sockets import Deadline
from otel_callbacks.settings import Settings
from tests.collectors import DECODERS, PATIENCE_S, HttpCollector, Reply, wait_for

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


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(400, Verdict.REJECTED), (401, Verdict.MISCONFIGURED), (413, Verdict.TOO_BIG), (500, Verdict.RETRY)],
)
def test_refusals_differ(
    collector: HttpCollector, transport: Transport, status: int, verdict: Verdict
) -> None:
    collector.script(Reply(status=status))
    assert transport.send(a_request("a"), "1", PATIENCE_S).verdict is verdict
    assert collector.accepted == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_takes_no_key_elsewhere(collector: HttpCollector, status: int) -> None:
    with HttpCollector() as elsewhere:
        collector.otherwise = Reply(status=status, headers={"Location": f"{elsewhere.endpoint}/v1/traces"})
        transport = transport_to(collector.endpoint, HEADERS="api-key=CANARY")
        answer = transport.send(a_request("a"), "1", PATIENCE_S)
        transport.close()
        assert answer.verdict is Verdict.MISCONFIGURED
        assert elsewhere.connections == []
    assert len(collector.seen) == 1


# -- connections that end ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [True, False])
def test_a_connection_that_was_closed_meanwhile_is_made_anew(
    collector: HttpCollector, transport: Transport, seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    collector.hang_up()
    if not seen:  # the close arrives while we send
        monkeypatch.setattr(sockets.Line, "is_stale", property(lambda _line: False))
    assert transport.send(a_request("b"), "2", PATIENCE_S) == OK
    assert collector.names() == ["a", "b"]
    assert len(collector.connections) == 2


def test_a_connection_that_ends_instead_of_a_second_answer_is_made_anew_once(
    collector: HttpCollector, transport: Transport
) -> None:
    collector.script(Reply(), Reply(close=True), Reply(close=True))
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    answer = transport.send(a_request("b"), "2", PATIENCE_S)
    assert answer == Answer(Verdict.RETRY, "the connection has ended without an answer")
    assert [received.identity for received in collector.seen] == ["1", "2", "2"]


def test_a_new_connection_that_ends_without_an_answer_is_left_to_the_next_attempt(
    collector: HttpCollector, transport: Transport
) -> None:
    collector.script(Reply(close=True))
    assert transport.send(a_request("a"), "1", PATIENCE_S).verdict is Verdict.RETRY
    assert len(collector.seen) == 1


def test_an_answer_that_breaks_off_after_its_beginning_is_not_asked_for_again(
    collector: HttpCollector, transport: Transport
) -> None:
    collector.script(Reply(), Reply(raw=b"HTTP/1.1 2"))
    transport.send(a_request("a"), "1", PATIENCE_S)
    assert transport.send(a_request("b"), "2", PATIENCE_S).verdict is not Verdict.DELIVERED
    assert len(collector.seen) == 2


def test_a_collector_that_is_away_is_found_when_it_is_back(
    collector: HttpCollector, transport: Transport
) -> None:
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    collector.stop()
    answer = transport.send(a_request("b"), "2", PATIENCE_S)
    assert answer == Answer(Verdict.RETRY, "nobody listens at its port")
    collector.start()
    assert transport.send(a_request("b"), "2", PATIENCE_S) == OK
    assert collector.names() == ["a", "b"]


def test_a_server_that_closes_after_each_answer_is_obeyed() -> None:
    with HttpCollector(idle=False) as collector:
        transport = transport_to(collector.endpoint)
        assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
        assert transport.send(a_request("b"), "2", PATIENCE_S) == OK
        assert len(collector.connections) == 2
        transport.close()


def test_bytes_after_an_answer_are_not_taken_for_the_next_one(
    collector: HttpCollector, transport: Transport
) -> None:
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    collector.script(Reply(status=503, body=b"", headers={"Content-Length": "0"}), Reply())
    collector.otherwise = Reply(status=503)
    assert transport.send(a_request("a"), "1", PATIENCE_S).verdict is Verdict.RETRY
    collector.connections[0].sendall(smuggled)
    wait_for(lambda: sockets._readable(transport._line._socket))  # type: ignore[attr-defined]
    transport.send(a_request("b"), "2", PATIENCE_S)
    assert transport.send(a_request("c"), "3", PATIENCE_S).verdict is Verdict.RETRY
    assert len(collector.connections) == 2


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


def test_nor_is_one_whose_connection_is_reset_in_its_middle() -> None:
    connections = 0

    def answer(connection: socket.socket) -> None:
        nonlocal connections
        connections += 1
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-")
        heard.wait(PATIENCE_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    heard = threading.Event()
    port, stop = raw_server(answer)
    transport = transport_to(f"http://127.0.0.1:{port}")
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    line: sockets.Line = transport._line  # type: ignore[attr-defined]
    receive = line.receive_into

    def receive_into(buffer: memoryview) -> int:
        count = receive(buffer)
        heard.set()  # now the connection may be reset
        return count

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sockets.Line, "receive_into", lambda _line, buffer: receive_into(buffer))
        reset = transport.send(a_request("b"), "2", PATIENCE_S)
    assert reset == Answer(Verdict.RETRY, "the connection has ended without an answer")
    assert connections == 1
    stop()


def test_what_is_answered_before_all_is_sent_is_heard() -> None:
    """A server may refuse a request by its length, and close without reading it."""

    def refuse(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n")

    port, stop = raw_server(refuse)
    transport = transport_to(f"http://127.0.0.1:{port}")
    answer = transport.send(b"x" * 30_000_000, "1", PATIENCE_S)
    assert answer.verdict is Verdict.TOO_BIG
    transport.close()
    stop()


# -- time ----------------------------------------------------------------------------------------------------------------


def test_a_collector_that_does_not_answer_holds_no_longer_than_asked(
    collector: HttpCollector, transport: Transport
) -> None:
    collector.otherwise = Reply(hold=threading.Event())
    answer = transport.send(a_request("a"), "1", SOON_S)
    assert answer == Answer(Verdict.RETRY, "no answer in time")


def test_one_that_drips_the_head_of_its_answer_neither(
    collector: HttpCollector, transport: Transport
) -> None:
    # All of it would take half a minute, each byte comes in good time.
    collector.otherwise = Reply(headers={"X-Padding": "x" * 500}, drip_s=0.05)
    answer = transport.send(a_request("a"), "1", SOON_S)
    assert answer == Answer(Verdict.RETRY, "no answer in time")


def test_nor_one_that_drips_its_body_and_its_status_counts(
    collector: HttpCollector, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock that goes by our looks at it: how fast the bytes come does not matter.
    looks = itertools.count()
    monkeypatch.setattr(sockets, "monotonic", lambda: next(looks) / 10)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 500000000\r\n\r\n"
    collector.otherwise = Reply(raw=head, endless=b"\0", drip_s=0.001)
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    assert transport._line is None  # type: ignore[attr-defined]
    assert next(looks) >= 10 * PATIENCE_S


def test_one_that_does_not_read_neither() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport = transport_to(f"http://127.0.0.1:{listener.getsockname()[1]}")
        answer = transport.send(b"x" * 30_000_000, "1", SOON_S)
        assert answer == Answer(Verdict.RETRY, "no answer in time")


def test_a_resolver_that_hangs_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: hangs.wait(PATIENCE_S))
    answer = transport_to("http://collector.test:4318").send(a_request("a"), "1", SOON_S)
    assert answer == Answer(Verdict.RETRY, "no answer in time")
    hangs.set()


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan")])
def test_no_time_at_all_is_over_at_once(
    collector: HttpCollector, transport: Transport, timeout_s: float
) -> None:
    assert transport.send(a_request("a"), "1", timeout_s) == Answer(Verdict.RETRY, "no answer in time")
    assert collector.seen == []


# -- answers that are none -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        pytest.param(
            Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 524288000\r\n\r\n", endless=b"x" * 65_536), OK,
            id="500 MB",
        ),
        pytest.param(
            Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", endless=b"1\r\nx\r\n"), OK,
            id="chunks",
        ),
        pytest.param(
            Reply(raw=b"HTTP/1.1 200 OK\r\n\r\n", endless=b"x" * 65_536), OK, id="body without a length",
        ),
        pytest.param(
            Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nzz"), OK, id="wrong chunk",
        ),
        pytest.param(
            Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nx"), OK, id="short body",
        ),
        pytest.param(
            Reply(raw=b"", endless=b"HTTP/1.1 100 Continue\r\n\r\n"),
            Answer(Verdict.MISCONFIGURED, "what answers does not come to an end"),
            id="continue",
        ),
        pytest.param(Reply(raw=b"HTTP/1.1 200 OK\r\n", endless=b"a: b\r\n"), None, id="headers"),
        pytest.param(Reply(raw=b"", endless=b"x" * 65_536), None, id="one line"),
        pytest.param(Reply(raw=b"\0\0\x12\4\0\0\0\0\0\0\3\x7f\xff\xff\xff"), None, id="HTTP/2"),
        pytest.param(Reply(raw=b"HTTP/1.1 xyz\r\n\r\n"), None, id="no status"),
        pytest.param(Reply(raw=b"HTTP/9.9 200 OK\r\n\r\n"), None, id="no version"),
        pytest.param(
            Reply(raw=b""), Answer(Verdict.RETRY, "the connection has ended without an answer"), id="nothing"
        ),
    ],
)  # fmt: skip
def test_whatever_comes_back_is_read_within_bounds_and_understood(
    collector: HttpCollector,
    transport: Transport,
    reply: Reply,
    answer: Answer | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    received = 0

    def counted(line: sockets.Line, buffer: memoryview) -> int:
        nonlocal received
        count = receive(line, buffer)
        received += count
        return count

    receive = sockets.Line.receive_into
    monkeypatch.setattr(sockets.Line, "receive_into", counted)
    no_http = "what answers does not speak HTTP; OTLP over gRPC has another port (4317 by default)"
    collector.script(reply)
    expected = Answer(Verdict.MISCONFIGURED, no_http) if answer is None else answer
    assert transport.send(a_request("a"), "1", PATIENCE_S) == expected
    assert received <= 131_072
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK  # nothing of it is left


def test_a_body_that_cannot_be_read_leaves_the_status_its_meaning(
    collector: HttpCollector, transport: Transport
) -> None:
    collector.script(Reply(raw=b"HTTP/1.1 503 Busy\r\nRetry-After: 5\r\nContent-Length: 50\r\n\r\nx"))
    answer = transport.send(a_request("a"), "1", PATIENCE_S)
    assert answer == Answer(Verdict.RETRY, "HTTP 503 Service Unavailable", retry_after_s=5, explicit=True)


# -- the environment and proxies -----------------------------------------------------------------------------------------


def test_neither_netrc_nor_a_proxy_of_the_environment_comes_between(
    collector: HttpCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login u password NETRC\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    transport = transport_to(collector.endpoint, HEADERS="authorization=Bearer%20KEY")
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    transport.close()
    assert collector.seen[0].headers["authorization"] == "Bearer KEY"
    assert "proxy-authorization" not in collector.seen[0].headers


def test_a_user_and_a_password_in_the_address_are_sent_as_a_header(collector: HttpCollector) -> None:
    transport = transport_to(f"http://us%40er:pass@127.0.0.1:{collector.port}")
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    transport.close()
    assert collector.seen[0].headers["authorization"] == "Basic dXNAZXI6cGFzcw=="
    assert collector.seen[0].headers["host"] == f"127.0.0.1:{collector.port}"


def test_through_a_proxy_the_whole_address_is_asked_for() -> None:
    with HttpCollector() as proxy:
        transport = transport_to(
            "http://collector.test/otlp?k=1",
            HEADERS="api-key=KEY",
            OTEL_CALLBACKS_PROXY=f"http://user:pass@127.0.0.1:{proxy.port}",
        )
        assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
        transport.close()
        assert proxy.seen[0].path == "http://collector.test/otlp/v1/traces?k=1"
        assert proxy.seen[0].headers["host"] == "collector.test"
        assert proxy.seen[0].headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"


def test_this_machine_is_reached_without_the_proxy(collector: HttpCollector) -> None:
    with HttpCollector() as proxy:
        transport = transport_to(collector.endpoint, OTEL_CALLBACKS_PROXY=f"127.0.0.1:{proxy.port}")
        assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
        transport.close()
        assert proxy.connections == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 407 Who\r\n\r\n", Answer(Verdict.MISCONFIGURED, "the proxy refuses with HTTP 407")),
        (b"HTTP/1.1 302 There\r\n\r\n", Answer(Verdict.MISCONFIGURED, "the proxy refuses with HTTP 302")),
        (b"HTTP/1.1 502 Down\r\n\r\n", Answer(Verdict.RETRY, "the proxy refuses with HTTP 502", explicit=True)),
        (b"", Answer(Verdict.RETRY, "the connection has ended without an answer")),
    ],
)  # fmt: skip
def test_a_proxy_that_refuses_the_way_to_an_encrypted_collector(answer: bytes, expected: Answer) -> None:
    heads: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        heads.append(connection.recv(10_000))
        connection.sendall(answer)

    port, stop = raw_server(refuse)
    proxy = f"http://user:pass@127.0.0.1:{port}"
    transport = transport_to("https://collector.test", HEADERS="api-key=KEY", OTEL_CALLBACKS_PROXY=proxy)
    assert transport.send(a_request("a"), "1", PATIENCE_S) == expected
    stop()
    assert heads[0].startswith(b"CONNECT collector.test:443 HTTP/1.1\r\nHost: collector.test:443\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in heads[0]
    assert b"KEY" not in heads[0]


# -- names ---------------------------------------------------------------------------------------------------------------


def test_the_next_address_of_a_name_is_tried(
    collector: HttpCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            for address in (nobody.getsockname(), ("127.0.0.1", collector.port))
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)
        transport = transport_to("http://collector.test:1")
        assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
        transport.close()


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    answer = transport_to("http://collector.test:1").send(a_request("a"), "1", PATIENCE_S)
    assert answer == Answer(Verdict.RETRY, "the name of its host cannot be resolved")


def test_a_name_is_looked_up_also_when_no_thread_can_be_started_any_more(
    collector: HttpCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", collector.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        line = sockets.connect(
            sockets.Route("collector.test", 1, "collector.test:1", None, None), Deadline(PATIENCE_S)
        )
    line.close()


# -- the process around it -----------------------------------------------------------------------------------------------


def test_instrumentations_are_told_to_look_away(
    transport: Transport, collector: HttpCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[object] = []

    def send(line: sockets.Line, data: bytes) -> None:
        said.append(context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY))
        said.append(context.get_value(context._SUPPRESS_HTTP_INSTRUMENTATION_KEY))
        send_all(line, data)

    send_all = sockets.Line.send_all
    monkeypatch.setattr(sockets.Line, "send_all", send)
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    assert said == [True, True]
    assert context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY) is None


def test_what_interrupts_an_exchange_passes_and_leaves_no_half_read_answer(
    transport: Transport, collector: HttpCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(http.client.HTTPResponse, "begin", interrupt)
        with pytest.raises(KeyboardInterrupt):
            transport.send(a_request("a"), "1", PATIENCE_S)
    collector.otherwise = Reply(status=503)
    assert transport.send(a_request("b"), "2", PATIENCE_S).verdict is Verdict.RETRY


def test_an_error_of_our_own_is_an_answer_too(
    transport: Transport, collector: HttpCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http.client.HTTPResponse, "begin", lambda _response: 1 / 0)
    answer = transport.send(a_request("a"), "1", PATIENCE_S)
    assert answer == Answer(Verdict.RETRY, "ZeroDivisionError while sending")


FORKS = textwrap.dedent(
    """
    import os, sys
    from otel_callbacks.export.transport.connect import transports
    from otel_callbacks.settings import Settings
    from tests.integration.test_transport_http import a_request

    transport = transports(Settings(endpoint=sys.argv[1]), "traces")()
    print(transport.send(a_request("parent"), "1", 120).verdict)
    pid = os.fork()
    if not pid:
        for _ in range(3):
            print(transport.send(a_request("child"), "2", 120).verdict, flush=True)
        transport.close()
        os._exit(0)
    os.waitpid(pid, 0)
    for _ in range(3):
        print(transport.send(a_request("parent"), "3", 120).verdict)
    """
)


def test_a_forked_child_has_a_connection_of_its_own_and_leaves_the_parents_alone(
    collector: HttpCollector,
) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", FORKS, collector.endpoint], check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert done.stdout.split() == ["Verdict.DELIVERED"] * 7
    clients: dict[str, set[object]] = {}
    for received in collector.accepted:
        clients.setdefault(received.names[0], set()).add(received.client)
    assert len(collector.accepted) == 7
    assert {name: len(found) for name, found in clients.items()} == {"parent": 1, "child": 1}


def test_the_wire_is_as_small_as_asked() -> None:
    body = a_request(*(f"span {number}" for number in range(1_000)))
    sizes: dict[str, int] = {}
    for compression in ("none", "gzip", "deflate"):
        bodies: list[bytes] = []

        def read(connection: socket.socket, bodies: list[bytes] = bodies) -> None:
            with connection.makefile("rb") as file:
                length = 0
                while line := file.readline().strip():
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                bodies.append(file.read(length))
            connection.sendall(b"HTTP/1.1 204 Fine\r\nConnection: close\r\n\r\n")

        port, stop = raw_server(read)
        transport = transport_to(f"http://127.0.0.1:{port}", COMPRESSION=compression)
        assert transport.send(body, "1", PATIENCE_S) == OK
        stop()
        assert DECODERS["identity" if compression == "none" else compression](bodies[0]) == body
        sizes[compression] = len(bodies[0])
    assert sizes["gzip"] < sizes["none"] / 2
    assert sizes["deflate"] < sizes["none"] / 2
