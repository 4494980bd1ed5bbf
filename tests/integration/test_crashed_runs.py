"""Processes that die in the middle of a run: the next one reports what was open, and it fits to what had ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Wire
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from otel_callbacks import semconv
from otel_callbacks.export.spool.recovery import recover
from otel_callbacks.export.spool.store import SpoolStore
from tests.collectors import HttpCollector
from tests.crashing import QUESTION
from tests.journals import DESTINATION, files_of, said

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300  # of a machine that is very busy; reached where a test fails only

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the spool needs a system that forks")


def start(scenario: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Start an application that dies."""
    return subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-m", "tests.crashing", scenario, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def crash(scenario: str, folder: Path, *, code: int = -signal.SIGKILL, **environment: str) -> list[str]:
    """Let an application die, and return what it told."""
    with start(scenario, folder, **environment) as process:
        told, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, errors
    return told.splitlines()


def after(folder: Path) -> tuple[list[Wire], list[Wire]]:
    """Start again: return the spans that had ended and those that are reported now."""
    store = SpoolStore(directory=folder, signal="traces", destination=DESTINATION)
    recovered: list[bytes] = []

    def put(origin: Any, items: Any) -> None:
        recovered.extend(items)
        store.put(origin, items)

    count = recover(store.directory, DESTINATION, put)
    assert count == len(recovered)
    store.tend()
    every = [entry.item for entry in store.take(10_000, 1 << 30)]
    store.close()
    ended = list(every)
    for item in recovered:
        ended.remove(item)
    return [Wire.FromString(item) for item in ended], [Wire.FromString(item) for item in recovered]


def paths(spans: list[Wire]) -> set[tuple[str, ...]]:
    """Return each span's name below those of its parents; every span must be in the one trace, once, below one that is there."""
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans)
    assert len({span.trace_id for span in spans}) <= 1

    def path(span: Wire) -> tuple[str, ...]:
        return (*(path(by_id[span.parent_span_id]) if span.parent_span_id else ()), span.name)

    return {path(span) for span in spans}


def assert_died(span: Wire) -> None:
    assert span.status.code == Status.STATUS_CODE_ERROR
    attributes = said(span.attributes)
    assert attributes["error.type"] == attributes["langchain.run.end_reason"] == "process_died"
    assert span.events[-1].name == semconv.EVENT_PROCESS_DIED
    assert span.end_time_unix_nano >= span.start_time_unix_nano > 0


GRAPH = ("invoke_workflow harbour",)
CHAT = (*GRAPH, "plan", "chat")
TOOL = (*GRAPH, "act", "execute_tool tide")


def test_a_graph_that_was_killed_in_a_tool_is_one_tree(tmp_path: Path) -> None:
    crash("in_a_tool", tmp_path)
    ended, died = after(tmp_path)
    assert {span.name for span in ended} == {"chat", "plan"}
    assert {span.name for span in died} == {"invoke_workflow harbour", "act", "execute_tool tide"}
    assert paths([*ended, *died]) == {GRAPH, CHAT[:2], CHAT, TOOL[:2], TOOL}
    for span in died:
        assert_died(span)
        attributes = said(span.attributes)
        assert attributes["langchain.tags"][-1] == "night"
        assert attributes["gen_ai.conversation.id"] == "t-1"
        assert attributes["langchain.run.id"]
    (tool,) = (span for span in died if span.name == "execute_tool tide")
    assert said(tool.attributes)["gen_ai.tool.name"] == "tide"
    assert files_of(tmp_path) == []


def test_what_the_next_process_finds_names_no_content_that_the_span_did_not_have(tmp_path: Path) -> None:
    crash("in_a_tool", tmp_path)
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600
        assert b"Dover" not in data
        assert QUESTION.encode() not in data


def test_a_span_that_was_kept_just_before_is_not_reported_twice(tmp_path: Path) -> None:
    assert crash("before_it_says_so", tmp_path)[-1] == "kept execute_tool tide"
    ended, died = after(tmp_path)
    assert {span.name for span in ended} == {"chat", "plan", "execute_tool tide"}
    assert {span.name for span in died} == {"invoke_workflow harbour", "act"}
    assert paths([*ended, *died]) == {GRAPH, CHAT[:2], CHAT, TOOL[:2], TOOL}


def test_a_model_that_had_given_tokens_and_was_tried_again_has_its_events(tmp_path: Path) -> None:
    crash("in_a_stream", tmp_path)
    ended, died = after(tmp_path)
    assert ended == []
    assert len(paths(died)) == 2
    (model,) = (span for span in died if span.parent_span_id)
    assert_died(model)
    assert [event.name for event in model.events] == [
        semconv.EVENT_RETRY,
        semconv.EVENT_TEXT,
        semconv.EVENT_PROCESS_DIED,
    ]
    assert said(model.events[0].attributes)[semconv.EVENT_RETRY_ATTEMPT] == 2


