"""What each system is known to do to a span on the way, and why it is not our fault.

Rules for this file: an alteration says exactly what becomes of what was sent. Whatever is not written down here is
a difference, and a difference fails the test. Each was seen with the pinned versions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.records import SpanRecord

JAEGER_REMARKS: Final = "@jaeger@warnings"


def _unchanged(record: SpanRecord) -> SpanRecord:
    return record


@dataclass(frozen=True, slots=True)
class Alteration:
    """One thing that a system does to spans.

    Attributes:
        reason: What is done, by whom and why.
        to_sent: What becomes of a span that was sent; the expectation is its result.
        to_received: Takes out what the system adds and nobody could foretell.
    """

    reason: str
    to_sent: Callable[[SpanRecord], SpanRecord] = _unchanged
    to_received: Callable[[SpanRecord], SpanRecord] = _unchanged


def _without_link_states(record: SpanRecord) -> SpanRecord:
    return replace(record, links=tuple(replace(link, trace_state="") for link in record.links))


def _without_flags(record: SpanRecord) -> SpanRecord:
    return replace(record, flags=0, links=tuple(replace(link, flags=0) for link in record.links))


def _with_a_duration(record: SpanRecord) -> SpanRecord:
    return replace(record, end_ns=max(record.end_ns, record.start_ns + 1))


def _without_remarks(record: SpanRecord) -> SpanRecord:
    kept = tuple(pair for pair in record.attributes if pair[0] != JAEGER_REMARKS)
    return replace(record, attributes=kept)


def _events_by_name(record: SpanRecord) -> SpanRecord:
    ordered = sorted(record.events, key=lambda event: (event.name, event.time_ns, repr(event.attributes)))
    return replace(record, events=tuple(ordered))


SDK_EXPORTER: Final = (
    Alteration(
        "The OTLP exporter of opentelemetry-python does not send the trace state of a link.",
        to_sent=_without_link_states,
    ),
)
JAEGER_STORED: Final = (
    Alteration(
        "Jaeger's sanitizer gives a span without duration one nanosecond: storage is asked for by duration.",
        to_sent=_with_a_duration,
    ),
    Alteration(
        f"Jaeger tells the reader what it found odd in the attribute {JAEGER_REMARKS}.",
        to_received=_without_remarks,
    ),
)
JAEGER_SHOWN: Final = (
    *JAEGER_STORED,
    Alteration(
        "Jaeger sorts events by name for its readers. Their order is compared in the raw reading.",
        to_sent=_events_by_name,
        to_received=_events_by_name,
    ),
)
TEMPO_BLOCKS: Final = (
    Alteration(
        "Tempo's blocks have no column for the flags of a span or a link.",
        to_sent=_without_flags,
    ),
)
TEMPO: Final = (
    Alteration(
        "Tempo shows flags until the trace goes from memory to a block, a second or two after its last span.",
        to_sent=_without_flags,
        to_received=_without_flags,
    ),
)


def expected(alterations: tuple[Alteration, ...], record: SpanRecord) -> SpanRecord:
    """What becomes of *record*, which was sent."""
    for alteration in alterations:
        record = alteration.to_sent(record)
    return record


def comparable(alterations: tuple[Alteration, ...], record: SpanRecord) -> SpanRecord:
    """*record*, which was received, without what its system adds of its own."""
    for alteration in alterations:
        record = alteration.to_received(record)
    return record
