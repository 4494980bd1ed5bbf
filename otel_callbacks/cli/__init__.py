"""The command line: arguments in, exit code out. What a command does is another package's business.

Rules for this file: what a command needs is imported when it runs, so that ``--help`` costs nothing. Exit codes: 0 it
worked; 1 the user can mend it, and one line on stderr says how; 2 the arguments are wrong; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from otel_callbacks.cli import demo, doctor, spool
from otel_callbacks.errors import OTelCallbacksError
from otel_callbacks.version import version

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (demo.COMMAND, doctor.COMMAND, spool.COMMAND)
"""Every command, in the order of the help."""

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    root = argparse.ArgumentParser(
        prog="otel-callbacks", description="OpenTelemetry traces of LangChain-style callbacks."
    )
    root.add_argument("--version", action="version", version=f"%(prog)s {version()}")
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        sub = commands.add_parser(command.name, help=command.help, description=command.description)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (default: the process's) and return its exit code."""
    try:
        arguments = parser().parse_args(argv)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except SystemExit as done:  # argparse has said what it had to say
        return done.code if isinstance(done.code, int) else 2
    except OTelCallbacksError as error:
        print(f"otel-callbacks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has left (``| head``): what is still buffered goes nowhere, without a complaint at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code
