"""The faults: each is a short play for a stage, the same for every subject, and a row of the table.

Rules for this file: a play is told in terms of the stage, and asserts nothing; what came of it is judged elsewhere. At the small
scale nothing may depend on how long anything takes.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.faults import gate
from tests.faults.disks import full_disk, read_only_disk
from tests.faults.gate import Fault
from tests.faults.marks import GUILTY, LARGE, SDK, SPOOL
from tests.faults.running import Running
from tests.faults.stage import Stage

_CHILDREN: Final = 4
_GUILTY: Final = 5


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault.

    Attributes:
        name: What the table calls it.
        play: Plays it.
        sdk_loses: Whether the plain SDK must lose spans, of every version that is supported; else the fault was none.
        quick: Whether it is played at the small scale too.
        alone: Whether nothing else may run beside it in the full run.
    """

    name: str
    play: Callable[[Stage], None]
    sdk_loses: bool = False
    quick: bool = True
    alone: bool = False


def _down(stage: Stage) -> None:
    application = stage.start()
    stage.spans(application, 5_000)
    stage.go_away()
    stage.spans(application, 30_000)
    stage.heal()
    stage.spans(application, 7_500)
    stage.recovered(application)
    stage.exit(application)


def _killed(by: signal.Signals) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.outcome.killed = True
        stage.end_in_mid_batch(stage.start(**_lazy(stage)), by)

    return play


def _lazy(stage: Stage) -> dict[str, str]:
    """At the small scale, let nothing be sent before a batch is full: what is in the memory of the killed is no accident."""
    return {} if stage.scale.timed else {"OTEL_BSP_SCHEDULE_DELAY": "60000"}


def _lazy_sdk(stage: Stage) -> dict[str, str]:
    """Of a process that goes on: ours have to show that they deliver, and the SDK only that it loses what is not sent."""
    return _lazy(stage) if stage.subject == SDK else {}


def _sibling(stage: Stage) -> None:
    stage.outcome.killed = True
    sibling, victim = stage.start(), stage.start(**_lazy(stage))
    stage.spans(sibling, 1_000)
    stage.end_in_mid_batch(victim, signal.SIGKILL)
    stage.recovered(sibling)
    stage.exit(sibling)


def _sys_exit(stage: Stage) -> None:
    application = stage.start(**_lazy(stage))
    application.do("exit_on_sigterm")
    stage.outcome.torn = 1  # the signal may come between the end of a span and its line in the report
    stage.end_in_mid_batch(application, signal.SIGTERM)


def _burst(stage: Stage) -> None:
    """At the small scale the memory is small too, and the collector answers nothing before the burst is over."""
    if stage.scale.timed:
        application = stage.start()
        stage.spans(application, 50_000, rate=0)
    else:
        over = threading.Event()
        stage.fail(gate.hold(over))
        application = stage.start(
            OTEL_CALLBACKS_MEMORY_MAX_BYTES="500000",
            **({"OTEL_BSP_MAX_QUEUE_SIZE": "1024"} if stage.subject == SDK else {}),
        )
        stage.spans(application, 50_000, rate=0)
        over.set()
        stage.heal()
    stage.recovered(application)
    stage.exit(application)


def _slow(stage: Stage) -> None:
    application = stage.start()
    stage.spans(application, 2_500)
    done = threading.Event()
    stage.fail(gate.slow(2.0) if stage.scale.timed else gate.hold(done))
    stage.spans(application, 30_000)
    done.set()
    stage.exit(application)  # the collector is as slow as it was
    stage.heal()


def _answers(fault: Fault) -> Callable[[Stage], None]:
    """Let a collector that was well answer so for ten seconds, and be well again."""

    def play(stage: Stage) -> None:
        application = stage.start()
        stage.spans(application, 2_500)
        stage.fail(fault)
        stage.spans(application, 5_000)
        stage.met()
        stage.heal()
        stage.spans(application, 2_500)
        stage.recovered(application)
        stage.exit(application)

    return play


def _some_guilty(fault: Fault) -> Callable[[Stage], None]:
    """Let a few spans among many be such that the collector does not take them."""

    def play(stage: Stage) -> None:
        application = stage.start()
        stage.fail(fault)
        for _ in range(_GUILTY):
            stage.spans(application, 1_000)
            application.do("spans", count=1, kind=GUILTY)
        stage.spans(application, 1_000)
        stage.recovered(application)
        stage.exit(application)
        stage.say(refused_by_the_collector=len(stage.gate.refused))

    return play


def _too_big(stage: Stage) -> None:
    application = stage.start()
    stage.fail(gate.refuse_over(1_000_000))
    stage.spans(application, 600, size=20_000)
    application.do("spans", count=1, kind=LARGE, size=2_000_000)
    stage.spans(application, 600, size=20_000)
    stage.recovered(application)
    stage.exit(application)


def _fork(how: str) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.outcome.killed = how != "normal exit"  # no child has a chance to count
        application = stage.start(**_lazy_sdk(stage))
        application.do("spans", count=700)  # more than a batch: an export is going on while it forks
        statuses = application.do("fork", how=how, children=_CHILDREN, count=300)["statuses"]
        application.do("spans", count=300)
        stage.recovered(application)
        stage.exit(application)
        stage.promise(not any(statuses), f"children ended with {statuses}")

    return play


def _prefork(stage: Stage) -> None:
    stage.outcome.killed = True
    application = stage.start(**_lazy_sdk(stage))
    application.do("prefork", workers=_CHILDREN, count=50)
    stage.recovered(application)
    stage.exit(application)


