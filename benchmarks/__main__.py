"""``python -m benchmarks``: measure, print the table, and with ``--gate`` say by the exit code whether it holds."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

os.environ.pop(
    "OTEL_SDK_DISABLED", None
)  # the measured provider is made here, whatever the shell was set up for

from benchmarks import callgrind, report, timing
from benchmarks.cases import Case, by_name, paired, planted
from benchmarks.counts import counted
from benchmarks.equality import check_equal_work
from benchmarks.gate import Result, failures
from benchmarks.journal import journalled
from benchmarks.lag import loop_lag
from benchmarks.managers import managed
from benchmarks.recording import record
from benchmarks.wire import encoded

OVER: int = 1


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--gate", action="store_true", help="exit with 1 when a gated ratio is over its limit"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT", help="cases with TEXT in their name"
    )
    parser.add_argument("--rounds", type=int, default=40, help="rounds of the time measurement (default: 40)")
    parser.add_argument(
        "--no-instructions", action="store_true", help="do not use valgrind although it is there"
    )
    parser.add_argument(
        "--plant",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="do the measured work FACTOR times, to see the gate red",
    )
    parser.add_argument(callgrind.CHILD_FLAG, action="store_true", dest="count_here", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = _arguments(arguments)
    recording = record()
    check_equal_work(recording)
    cases = by_name(
        (*paired(recording), *managed(recording), *encoded(recording), *journalled(recording)), options.only
    )
    if options.plant != 1.0:
        cases = tuple(planted(case, options.plant) for case in cases)
    if options.count_here:
        callgrind.count_here(cases)
        return 0
    is_worse = options.plant != 1.0
    results = list(_paired_results(cases, options))
    results += [
        result
        for result in (*counted(recording, planted=is_worse), loop_lag(planted=is_worse))
        if not options.only or any(text in result.name for text in options.only)
    ]
    print(report.machine())
    print()
    print(report.table(results))
    over = failures(results)
    for sentence in over:
        print(f"over its gate: {sentence}", file=sys.stderr)
    return OVER if over and options.gate else 0


def _paired_results(cases: Sequence[Case], options: argparse.Namespace) -> list[Result]:
    timed = timing.measure(cases, options.rounds)
    instructions: dict[str, tuple[float, float]] = {}
    if options.no_instructions or not callgrind.is_available():
        print(
            "Instructions are not counted (Linux on x86-64 with valgrind can); the gate goes by time, with slack."
        )
    elif cases:
        only = [part for text in options.only for part in ("--only", text)]
        instructions = callgrind.measure(cases, [*only, "--plant", str(options.plant)])
    results = []
    for case in cases:
        time = timed[case.name]
        detail, ratio = f"{time.subject_us:.2f} / {time.base_us:.2f} us", None
        if case.name in instructions:
            subject, base = instructions[case.name]
            ratio = subject / base
            detail = f"{subject / 1_000:.1f} / {base / 1_000:.1f} ki, {detail}"
        results.append(
            Result(case.name, case.base_name, case.goal, instructions=ratio, time=time.ratio, detail=detail)
        )
    return results


if __name__ == "__main__":
    sys.exit(main())
