"""``otel-callbacks doctor``: its arguments."""

from __future__ import annotations

import argparse
import os
import sys
from itertools import chain

from otel_callbacks.cli.command import Command


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-send", action="store_true", help="do not send the test span")
    parser.add_argument(
        "--timeout",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long the test span may take (default: %(default)s)",
    )


def _run(arguments: argparse.Namespace) -> int:
    from otel_callbacks.doctor import delivery, facts, page, sample  # noqa: PLC0415  # see the rules in cli/__init__.py
    from otel_callbacks.export.terminal import Look  # noqa: PLC0415  # as above

    look = Look.of(sys.stdout, os.environ)
    known = facts.gather(os.environ)
    for line in chain(page.facts(known, look), page.sample(sample.run(), look)):
        print(line)
    if known.problems:
        print(look.spell("✗ Not sent: mend the settings under Problems first."))
        return 1
    if arguments.no_send:
        return 0
    done = delivery.send(os.environ, arguments.timeout)
    for line in page.delivery(done, look):
        print(line)
    return 1 if done.delivered is False else 0


COMMAND = Command(
    name="doctor",
    help="say what would be emitted, with which settings and why, and send a test span",
    description="Prints versions, every setting with where it comes from, and what a made-up agent's spans say with these"
    " settings; then sends one test span the way an application would. Exit code 1: a setting is wrong, or it did not arrive.",
    add_arguments=_add_arguments,
    run=_run,
)
