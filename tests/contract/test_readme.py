"""The README says what is true: its code runs, its tables are the source's, what it points to is there."""

from __future__ import annotations

import re

import pytest

from otel_callbacks.settings import VARIABLES
from tests.guides import ROOT, ran

README = (ROOT / "README.md").read_text()
PRELUDE = """
from langchain_core.runnables import RunnableLambda
chain, question = RunnableLambda(str.upper), "a question"
"""


def test_the_python_code_runs_as_it_stands() -> None:
    """In a process of its own, because the code configures the whole process."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        code, _, said = ran(PRELUDE + block, variables={"OTEL_TRACES_EXPORTER": "none"})
        assert (code, said) == (0, "")


def test_the_table_of_settings_is_the_one_that_the_parser_uses() -> None:
    own = [row for row in VARIABLES if row.names[0].startswith("OTEL_CALLBACKS_")]
    assert own
    for row in own:
        default = "unset" if row.default is None else row.default
        assert f"| `{row.names[0]}` | {default} | {row.doc} |" in README


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|\$ )make ([a-z0-9-]+)", README))))
def test_every_make_target_that_is_named_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", README))))
def test_every_file_that_is_linked_exists(link: str) -> None:
    assert (ROOT / link).exists(), link
