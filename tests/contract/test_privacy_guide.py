"""The guide to privacy says what is true: its code prints what it says, its variables are those that there are."""

from __future__ import annotations

import re

import pytest

from otel_callbacks.parsing import REDACTORS
from otel_callbacks.settings import VARIABLES
from tests.guides import ROOT, examples, ran

GUIDE = (ROOT / "docs" / "privacy.md").read_text()
EXAMPLES = examples(GUIDE)


def test_every_example_has_its_output_beside_it() -> None:
    assert len(EXAMPLES) == GUIDE.count("```python") == 2


@pytest.mark.parametrize(("code", "output"), EXAMPLES)
def test_an_example_prints_what_it_says(code: str, output: str) -> None:
    assert ran(code) == (0, output, "")


def test_every_variable_and_redactor_of_the_guide_is_one() -> None:
    known = {name for row in VARIABLES for name in row.names}
    named = set(re.findall(r"`(OTEL_[A-Z_]+)`", GUIDE))
    assert len(named) >= 8
    assert named <= known
    assert all(f"`{name}`" in GUIDE for name in REDACTORS)
