"""The outcomes as a table in Markdown: a row for each fault, the subjects side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final

from tests.faults.marks import MEMORY, SDK, SPOOL
from tests.faults.outcome import Outcome

TITLES: Final = {SDK: "OpenTelemetry SDK", MEMORY: "ours, no spool", SPOOL: "ours, spool"}


def table(outcomes: Sequence[Outcome], subjects: Sequence[str]) -> str:
    """Return the table of what was lost, and below it that of the application's own calls."""
    names = list(dict.fromkeys(outcome.scenario for outcome in outcomes))
    by = {(outcome.scenario, outcome.subject): outcome for outcome in outcomes}
    head = ["fault", "spans", *(TITLES[subject] for subject in subjects)]
    rows = [
        [name, _spans(by, name, subjects), *(_fate(by[name, subject]) for subject in subjects)]
        for name in names
    ]
    calls_head = ["fault", *(TITLES[subject] for subject in subjects)]
    calls = [
        [name, *(_calls(by[name, subject]) for subject in subjects)]
        for name in names
        if any(by[name, subject].calls for subject in subjects)
    ]
    if len(calls) > 1:
        calls.append(["**the median of all**", *(_ratios(outcomes, subject) for subject in subjects)])
    return "\n".join([*_lines(head, rows), "", *_lines(calls_head, calls)]) + "\n"


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [_line(head), _line(["---"] * len(head)), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(count: int) -> str:
    return f"{count:,}".replace(",", " ")


def _spans(by: dict[tuple[str, str], Outcome], name: str, subjects: Sequence[str]) -> str:
    counts = sorted({len(by[name, subject].reported) for subject in subjects})
    return _number(counts[0]) if len(counts) == 1 else f"{_number(counts[0])} to {_number(counts[-1])}"


def _fate(outcome: Outcome) -> str:
    lost = len(outcome.lost)
    said = [f"**{_number(lost)}** lost" if lost else "0 lost"]
    if outcome.subject == MEMORY and lost:
        said.append("their process was killed" if outcome.killed else f"{_number(outcome.counted)} counted")
    if outcome.late:
        said.append(f"{_number(len(outcome.late))} by the next start")
    if outcome.avoidable:
        said.append(f"**{_number(len(outcome.avoidable))} of them late without need**")
    if outcome.duplicates:
        said.append(f"{_number(outcome.duplicates)} twice")
    if outcome.died:
        said.append(f"{outcome.died} open runs arrived as `process_died`")
    said += [f"{name} {fact}" for name, fact in outcome.facts.items()]
    return ", ".join(said)


def _ratios(outcomes: Sequence[Outcome], subject: str) -> str:
    """Say what the calls during all the faults are of those of an application that is well: one fault's is half noise."""
    of = [outcome.calls for outcome in outcomes if outcome.subject == subject and outcome.calls is not None]
    if not of:
        return "-"
    return ", ".join(
        f"{name} **{median(during[place] / meanwhile[place] for during, meanwhile in of):.2f}**"
        for place, name in enumerate(("p50", "p99"))
    )


def _calls(outcome: Outcome) -> str:
    if outcome.calls is None:
        return "-"
    faulty, calm = outcome.calls
    return ", ".join(
        f"{name} {during:.0f} µs ({during / meanwhile:.2f} of {meanwhile:.0f})"
        for name, during, meanwhile in zip(("p50", "p99"), faulty, calm, strict=True)
    )
