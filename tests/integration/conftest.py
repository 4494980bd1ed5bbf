"""A collector of its own for a test that wants one, and a connection to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.collectors import HttpCollector
from tests.exchanges import transport_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_callbacks.export.items import Transport


@pytest.fixture
def collector() -> Iterator[HttpCollector]:
    with HttpCollector() as collector:
        yield collector


@pytest.fixture
def transport(collector: HttpCollector) -> Iterator[Transport]:
    transport = transport_to(collector.endpoint)
    yield transport
    transport.close()
