"""What the small fault run shares: no settings of the caller, and one play of each fault for each subject."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.marks import HTTP
from tests.faults.outcome import Outcome
from tests.faults.run import play
from tests.faults.stage import QUICK

Played = Callable[..., Outcome]


@pytest.fixture
def played(tmp_path: Path) -> Played:
    """Play a fault at the small scale, before a gate that is all the collector there is."""
    return lambda scenario, subject, protocol=HTTP: play(
        scenario, subject, QUICK, tmp_path / "stage", protocol=protocol
    )
