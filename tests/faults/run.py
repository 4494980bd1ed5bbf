"""Playing scenarios: one for one subject, or all of them for all, those that only wait beside each other."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.faults.behind import Behind
from tests.faults.marks import HTTP
from tests.faults.outcome import Outcome
from tests.faults.running import Running
from tests.faults.scenarios import Scenario
from tests.faults.stage import FULL, Scale, Stage

AT_ONCE: Final = 9
"""Three faults for three subjects, each 500 spans in a second at most: half of what two cores can do. Fewer disturb one another
less, and take longer."""


def play(
    scenario: Scenario,
    subject: str,
    scale: Scale,
    folder: Path,
    *,
    behind: int | None = None,
    protocol: str = HTTP,
) -> Outcome:
    """Play *scenario* for *subject* in *folder*, which is made; then let the next process start over what is left."""
    folder.mkdir(parents=True)
    with Stage(scenario.name, subject, scale, folder, behind, protocol) as stage:
        scenario.play(stage)
        stage.next_start()
        return stage.close()


def play_all(
    scenarios: Sequence[Scenario],
    subjects: Sequence[str],
    folder: Path,
    collector: Path | None,
    protocol: str,
    tell: Callable[[str], object],
    at_once: int = AT_ONCE,
) -> list[Outcome]:
    """Play *scenarios* for *subjects* at full scale, before the *collector*, whose word is final, if there is one.

    No more than *at_once* are played beside each other. A play that fails is told, and is an outcome that says so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    behind = None if collector is None else Behind(collector, folder)
    port = None if behind is None else behind.port

    def one(scenario: Scenario, subject: str) -> Outcome:
        place = folder / f"{scenarios.index(scenario):02}-{subject}"
        try:
            outcome = play(scenario, subject, FULL, place, behind=port, protocol=protocol)
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
        with ExitStack() as stages, ThreadPoolExecutor(at_once) as pool:
            applications = {subject: _control(stages, subject, folder) for subject in subjects}
            plays = [pool.submit(one, scenario, subject) for scenario in beside for subject in subjects]
            outcomes = [future.result() for future in plays]
            reported = {subject: application.reported() for subject, application in applications.items()}
            for outcome in outcomes:
                outcome.control = reported[outcome.subject]
        outcomes += [one(scenario, subject) for scenario in alone for subject in subjects]
    finally:
        if behind is not None:
            behind.stop()
    if behind is not None:
        received = behind.received()
        for outcome in outcomes:
            outcome.confirm(received)
    return outcomes


def _control(stages: ExitStack, subject: str, folder: Path) -> Running:
    """Start an application whose collector is well: what its calls cost meanwhile is what the others' are compared with."""
    place = folder / f"control-{subject}"
    place.mkdir()
    application = stages.enter_context(Stage("control", subject, FULL, place)).start()
    application.tell("spans", count=10**9, rate=FULL.rate)
    return application
