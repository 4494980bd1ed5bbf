"""A delivery in processes that fork, are interrupted, and end in every way: nothing is lost, nothing hangs.

Each scenario is a small program: a fork or a signal is not for the process that runs the tests. What its collector took is in a
file, a line for each item.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
TOO_LONG_S = 90.0

PROLOGUE = """
import asyncio, atexit, os, signal, sys, threading
from pathlib import Path
from otel_callbacks.export.delivery.delivery import Delivery
from otel_callbacks.export.items import Answer, Verdict
from otel_callbacks.export.spool.memory import MemoryStore
from otel_callbacks.export.spool.store import SpoolStore
from tests.delivering import ORIGIN, SILENT, TAKEN, Wire, delivery_of, until

folder = Path(sys.argv[1])

def receive(items):
    file = os.open(folder / "received", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, b"".join(item + b"\\n" for item in items))
    os.close(file)
    return TAKEN

def store():
    if sys.argv[2] == "memory":
        return MemoryStore()
    return SpoolStore(directory=str(folder / "spool"), signal="traces", destination="here", max_bytes=1 << 29)

def names(number, prefix=""):
    return [f"{prefix}{name}".encode() for name in range(number)]

def put_all(delivery, items):
    for item in items:
        delivery.put(ORIGIN, [item])

wire = Wire(receive)
"""

pytestmark = pytest.mark.parametrize("kind", ["memory", "disk"])


def run(program: str, folder: Path, kind: str) -> subprocess.CompletedProcess[str]:
    """Run *program* to its end."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", PROLOGUE + dedent(program), str(folder), kind],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=TOO_LONG_S,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore::DeprecationWarning"},
    )


def received(folder: Path) -> Counter[str]:
    """Return what the collector took, and how often."""
    file = folder / "received"
    return Counter(file.read_text().split("\n")[:-1]) if file.exists() else Counter()


def once(*groups: tuple[str, int]) -> Counter[str]:
    return Counter([f"{prefix}{name}" for prefix, number in groups for name in range(number)])


def test_forked_children_deliver_their_own_while_the_parent_is_sending(tmp_path: Path, kind: str) -> None:
    ended = run(
        """
        reached, let_go = threading.Event(), threading.Event()

        def slow(items):
            reached.set()
            assert os.getpid() != parent or let_go.wait(60)
            return receive(items)

        parent = os.getpid()
        wire.collector = slow
        delivery = delivery_of(store(), wire, batch_items=10)
        put_all(delivery, names(25, "parent "))
        assert reached.wait(60)
        children = []
        for number in range(3):
            pid = os.fork()
            if not pid:
                assert delivery.ledger().accepted == 0
                put_all(delivery, names(30, f"child {number} "))
                flushed = delivery.flush(60)
                ledger = delivery.ledger()
                assert wire.abandoned
                os._exit(0 if flushed and ledger.balanced and ledger.delivered == 30 else 1)
            children.append(pid)
        codes = [os.waitpid(pid, 0)[1] for pid in children]
        let_go.set()
        assert delivery.shutdown(60)
        assert delivery.ledger().delivered == 25 and not wire.abandoned
        assert codes == [0, 0, 0], codes
        """,
        tmp_path,
        kind,
    )
    assert ended.returncode == 0, ended.stderr
    assert received(tmp_path) == once(("parent ", 25), *((f"child {number} ", 30) for number in range(3)))


