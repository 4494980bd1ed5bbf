"""OTLP over HTTP against a real server on loopback: what it answers, and connections that end."""

from __future__ import annotations

import http.client
import os
import socket
import struct
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from opentelemetry import context

from otel_callbacks.export.items import Answer, Transport, Verdict
from otel_callbacks.export.transport import sockets
from tests.collectors import DECODERS, PATIENCE_S, HttpCollector, Reply, wait_for
from tests.exchanges import OK, a_request, raw_server, transport_to


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
    assert transport._line is None  # type: ignore[attr-defined]
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
    from tests.exchanges import a_request

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
    assert clients["parent"] != clients["child"]


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