def test_a_process_that_is_terminated_by_default_is_as_one_that_was_killed(tmp_path: Path) -> None:
    with start("terminated", tmp_path) as process:
        assert process.stdout is not None
        while process.stdout.readline() not in {"ready\n", ""}:
            pass
        assert len(files_of(tmp_path)) == 1
        assert after_nothing(tmp_path)  # it lives: nobody else reports its runs
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGTERM
    ended, died = after(tmp_path)
    assert paths([*ended, *died]) == {GRAPH, CHAT[:2], CHAT, TOOL[:2], TOOL}
    assert len(died) == 3


def after_nothing(folder: Path) -> bool:
    store = SpoolStore(directory=folder, signal="traces", destination=DESTINATION)
    count = recover(store.directory, DESTINATION, store.put)
    store.close()
    return count == 0


def test_whenever_it_is_killed_every_span_is_there_once(tmp_path: Path) -> None:
    """At each system call of the journal in turn, of three nested runs, a model call, ends and refreshes."""
    told = crash("at_every_call", tmp_path, code=0)
    codes = [line.split()[2] for line in told if line.startswith("child ")]
    assert codes == ["-9"] * (len(codes) - 1) + ["0"]
    assert len(codes) > 20
    happened = iter(told)
    for number in range(len(codes)):
        lines = []
        while not (line := next(happened)).startswith("child "):
            lines.append(line)
        begun = {line.removeprefix("begun ") for line in lines if line.startswith("begun ")}
        kept = {line.removeprefix("kept ") for line in lines if line.startswith("kept ")}
        ended, died = after(tmp_path / f"{number:03}")
        names = [short(span) for span in (*ended, *died)]
        assert len(names) == len(set(names)), number
        assert {short(span) for span in ended} == kept, number
        # The one that was just starting may be there or not.
        assert begun <= set(names), number
        assert len(names) <= len(begun) + 1
        paths([*ended, *died])
        for span in died:
            assert_died(span)


def short(span: Wire) -> str:
    """Return the run's own name: the outermost is called after what it does."""
    return str(said(span.attributes).get("langchain.run.name", span.name)) if span.name != "chat" else "chat"


def test_a_child_has_a_journal_of_its_own(tmp_path: Path) -> None:
    with start("forked", tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told: set[str] = set()
        while not {"child ready", "open in the parent: 2 True"} <= told:
            line = process.stdout.readline().strip()
            assert line, process.stderr
            told.add(line)
        assert "open in the child: 1" in told
        assert len(files_of(tmp_path)) == 2
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
        # The child lives, and holds nothing of its parent's.
        ended, died = after(tmp_path)
        assert (ended, {span.name for span in died}) == ([], {"the parent's", "the parent's other"})
        assert len(files_of(tmp_path)) == 1
        process.stdin.close()
        process.stdin = None
        assert process.stdout.read() == "child ends\n"
    (died_later,) = reported_at_last(tmp_path)
    assert died_later.name == "the child's"


def reported_at_last(folder: Path) -> list[Wire]:
    """Return what is reported when the process has gone for good: it has said that it goes, not that it is gone."""
    died: list[Wire] = []
    while files_of(folder):
        died += after(folder)[1]
    return died


NEXT = """
import os, otel_callbacks
with otel_callbacks.configure(endpoint=os.environ["COLLECTOR"], spool_dir=os.environ["FOLDER"]) as telemetry:
    while not telemetry.force_flush(timeout_s=60):
        pass
"""


def test_with_nothing_but_configure_the_next_process_sends_the_tree(tmp_path: Path) -> None:
    with HttpCollector() as collector:
        collector.stop()
        quiet = {
            "COLLECTOR": collector.endpoint,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        }
        crash("configured", tmp_path, code=-signal.SIGKILL, **quiet)
        collector.start()
        with subprocess.Popen(  # noqa: S603 - our own
            [sys.executable, "-c", NEXT], cwd=ROOT, env={**os.environ, **quiet, "FOLDER": str(tmp_path)}
        ) as process:
            collector.wait_for(lambda: len(collector.names()) >= 5)
            assert process.wait(PATIENCE_S) == 0
        spans = collector.items()
    assert paths(spans) == {GRAPH, CHAT[:2], CHAT, TOOL[:2], TOOL}
    died = [span for span in spans if span.name not in {"chat", "plan"}]
    for span in died:
        assert_died(span)
    assert files_of(tmp_path) == []
