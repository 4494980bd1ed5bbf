"""The guide to the callback system says what is true: its code prints what it says, its table names tests that there are."""

from __future__ import annotations

import re

import pytest

from tests.contract.defects import DEFECTS
from tests.guides import ONLY_THE_STANDARD_LIBRARY, ROOT, examples, ran

GUIDE = (ROOT / "docs" / "callbacks.md").read_text()
EXAMPLES = examples(GUIDE)
ROWS = [line for line in GUIDE.partition("## Known defects")[2].splitlines() if line.endswith("` |")]
TESTS = [name for row in ROWS for name in re.findall(r"`([^`]+)`", row.split(" | ")[-1])]


def test_every_example_has_its_output_beside_it() -> None:
    assert len(EXAMPLES) == GUIDE.count("```python") >= 3


@pytest.mark.parametrize(("code", "output"), EXAMPLES)
def test_an_example_prints_what_it_says_without_any_other_package(code: str, output: str) -> None:
    assert ran(ONLY_THE_STANDARD_LIBRARY + code) == (0, output, "")


def test_the_traced_example_draws_the_tree_that_it_shows() -> None:
    ((code, tree),) = examples(GUIDE, "py")
    returned, printed, said = ran(code)
    assert (returned, printed) == (0, "")
    names = [re.split(r" [━·]|  ", line)[0] for line in tree.splitlines()[1:]]
    assert [re.split(r" [━·]|  ", line)[0] for line in said.strip().splitlines()[1:]] == names
    assert names == ["agent", "├─ ■ execute_tool weather", "└─ ◆ chat parrot-1"]


@pytest.mark.parametrize("test", TESTS)
def test_every_test_that_the_table_names_exists(test: str) -> None:
    path, _, name = test.rpartition("::")
    assert test in DEFECTS or re.search(rf"\bdef {name}\(", (ROOT / path).read_text())


def test_every_known_defect_is_in_the_table_and_every_line_has_its_test() -> None:
    assert set(DEFECTS) <= set(TESTS)
    assert len(ROWS) == GUIDE.partition("## Known defects")[2].count("\n| ") - 1
