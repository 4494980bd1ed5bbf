"""Whatever goes wrong, nothing that is logged, answered or raised holds a secret of the configuration."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from otel_callbacks.export.items import Verdict
from otel_callbacks.export.transport.connect import transports
from otel_callbacks.settings import Settings
from tests.collectors import PATIENCE_S, Collector, GrpcCollector, HttpCollector, Received, Reply
from tests.exchanges import OTLP, a_request

HEADER, QUERY, USER, PASSWORD = "HEADER/CANARY+1", "QUERY CANARY", "USER@CANARY", "PASS/CANARY"
PROXY_USER, PROXY_PASSWORD = "PROXYUSERCANARY", "PROXYPASSCANARY"
USERINFO = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
CODED = [
    base64.b64encode(f"{user}:{password}".encode()).decode()
    for user, password in ((USER, PASSWORD), (PROXY_USER, PROXY_PASSWORD))
]
GRPC, HTTP, PROXIED = "grpc", "http/protobuf", "http/protobuf by a proxy"


def has_secret(text: str) -> bool:
    return "canary" in text.lower() or any(coded.lower() in text.lower() for coded in CODED)


def settings_for(collector: Collector, way: str) -> Settings:
    env = {f"{OTLP}PROTOCOL": way.partition(" ")[0], f"{OTLP}HEADERS": f"api-key={quote(HEADER, safe='')}"}
    if way == GRPC:
        env[f"{OTLP}ENDPOINT"] = f"{collector.endpoint}/?key={quote(QUERY)}"
    else:
        host = "collector.test" if way == PROXIED else f"127.0.0.1:{collector.port}"
        env[f"{OTLP}ENDPOINT"] = f"http://{USERINFO}@{host}/?key={quote(QUERY)}"
    if way == PROXIED:
        env["OTEL_CALLBACKS_PROXY"] = f"http://{PROXY_USER}:{PROXY_PASSWORD}@127.0.0.1:{collector.port}"
    return Settings.from_env(env)


def echo(status: int) -> Callable[[Received], Reply]:
    """Return a judge that says what it was told, piece by piece, in every form."""

    def judge(received: Received) -> Reply:
        told = [HEADER, QUERY, received.path, *received.headers.values()]
        if "authorization" in received.headers:
            told += [USER, PASSWORD, f"{USER}:{PASSWORD}", CODED[0]]
        if "proxy-authorization" in received.headers:
            told += [PROXY_USER, PROXY_PASSWORD, CODED[1]]
        pieces = [form for text in told for form in (text, text.lower(), quote(text, safe=""), f"a {text} b")]
        pieces.append(" | ".join(pieces))
        return Reply(status=status, message=pieces[int(received.identity or 0) % len(pieces)])

    return judge


def echoing(status: int) -> Callable[[Collector], None]:
    def prepare(collector: Collector) -> None:
        collector.judge = echo(status)

    return prepare


def always(reply: Reply) -> Callable[[Collector], None]:
    def prepare(collector: Collector) -> None:
        collector.otherwise = reply

    return prepare


FAILURES: dict[str, Callable[[Collector], None]] = {
    "away": lambda collector: collector.stop(),
    "close": always(Reply(close=True)),
    "garbage": always(Reply(raw=b"\0\1\2\3", status=500)),
    "redirect": always(Reply(status=302)),
    "never": always(Reply(drip_s=10, code="DEADLINE_EXCEEDED")),
    **{f"echo {status}": echoing(status) for status in (200, 400, 401, 404, 413, 429, 500, 503)},
}


@pytest.fixture(params=[HTTP, PROXIED, GRPC])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def collector(way: str) -> Iterator[Collector]:
    with GrpcCollector() if way == GRPC else HttpCollector() as collector:
        yield collector


@pytest.mark.parametrize("failure", FAILURES)
def test_no_failure_shows_a_secret(
    failure: str, way: str, collector: Collector, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    FAILURES[failure](collector)
    transport = transports(settings_for(collector, way), "traces")()
    answers = [
        transport.send(a_request("a"), str(number), 0.5 if failure == "never" else PATIENCE_S)
        for number in range(100 if failure.startswith("echo") else 1)
    ]
    transport.close()
    if failure == "echo 200":
        assert all(answer.verdict is Verdict.DELIVERED for answer in answers)
    else:
        assert all(answer.verdict is not Verdict.DELIVERED for answer in answers)
    said = "\n".join([caplog.text, *capfd.readouterr(), *(repr(answer) for answer in answers)])
    assert [line for line in said.split("\n") if has_secret(line)] == []
    if failure.startswith("echo"):
        assert "***" in said


def test_what_was_sent_had_them_all(way: str, collector: Collector) -> None:
    """Else there would be nothing to be found above."""
    transport = transports(settings_for(collector, way), "traces")()
    transport.send(a_request("a"), "1", PATIENCE_S)
    transport.close()
    (received,) = collector.seen
    sent = "\n".join([received.path, *received.headers.values()])
    expected = [HEADER] if way == GRPC else [HEADER, quote(QUERY), CODED[0]]
    expected += [CODED[1]] if way == PROXIED else []
    assert [secret for secret in expected if secret not in sent] == []


def test_the_connections_own_errors_show_no_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for endpoint in ("https://u:PASSCANARY@hostcanary.invalid/?k=CANARY", "http://u:CANARY@127.0.0.1:9"):
        answer = transports(Settings.from_env({f"{OTLP}ENDPOINT": endpoint}), "traces")().send(b"", "1", 30)
        assert answer.verdict is Verdict.RETRY
        assert not has_secret(answer.message)
    assert not has_secret(caplog.text.replace("hostcanary", ""))
