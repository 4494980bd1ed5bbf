"""All that the demo sends, as a collector receives it, is what the conventions' registry knows, or a documented name of our own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_callbacks import semconv
from tests.collectors import SERVICES, HttpCollector, Received
from tests.contract.registry import GENERAL, SIGNALS, SPANS, Judge
from tests.guides import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDE: Final = (ROOT / "docs" / "names.md").read_text()
OWN: Final = ("langchain.", "langgraph.", "otel_callbacks.")
# Before OpenTelemetry 1.35 a log record had no field for an event's name.
NAMED: Final = "event_name" in LogRecord.DESCRIPTOR.fields_by_name
SECTIONS: Final = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL))


def rows(section: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in SECTIONS[section].splitlines()
        if line.startswith("| `")
    ]


def documented() -> Judge:
    return Judge(
        own={name.strip("`"): kind for name, kind, *_ in rows("Attributes")},
        own_events=[name for row in rows("Span events") for name in re.findall(r"`([^`]+)`", row[0])],
        own_metrics={name.strip("`"): unit.strip("`") for name, unit, *_ in rows("Metrics")},
        excepted=[semconv.USAGE_CACHE_WRITE_DEPRECATED],
    )


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Received]]:
    """What the demo sends with everything on."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OPENAI_"))}
    with HttpCollector() as collector:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "otel_callbacks", "demo"],
            env=clean
            | {
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
                "OTEL_CALLBACKS_CAPTURE_CONTENT": "SPAN_AND_EVENT",
                "OTEL_CALLBACKS_SHOW_HIDDEN": "true",
                "PYTHONPATH": str(ROOT),
            },
            cwd=tmp_path_factory.mktemp("demo"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield list(collector.accepted)


def requests(received: list[Received], signal: str) -> list[Any]:
    return [one.request for one in received if one.signal == signal]


def test_everything_that_the_demo_sends_is_in_the_registry(received: list[Received]) -> None:
    judge = documented()
    assert sorted({*judge.spans(requests(received, "traces"))}) == []
    assert sorted({*judge.metrics(requests(received, "metrics"))}) == []
    if NAMED:
        assert sorted({*judge.logs(requests(received, "logs"))}) == []
    assert {signal for signal in SERVICES if requests(received, signal)} == {*SERVICES}
    # It says much: the least of what a model call, a tool, an agent, a retriever and a failure have is among it.
    assert judge.seen >= {
        semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES, semconv.TOOL_CALL_ARGUMENTS, semconv.RETRIEVAL_DOCUMENTS,
        semconv.USAGE_INPUT_TOKENS, semconv.RESPONSE_TIME_TO_FIRST_CHUNK, semconv.EXCEPTION_STACKTRACE, semconv.ERROR_TYPE,
        semconv.TOKEN_USAGE.name, semconv.TOOL_DURATION.name, semconv.LINK_REQUESTED_BY,
    }  # fmt: skip
    if NAMED:
        assert judge.seen >= {semconv.EventName.INFERENCE_DETAILS.value, semconv.EventName.EXCEPTION.value}
    if find_spec("opentelemetry.instrumentation") is not None:
        assert "http.request.method" in judge.seen


def test_every_name_of_our_own_is_documented() -> None:
    judge = documented()
    names = {
        value
        for constant, value in vars(semconv).items()
        if constant.isupper() and isinstance(value, str) and value.startswith(OWN)
    } | {*semconv.LANGGRAPH_METADATA.values()}
    names = {name + "<key>" if name == semconv.METADATA_PREFIX else name for name in names}
    names = {name + "<name>" if name == semconv.EVENT_CUSTOM_PREFIX else name for name in names}
    assert names == {*judge.own, *judge.own_events}
    own = [*semconv.INSTRUMENTS, *(one for one in vars(semconv).values() if type(one) is semconv.Instrument)]
    assert {one.name: one.unit for one in own if one.name.startswith(OWN)} == dict(judge.own_metrics)


@pytest.mark.parametrize("name", sorted(GENERAL))
def test_a_general_name_is_one_of_opentelemetrys_package(name: str) -> None:
    package = pytest.importorskip("opentelemetry.semconv")
    known = {
        text
        for folder in package.__path__
        for file in Path(folder).rglob("*_attributes.py")
        for text in re.findall(r'(?:Final = |= )\(?\s*"([a-z_.]+)"', file.read_text())
    }
    assert name in known


# -- the judge itself ---------------------------------------------------------------------------------------------------


def span(name: str = "chat m", kind: int = 3, event: str | None = None, **attributes: Any) -> Any:
    request = ExportTraceServiceRequest()
    made = request.resource_spans.add().scope_spans.add().spans.add(name=name, kind=kind)
    for key, value in attributes.items():
        made.attributes.append(KeyValue(key=key.replace("__", "."), value=AnyValue(**value)))
    if event is not None:
        made.events.add(name=event)
    return request


CHAT: Final[dict[str, Any]] = {
    "gen_ai__operation__name": {"string_value": "chat"},
    "gen_ai__provider__name": {"string_value": "openai"},
}
WRONG: Final = [
    (span(**CHAT), None),
    (span(**CHAT, gen_ai__system={"string_value": "openai"}), "chat m: gen_ai.system is deprecated"),
    (span(**CHAT, gen_ai__mood={"string_value": "x"}), "chat m: gen_ai.mood is no attribute of the conventions"),
    (span(**CHAT, langchain__mood={"int_value": 1}), "chat m: langchain.mood is no attribute of the conventions"),
    (span(**CHAT, langchain__metadata__mood={"int_value": 1}), None),
    (span(**CHAT, langchain__run__chunks={"string_value": "1"}), "chat m: langchain.run.chunks is '1', should be int"),
    (span(**CHAT, server__address={"string_value": "h"}), "chat m: server.address without server.port"),
    (span(**CHAT, server__port={"double_value": 1.0}), "chat m: server.port is 1.0, should be int"),
    (span(**CHAT, gen_ai__token__type={"string_value": "x"}), "should be one of ['input', 'output']"),
    (span(**CHAT, error__type={"string_value": "Whatever"}), None),
    (span(gen_ai__operation__name={"string_value": "chat"}), "chat m: lacks gen_ai.provider.name"),
    (span(kind=1, **CHAT), "chat m: is internal, should be client"),
    (span(name="m", **CHAT), "m: is not called by its operation, chat"),
    (span(event="gen_ai.choice", **CHAT), "chat m: gen_ai.choice is no event of the conventions"),
    (span(event="langchain.custom.mine", **CHAT), None),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "complaint"), WRONG)
def test_the_judge_finds_what_is_wrong(request_: Any, complaint: str | None) -> None:
    found = list(documented().spans([request_]))
    assert (len(found), complaint in found[0]) == (1, True) if complaint is not None else found == []


def test_the_judge_knows_the_conventions() -> None:
    assert len(SPANS["attributes"]) > 90
    assert len(SIGNALS["metrics"]) >= 12
    assert set(SIGNALS["events"]) == {event.value for event in semconv.EventName}