def _full_disk(stage: Stage) -> None:
    with full_disk(stage) as fill:
        application = stage.start()
        stage.spans(application, 2_500)
        stage.go_away()
        stage.spans(application, 5_000)
        fill(application)
        stage.spans(application, 10_000)
        _without_disk(stage, application)
        stage.heal()
        stage.recovered(application)
        stage.exit(application)


def _read_only(stage: Stage) -> None:
    with read_only_disk(stage):
        application = stage.start()
        stage.go_away()
        stage.spans(application, 5_000)
        _without_disk(stage, application)
        stage.heal()
        stage.recovered(application)
        stage.exit(application)


def _without_disk(stage: Stage, application: Running) -> None:
    if stage.subject == SPOOL:
        waiting = application.do("ledger")["ledger"]["in_memory"]
        stage.promise(waiting, "the disk took everything: the fault was none")


def _exit(fault: Fault | None) -> Callable[[Stage], None]:
    """Exit with 2,000 spans that nobody takes; None: nobody listens."""

    def play(stage: Stage) -> None:
        # The plain SDK waits as long as its exporter does, at the small scale not for half a minute.
        short = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1", "OTEL_CALLBACKS_EXIT_TIMEOUT_S": "2"}
        application = stage.start(**({} if stage.scale.timed else short))
        if fault is None:
            stage.go_away()
        else:
            stage.fail(fault)
        application.do("spans", count=2_000)
        stage.say(exit=f"{stage.exit(application):.1f} s")
        stage.heal()

    return play


def _flush_deadline(stage: Stage) -> None:
    application = stage.start()
    stage.fail(gate.hang)
    application.do("spans", count=2_000)
    answer = application.do("flush", timeout_s=2)
    stage.say(force_flush_of_2_s=f"{answer['done']} after {answer['took_s']:.1f} s")
    stage.promise(not answer["done"], "force_flush said that all was delivered")
    stage.heal()
    stage.recovered(application)
    stage.exit(application)


def _loop(stage: Stage) -> None:
    application = stage.start()
    application.do("loop", tasks=4, count=250)
    stage.exit(application)


def _freeze(stage: Stage) -> None:
    """As a serverless platform does: after each call the process stands still, and in the end it is gone."""
    stage.outcome.killed = True
    application = stage.start()
    missing = 0
    for _ in range(3):
        application.do("spans", count=300)
        application.do("flush", timeout_s=5 if stage.scale.timed else 60)
        application.signal(signal.SIGSTOP)
        missing += len(stage.missing(stage.reported()))
        stage.gate.hang_up()  # nobody keeps a connection for one who sleeps
        application.signal(signal.SIGCONT)
    application.end_by(signal.SIGKILL)
    stage.promise(not missing, f"{missing} spans were not there when the process was frozen")


def _open_runs(stage: Stage) -> None:
    stage.outcome.killed = True
    application = stage.start()
    application.do("open_runs", count=5)
    application.do("spans", count=300)
    application.end_by(signal.SIGKILL)


ELSEWHERE: Final = gate.status(302, location="http://127.0.0.1:9/")
SCENARIOS: Final = (
    Scenario("collector down for 60 s, 500 spans/s", _down, sdk_loses=True),
    Scenario("kill -9 in mid-batch", _killed(signal.SIGKILL), sdk_loses=True),
    Scenario("kill -9, a sibling lives", _sibling, sdk_loses=True),
    Scenario("SIGTERM, default", _killed(signal.SIGTERM), sdk_loses=True),
    Scenario("SIGTERM, sys.exit", _sys_exit),
    Scenario("burst of 50,000", _burst, sdk_loses=True, alone=True),
    Scenario("2 s per export for 60 s", _slow, sdk_loses=True),
    Scenario("429, Retry-After 2, for 10 s", _answers(gate.status(429, 2)), quick=False),
    Scenario("503, Retry-After 30, for 10 s", _answers(gate.status(503, 30)), sdk_loses=True, quick=False),
    Scenario("503, Retry-After 1", _answers(gate.status(503, 1))),
    Scenario("500 for 10 s", _answers(gate.status(500))),
    Scenario("408 for 10 s", _answers(gate.status(408))),
    Scenario("401 for 10 s", _answers(gate.status(401)), sdk_loses=True, quick=False),
    Scenario("404 for 10 s", _answers(gate.status(404)), sdk_loses=True, quick=False),
    Scenario("302 for 10 s", _answers(ELSEWHERE), sdk_loses=True, quick=False),
    Scenario("400 for 5 of 6,000", _some_guilty(gate.refuse_guilty), sdk_loses=True),
    Scenario("413 over 1 MB, 20 kB each", _too_big, sdk_loses=True, alone=True),
    Scenario("partial success: 5 of 6,000", _some_guilty(gate.keep_partially)),
    Scenario("answers lost for 10 s", _answers(gate.lose_answer)),
    Scenario("fork, children end by os._exit", _fork("os._exit"), sdk_loses=True),
    Scenario("fork by multiprocessing", _fork("multiprocessing"), sdk_loses=True),
    Scenario("fork, children exit", _fork("normal exit")),
    Scenario("prefork, workers killed", _prefork, sdk_loses=True),
    Scenario("disk full, collector down", _full_disk),
    Scenario("read-only disk", _read_only, quick=False),
    Scenario("exit, collector down", _exit(None), sdk_loses=True),
    Scenario("exit, collector hangs", _exit(gate.hang), sdk_loses=True),
    Scenario("force_flush, collector hangs", _flush_deadline),
    Scenario("asyncio.run ends", _loop),
    Scenario("frozen after force_flush", _freeze),
    Scenario("runs open at kill -9", _open_runs, sdk_loses=True),
)
