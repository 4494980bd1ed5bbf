"""configure(): which provider, which exporters, how often."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider

from otel_callbacks import OTelCallbackHandler, semconv
from otel_callbacks.errors import ConfigurationError
from otel_callbacks.export import providers, setup
from otel_callbacks.export.console import TreePrinter
from otel_callbacks.export.setup import configure
from otel_callbacks.export.spool.directory import Directory
from otel_callbacks.version import version

pytestmark = pytest.mark.usefixtures("fresh_process")

NOTHING = {"OTEL_TRACES_EXPORTER": "none"}


def memory() -> tuple[InMemorySpanExporter, SimpleSpanProcessor]:
    exporter = InMemorySpanExporter()
    return exporter, SimpleSpanProcessor(exporter)


def run(name: str) -> None:
    trace.get_tracer("test").start_span(name).end()


def test_a_provider_is_made_with_what_is_known_of_the_service() -> None:
    env = NOTHING | {"OTEL_SERVICE_NAME": "env", "OTEL_RESOURCE_ATTRIBUTES": "a=1,service.name=last,b=2"}
    telemetry = configure(env=env, resource_attributes={"b": 3})
    provider = telemetry.tracer_provider
    assert isinstance(provider, TracerProvider)
    assert trace.get_tracer_provider() is provider
    said = dict(provider.resource.attributes or {})
    assert {
        name: said[name] for name in ("service.name", "a", "b", "telemetry.distro.name", "telemetry.sdk.name")
    } == {
        "service.name": "env",
        "a": "1",
        "b": 3,
        "telemetry.distro.name": "otel-callbacks",
        "telemetry.sdk.name": "opentelemetry",
    }
    assert said["telemetry.distro.version"] == version()
    assert repr(telemetry) == "<Telemetry: nothing is exported>"


def test_the_argument_is_the_strongest_name() -> None:
    provider = configure(
        service_name="argument", resource_attributes={"service.name": "x"}, env=NOTHING
    ).tracer_provider
    assert isinstance(provider, TracerProvider)
    assert provider.resource.attributes["service.name"] == "argument"


def test_a_shutdown_ends_the_open_runs_and_exports_them() -> None:
    spans, processor = memory()
    with configure(span_processors=[processor], env=NOTHING):
        OTelCallbackHandler().on_chain_start({"name": "chain"}, {}, run_id=uuid4())
    (span,) = spans.get_finished_spans()
    assert (span.attributes or {})[semconv.RUN_END_REASON] == semconv.EndReason.SHUTDOWN


def test_the_applications_provider_is_kept_and_gets_our_processors(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    theirs, their_processor = memory()
    ours, processor = memory()
    provider = TracerProvider(resource=Resource({"service.name": "app"}), shutdown_on_exit=False)
    provider.add_span_processor(their_processor)
    trace.set_tracer_provider(provider)
    with configure(span_processors=[processor], service_name="other", env=NOTHING) as telemetry:
        assert telemetry.tracer_provider is provider
        assert trace.get_tracer_provider() is provider
        run("one")
    run("two")
    assert [span.name for span in ours.get_finished_spans()] == ["one"]
    assert [span.name for span in theirs.get_finished_spans()] == ["one", "two"]
    assert caplog.messages == [
        "A tracer provider is set already: it is kept, and the exporters are added to it.",
        "'service.name' cannot be changed: the application's own tracer provider says what the service is.",
    ]


def test_a_provider_that_takes_no_processors_is_refused_with_what_to_do() -> None:
    trace.set_tracer_provider(NoOpTracerProvider())
    with pytest.raises(
        ConfigurationError, match=r"NoOpTracerProvider, is not the OpenTelemetry SDK's.*tracer_provider="
    ):
        configure(env=NOTHING)


def test_a_second_call_replaces_the_first_and_no_span_is_exported_twice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first_spans, first_processor = memory()
    second_spans, second_processor = memory()
    first = configure(service_name="a", span_processors=[first_processor], env=NOTHING)
    ended: list[str] = []
    first.on_shutdown.append(lambda: ended.append("open runs"))
    run("one")
    second = configure(service_name="b", span_processors=[second_processor], env=NOTHING)
    run("two")
    assert (first.active, second.active, ended) == (False, True, [])
    assert [span.name for span in first_spans.get_finished_spans()] == ["one"]
    assert [span.name for span in second_spans.get_finished_spans()] == ["two"]
    assert (
        "'service.name' cannot be changed: the first call of configure() in this process has set it."
        in caplog.messages
    )
    second.shutdown()
    assert ended == ["open runs"]


def test_what_ends_while_the_former_exporters_are_shut_down_is_exported_by_the_new_ones() -> None:
    class Slow(SimpleSpanProcessor):
        def shutdown(self) -> None:
            run("meanwhile")

    spans, processor = memory()
    configure(span_processors=[Slow(InMemorySpanExporter())], env=NOTHING)
    with configure(span_processors=[processor], env=NOTHING) as second:
        run("after")
        assert [span.name for span in spans.get_finished_spans()] == ["meanwhile", "after"]
        assert setup._running == [second]


def receiving() -> list[int]:
    made = providers.made
    assert made.metrics is not None
    assert made.logs is not None
    return [len(made.metrics[2].members), len(made.logs[1].members)]


def test_the_former_signals_do_not_end_those_that_have_taken_over() -> None:
    env = {
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "console",
        "OTEL_LOGS_EXPORTER": "console",
    }
    configure(env=env)
    with configure(env=env):
        assert receiving() == [1, 1]
    assert receiving() == [0, 0]


def test_what_a_meter_provider_keeps_is_said_of_a_second_call_that_wants_it_otherwise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    env = NOTHING | {"OTEL_METRICS_EXPORTER": "console"}
    other = {"OTEL_METRIC_EXPORT_INTERVAL": "7", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
    for variables in (env, env, env | other):
        assert not caplog.messages
        configure(env=variables).shutdown()
    (said,) = caplog.messages
    assert said.startswith(f"{', '.join(other)} cannot be changed: the first call of configure()")


def test_a_configure_that_fails_at_its_last_setting_leaves_no_folder_open_and_no_provider_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Directory] = []

    def check(directory: Directory) -> None:
        folders.append(directory)
        directory.folder()

    monkeypatch.setattr(Directory, "check", check)
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "0")
    with pytest.raises(ConfigurationError, match="OTEL_BLRP_"):
        configure(
            otlp=True,
            file=tmp_path / "traces",
            spool_dir=tmp_path / "spool",
            env={"OTEL_LOGS_EXPORTER": "console,otlp"},
        )
    assert [directory._folders for directory in folders] == [{}, {}, {}]
    assert trace._TRACER_PROVIDER is None


_FORKED_IN_A_CONFIGURE = """
import os, threading
from opentelemetry.sdk.trace import SpanProcessor
from otel_callbacks import configure

