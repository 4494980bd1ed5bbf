"""``otel-callbacks doctor`` as a user sees it: in a process of its own, before a collector that takes, refuses or is not there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from otel_callbacks.settings import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "k-very-secret"  # noqa: S105 - planted


class Collector(ThreadingHTTPServer):
    """Answers every request with *status*, and keeps what came."""

    def __init__(self) -> None:
        self.status = 200
        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            self.server.bodies.append(body)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def doctor(*arguments: str, **env: str) -> tuple[int, str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "otel_callbacks", "doctor", *arguments],
        env={**clean, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_span_is_sent_and_its_trace_is_named(collector: Collector) -> None:
    code, out, err = doctor(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert (code, err) == (0, "")
    assert "✓ delivered" in out
    assert "traces: 1 accepted, 1 delivered" in out
    (body,) = collector.bodies
    assert b"otel-callbacks doctor" in body
    trace = out.rpartition("trace ")[2].split()[0]
    assert bytes.fromhex(trace) in body


def test_every_setting_is_shown_with_where_it_comes_from(collector: Collector) -> None:
    code, out, _ = doctor(
        "--no-send", OTEL_CALLBACKS_MAX_OPEN_RUNS="7", OTEL_EXPORTER_OTLP_HEADERS=f"api-key={SECRET}"
    )
    assert code == 0
    assert collector.bodies == []
    for row in VARIABLES:
        assert any(name in out for name in row.names), row.names
    (line,) = [line for line in out.splitlines() if "OTEL_CALLBACKS_MAX_OPEN_RUNS" in line]
    assert line.split()[1:] == ["7", "(from", "the", "environment)"]
    assert SECRET not in out


def test_what_would_be_emitted_is_shown_as_the_settings_make_it() -> None:
    _, out, _ = doctor("--no-send")
    assert "  gen_ai.client.token.usage  {token}\n" in out
    assert "  no log event\n" in out
    for name in ("invoke_agent made-up-agent", "chat made-up-model", "execute_tool made_up_tool"):
        assert f"● {name}\n" in out
    assert "gen_ai.usage.input_tokens = 12" in out
    assert "made-up question" not in out  # content is off until asked for


def test_content_is_shown_where_it_is_asked_for() -> None:
    _, out, _ = doctor("--no-send", OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_AND_EVENT")
    assert 'gen_ai.input.messages = [{"role":"user"' in out
    assert "  gen_ai.client.inference.operation.details\n" in out


def test_what_a_signal_has_of_its_own_is_shown() -> None:
    _, out, _ = doctor(
        "--no-send",
        OTEL_METRICS_EXPORTER="none",
        OTEL_EXPORTER_OTLP_LOGS_HEADERS=f"api-key={SECRET}",
    )
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.startswith("  OTEL_")}
    assert lines["OTEL_METRICS_EXPORTER"][0] == "none"
    assert lines["OTEL_LOGS_EXPORTER"][0] == "unset"
    assert lines["OTEL_EXPORTER_OTLP_LOGS_HEADERS"][0] == "(not"
    assert SECRET not in out


@pytest.mark.parametrize(
    ("status", "hint"), [(404, "/v1/traces"), (401, "OTEL_EXPORTER_OTLP_HEADERS"), (403, "refuses this key")]
)
def test_a_refusal_is_explained(collector: Collector, status: int, hint: str) -> None:
    collector.status = status
    code, out, err = doctor(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"{collector.endpoint}?key={SECRET}",
        OTEL_EXPORTER_OTLP_HEADERS=f"api-key={SECRET}",
    )
    assert code == 1
    assert "✗ not delivered" in out
    assert hint in out.rpartition("→")[2]
    assert SECRET not in out + err


def test_nobody_there_is_explained(collector: Collector) -> None:
    collector.shutdown()
    collector.server_close()  # the port is free again
    code, out, _ = doctor("--timeout", "2", OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert code == 1
    assert "Nothing listens there" in out


def test_a_wrong_setting_is_a_problem_and_nothing_is_sent(collector: Collector) -> None:
    code, out, err = doctor(
        OTEL_CALLBACKS_MAX_OPEN_RUNS="many", OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint
    )
    assert (code, err) == (1, "")
    assert "OTEL_CALLBACKS_MAX_OPEN_RUNS='many' is not allowed. Allowed: a whole number from 1." in out
    assert collector.bodies == []


def test_without_an_exporter_nothing_is_sent_and_that_is_no_error() -> None:
    code, out, _ = doctor(
        OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none"
    )
    assert code == 0
    assert "nothing is exported with these settings" in out


def test_a_setting_cannot_steer_the_terminal() -> None:
    _, out, _ = doctor("--no-send", OTEL_SERVICE_NAME="\x1b]0;owned\x07")
    assert "\x1b" not in out
    assert "\x07" not in out
