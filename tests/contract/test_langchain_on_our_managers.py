"""LangChain's and LangGraph's own runnables, models, tools and tracers with our callbacks in place of theirs: nothing changes.

Each world is played in a process of its own, because the exchange has to come before LangChain is imported.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def played(callbacks: str) -> dict[str, str]:
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-m", "tests.exchanged", callbacks],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, str] = json.loads(done.stdout)
    return told


def test_handlers_are_told_the_same_and_callers_get_the_same_in_every_scenario() -> None:
    theirs, ours = played("theirs"), played("ours")
    assert len(theirs) > 2000
    assert [name for name, told in theirs.items() if ours[name] != told] == []