inside, go_on = threading.Event(), threading.Event()

class Slow(SpanProcessor):
    def shutdown(self):
        inside.set()
        go_on.wait()

env = {"OTEL_TRACES_EXPORTER": "none"}
configure(span_processors=[Slow()], env=env)
thread = threading.Thread(target=configure, kwargs={"env": env})
thread.start()
inside.wait()
child = os.fork()
if not child:
    go_on.set()
    os._exit(0 if configure(env=env).active else 1)
status = os.waitpid(child, 0)[1]
go_on.set()
thread.join()
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


def test_a_child_that_is_forked_while_a_thread_configures_can_configure() -> None:
    subprocess.run(  # noqa: S603
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORKED_IN_A_CONFIGURE],
        check=True,
        timeout=120,
    )


def test_configure_works_again_after_a_shutdown_and_leaves_nothing_behind() -> None:
    for number in range(5):
        spans, processor = memory()
        with configure(span_processors=[processor], env=NOTHING):
            run(str(number))
        assert [span.name for span in spans.get_finished_spans()] == [str(number)]
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    assert len(provider._active_span_processor._span_processors) == 1
    assert setup._running == []


def test_a_wrong_setting_leaves_what_runs_as_it_is(tmp_path: Path) -> None:
    spans, processor = memory()
    running = configure(span_processors=[processor], env=NOTHING)
    for wrong in (
        {"OTEL_CALLBACKS_CONSOLE": "x"},
        {"OTEL_CALLBACKS_FILE": str(tmp_path)},
        {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/no"},
    ):
        with pytest.raises(ConfigurationError):
            configure(env=wrong)
    run("still")
    assert running.active
    assert [span.name for span in spans.get_finished_spans()] == ["still"]


def test_a_disabled_sdk_gets_a_telemetry_that_does_nothing() -> None:
    with configure(env={"OTEL_SDK_DISABLED": "true"}, span_processors=[memory()[1]]) as telemetry:
        assert (telemetry.active, telemetry.force_flush()) == (False, True)
    assert trace._TRACER_PROVIDER is None
    assert repr(telemetry) == "<Telemetry: disabled by OTEL_SDK_DISABLED>"


@pytest.mark.parametrize(
    ("variables", "arguments", "described"),
    [
        ({}, {}, "otlp http/protobuf http://localhost:4318/v1/traces"),
        ({"OTEL_TRACES_EXPORTER": "console"}, {}, "console"),
        ({"OTEL_TRACES_EXPORTER": "console"}, {"console": False}, "nothing is exported"),
        ({"OTEL_TRACES_EXPORTER": "console,otlp"}, {"otlp": False}, "console"),
        ({"OTEL_CALLBACKS_CONSOLE": "true"}, {"otlp": False}, "console"),
        (NOTHING, {"otlp": True}, "otlp http/protobuf http://localhost:4318/v1/traces"),
        (NOTHING, {"endpoint": "https://u:p@c/?key=1"}, "otlp http/protobuf https://c/v1/traces"),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/x"},
            {"endpoint": "http://c"},
            "otlp http/protobuf http://c/v1/traces",
        ),
        ({}, {"protocol": "grpc", "headers": {"k": "SECRET"}}, "otlp grpc http://localhost:4317"),
        (NOTHING, {"span_processors": [TreePrinter()]}, "TreePrinter"),
    ],
)
def test_where_traces_go(variables: dict[str, str], arguments: dict[str, object], described: str) -> None:
    assert repr(configure(env=variables, **arguments)) == f"<Telemetry: {described}>"  # type: ignore[arg-type]


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_CALLBACKS_FILE", str(tmp_path / "a"))
    assert repr(configure(file=tmp_path / "b")) == f"<Telemetry: file {str(tmp_path / 'b')!r}>"


