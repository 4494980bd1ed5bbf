"""The guide to the callback system says what is true: its code prints what it says, its table names tests that there are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.defects import DEFECTS

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "callbacks.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", GUIDE, re.DOTALL)
ROWS = [line for line in GUIDE.partition("## Known defects")[2].splitlines() if line.endswith("` |")]
TESTS = [name for row in ROWS for name in re.findall(r"`([^`]+)`", row.split(" | ")[-1])]

ALONE = """
import sys

class OnlyTheStandardLibrary:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top != "otel_callbacks" and top not in sys.stdlib_module_names:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, OnlyTheStandardLibrary())
"""


def test_every_example_has_its_output_beside_it() -> None:
    assert len(EXAMPLES) == GUIDE.count("```python") >= 3


@pytest.mark.parametrize(("code", "output"), EXAMPLES)
def test_an_example_prints_what_it_says_without_any_other_package(code: str, output: str) -> None:
    done = subprocess.run(  # noqa: S603 - the guide's own code
        [sys.executable, "-W", "error", "-c", ALONE + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (output, "")


def test_the_traced_example_draws_the_tree_that_it_shows() -> None:
    ((code, tree),) = re.findall(r"```py\n(.*?)```\n\n```text\n(.*?)```", GUIDE, re.DOTALL)
    done = subprocess.run(  # noqa: S603 - the guide's own code
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
    names = [re.split(r" [━·]|  ", line)[0] for line in tree.splitlines()[1:]]
    assert [re.split(r" [━·]|  ", line)[0] for line in done.stderr.strip().splitlines()[1:]] == names
    assert names == ["agent", "├─ ■ execute_tool weather", "└─ ◆ chat parrot-1"]


@pytest.mark.parametrize("test", TESTS)
def test_every_test_that_the_table_names_exists(test: str) -> None:
    path, _, name = test.rpartition("::")
    assert test in DEFECTS or re.search(rf"\bdef {name}\(", (ROOT / path).read_text())


def test_every_known_defect_is_in_the_table_and_every_line_has_its_test() -> None:
    assert set(DEFECTS) <= set(TESTS)
    assert len(ROWS) == GUIDE.partition("## Known defects")[2].count("\n| ") - 1