def test_a_child_of_a_delivery_that_has_ended_has_an_ended_one(tmp_path: Path, kind: str) -> None:
    ended = run(
        """
        delivery = delivery_of(store(), wire)
        assert delivery.shutdown(60)
        pid = os.fork()
        if not pid:
            put_all(delivery, names(3))
            delivery.flush(0.01)
            os._exit(threading.active_count() - 1)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """,
        tmp_path,
        kind,
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("started", [True, False])
def test_what_is_put_while_the_interpreter_goes_is_delivered(
    tmp_path: Path, kind: str, started: bool
) -> None:
    ended = run(
        f"""
        delivery = delivery_of(store(), wire)
        atexit.register(lambda: os._exit(0 if delivery.shutdown(60) else 1))
        atexit.register(put_all, delivery, names(5, "late "))
        if {started}:
            put_all(delivery, names(5, "early "))
        """,
        tmp_path,
        kind,
    )
    assert ended.returncode == 0, ended.stderr
    assert received(tmp_path) == once(("late ", 5), ("early ", 5 if started else 0))


def test_a_process_ends_in_time_though_its_collector_hangs(tmp_path: Path, kind: str) -> None:
    ended = run(
        """
        wire.collector = lambda items: threading.Event().wait()
        delivery = delivery_of(store(), wire, batch_items=1)
        put_all(delivery, names(9))
        until(lambda: len(threading.enumerate()) > 4)
        atexit.register(delivery.shutdown, 0.1)
        """,
        tmp_path,
        kind,
    )
    assert ended.returncode == 0, ended.stderr
    assert ("9 spans were not delivered" in ended.stderr) == (kind == "memory")


def test_what_was_put_in_an_event_loop_outlives_it(tmp_path: Path, kind: str) -> None:
    ended = run(
        """
        delivery = delivery_of(store(), wire, batch_items=7)

        async def task(number):
            for item in names(10, f"{number} "):
                delivery.put(ORIGIN, [item])
                await asyncio.sleep(0)

        async def main():
            await asyncio.gather(*(task(number) for number in range(20)))

        asyncio.run(main())
        asyncio.run(main())
        assert delivery.shutdown(60)
        assert delivery.ledger().balanced
        """,
        tmp_path,
        kind,
    )
    assert ended.returncode == 0, ended.stderr
    once_each = once(*((f"{number} ", 10) for number in range(20)))
    assert received(tmp_path) == once_each + once_each


def test_an_interrupt_in_the_middle_of_anything_costs_nothing_that_was_put(tmp_path: Path, kind: str) -> None:
    ended = run(
        """
        interrupts, done, inside = [0], [], [False]

        def interrupt(*_):
            signal.setitimer(signal.ITIMER_REAL, 0.0003)
            if inside[0]:
                inside[0] = False
                interrupts[0] += 1
                raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, interrupt)
        delivery = delivery_of(store(), wire, batch_items=20)
        number = 0
        signal.setitimer(signal.ITIMER_REAL, 0.0003)
        while interrupts[0] < 200:
            number += 1
            try:
                inside[0] = True
                delivery.put(ORIGIN, [b"%d" % number])
                done.append(number)
                if number % 50 == 0:
                    delivery.flush(0.001)
                inside[0] = False
            except KeyboardInterrupt:
                pass
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert delivery.flush(60)
        ledger = delivery.ledger()
        assert delivery.shutdown(60)
        assert ledger.balanced and not ledger.dropped, ledger
        (folder / "done").write_text("\\n".join(map(str, done)))
        """,
        tmp_path,
        kind,
    )
    assert ended.returncode == 0, ended.stderr
    taken = received(tmp_path)
    assert set((tmp_path / "done").read_text().split("\n")) <= set(taken)
    assert set(taken.values()) == {1}


def test_a_signal_handler_may_put_and_flush_in_the_middle_of_a_put_or_a_flush(
    tmp_path: Path, kind: str
) -> None:
    ended = run(
        """
        handled = [0]
        def handle(*_):
            handled[0] += 1
            delivery.put(ORIGIN, [b"handler %d" % handled[0]])
            delivery.flush(0.0)
            if handled[0] < 100:
                signal.setitimer(signal.ITIMER_REAL, 0.0003)

        signal.signal(signal.SIGALRM, handle)
        delivery = delivery_of(store(), wire, batch_items=20)
        signal.setitimer(signal.ITIMER_REAL, 0.0003)
        number = 0
        while handled[0] < 100:
            delivery.put(ORIGIN, [b"main %d" % number])
            number += 1
            if number % 20 == 0:
                delivery.flush(0.001)
        assert delivery.shutdown(60)
        ledger = delivery.ledger()
        assert ledger.balanced and ledger.delivered == number + 100, ledger
        """,
        tmp_path,
        kind,
    )
    assert ended.returncode == 0, ended.stderr
    assert set(received(tmp_path).values()) == {1}


def test_what_a_killed_process_has_left_on_disk_is_delivered_by_the_next_one(
    tmp_path: Path, kind: str
) -> None:
    killed = run(
        """
        reached = threading.Event()

        def hang(items):
            reached.set()
            threading.Event().wait()

        wire.collector = hang
        delivery = delivery_of(store(), wire, batch_items=10)
        put_all(delivery, names(35))
        assert reached.wait(60)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path,
        kind,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not received(tmp_path)
    ended = run(
        """
        delivery = delivery_of(store(), wire, delay_s=0.01)
        delivery.start()
        if sys.argv[2] == "disk":
            until(lambda: delivery.ledger().delivered == 35)
        assert delivery.shutdown(60)
        ledger = delivery.ledger()
        assert ledger.balanced and ledger.adopted == ledger.delivered, ledger
        """,
        tmp_path,
        kind,
    )
    assert ended.returncode == 0, ended.stderr
    assert received(tmp_path) == once(("", 35 if kind == "disk" else 0))
