"""OTLP over gRPC against a real server on loopback: its codes and trailers, its absence, and forks of the process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import pytest
from opentelemetry import context

from otel_callbacks.export.items import Answer, Transport, Verdict
from otel_callbacks.export.transport import grpc as ours
from otel_callbacks.export.transport.connect import transports
from otel_callbacks.settings import Settings, Signal
from tests.collectors import PATIENCE_S, SERVICES, GrpcCollector, HttpCollector, Reply
from tests.exchanges import OK, OTLP, SOON_S, a_request


def transport_to(endpoint: str, signal: Signal = "traces", **variables: str) -> Transport:
    named = {OTLP + name: value for name, value in variables.items()}
    env = {f"{OTLP}ENDPOINT": endpoint, f"{OTLP}PROTOCOL": "grpc", **named}
    return transports(Settings.from_env(env), signal)()


@pytest.fixture
def collector() -> Iterator[GrpcCollector]:
    with GrpcCollector() as collector:
        yield collector


@pytest.fixture
def transport(collector: GrpcCollector) -> Iterator[Transport]:
    transport = transport_to(collector.endpoint)
    yield transport
    transport.close()


def test_a_batch_is_delivered_with_its_identity_and_the_channel_is_kept(collector: GrpcCollector) -> None:
    transport = transport_to(
        collector.endpoint, HEADERS="api-key=KEY,host=h,content-type=c", COMPRESSION="gzip"
    )
    assert transport.send(a_request("a"), "seg-1.0", PATIENCE_S) == OK
    assert transport.send(a_request("b"), "seg-1.1", PATIENCE_S) == OK
    transport.close()
    assert collector.names() == ["a", "b"]
    assert [received.identity for received in collector.seen] == ["seg-1.0", "seg-1.1"]
    assert len({received.client for received in collector.seen}) == 1
    assert collector.seen[0].headers["api-key"] == "KEY"
    assert collector.seen[0].headers["user-agent"].startswith("otel-callbacks/")


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_every_signal_has_its_own_method(collector: GrpcCollector, signal: Signal) -> None:
    transport = transport_to(collector.endpoint, signal)
    collector.script(Reply(rejected=1, message="no"))
    answer = transport.send(b"", "1", PATIENCE_S)
    transport.close()
    assert answer == Answer(Verdict.DELIVERED, "1 rejected: 'no'", rejected=1)
    assert [received.path for received in collector.seen] == [SERVICES[signal].path]


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (Reply(status=400, message="no"), Answer(Verdict.REJECTED, "gRPC INVALID_ARGUMENT: 'no'")),
        (Reply(status=401, message="no"), Answer(Verdict.MISCONFIGURED, "gRPC UNAUTHENTICATED: 'no'")),
        (Reply(status=404, message="no"),
         Answer(Verdict.MISCONFIGURED, "gRPC UNIMPLEMENTED: 'no'", unknown_signal=True)),
        (Reply(status=500, message="no"), Answer(Verdict.RETRY, "gRPC INTERNAL: 'no'", explicit=True)),
        (Reply(status=503, message="no"), Answer(Verdict.RETRY, "gRPC UNAVAILABLE: 'no'", explicit=True)),
        (Reply(status=503, retry_after_s=7.5, message="no"),
         Answer(Verdict.RETRY, "gRPC UNAVAILABLE: 'no'", retry_after_s=7.5, explicit=True)),
        (Reply(status=429, retry_after_s=1e9, message="no"),
         Answer(Verdict.RETRY, "gRPC RESOURCE_EXHAUSTED: 'no'", retry_after_s=300, explicit=True)),
        (Reply(status=503, message="no", headers={"grpc-status-details-bin": b"\xff" * 500, "x": "y"}),
         Answer(Verdict.RETRY, "gRPC UNAVAILABLE: 'no'", explicit=True)),
        (Reply(body=b"\xff" * 1_000), OK),
        (Reply(body=b"\x0a" * 5_000_000), Answer(Verdict.DELIVERED, "its answer is too long to be read")),
    ],
)  # fmt: skip
def test_what_is_answered_is_understood(
    collector: GrpcCollector, transport: Transport, reply: Reply, answer: Answer
) -> None:
    collector.script(reply)
    assert transport.send(a_request("a"), "1", PATIENCE_S) == answer
    assert transport.send(a_request("b"), "2", PATIENCE_S) == OK


def test_what_the_server_finds_too_large_is_to_be_sent_in_pieces() -> None:
    with GrpcCollector(max_receive_bytes=1_000) as collector:
        transport = transport_to(collector.endpoint)
        answer = transport.send(a_request("x" * 2_000), "1", PATIENCE_S)
        transport.close()
        assert answer.verdict is Verdict.TOO_BIG


def test_a_server_of_no_such_method_is_misconfigured() -> None:
    with GrpcCollector() as collector:
        transport = transport_to(collector.endpoint)
        target = transport._target  # type: ignore[attr-defined]
        assert target.signal == "traces"
        transport._connect()  # type: ignore[attr-defined]
        transport._call = transport._channel.unary_unary("/no.such/Method")  # type: ignore[attr-defined]
        answer = transport.send(a_request("a"), "1", PATIENCE_S)
        transport.close()
        assert (answer.verdict, answer.unknown_signal) == (Verdict.MISCONFIGURED, True)


def test_a_collector_that_is_away_is_found_when_it_is_back(
    collector: GrpcCollector, transport: Transport
) -> None:
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    collector.stop()
    for _ in range(5):  # gRPC's own channel would now wait longer and longer before it looks again
        assert transport.send(a_request("b"), "2", PATIENCE_S) == Answer(Verdict.RETRY, "nobody answers")
    collector.start()
    assert transport.send(a_request("b"), "2", PATIENCE_S) == OK
    assert collector.names() == ["a", "b"]


def test_a_collector_that_does_not_answer_holds_no_longer_than_asked(
    collector: GrpcCollector, transport: Transport
) -> None:
    collector.otherwise = Reply(hold=threading.Event())
    assert transport.send(a_request("a"), "1", SOON_S) == Answer(Verdict.RETRY, "no answer in time")


def test_one_that_only_takes_the_connection_neither() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport = transport_to(f"127.0.0.1:{listener.getsockname()[1]}", INSECURE="true")
        assert transport.send(a_request("a"), "1", SOON_S) == Answer(Verdict.RETRY, "no answer in time")
        transport.close()


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan")])
def test_no_time_at_all_is_over_at_once(
    collector: GrpcCollector, transport: Transport, timeout_s: float
) -> None:
    assert transport.send(a_request("a"), "1", timeout_s) == Answer(Verdict.RETRY, "no answer in time")
    assert collector.seen == []


def test_the_port_of_http_is_said_to_be_the_wrong_one() -> None:
    with HttpCollector() as collector:
        transport = transport_to(collector.endpoint)
        answer = transport.send(a_request("a"), "1", PATIENCE_S)
        transport.close()
        assert answer.verdict is Verdict.MISCONFIGURED
        assert "4318" in answer.message


def test_the_environments_proxies_are_not_heard(
    collector: GrpcCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("grpc_proxy", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    transport = transport_to(collector.endpoint)
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    transport.close()


def test_instrumentations_are_told_to_look_away(
    collector: GrpcCollector, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[object] = []

    def call(*arguments: object, **options: object) -> bytes:
        said.append(context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY))
        return b""

    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    monkeypatch.setattr(transport, "_call", call)
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    assert said == [True]
    assert context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY) is None


def test_an_error_of_our_own_is_an_answer_too(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc, "insecure_channel", lambda *_arguments: 1 / 0)
    answer = transport.send(a_request("a"), "1", PATIENCE_S)
    assert answer == Answer(Verdict.RETRY, "ZeroDivisionError while sending")


def test_no_channel_is_made_before_something_is_sent(
    collector: GrpcCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is made before a fork breaks the children, even if it is never used."""
    with monkeypatch.context() as patch:
        patch.setattr(grpc, "insecure_channel", lambda *_arguments: 1 / 0)
        transport = transport_to(collector.endpoint)
        transport.close()
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    transport.close()


