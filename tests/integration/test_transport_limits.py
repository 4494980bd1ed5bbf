"""OTLP over HTTP against what does not end, does not answer, or is no collector; names, and proxies on the way."""

from __future__ import annotations

import itertools
import socket
import threading
from pathlib import Path

import pytest

from otel_callbacks.export.items import Answer, Transport, Verdict
from otel_callbacks.export.transport import sockets
from otel_callbacks.export.transport.sockets import Deadline
from tests.collectors import PATIENCE_S, HttpCollector, Reply
from tests.exchanges import OK, SOON_S, a_request, longest_waits, raw_server, transport_to

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


def test_one_that_does_not_read_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport = transport_to(f"http://127.0.0.1:{listener.getsockname()[1]}")
        waits = longest_waits(monkeypatch)
        answer = transport.send(b"x" * 30_000_000, "1", SOON_S)
        assert 0 < min(waits) <= max(waits) <= SOON_S
        assert answer == Answer(Verdict.RETRY, "no answer in time")


def test_a_resolver_that_hangs_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: hangs.wait(PATIENCE_S))
    waits = longest_waits(monkeypatch)
    answer = transport_to("http://collector.test:4318").send(a_request("a"), "1", SOON_S)
    assert 0 < min(waits) <= max(waits) <= SOON_S
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
