"""Each fuzz target on its seeds and on a few hundred byte strings: that it still runs, and finds nothing there. No fuzzer is needed."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, Target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_target_holds_on_its_seeds(target: Target) -> None:
    for seed in target.seeds:
        for size in (len(seed), len(seed) // 2, 1):
            target.run(seed[:size])


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=300))
def test_a_target_holds_on_anything(target: Target, data: bytes) -> None:
    target.run(data)
