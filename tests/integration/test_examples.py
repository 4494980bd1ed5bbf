"""The examples as a user runs them: processes of their own, real HTTP, and what they print and trace."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120  # not a measure of anything: how long a machine with too much to do may take


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    return tmp_path / "traces.jsonl"


def environment(traces: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "COV_"))}
    return {**kept, "OTEL_CALLBACKS_FILE": str(traces), "PYTHONPATH": str(ROOT), **more}


def run(name: str, traces: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own example
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        env=environment(traces, **more),
        cwd=traces.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def spans(traces: Path) -> list[dict[str, Any]]:
    """Return the spans of the file: name, attributes, and the name of the parent."""
    found: list[dict[str, Any]] = []
    written = traces.read_text() if traces.exists() else ""
    for line in written.rpartition("\n")[0].splitlines():  # the last line may be half there
        for resource in json.loads(line)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                found += scope["spans"]
    names = {span["spanId"]: span["name"] for span in found}
    return [
        {
            "name": span["name"],
            "parent": names.get(span.get("parentSpanId", "")),
            "failed": span.get("status", {}).get("code") == 2,
            **{item["key"]: next(iter(item["value"].values()), None) for item in span.get("attributes", ())},
        }
        for span in found
    ]


def test_an_agent_without_langchain_prints_its_answer_and_its_tree(traces: Path) -> None:
    done = run("agent_without_langchain.py", traces)
    assert done.returncode == 0, done.stderr
    assert "The tools say: rain in Oslo; nobody has counted Oslo" in done.stdout
    assert "execute_tool weather" in done.stderr
    assert sorted((span["name"], span["parent"], span["failed"]) for span in spans(traces)) == [
        ("agent", None, False),
        ("chat simulated-small", "agent", False),
        ("chat simulated-small", "agent", False),
        ("execute_tool population", "agent", True),
        ("execute_tool weather", "agent", False),
        ("retrieval", "agent", False),
    ]
    streamed = [span for span in spans(traces) if "gen_ai.response.time_to_first_chunk" in span]
    assert [int(span["langchain.run.chunks"]) > 3 for span in streamed] == [True]


def test_an_agent_without_langchain_runs_where_there_is_none(traces: Path, tmp_path: Path) -> None:
    blocked(tmp_path, "langchain_core", "langchain", "langgraph", "langchain_openai", "pydantic")
    done = run("agent_without_langchain.py", traces, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.returncode == 0, done.stderr


def test_concurrent_calls_are_all_started_before_one_is_finished(traces: Path) -> None:
    done = run("async_handler_gather.py", traces)
    assert done.returncode == 0, done.stderr
    words = [line.split()[0] for line in done.stdout.splitlines()]
    assert words == ["started"] * 3 + ["finished"] * 3
    assert sorted(line.split()[1].rstrip(":") for line in done.stdout.splitlines()) == [
        "1",
        "1",
        "2",
        "2",
        "3",
        "3",
    ]
    assert [span["name"] for span in spans(traces)] == ["chat simulated-small"] * 3


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("async_handler_gather.py", "langchain_openai"),
        ("stream_to_web.py", "fastapi"),
        ("stream_to_web.py", "uvicorn"),
    ],
)
def test_what_is_missing_is_said_in_one_line(traces: Path, tmp_path: Path, name: str, module: str) -> None:
    blocked(tmp_path, module)
    done = run(name, traces, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"This example needs {module.replace('langchain_', 'langchain-')}: pip install ")


def blocked(folder: Path, *modules: str) -> None:
    """Put something into *folder* that cannot be imported in the modules' place."""
    for module in modules:
        text = f"raise ImportError('{module} is blocked', name='{module}')"
        (folder / f"{module}.py").write_text(text)


@contextmanager
def web(traces: Path, pause_s: float) -> Generator[str]:
    """Run the web example; leaving stops it as Ctrl-C does."""
    url, process = started(traces, pause_s)
    try:
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()


def started(traces: Path, pause_s: float) -> tuple[str, subprocess.Popen[str]]:
    output = ""
    for _ in range(3):  # somebody else may take the port before the server does
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(  # noqa: S603 - our own example
            [sys.executable, str(ROOT / "examples" / "stream_to_web.py"), str(port), str(pause_s)],
            env=environment(traces),
            cwd=traces.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A test run in the background ignores the signal, and its children would too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads here
        )
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(url) or process.poll() is not None)  # noqa: B023 - called in this round
        if process.poll() is None:
            return url, process
        output = process.communicate()[0]
    raise AssertionError(output)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/docs", trust_env=False).is_success
    except httpx.TransportError:
        return False


def until(condition: Any) -> None:
    """Wait for *condition*, as long as it takes within reason."""
    for _ in range(PATIENCE_S * 20):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def model_runs(traces: Path) -> list[dict[str, Any]]:
    return [span for span in spans(traces) if span["name"] == "chat simulated-small"]


def asked(url: str, question: str) -> Any:
    return httpx.stream(
        "GET", f"{url}/answer", params={"question": question}, timeout=PATIENCE_S, trust_env=False
    )


def test_tokens_reach_a_web_client(traces: Path) -> None:
    with web(traces, pause_s=0) as url, asked(url, "What is a span?") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    assert lines[-2:] == ["event: done", "data: {}"]
    tokens = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    assert len(tokens) > 5
    assert "".join(tokens).startswith("[simulated] On “What is a span”")
    (span,) = model_runs(traces)
    assert (span.get("langchain.run.outcome"), span["failed"]) == (None, False)
    assert int(span["langchain.run.chunks"]) >= len(tokens)


def test_a_web_client_that_goes_away_ends_the_run_and_its_span_says_so(traces: Path) -> None:
    with web(traces, pause_s=2) as url:  # the whole answer would take more than a minute
        with asked(url, "What is a trace?") as response:
            first = next(line for line in response.iter_lines() if line)
        assert first == 'data: "[simulated] "'
        until(lambda: model_runs(traces))
    (span,) = model_runs(traces)
    assert (span["langchain.run.outcome"], span["failed"]) == ("cancelled", False)
