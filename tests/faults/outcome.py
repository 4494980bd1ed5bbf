"""What became of the spans of one fault and one subject, and what is wrong with that.

Rules for this file: no I/O, no clock; the figures are facts, the verdicts are functions of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.faults.marks import MEMORY, OPEN, PLAIN, SDK, SPOOL

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from tests.faults.running import Reported

REFUSED: Final = "refused"
ENOUGH: Final = 2_000
"""Spans, for their 99th percentile to mean something."""
SUM: Final = ("delivered", "rejected", "dead", "on_disk", "in_memory")


class Latency(NamedTuple):
    """What starting and ending a span took the application, in microseconds."""

    p50_us: float
    p99_us: float


@dataclass(slots=True)
class Outcome:
    """What was measured; *facts* are what else is worth saying."""

    scenario: str
    subject: str
    reported: list[Reported] = field(default_factory=list)
    ledgers: list[dict[str, Any]] = field(default_factory=list)
    """What each process says of itself at its end; an end that it had no time for is silent."""
    exited: set[int] = field(default_factory=set)
    """The processes that had that time."""
    facts: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    """Promises of a scenario's own that were not kept."""
    answers: Counter[str] = field(default_factory=Counter)
    arrivals: Counter[int] = field(default_factory=Counter)
    refused: set[int] = field(default_factory=set)
    errors: dict[int, Span] = field(default_factory=dict)
    unrecognisable: int = 0
    """Spans that came twice, in batches whose identities differ."""
    late: set[int] = field(default_factory=set)
    """Spans that came only after the processes that made them had ended, by another that was started."""
    avoidable: set[int] = field(default_factory=set)
    """Of those, the ones for which there had been time enough, with a collector that was well."""
    killed: bool = False
    """Whether processes ended without a chance to count."""
    torn: int = 0
    """How many spans may have ended without a line in the report."""
    fault_s: tuple[float, float] | None = None
    """From when to when the collector failed."""
    control: list[Reported] = field(default_factory=list)
    """Spans of another application that made them meanwhile, with a collector that was well."""

    @property
    def lost(self) -> set[int]:
        """What was reported, is not at the collector, and was not refused by it."""
        return {r.span_id for r in self.reported} - self.arrivals.keys() - self.refused

    def confirm(self, received: Counter[int]) -> None:
        """Let the real Collector's word stand for the gate's: *received* is how often it has each span."""
        self.arrivals = Counter({r.span_id: n for r in self.reported if (n := received[r.span_id])})

    @property
    def duplicates(self) -> int:
        return sum(count - 1 for count in self.arrivals.values())

    @property
    def counted(self) -> int:
        """How many spans our ledgers say have been given up, or were left in a memory that is gone."""
        return sum(
            _dropped(line["ledger"]) - line["ledger"]["dropped"].get(REFUSED, 0) + line["ledger"]["in_memory"]
            for line in self.ledgers
            if line["ledger"]
        )

    @property
    def died(self) -> int:
        """How many of the runs that were open have come, and say that their process has died."""
        said = {
            span_id
            for span_id, span in self.errors.items()
            if any(
                pair.key == "error.type" and pair.value.string_value == "process_died"
                for pair in span.attributes
            )
        }
        return sum(1 for r in self.reported if r.kind == OPEN and r.span_id in said)

    @property
    def calls(self) -> tuple[Latency, Latency] | None:
        """What a span took the application during the fault, and the other one at the same time; None if that was too short."""
        if self.fault_s is None:
            return None
        begin, end = self.fault_s
        end = min(end, max((r.at_s for r in self.reported), default=0.0))
        during = [
            [r.took_ns for r in reported if begin <= r.at_s <= end and r.kind == PLAIN]
            for reported in (self.reported, self.control)
        ]
        return None if min(map(len, during)) < ENOUGH else (_latency(during[0]), _latency(during[1]))


def _dropped(ledger: dict[str, Any]) -> int:
    return sum(ledger["dropped"].values())


def _refused(ledger: dict[str, Any]) -> int:
    """How many the collector would not have; without a disk there is nowhere to put them aside."""
    return int(ledger["rejected"] + ledger["dead"] + ledger["dropped"].get(REFUSED, 0))


def balanced(ledger: dict[str, Any]) -> bool:
    """Whether the sums of a ledger agree, added up here."""
    return bool(
        ledger["accepted"] + ledger["adopted"] == sum(ledger[name] for name in SUM) + _dropped(ledger)
        and ledger["balanced"]
    )


def _latency(taken_ns: Sequence[int]) -> Latency:
    cuts = quantiles(taken_ns, n=100)
    return Latency(cuts[49] / 1000, cuts[98] / 1000)


def faults_found(outcome: Outcome) -> list[str]:
    """Say what is wrong with an *outcome* of ours; of the plain SDK's, nothing is asked."""
    if outcome.subject == SDK:
        return []
    found = [*outcome.broken, *_ledgers_faults(outcome)]
    if outcome.subject == SPOOL and outcome.lost:
        found.append(f"{len(outcome.lost)} spans are lost")
    if outcome.subject == SPOOL and outcome.died != sum(r.kind == OPEN for r in outcome.reported):
        found.append(f"only {outcome.died} of the runs that were open say that their process has died")
    if outcome.subject == SPOOL and outcome.avoidable:
        found.append(f"{len(outcome.avoidable)} spans waited for a restart without need")
    if outcome.subject == MEMORY and not outcome.killed and len(outcome.lost) != outcome.counted:
        found.append(f"{len(outcome.lost)} spans are lost, {outcome.counted} are counted")
    # Who comes after a process that was killed makes batches of its own: there, the ids of spans tell.
    if outcome.unrecognisable and not outcome.killed:
        found.append(f"{outcome.unrecognisable} duplicates are not recognisable")
    return found


def _ledgers_faults(outcome: Outcome) -> list[str]:
    """Hold the ledgers against their own sums, and against what the application and the collector know."""
    found: list[str] = []
    pids = {line["pid"] for line in outcome.ledgers}
    if missing := outcome.exited - pids:
        found.append(f"there is no ledger of {missing}")
    if unbalanced := [line for line in outcome.ledgers if not balanced(line["ledger"])]:
        found.append(f"the sums of a ledger do not agree: {unbalanced}")
    if outcome.killed:
        return found  # what those who were killed had done, nobody has written down
    reported = Counter(r.pid for r in outcome.reported)
    found += [
        f"{line['ledger']['accepted']} accepted, but {reported[line['pid']]} reported"
        for line in outcome.ledgers
        if not 0 <= line["ledger"]["accepted"] - reported[line["pid"]] <= outcome.torn
    ]
    delivered = sum(line["ledger"]["delivered"] for line in outcome.ledgers)
    arrived = len(outcome.arrivals)
    if not 0 <= delivered - arrived <= outcome.torn:
        found.append(f"{delivered} delivered by the ledgers, but {arrived} arrived")
    refused = sum(_refused(line["ledger"]) for line in outcome.ledgers)
    if refused != len(outcome.refused):
        found.append(f"{refused} refused by the ledgers, but {len(outcome.refused)} by the collector")
    return found
