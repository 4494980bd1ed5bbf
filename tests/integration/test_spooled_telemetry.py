"""configure(spool_dir=...), as a program uses it: what it leaves behind is sent by whoever comes next, and the books balance."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.collectors import HttpCollector, Reply, wait_for

# What each program begins with: it says its figures on standard output, as JSON.
PRELUDE = """
import json, os, signal, sys, time, uuid
import otel_callbacks
from otel_callbacks import OTelCallbackHandler

def say(**figures):
    print(json.dumps(figures), flush=True)

def figures(telemetry):
    ledger = telemetry.stats()["traces"]
    assert ledger.balanced, ledger
    return {"accepted": ledger.accepted, "adopted": ledger.adopted, "delivered": ledger.delivered, "lost": ledger.lost,
            "on_disk": ledger.on_disk}

def runs(handler, *names):
    for name in names:
        run_id = uuid.uuid4()
        handler.on_chain_start({}, {}, run_id=run_id, name=name)
        handler.on_chain_end({}, run_id=run_id)

telemetry = otel_callbacks.configure(service_name="shop")
handler = OTelCallbackHandler()
"""


def started(
    program: str, collector: HttpCollector, folder: Path | None, **variables: str
) -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_METRICS_EXPORTER": "none", **variables}
    if folder is not None:
        env["OTEL_CALLBACKS_SPOOL_DIR"] = str(folder)
    return subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-W", "error", "-c", PRELUDE + program],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def said(program: subprocess.Popen[str], code: int = 0) -> list[dict[str, Any]]:
    """Wait for the end; return what was said, after a look at the exit code."""
    out, err = program.communicate(timeout=120)
    assert program.returncode == code, err
    return [json.loads(line) for line in out.splitlines()]


def test_what_a_killed_process_had_and_had_open_is_sent_by_the_next_one(
    collector: HttpCollector, tmp_path: Path
) -> None:
    collector.stop()
    killed = started(
        """
runs(handler, *(f"done {n}" for n in range(30)))
root, child = uuid.uuid4(), uuid.uuid4()
handler.on_chain_start({}, {}, run_id=root, name="open root")
handler.on_tool_start({"name": "search"}, "q", run_id=child, parent_run_id=root)
say(**figures(telemetry))
os.kill(os.getpid(), signal.SIGKILL)
""",
        collector, tmp_path,
    )  # fmt: skip
    assert said(killed, -signal.SIGKILL) == [
        {"accepted": 30, "adopted": 0, "delivered": 0, "lost": 0, "on_disk": 30}
    ]
    collector.start()
    following = started(
        """
while telemetry.stats()["traces"].delivered < 32:
    telemetry.force_flush(1)
say(**figures(telemetry))
""",
        collector, tmp_path,
    )  # fmt: skip
    # The open ones are put in anew, as spans that have ended.
    assert said(following) == [{"accepted": 2, "adopted": 30, "delivered": 32, "lost": 0, "on_disk": 0}]
    spans = {span.name: span for span in collector.items()}
    assert len(collector.items()) == len(spans) == 32
    root, child = spans["open root"], spans["execute_tool search"]
    assert (child.trace_id, child.parent_span_id) == (root.trace_id, root.span_id)
    errors = [
        {pair.key: pair.value.string_value for pair in span.attributes}["error.type"]
        for span in (root, child)
    ]
    assert errors == ["process_died"] * 2
    assert sorted(tmp_path.iterdir()) == []


def test_a_process_that_lives_sends_what_a_sibling_left(collector: HttpCollector, tmp_path: Path) -> None:
    living = started(
        "say(ready=True)\nsys.stdin = None\nwhile telemetry.stats()['traces'].delivered < 1: time.sleep(0.05)\n",
        collector, tmp_path, OTEL_BSP_SCHEDULE_DELAY="100",
    )  # fmt: skip
    assert living.stdout
    assert json.loads(living.stdout.readline()) == {"ready": True}
    killed = started(
        "runs(handler, 'left')\nos.kill(os.getpid(), signal.SIGKILL)\n", collector, tmp_path,
        OTEL_BSP_SCHEDULE_DELAY="600000",
    )  # fmt: skip
    said(killed, -signal.SIGKILL)
    said(living)
    assert collector.names() == ["left"]


# Without a spool, a child that ends by os._exit says no word: nothing is left of it.
@pytest.mark.parametrize(
    ("way", "spooled"), [("os._exit", True), ("multiprocessing", True), ("multiprocessing", False)]
)
def test_forked_children_and_their_parent_send_each_span_once(
    collector: HttpCollector, tmp_path: Path, way: str, spooled: bool
) -> None:
    child = {
        "os._exit": """
if not (pid := os.fork()):
    runs(handler, f"child {n}")
    os._exit(0)
os.waitpid(pid, 0)
""",
        "multiprocessing": """
process = multiprocessing.get_context("fork").Process(target=runs, args=(handler, f"child {n}"))
process.start()
process.join()
assert process.exitcode == 0
""",
    }[way]
    program = f"""
import multiprocessing, warnings
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
runs(handler, "before")
for n in range(3):
{child.replace(chr(10), chr(10) + "    ")}
runs(handler, "after")
while telemetry.stats()["traces"].delivered < {5 if spooled and way == "os._exit" else 2}:
    telemetry.force_flush(1)
