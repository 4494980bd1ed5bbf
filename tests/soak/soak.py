"""A soak: so many runs, and what they leave behind: bytes, open files, threads, objects of ours.

Rules for this file: a sample is taken when nothing is open and after a garbage collection; what is compared are the lowest
samples of an early and of a late part, because what is remembered of ended runs goes up and down between two bounds.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from opentelemetry.context import Context

from otel_callbacks.core.engine import Engine
from otel_callbacks.core.runs import Run
from otel_callbacks.otel.current import RunSpan
from otel_callbacks.otel.recorded import RecordedSpan
from tests.soak.stage import Stage
from tests.soak.work import WORK

_OURS: Final = (Run, RecordedSpan, RunSpan, Engine, Context, asyncio.Task)
_FILES: Final = Path("/proc/self/fd")


@dataclass(frozen=True, slots=True)
class Sample:
    """What there is after so many *runs*. *objects*: ours, and contexts and tasks; *rss_bytes*: 0 where it is not known."""

    runs: int
    traced_bytes: int
    rss_bytes: int
    files: int
    threads: int
    objects: int


@dataclass(frozen=True, slots=True)
class Soaked:
    """The samples, and how runs ended beside how they were to end."""

    samples: Sequence[Sample]
    ended: Counter[tuple[Any, Any]]
    planned: Counter[tuple[Any, Any]]
    started: int
    open_runs: int
    faults: dict[str, int]

    def growth(self, of: Callable[[Sample], int]) -> int:
        """Return by how much the least of the last third is above the least of the second: the first is for warming up."""
        third = len(self.samples) // 3
        return min(map(of, self.samples[-third:])) - min(map(of, self.samples[third:-third]))


def soak(
    runs: int, *, samples: int, recent: int, said: Callable[[Sample], object] = lambda _: None
) -> Soaked:
    """Let *runs* runs begin and end, or not end; *said* is told of each sample as it is taken."""
    stage, planned, taken = Stage(recent), Counter[tuple[Any, Any]](), list[Sample]()
    tracemalloc.start(1)
    try:
        while stage.spans.started < runs:
            for work in WORK:
                # Each piece in a context of its own: what it leaves current is gone with it.
                planned += contextvars.copy_context().run(work, stage)
            if stage.spans.started >= (len(taken) + 1) * runs // samples:
                taken.append(_sample(stage))
                said(taken[-1])
    finally:
        tracemalloc.stop()
    faults = {reason: count for reason, count in stage.engine.counts.items() if reason.startswith("fault")}
    spans = stage.spans
    return Soaked(taken, spans.ended, planned, spans.started, stage.engine.open_count, faults)


def _sample(stage: Stage) -> Sample:
    gc.collect()
    objects = sum(type(thing) in _OURS for thing in gc.get_objects())
    return Sample(
        stage.spans.started,
        tracemalloc.get_traced_memory()[0],
        _rss_bytes(),
        len(list(_FILES.iterdir())) if _FILES.exists() else 0,
        threading.active_count(),
        objects,
    )


def _rss_bytes() -> int:
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0
