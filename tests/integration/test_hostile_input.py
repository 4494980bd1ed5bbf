"""The table of hostile input, every row of it four ways: the application never notices, and what can be recorded is recorded."""

from __future__ import annotations

import pytest

from tests.integration.hostile import (
    rows_of_answers,
    rows_of_hosts,
    rows_of_orders,
    rows_of_runs,
    rows_of_values,
)
from tests.integration.hostile.stage import ROWS, WAYS, Row, play

TABLE = (rows_of_answers, rows_of_values, rows_of_orders, rows_of_runs, rows_of_hosts)
"""Where the rows are: each module enters its own."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_hostile_input_harms_nobody(row: Row, way: str) -> None:
    play(row, way)


def test_the_table_is_whole() -> None:
    assert {row.number for row in ROWS} == set(range(1, 51))