"""
    said(started(program, collector, tmp_path if spooled else None))
    wait_for(lambda: len(collector.names()) >= 5)
    assert sorted(collector.names()) == ["after", "before", "child 0", "child 1", "child 2"]


def test_a_child_of_multiprocessing_that_configures_itself_sends_what_it_has_at_its_end(
    collector: HttpCollector,
) -> None:
    program = """
import multiprocessing, warnings
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

def child():
    otel_callbacks.configure(service_name="child")
    otel_callbacks.configure(service_name="child")
    runs(handler, "child")

process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join()
assert process.exitcode == 0
"""
    said(started(program, collector, None))
    assert collector.names() == ["child"]


def test_a_second_configure_takes_what_is_open_along(collector: HttpCollector, tmp_path: Path) -> None:
    killed = started(
        """
root = uuid.uuid4()
handler.on_chain_start({}, {}, run_id=root, name="open across")
telemetry = otel_callbacks.configure(service_name="shop")
os.kill(os.getpid(), signal.SIGKILL)
""",
        collector, tmp_path,
    )  # fmt: skip
    said(killed, -signal.SIGKILL)
    said(
        started(
            "while telemetry.stats()['traces'].delivered < 1: telemetry.force_flush(1)\n", collector, tmp_path
        )
    )
    assert collector.names() == ["open across"]


def test_another_address_leaves_what_is_not_for_it(collector: HttpCollector, tmp_path: Path) -> None:
    collector.stop()
    said(started("runs(handler, 'theirs')\n", collector, tmp_path, OTEL_CALLBACKS_EXIT_TIMEOUT_S="0.1"))
    with HttpCollector() as other:
        said(started("runs(handler, 'ours')\n", other, tmp_path))
        assert other.names() == ["ours"]
    assert len(list(tmp_path.glob("*.traces.seg"))) == 1
    collector.start()
    said(started("runs(handler, 'more')\ntelemetry.force_flush(60)\n", collector, tmp_path))
    assert sorted(collector.names()) == ["more", "theirs"]


def test_a_new_key_in_the_address_is_the_same_destination(collector: HttpCollector, tmp_path: Path) -> None:
    collector.otherwise = Reply(status=401)
    address = f"{collector.endpoint}/v1/traces?key="
    said(
        started(
            "runs(handler, 'x')\n", collector, tmp_path,
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=address + "OLDCANARY", OTEL_CALLBACKS_EXIT_TIMEOUT_S="0.5",
        )
    )  # fmt: skip
    on_disk = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"CANARY" not in on_disk
    collector.otherwise = Reply()
    said(
        started(
            "while telemetry.stats()['traces'].delivered < 1: telemetry.force_flush(1)\n",
            collector, tmp_path, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=address + "new",
        )
    )  # fmt: skip
    assert collector.names() == ["x"]


def test_the_exit_waits_no_longer_than_it_may_and_says_what_is_left(
    collector: HttpCollector, tmp_path: Path
) -> None:
    collector.stop()
    program = started(
        "import logging\nlogging.basicConfig(level='INFO')\nruns(handler, 'x', 'y')\n",
        collector, tmp_path, OTEL_CALLBACKS_EXIT_TIMEOUT_S="0.2",
    )  # fmt: skip
    _, err = program.communicate(timeout=60)
    assert program.returncode == 0
    assert "2 spans wait on disk, for the next process to deliver them." in err


def test_the_books_are_metrics_too(collector: HttpCollector, tmp_path: Path) -> None:
    said(
        started(
            "runs(handler, 'x', 'y')\ntelemetry.force_flush(60)\ntelemetry.force_flush(60)\n",
            collector, tmp_path, OTEL_METRICS_EXPORTER="otlp",
        )
    )  # fmt: skip
    points = {
        (
            metric.name,
            *sorted((pair.key.removeprefix("otel_callbacks."), pair.value.string_value) for pair in point.attributes),
        ): point.as_int
        for metric in collector.items("metrics")
        for point in metric.sum.data_points
    }  # fmt: skip
    for outcome in ("accepted", "delivered"):
        key = ("otel_callbacks.delivery.items", ("outcome", outcome), ("signal", "traces"))
        assert points[key] == 2
    assert points["otel_callbacks.delivery.waiting", ("place", "disk"), ("signal", "traces")] == 0


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_no_count_falls_after_a_second_configure_nor_in_a_forked_child(
    collector: HttpCollector, tmp_path: Path, temporality: str
) -> None:
    program = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork in a process with threads
runs(handler, *"abc")
telemetry.force_flush(60)
telemetry = otel_callbacks.configure(service_name="shop")
runs(handler, *"de")
telemetry.force_flush(60)
child = os.fork()
if not child:
    runs(handler, "child")
    telemetry.force_flush(60)
    telemetry.force_flush(60)
    os._exit(0)
os._exit(os.waitpid(child, 0)[1])
"""
    said(
        started(
            program, collector, tmp_path, OTEL_METRICS_EXPORTER="otlp",
            OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=temporality,
        )
    )  # fmt: skip
    counts = [
        point.as_int
        for metric in collector.items("metrics")
        if metric.name == "otel_callbacks.delivery.items"
        for point in metric.sum.data_points
        if {"traces", "accepted"} <= {pair.value.string_value for pair in point.attributes}
    ]
    assert min(counts) >= 0
    assert (sum(counts) if temporality == "delta" else max(counts)) == 6
    assert temporality == "delta" or counts == sorted(counts)
