"""The gate's arithmetic: a ratio over its limit is found, whatever it was measured by."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.gate import TIME_SLACK, Goal, Result, Source, Spread, failures, judge

GOAL = Goal(final=0.40, gate=1.25)


def result(goal: Goal = GOAL, **ratios: Any) -> Result:
    return Result("case", "base", goal, **ratios)


def spread(median: float) -> Spread:
    return Spread(median - 0.1, median, median + 0.1)


@pytest.mark.parametrize(("instructions", "passed"), [(1.25, True), (1.2501, False), (0.3, True)])
def test_instructions_are_held_to_the_goal_as_it_stands(instructions: float, passed: bool) -> None:
    verdict = judge(result(instructions=instructions))
    assert verdict is not None
    assert (verdict.source, verdict.limit, verdict.passed) == (Source.INSTRUCTIONS, 1.25, passed)


@pytest.mark.parametrize(
    ("median", "passed"), [(1.25 * TIME_SLACK, True), (1.25 * TIME_SLACK + 0.001, False)]
)
def test_time_gets_slack(median: float, passed: bool) -> None:
    verdict = judge(result(time=spread(median)))
    assert verdict is not None
    assert verdict.source is Source.TIME
    assert verdict.passed is passed


def test_instructions_decide_where_both_are_known() -> None:
    assert failures([result(instructions=1.2, time=spread(9.0))]) == []
    assert failures([result(instructions=1.3, time=spread(0.1))]) != []


def test_an_exact_count_may_not_even_be_better() -> None:
    exact = Goal(final=1.0, gate=1.0, exact=True)
    assert failures([result(exact, count=1.0)]) == []
    assert len(failures([result(exact, count=38 / 35), result(exact, count=34 / 35)])) == 2


def test_a_case_without_a_gate_never_fails_it() -> None:
    assert judge(result(Goal(final=0.1), instructions=99.0)) is None
    assert failures([result(Goal(final=0.1), instructions=99.0)]) == []


def test_a_gated_case_that_was_not_measured_is_no_success() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        judge(result())


def test_a_failure_says_what_was_found_and_what_is_allowed() -> None:
    assert failures([result(instructions=1.5)]) == [
        "case: 1.500 of base by instructions, may be at most 1.250"
    ]


def test_a_spread_is_the_median_and_the_quartiles() -> None:
    assert Spread.of([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(2.0, 3.0, 4.0)


def test_time_has_a_final_goal_of_its_own_where_it_is_known_to_differ() -> None:
    goal = Goal(final=1.07, final_time=1.15)
    assert (goal.final_of(Source.INSTRUCTIONS), goal.final_of(Source.TIME)) == (1.07, 1.15)
    assert Goal(final=0.4).final_of(Source.TIME) == 0.4
