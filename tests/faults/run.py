"""Playing scenarios: one for one subject, or all of them for all, those that only wait beside each other."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.faults.behind import Behind
from tests.faults.outcome import Outcome
from tests.faults.scenarios import Scenario
from tests.faults.stage import FULL, Scale, Stage

AT_ONCE: Final = 9
"""Three faults for three subjects, each 500 spans in a second at most: half of what two cores can do."""


def play(scenario: Scenario, subject: str, scale: Scale, folder: Path, behind: int | None = None) -> Outcome:
    """Play *scenario* for *subject* in *folder*, which is made; then let the next process start over what is left."""
    folder.mkdir(parents=True)
    with Stage(scenario.name, subject, scale, folder, behind) as stage:
        scenario.play(stage)
        stage.next_start()
        return stage.close()


def play_all(
    scenarios: Sequence[Scenario],
    subjects: Sequence[str],
    folder: Path,
    collector: Path | None,
    tell: Callable[[str], object],
) -> list[Outcome]:
    """Play *scenarios* for *subjects* at full scale, before the *collector*, whose word is final, if there is one.

    A play that fails is told, and is an outcome that says so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    behind = None if collector is None else Behind(collector, folder)

    def one(scenario: Scenario, subject: str) -> Outcome:
        place = folder / f"{scenarios.index(scenario):02}-{subject}"
        try:
            outcome = play(scenario, subject, FULL, place, None if behind is None else behind.port)
        except Exception as error:  # the others go on
            outcome = Outcome(scenario.name, subject, facts={"failed": repr(error)})
            tell(traceback.format_exc())
        tell(
            f"{scenario.name}: {subject}: {len(outcome.lost)} of {len(outcome.reported)} lost {outcome.facts or ''}"
        )
        return outcome

    beside = [scenario for scenario in scenarios if not scenario.alone]
    alone = [scenario for scenario in scenarios if scenario.alone]
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            plays = [pool.submit(one, scenario, subject) for scenario in beside for subject in subjects]
            outcomes = [future.result() for future in plays]
        outcomes += [one(scenario, subject) for scenario in alone for subject in subjects]
    finally:
        if behind is not None:
            behind.stop()
    if behind is not None:
        received = behind.received()
        for outcome in outcomes:
            outcome.confirm(received)
    return outcomes
