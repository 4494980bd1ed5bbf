"""Run ids: unique, in order, across threads, milliseconds and forks."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122

import pytest

from otel_callbacks.callbacks.ids import _Generator, new_run_id

MS = 1_000_000


def test_an_id_is_a_uuid_of_version_7_that_begins_with_the_time() -> None:
    run_id = _Generator().next(0x0123456789AB * MS + 999_999)
    assert (run_id.version, run_id.variant) == (7, RFC_4122)
    assert run_id.int >> 80 == 0x0123456789AB


def test_ids_of_one_process_only_grow() -> None:
    ids = [new_run_id() for _ in range(5_000)]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize(
    "later_ms", [1_000, 999, 0], ids=["clock stands", "clock steps back", "clock at zero"]
)
def test_ids_grow_while_the_clock_does_not(later_ms: int) -> None:
    generator = _Generator()
    first = generator.next(1_000 * MS)
    rest = [generator.next(later_ms * MS) for _ in range(100)]
    assert [first, *rest] == sorted({first, *rest})


def test_threads_never_get_the_same_id() -> None:
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(lambda _: [new_run_id() for _ in range(500)], range(8)))
    assert len({run_id for batch in batches for run_id in batch}) == 4_000


def test_generators_that_start_in_the_same_millisecond_differ() -> None:
    assert _Generator().next(5 * MS) != _Generator().next(5 * MS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_starts_anew() -> None:
    """A child has the parent's memory: without a new start both would go on with the same ids."""
    generator = _Generator()
    generator.next(5 * MS)
    before = generator.next(5 * MS)
    generator.reset()  # what the child runs after a fork
    after = generator.next(5 * MS)
    assert abs(after.int - before.int) > 1_000 << 20  # not the counter's next
