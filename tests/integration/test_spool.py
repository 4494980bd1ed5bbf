"""A spool among processes: whoever dies, what it put in is delivered by another, and by one only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otel_callbacks.export.spool.survey import survey
from tests.integration import spooling
from tests.spools import everything, spool

ROOT = Path(__file__).parents[2]


@contextmanager
def process(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run `spooling.py` in a process of its own, which is gone afterwards."""
    command = [sys.executable, str(Path(spooling.__file__)), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(  # noqa: S603  (our own)
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def said(text: str, verb: str) -> list[str]:
    return [line.removeprefix(f"{verb} ") for line in text.splitlines() if line.startswith(f"{verb} ")]


def left(path: Path) -> list[str]:
    store = spool(path)
    found: list[str] = []
    while True:
        store._adopt_at_s = 0
        store.tend()
        more = [text.rstrip(".") for text in everything(store)]
        if not more:
            break
        found += more
    assert store.counts().dropped == {}
    store.close()
    return found


def test_a_process_that_is_killed_while_it_puts_in_loses_nothing_it_was_told_is_there(tmp_path: Path) -> None:
    for attempt in range(3):
        with process("putting_for_ever", tmp_path / "spool", f"p{attempt}-") as running:
            assert running.stdout
            told = [running.stdout.readline() for _ in range(400)]
            running.kill()
            told += running.stdout.readlines()
        put_in = said("".join(line for line in told if line.endswith("\n")), "put")
        assert len(put_in) >= 400
        found = left(tmp_path)
        assert set(put_in) <= set(found)
        assert len(found) <= len(put_in) + 3, (
            "of each thread, one may be there that it could not say any more"
        )
        assert len(found) == len(set(found))


def test_what_four_processes_put_in_four_others_deliver_once(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    drains = []
    try:
        for _ in range(4):
            drain = process("draining", folder, 50)
            drains.append((drain, drain.__enter__()))
        for _, running in drains:
            assert running.stdout
            assert running.stdout.readline() == "ready\n"
        putters = [process("putting", folder, f"p{number}", 500) for number in range(4)]
        put_in: list[str] = []
        started = [putter.__enter__() for putter in putters]
        for putter, running in zip(putters, started, strict=True):
            text, _ = running.communicate(timeout=120)
            assert running.returncode == 0
            put_in += said(text, "put")
            putter.__exit__(None, None, None)
        # What is there when they are told to end may be left: it is adopted here.
        got: list[str] = []
        for _, running in drains:
            text, _ = running.communicate(timeout=120)
            assert running.returncode == 0
            got += said(text, "got")
    finally:
        for drain, _ in drains:
            drain.__exit__(None, None, None)
    got += left(tmp_path)
    assert len(put_in) == 2000
    assert Counter(got) == Counter(put_in)
    assert list(folder.glob("*.seg")) == []


def test_a_child_that_outlives_its_parent_holds_nothing_of_it(tmp_path: Path) -> None:
    with process("forking", tmp_path / "spool") as running:
        assert running.stdout
        lines = [running.stdout.readline() for _ in range(8)]
        running.wait(timeout=60)
        assert running.returncode == 0
        assert lines[-1] == "adopted 0\n", "the parent held its own, in the same process as well"
        found = left(tmp_path)  # the child is still there, with its own segment
        assert sorted(found) == ["later-0", "parent-0", "parent-1", "parent-2"]
        (group,) = survey(tmp_path / "spool").waiting
        assert (group.alive, group.items) == (1, 3)
        assert running.stdin
        running.stdin.close()
        assert running.stdout.read() == ""  # the child has ended
    assert sorted(left(tmp_path)) == ["child-0", "child-1", "child-2"]
