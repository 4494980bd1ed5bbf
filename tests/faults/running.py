"""An application as a process of this run: started, told what to do, killed; and the report that it leaves.

Rules for this file: only processes started here are ever signalled, by their own id. Waiting is for a condition, with a
deadline that only a hang reaches.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from signal import Signals
from typing import Any, Final, NamedTuple

from tests.faults.marks import RECORD

ROOT: Final = Path(__file__).parents[2]
HANGS_AFTER_S: Final = 300


class Reported(NamedTuple):
    """A span that the application believes to be delivered some day."""

    span_id: int
    at_s: float
    """When its end returned, in seconds of the monotonic clock."""
    took_ns: int
    pid: int
    kind: int


def until(condition: Callable[[], object], what: str, within_s: float = HANGS_AFTER_S) -> None:
    """Wait until *condition* holds. Raises: TimeoutError: it did not."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"after {within_s:.0f} s still not: {what}")
        time.sleep(0.02)


class Running:
    """One process of `tests.faults.application`; its first `answer` says that it is ready."""

    def __init__(self, subject: str, folder: Path, name: str, environment: Mapping[str, str]) -> None:
        self.report = folder / f"{name}.report"
        self.ended_at_s: float | None = None
        self.exited = False
        """Whether it came to its end by itself."""
        self._log = folder / f"{name}.log"
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        inherited = {name: value for name, value in os.environ.items() if not _of_telemetry(name)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "tests.faults.application", subject, str(self.report)],
                cwd=ROOT,
                env={**inherited, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, do: str, **how: Any) -> None:
        """Give a command; `answer` says when it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **how}) + "\n")
        self._process.stdin.flush()

    def answer(self, within_s: float = HANGS_AFTER_S) -> dict[str, Any]:
        """Return the answer to the oldest command that has none yet. Raises: RuntimeError: the process has ended."""
        line = self._answers.get(timeout=within_s)
        if not line:
            raise RuntimeError(f"The application ended; the end of its log: {self.log()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def do(self, do: str, **how: Any) -> dict[str, Any]:
        """Give a command and wait until it is done."""
        self.tell(do, **how)
        return self.answer()

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def count(self) -> int:
        """How many spans it has reported so far."""
        return self.report.stat().st_size // RECORD.size if self.report.exists() else 0

    def reported(self) -> list[Reported]:
        whole = self.report.read_bytes()[: self.count() * RECORD.size]
        return [Reported(*record) for record in RECORD.iter_unpack(whole)]

    def ledgers(self) -> list[dict[str, Any]]:
        """What each of its processes that got so far wrote down about its own deliveries, at its very end."""
        path = self.report.with_suffix(".ledgers")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def signal(self, number: Signals) -> None:
        self._process.send_signal(number)

    def end_by(self, number: Signals) -> int:
        """Send a signal that ends it; return its status."""
        self._process.send_signal(number)
        return self.wait()

    def exit(self) -> float:
        """Let it come to its end; return how long that took, in seconds."""
        assert self._process.stdin is not None
        before = time.monotonic()
        self._process.stdin.close()
        self.wait()
        return time.monotonic() - before

    def wait(self) -> int:
        status = self._process.wait(HANGS_AFTER_S)
        self.exited = not status
        self.ended_at_s = time.monotonic()
        return status

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End it, whatever it does."""
        if self.alive:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                with suppress(BrokenPipeError):  # it was killed before it had read the last command
                    pipe.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with suppress(ValueError):  # closed by `close`, which nobody waits for any more
            for line in self._process.stdout:
                self._answers.put(line)
        self._answers.put("")


def _of_telemetry(name: str) -> bool:
    """Whether a variable of the caller would change what is tested."""
    return name.startswith("OTEL_") or name.lower().endswith("_proxy")
