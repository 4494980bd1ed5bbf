"""Every fault at the small scale: nothing is lost with the spool, every lost span is counted without it, and the ledger is exact.

The plain SDK is played too: where it loses nothing, the fault was none, and the test of ours would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from tests.faults.marks import GRPC, MEMORY, SDK, SPOOL
from tests.faults.outcome import Outcome, faults_found
from tests.faults.scenarios import SCENARIOS, Scenario

Played = Callable[..., Outcome]

QUICK: Final = [pytest.param(scenario, id=scenario.name) for scenario in SCENARIOS if scenario.quick]
FATAL: Final = [
    pytest.param(scenario, id=scenario.name)
    for scenario in SCENARIOS
    if scenario.quick and scenario.sdk_loses
]
# Where the protocols differ: connections, statuses, sizes, and forks, which gRPC does not like.
OVER_GRPC: Final = [
    pytest.param(scenario, id=scenario.name)
    for scenario in SCENARIOS
    if scenario.quick
    and scenario.name.startswith(("collector down", "kill -9 in", "503", "400", "413", "partial", "fork"))
]


@pytest.mark.parametrize("scenario", QUICK)
def test_nothing_is_lost_with_the_spool(scenario: Scenario, played: Played) -> None:
    outcome = played(scenario, SPOOL)
    assert outcome.reported
    assert faults_found(outcome) == []


@pytest.mark.parametrize("scenario", OVER_GRPC)
def test_nothing_is_lost_with_the_spool_over_grpc(scenario: Scenario, played: Played) -> None:
    outcome = played(scenario, SPOOL, GRPC)
    assert outcome.reported
    assert faults_found(outcome) == []


@pytest.mark.parametrize("scenario", QUICK)
def test_what_is_lost_without_the_spool_is_counted(scenario: Scenario, played: Played) -> None:
    outcome = played(scenario, MEMORY)
    assert outcome.reported
    assert faults_found(outcome) == []


@pytest.mark.parametrize("scenario", FATAL)
def test_the_fault_is_one_for_the_plain_sdk(scenario: Scenario, played: Played) -> None:
    assert played(scenario, SDK).lost