def test_a_trace_is_printed_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = io.StringIO()
    monkeypatch.setattr(sys, "stderr", error)
    path = tmp_path / "runs.jsonl"
    with configure(console=True, file=path, otlp=False, service_name="shop") as telemetry:
        run("root")
        assert telemetry.force_flush()
    assert error.getvalue().splitlines()[1].startswith("root ")
    line = json.loads(path.read_text())
    assert {"key": "service.name", "value": {"stringValue": "shop"}} in line["resourceSpans"][0]["resource"][
        "attributes"
    ]


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"The file for traces, '.*', cannot be written: Is a directory\."
    ):
        configure(file=tmp_path, otlp=False)


@pytest.mark.parametrize("name", ["OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BLRP_SCHEDULE_DELAY"])
def test_wrong_batch_settings_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}='0' is not allowed"):
        configure(env={name: "0"})


def test_the_sdks_own_batches_know_their_own_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")
    with pytest.raises(
        ConfigurationError, match="OTEL_BSP_\\* variables is not allowed: max_export_batch_size"
    ):
        configure(file=tmp_path / "f", env=NOTHING)


PROGRAM = """
import otel_callbacks.export.setup as setup, sys
from opentelemetry import trace
telemetry = setup.configure(otlp=False, file=sys.argv[1], console=True)
span = trace.get_tracer("t").start_span("open at the end")
telemetry.on_shutdown.append(span.end)
trace.get_tracer("t").start_span("done").end()
"""


def test_a_program_that_just_ends_loses_nothing(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603  (our own interpreter)
        [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path / "f")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert [
        line.split("  ")[0]
        for line in done.stderr.splitlines()
        if "━" not in line and line[:5] != "trace" and line
    ] == [
        "done",
        "open at the end",
    ]
    names = [
        span["name"]
        for line in (tmp_path / "f").read_text().splitlines()
        for span in json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    ]
    assert names == ["done", "open at the end"]
