"""Code as documents have it: taken out of the text, run in a process of its own, and what it needs around it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[1]
ONLY_THE_STANDARD_LIBRARY: Final = """
import sys

class OnlyTheStandardLibrary:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top != "otel_callbacks" and top not in sys.stdlib_module_names:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, OnlyTheStandardLibrary())
"""
"""Put before code that is to run without any other package."""


def examples(guide: str, language: str = "python") -> list[tuple[str, str]]:
    """Return each piece of code of a *guide* that has its output below it, with that output."""
    found: list[tuple[str, str]] = re.findall(
        rf"```{language}\n(.*?)```\n\n```text\n(.*?)```", guide, re.DOTALL
    )
    return found


def ran(
    code: str, *arguments: str, warnings: str = "error", variables: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run *code* as a program; return its exit code, its output, and what went to standard error."""
    done = subprocess.run(  # noqa: S603 - the documents' own code
        [sys.executable, "-W", warnings, "-c", code, *arguments],
        env={**os.environ, **(variables or {})},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr
