"""The guide to privacy says what is true: its code prints what it says, its variables are those that there are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from otel_callbacks.parsing import REDACTORS
from otel_callbacks.settings import VARIABLES

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "privacy.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", GUIDE, re.DOTALL)


def test_every_example_has_its_output_beside_it() -> None:
    assert len(EXAMPLES) == GUIDE.count("```python") == 2


@pytest.mark.parametrize(("code", "output"), EXAMPLES)
def test_an_example_prints_what_it_says(code: str, output: str) -> None:
    done = subprocess.run(  # noqa: S603 - the guide's own code
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == (output, "")


def test_every_variable_and_redactor_of_the_guide_is_one() -> None:
    known = {name for row in VARIABLES for name in row.names}
    named = set(re.findall(r"`(OTEL_[A-Z_]+)`", GUIDE))
    assert len(named) >= 8
    assert named <= known
    assert all(f"`{name}`" in GUIDE for name in REDACTORS)
