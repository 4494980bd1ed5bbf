"""The places from which a trace is read back, each with its query and with what it is known to alter."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.e2e.alterations import (
    JAEGER_SHOWN,
    JAEGER_STORED,
    TEMPO,
    TEMPO_BLOCKS,
    Alteration,
    comparable,
    expected,
)
from tests.e2e.readers import read_file, read_jaeger, read_tempo
from tests.e2e.records import SpanRecord, differences
from tests.e2e.web import FOUND_WITHIN_S, get

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.backends import Running

    Reading = Callable[["Running", str], list[SpanRecord]]


@dataclass(frozen=True, slots=True)
class Source:
    """One place to read from.

    Attributes:
        read: The spans of one trace that are there now; none when the trace is not known (yet).
        look: Reads as well, to see whether all is there already; where reading has no side effect it is `read`.
    """

    name: str
    read: Reading
    alterations: tuple[Alteration, ...] = ()
    look: Reading | None = None

    def read_back(self, running: Running, trace_id: str, spans: int) -> list[SpanRecord]:
        """Wait until *spans* different spans are there and read them; at the deadline, whatever is there."""
        look = self.look or self.read
        deadline = time.monotonic() + FOUND_WITHIN_S
        while (
            len({record.span_id for record in look(running, trace_id)}) < spans
            and time.monotonic() < deadline
        ):
            time.sleep(0.2)
        return self.read(running, trace_id)

    def differences(
        self,
        running: Running,
        sent: list[SpanRecord],
        also: tuple[Alteration, ...] = (),
    ) -> list[str]:
        """How one trace read back differs from the one *sent*, after the known alterations and those in *also*."""
        (trace_id,) = {record.trace_id for record in sent}
        received = self.read_back(running, trace_id, len(sent))
        known = (*also, *self.alterations)
        return differences(
            [expected(known, record) for record in sent],
            [comparable(known, record) for record in received],
        )


def _from_collector(running: Running, trace_id: str) -> list[SpanRecord]:
    return [record for record in read_file(running.collector_file) if record.trace_id == trace_id]


def _from_jaeger_raw(running: Running, trace_id: str) -> list[SpanRecord]:
    answer = get(running.url("JAEGER_QUERY_PORT") + f"/api/v3/traces/{trace_id}", {"raw_traces": "true"})
    return read_jaeger(answer.json()) if answer.status == 200 else []


def _from_jaeger(running: Running, trace_id: str) -> list[SpanRecord]:
    answer = get(running.url("JAEGER_QUERY_PORT") + f"/api/v3/traces/{trace_id}")
    return read_jaeger(answer.json()) if answer.status == 200 else []


def _from_tempo(running: Running, trace_id: str) -> list[SpanRecord]:
    answer = get(running.url("TEMPO_HTTP_PORT") + f"/api/v2/traces/{trace_id}")
    return read_tempo(answer.json()) if answer.status == 200 else []


def _from_tempo_blocks(running: Running, trace_id: str) -> list[SpanRecord]:
    """Only the spans that are in a block already: a block has lost their flags."""
    return [record for record in _from_tempo(running, trace_id) if record.flags == 0]


SOURCES: Final = (
    Source("collector", _from_collector),
    Source("jaeger-as-stored", _from_jaeger_raw, JAEGER_STORED),
    # Jaeger's memory store keeps what it does for a reader, the order of events and remarks about a trace that is
    # not all there yet: so this comes after the raw reading, and waits with it.
    Source("jaeger-as-shown", _from_jaeger, JAEGER_SHOWN, look=_from_jaeger_raw),
    Source("tempo", _from_tempo, TEMPO),
    Source("tempo-from-blocks", _from_tempo_blocks, TEMPO_BLOCKS),
)
