"""One fault for one subject: a gate, the applications before it, and what became of every span.

Rules for this file: it knows no particular fault. What a report says and the collector does not have is lost; there is no
other meaning of the word here.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from tests.faults.gate import GATES, Fault, Gate
from tests.faults.marks import HTTP, MEMORY, SDK, SPOOL
from tests.faults.outcome import Outcome
from tests.faults.running import Reported, Running, until

SCHEDULE_DELAY_S: Final = 5.0
"""How long a span may wait for others to be sent with (the default of OTEL_BSP_SCHEDULE_DELAY)."""
DELIVERED_WITHIN_S: Final = 180


@dataclass(frozen=True, slots=True)
class Scale:
    """How big the faults are played.

    Attributes:
        rate: Spans in a second; 0: as fast as it goes.
        divisor: Of the numbers of spans.
        environment: Further variables of the applications.
        timed: Whether a fault lasts as long as it is told to; else it ends when what it had to do is done.
    """

    rate: int
    divisor: int
    environment: dict[str, str] = field(default_factory=dict[str, str])
    timed: bool = True


FULL: Final = Scale(rate=500, divisor=1)
# An exit that has to be short is the scenario's; else a busy machine has the time that it needs.
QUICK: Final = Scale(
    rate=0,
    divisor=10,
    environment={"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_CALLBACKS_EXIT_TIMEOUT_S": "60"},
    timed=False,
)


class Stage:
    """Where a scenario plays. A context manager: its end is everybody's."""

    def __init__(
        self,
        name: str,
        subject: str,
        scale: Scale,
        folder: Path,
        behind: int | None = None,
        protocol: str = HTTP,
    ) -> None:
        self.subject = subject
        self.scale = scale
        self.folder = folder
        self.spool = folder / "spool"
        self.protocol = protocol
        self.gate = GATES[protocol](behind)
        self.outcome = Outcome(name, subject)
        self.applications: list[Running] = []
        self._well_since_s = time.monotonic()
        self._fault_s: tuple[float, float] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for application in self.applications:
            application.close()
        self.gate.close()

    # What scenarios are told with.

    def start(self, **variables: str) -> Running:
        """Start an application before the gate, with further environment *variables*."""
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.gate.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_SERVICE_NAME": "faults",
            **({"OTEL_CALLBACKS_SPOOL_DIR": str(self.spool)} if self.subject == SPOOL else {}),
            **self.scale.environment,
            **variables,
        }
        application = Running(self.subject, self.folder, f"application-{len(self.applications)}", environment)
        self.applications.append(application)
        application.answer()
        return application

    def number(self, full: int) -> int:
        """How many are made of what are *full* in the full run."""
        return max(1, full // self.scale.divisor)

    def spans(self, application: Running, full: int, **how: Any) -> None:
        """Let *application* make as many spans as stand for *full* at this scale, at its rate."""
        application.do("spans", **{"count": self.number(full), "rate": self.scale.rate, **how})

    def fail(self, fault: Fault) -> None:
        """Let the gate fail from now on."""
        self._fault_s = (time.monotonic(), float("inf"))
        self.gate.fault = fault

    def go_away(self) -> None:
        """Let the collector be down: connections end, new ones are refused."""
        self._fault_s = (time.monotonic(), float("inf"))
        self.gate.stop()

    def heal(self) -> None:
        """Let all be well again."""
        self._well_since_s = time.monotonic()
        if self._fault_s is not None:
            self._fault_s = (self._fault_s[0], self._well_since_s)
        self.gate.fault = None
        if self.gate.ending.is_set():
            self.gate.start()

    def met(self, times: int = 1) -> None:
        """Wait until the fault has been met so often."""
        until(lambda: self.gate.faults_met >= times, "the fault was met")

    def quiet(self) -> None:
        """Wait until the gate has done with what it was sent."""
        until(lambda: not self.gate.in_flight, "the gate is quiet")

    def say(self, **facts: object) -> None:
        """Add what stands in the table's notes."""
        self.outcome.facts |= {name.replace("_", " "): str(value) for name, value in facts.items()}

    def promise(self, kept: object, otherwise: str) -> None:
        """Note a promise, of this scenario only, that was not *kept*."""
        if not kept:
            self.outcome.broken.append(otherwise)

    def missing(self, reported: Sequence[Reported]) -> set[int]:
        """Which of *reported* have neither arrived nor been refused."""
        return {r.span_id for r in reported} - self.gate.arrivals.keys() - self.gate.refused

    def reported(self) -> list[Reported]:
        return [record for application in self.applications for record in application.reported()]

    def recovered(self, application: Running) -> None:
        """Let *application* live until all has arrived that can.

        The plain SDK is asked to flush: what it has dropped will never come, nor what was in the memory of children that died.
        """
        waits: dict[str, Callable[[], object]] = {
            SDK: lambda: application.do("flush", timeout_s=60),
            MEMORY: lambda: not application.do("ledger")["ledger"]["in_memory"],
            SPOOL: lambda: (
                not self.missing(self.reported()) or _has_given_up(application.do("ledger")["ledger"])
            ),
        }
        before_s = time.monotonic()
        try:
            until(waits[self.subject], "all is delivered", DELIVERED_WITHIN_S)
        except TimeoutError as error:
            self.say(not_delivered=error)
        else:
            if self.scale.timed and self.subject != SDK:
                self.say(all_there_after=f"{time.monotonic() - before_s:.1f} s")

    def end_in_mid_batch(self, application: Running, by: signal.Signals) -> None:
        """Let *application* make spans, and end it by a signal while it does; at the small scale, when it has."""
        if self.scale.timed:
            application.tell("spans", count=10**9, rate=self.scale.rate)
            until(lambda: application.count() >= 3_300, "spans are made")
        else:
            application.do("spans", count=300)
        application.end_by(by)

    def exit(self, application: Running) -> float:
        """Let *application* come to its end; return how long that took, in seconds."""
        return application.exit()

    # What is done after each.

    def next_start(self) -> None:
        """Start the next process over what the others have left, and let it finish: the promise of the spool."""
        self.quiet()
        left = self.reported()
        missing = self.missing(left)
        ledgers = [line["ledger"] for application in self.applications for line in application.ledgers()]
        # Some may be there, and whoever sent it did not live to hear so.
        unsure = self.subject == SPOOL and any(ledger["on_disk"] for ledger in ledgers)
        given_up = sum(sum(ledger["dropped"].values()) for ledger in ledgers) if self.subject == SPOOL else 0
        if self.subject != SPOOL or (len(missing) <= given_up and not unsure):
            return
        left_at_s = time.monotonic()
        ends = {r.span_id: a.ended_at_s or left_at_s for a in self.applications for r in a.reported()}
        successor = self.start()

        def done() -> bool:
            ledger = successor.do("ledger")["ledger"]
            return len(self.missing(left)) <= given_up and ledger["adopted"] and not ledger["on_disk"]

        try:
            until(done, "what was left is delivered", DELIVERED_WITHIN_S)
        except TimeoutError as error:
            self.say(not_delivered=error)
        successor.exit()
        delay_s = float(self.scale.environment.get("OTEL_BSP_SCHEDULE_DELAY", SCHEDULE_DELAY_S * 1000)) / 1000
        self.outcome.late = {span_id for span_id in missing if span_id in self.gate.arrivals}
        self.outcome.avoidable = {
            r.span_id
            for r in left
            if self.scale.timed  # else, how long anything took says nothing
            and r.span_id in self.outcome.late
            and ends[r.span_id] - max(r.at_s, self._well_since_s) > delay_s + 1
        }

    def close(self) -> Outcome:
        """Gather what is known now that everybody has ended."""
        self.quiet()
        outcome, gate = self.outcome, self.gate
        outcome.reported = self.reported()
        outcome.arrivals = Counter({span_id: len(times) for span_id, times in gate.arrivals.items()})
        outcome.refused = set(gate.refused)
        outcome.answers = Counter(gate.answers)
        outcome.unrecognisable = _unrecognisable(gate)
        outcome.ledgers = [ledger for application in self.applications for ledger in application.ledgers()]
        outcome.errors = dict(gate.errors)
        outcome.exited = {application.pid for application in self.applications if application.exited}
        outcome.fault_s = self._fault_s
        return outcome


def _unrecognisable(gate: Gate) -> int:
    """Count the spans that came twice under identities that do not say so."""
    batches: Counter[int] = Counter()
    for taken in gate.identities.values():
        batches.update({span_id for spans in taken for span_id in spans})
    return sum(1 for span_id, times in gate.arrivals.items() if len(times) > 1 and batches[span_id] != 1)


def _has_given_up(ledger: dict[str, Any]) -> bool:
    """Whether something was dropped, and nothing is left that could still come."""
    return bool(ledger["dropped"]) and not ledger["on_disk"] and not ledger["in_memory"]