FORKS = textwrap.dedent(
    """
    import os, sys, threading
    from otel_callbacks.export.transport import grpc as ours
    from otel_callbacks.export.transport.connect import transports
    from otel_callbacks.settings import Settings
    from tests.exchanges import a_request

    make = transports(Settings(endpoint=sys.argv[1], protocol="grpc"), "traces")
    transport = make()
    print(transport.send(a_request("parent"), "1", 120).verdict.name)
    done = threading.Event()
    called_back = set()

    def work(name):
        busy = make()
        while not done.is_set():
            answer = busy.send(a_request(name), "0", 120)
            if name == "held":
                called_back.add(answer.message)
        busy.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("busy", "held")]
    for thread in threads:
        thread.start()
    children = []
    for _ in range(5):
        sys.stdin.readline()  # the collector holds a call
        pid = os.fork()
        if not pid:
            code = 1
            try:
                transport.abandon()
                said = [transport.send(a_request("child"), "2", 120).verdict.name for _ in range(3)]
                code = said != ["DELIVERED"] * 3 or len(ours.inherited) != 1
            finally:
                os._exit(code)
        children.append(pid)
        print("forked", flush=True)
    print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children])
    done.set()
    ours.gate.close()  # the last call that is held is called back by hand
    ours.gate.open()
    for thread in threads:
        thread.join()
    print(transport.send(a_request("parent"), "3", 120).verdict.name)
    transport.close()
    print(sorted(called_back))
    """
)


