"""A slowdown that is planted is work that is really done: the gate is proved on it."""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_openai", reason="the recorded run needs the client")

from benchmarks.cases import Case, planted
from benchmarks.equality import check_equal_work
from benchmarks.gate import Goal, Result, failures
from benchmarks.recording import EVENTS_OF_A_CHAIN, record
from benchmarks.targets import Operation


class Counter:
    """Counts the operations that it is asked to do."""

    def __init__(self) -> None:
        self.done = 0

    def work(self, count: int) -> Operation:
        def operation() -> None:
            self.done += count

        return operation


@pytest.mark.parametrize(("factor", "over"), [(1.0, False), (1.2, False), (1.5, True), (4.0, True)])
def test_planted_work_is_done_and_turns_the_gate_red(factor: float, over: bool) -> None:
    subject, base = Counter(), Counter()
    case = planted(Case("case", subject.work, "base", base.work, Goal(final=0.4, gate=1.25)), factor)
    case.subject(100)()
    case.base(100)()
    found = Result(case.name, case.base_name, case.goal, instructions=subject.done / base.done)
    assert bool(failures([found])) is over


def test_the_handler_and_the_raw_calls_make_the_same_spans() -> None:
    recording = record()
    assert [call.event for call in recording.calls] == list(EVENTS_OF_A_CHAIN)
    spans = check_equal_work(recording)
    assert [span["parent"] for span in spans] == [2, 2, 2, None]
    assert all(span["attributes"] for span in spans)
