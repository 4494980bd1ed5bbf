"""otel-callbacks spool: what waits is said, sent and deleted from outside."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_callbacks.export.spool.store import SpoolStore
from tests.collectors import HttpCollector, Reply
from tests.integration.test_spooled_telemetry import said, started


@pytest.fixture(scope="module")
def listening() -> Iterator[HttpCollector]:
    with HttpCollector() as collector:
        yield collector


@pytest.fixture
def collector(listening: HttpCollector) -> HttpCollector:
    """Return the module's collector: what is left in a folder is for its address."""
    listening.accepted.clear()
    listening.otherwise, listening.judge = Reply(), lambda _received: None
    return listening


@pytest.fixture(scope="module")
def made(listening: HttpCollector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which three spans wait, left by a process that has ended, and one that another left open."""
    folder = tmp_path_factory.mktemp("made") / "spool"
    listening.stop()
    said(started("runs(handler, 'a', 'b', 'c')\n", listening, folder, OTEL_CALLBACKS_EXIT_TIMEOUT_S="0.1"))
    program = "handler.on_chain_start({}, {}, run_id=uuid.uuid4(), name='open')\nos.kill(os.getpid(), 9)\n"
    said(started(program, listening, folder), -9)
    listening.start()
    return folder


@pytest.fixture
def left(made: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder: the processes that make it take seconds to start."""
    return Path(shutil.copytree(made, tmp_path / "spool"))


def spool(
    *arguments: object, collector: HttpCollector | None = None, **variables: str
) -> tuple[int, str, str]:
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-W", "error", "-m", "otel_callbacks", "spool", *map(str, arguments)],
        env=_env(collector, **variables), capture_output=True, text=True, check=False, timeout=120,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def _env(collector: HttpCollector | None, **variables: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    if collector is not None:
        env["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.endpoint
    return {**env, **variables}


def test_what_waits_is_said_and_nothing_is_changed(collector: HttpCollector, left: Path) -> None:
    before = {path.name: path.read_bytes() for path in left.iterdir()}
    code, out, err = spool("status", left, collector=collector)
    assert (code, err) == (0, "")
    assert "traces          3 items" in out
    assert "1 file left: the next process with these settings sends them, or spool drain" in out
    assert "1 span left open by 1 process that died" in out
    assert {path.name: path.read_bytes() for path in left.iterdir()} == before


def test_what_waits_is_sent_with_what_was_left_open(collector: HttpCollector, left: Path) -> None:
    code, out, err = spool("drain", collector=collector, OTEL_CALLBACKS_SPOOL_DIR=str(left))
    assert (code, out, err) == (0, "✓ 4 sent\n", "")
    assert sorted(collector.names()) == ["a", "b", "c", "open"]
    assert spool("status", left, collector=collector)[1].endswith("Waiting\n  nothing\n")


def test_what_a_collector_does_not_take_is_left(collector: HttpCollector, left: Path) -> None:
    collector.otherwise = Reply(status=503)
    code, out, err = spool("drain", left, "--timeout", "1", collector=collector)
    assert (code, out) == (1, "✗ 0 sent, 4 left\n")
    assert "503" in err
    collector.otherwise = Reply()
    assert spool("drain", left, collector=collector)[0] == 0
    assert sorted(collector.names()) == ["a", "b", "c", "open"]


def test_what_was_left_for_another_address_is_sent_if_it_is_asked_for(left: Path) -> None:
    with HttpCollector() as other:
        assert "left for another address" in spool("status", left, collector=other)[1]
        assert spool("drain", left, collector=other)[:2] == (
            0,
            "✓ 0 sent\n  3 items for another address: --all sends them to the present one\n",
        )
        assert other.names() == []
        code, out, _ = spool("drain", left, "--all", collector=other)
        assert (code, out) == (0, "✓ 4 sent\n")
        assert sorted(other.names()) == ["a", "b", "c", "open"]


def test_what_the_collector_refused_can_be_sent_again(collector: HttpCollector, tmp_path: Path) -> None:
    collector.judge = lambda received: Reply(status=400) if "guilty" in received.names else None
    said(started("runs(handler, 'x', 'guilty', 'y')\ntelemetry.force_flush(60)\n", collector, tmp_path))
    assert sorted(collector.names()) == ["x", "y"]
    assert "1 item of traces that the collector refused: spool drain --dead" in spool("status", tmp_path)[1]
    collector.judge = lambda _received: None
    assert spool("drain", tmp_path, "--dead", collector=collector)[:2] == (0, "✓ 1 sent\n")
    assert sorted(collector.names()) == ["guilty", "x", "y"]


def test_a_purge_asks_a_person_and_tells_everybody_else_to_say_so(left: Path) -> None:
    assert spool("purge", left)[0] == 1
    assert "--yes" in spool("purge", left)[2]
    assert "3 items" in spool("status", left)[1]
    code, out, _ = spool("purge", left, "--yes")
    assert (code, out.startswith("✓ 3 items deleted")) == (0, True)
    assert "Waiting\n  nothing" in spool("status", left)[1]


@pytest.mark.parametrize("action", ["drain", "purge"])
def test_a_folder_that_is_not_there_is_not_made(action: str, tmp_path: Path) -> None:
    code, _, err = spool(action, tmp_path / "none")
    assert code == 1
    assert "There is no folder" in err
    assert not (tmp_path / "none").exists()


def test_without_a_folder_it_is_asked_for() -> None:
    code, _, err = spool("status")
    assert code == 1
    assert "OTEL_CALLBACKS_SPOOL_DIR" in err


def test_a_terminal_sees_how_far_it_is(collector: HttpCollector, left: Path) -> None:
    """The line is written over itself, and gone in the end."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "otel_callbacks", "spool", "drain", str(left)],
        env=_env(collector, TERM="xterm"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            seen += os.read(ours, 4096)
        except OSError:  # the other side has gone
            break
    os.close(ours)
    assert program.wait(60) == 0
    assert program.stdout
    program.stdout.close()
    shown = seen.decode()
    assert "─  0 of 4" in shown
    assert shown.endswith("\r\x1b[K")


def test_what_a_process_that_lives_holds_is_its_own(collector: HttpCollector, tmp_path: Path) -> None:
    store = SpoolStore(directory=tmp_path, signal="traces", destination="elsewhere")
    from otel_callbacks.export.items import Origin  # noqa: PLC0415 - beside its use

    store.put(Origin(b"", b""), (b"item",))
    try:
        assert "1 file of a process that lives" in spool("status", tmp_path, collector=collector)[1]
        assert spool("drain", tmp_path, "--all", collector=collector)[1] == "✓ 0 sent\n"
        assert "1 file of processes that live: left alone" in spool("purge", tmp_path, "--yes")[1]
    finally:
        store.close()