def test_forked_children_can_send_also_while_other_threads_send_and_wait(
    collector: GrpcCollector,
) -> None:
    """A call that nobody answers neither holds the fork nor breaks the child: it is called back, and sent again."""

    def held() -> int:
        return sum(received.names == ["held"] for received in collector.seen)

    never = Reply(hold=threading.Event())
    collector.judge = lambda received: never if received.names == ["held"] else None
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-W", "ignore", "-c", FORKS, collector.endpoint], text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "DELIVERED\n"
        for number in range(1, 6):
            collector.wait_for(lambda number=number: held() >= number)  # type: ignore[misc]
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "forked\n"
        said = process.stdout.read().split("\n")
    assert said == ["[0, 0, 0, 0, 0]", "DELIVERED", "['nobody answers']", ""]
    assert collector.names().count("child") == 15
    assert collector.names().count("parent") == 2
    assert len({received.client for received in collector.accepted if received.names == ["parent"]}) == 1


def test_in_a_child_where_grpc_was_told_not_to_support_forks_it_is_not_called(
    transport: Transport, collector: GrpcCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    monkeypatch.setattr(ours, "_users", [-1])
    monkeypatch.setenv("GRPC_ENABLE_FORK_SUPPORT", "0")
    answer = transport.send(a_request("a"), "1", PATIENCE_S)
    assert answer.verdict is Verdict.MISCONFIGURED
    assert "GRPC_ENABLE_FORK_SUPPORT" in answer.message
    monkeypatch.setenv("GRPC_ENABLE_FORK_SUPPORT", "1")
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK


def test_a_fork_that_goes_on_is_not_waited_for_longer_than_asked(
    transport: Transport, collector: GrpcCollector
) -> None:
    ours.gate.close()
    assert transport.send(a_request("a"), "1", 0.01) == Answer(Verdict.RETRY, "the process forks")
    ours.gate.open()
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK


def test_a_child_that_does_not_say_so_is_found_out(
    collector: GrpcCollector, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    inherited = transport._channel  # type: ignore[attr-defined]
    kept: list[tuple[object, object]] = []
    monkeypatch.setattr(ours, "inherited", kept)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        transport.close()
        assert [channel for channel, _ in kept] == [inherited]
        assert transport.send(a_request("b"), "1", PATIENCE_S) == OK
        transport.close()
    inherited.close()
