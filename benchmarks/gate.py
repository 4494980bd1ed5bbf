"""The gate: what may cost how much, and whether it does. Arithmetic only; nothing is measured here.

Rules for this file: only ratios to something that was measured in the same run are judged, never microseconds. A count is
exact. Instructions repeat within one per cent, so a goal holds as it stands; time does not, so it gets slack.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TIME_SLACK: Final = 1.15


class Source(StrEnum):
    """What a ratio was found from."""

    COUNT = "count"
    INSTRUCTIONS = "instructions"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Goal:
    """What a case's subject may cost, in units of its base.

    Attributes:
        final: Where this is to go.
        gate: What must hold today; None: only reported.
        exact: The gate's ratio must be met exactly, not only kept.
        final_time: By time, where that is known to differ from instructions: colder caches.
    """

    final: float
    gate: float | None = None
    exact: bool = False
    final_time: float | None = None

    def final_of(self, source: Source) -> float:
        """Return the final goal for ratios of that *source*."""
        return self.final_time if source is Source.TIME and self.final_time is not None else self.final


@dataclass(frozen=True, slots=True)
class Spread:
    """Ratios of many rounds: the median, and the quartiles around it."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Spread:
        """Return the spread of at least two *ratios*."""
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return cls(low, median, high)


@dataclass(frozen=True, slots=True)
class Result:
    """What one case gave: a count's ratio, or instructions if they could be counted, and time."""

    name: str
    base: str
    goal: Goal
    count: float | None = None
    instructions: float | None = None
    time: Spread | None = None
    detail: str = ""

    def ratios(self) -> dict[Source, float]:
        """Return the ratios that there are, the most reliable first."""
        found = {Source.COUNT: self.count, Source.INSTRUCTIONS: self.instructions}
        ratios = {source: ratio for source, ratio in found.items() if ratio is not None}
        if self.time is not None:
            ratios[Source.TIME] = self.time.median
        return ratios


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of one result; *limit* has the slack in it."""

    source: Source
    ratio: float
    limit: float
    passed: bool


def judge(result: Result) -> Verdict | None:
    """Hold *result* against its gate; None if it has none.

    Raises: ValueError: A gated case was not measured: a gate that finds nothing must not be green.
    """
    goal = result.goal
    if goal.gate is None:
        return None
    ratios = result.ratios()
    if not ratios:
        raise ValueError(f"{result.name!r} is gated, but nothing was measured")
    source, ratio = next(iter(ratios.items()))
    limit = goal.gate * TIME_SLACK if source is Source.TIME else goal.gate
    return Verdict(source, ratio, limit, ratio == limit if goal.exact else ratio <= limit)


def failures(results: Iterable[Result]) -> list[str]:
    """Return one sentence for every result that is over its gate."""
    sentences = []
    for result in results:
        verdict = judge(result)
        if verdict is not None and not verdict.passed:
            relation = "must be" if result.goal.exact else "may be at most"
            sentences.append(
                f"{result.name}: {verdict.ratio:.3f} of {result.base} by {verdict.source}, {relation} {verdict.limit:.3f}"
            )
    return sentences
