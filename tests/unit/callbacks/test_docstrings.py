"""What docstrings show, works."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("name", ["ambient", "bodies", "decorators", "typed"])
def test_the_examples_in_docstrings_work(name: str) -> None:
    results = doctest.testmod(import_module(f"otel_callbacks.callbacks.{name}"))
    assert results.attempted > 0
    assert results.failed == 0
