"""``python -m tests.faults``: the fault run, side by side, as a table; the exit code says whether ours kept their promise."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.behind import binary
from tests.faults.marks import GRPC, HTTP, SDK, SUBJECTS
from tests.faults.outcome import Outcome, faults_found
from tests.faults.run import AT_ONCE, play_all
from tests.faults.scenarios import SCENARIOS
from tests.faults.table import table


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT", help="faults with TEXT in their name"
    )
    parser.add_argument("--subject", action="append", choices=SUBJECTS, help="one of them (default: all)")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put the table into FILE, between its marks"
    )
    parser.add_argument(
        "--protocol", choices=(HTTP, GRPC), default=HTTP, help="of OTLP (default: %(default)s)"
    )
    parser.add_argument(
        "--at-once",
        type=int,
        default=AT_ONCE,
        metavar="N",
        help="plays beside each other (default: %(default)s)",
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave reports, logs and spools there")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = _options(arguments)
    subjects = options.subject or list(SUBJECTS)
    chosen = [s for s in SCENARIOS if not options.only or any(text in s.name for text in options.only)]
    collector = binary()
    if collector is None:
        _tell("The Collector is not built (deploy/backends/build collector): the gate stands for it.")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        outcomes = play_all(
            chosen,
            subjects,
            options.keep or Path(temporary),
            collector,
            options.protocol,
            _tell,
            options.at_once,
        )
    text = _header(options.protocol, time.monotonic() - begun) + table(sorted(outcomes, key=_place), subjects)
    sys.stdout.write(text)
    if options.write is not None:
        _write(options.write, text)
    wrong = [line for outcome in outcomes for line in _wrong(outcome)]
    for line in wrong:
        _tell(f"WRONG: {line}")
    return 1 if wrong else 0


def _place(outcome: Outcome) -> int:
    return [scenario.name for scenario in SCENARIOS].index(outcome.scenario)


def _wrong(outcome: Outcome) -> list[str]:
    scenario = SCENARIOS[_place(outcome)]
    found = faults_found(outcome)
    if "failed" in outcome.facts:
        found.append(f"the play failed: {outcome.facts['failed']}")
    elif outcome.subject == SDK and scenario.sdk_loses and not outcome.lost:
        found.append("the plain SDK lost nothing: the fault was none")
    return [f"{outcome.scenario}, {outcome.subject}: {line}" for line in found]


def _header(protocol: str, took_s: float) -> str:
    return (
        f"OTLP over {protocol}, measured on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} shared cores, Python "
        f"{sys.version_info.major}.{sys.version_info.minor}, in {took_s / 60:.0f} minutes.\n\n"
    )


def _tell(line: str) -> None:
    sys.stderr.write(f"{line.rstrip()}\n")


BEGIN, END = "<!-- faults: begin -->\n", "<!-- faults: end -->\n"


def _write(path: Path, text: str) -> None:
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
