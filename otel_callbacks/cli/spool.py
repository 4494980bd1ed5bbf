"""``otel-callbacks spool``: its arguments."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING

from otel_callbacks.cli.command import Command
from otel_callbacks.errors import ConfigurationError

if TYPE_CHECKING:
    from otel_callbacks.export.spool.survey import Removed
    from otel_callbacks.export.terminal import Look
    from otel_callbacks.settings import Settings, Signal
    from otel_callbacks.spooled.draining import Drained

_FOLDER = "OTEL_CALLBACKS_SPOOL_DIR"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="what to do", metavar="ACTION", required=True)
    status = actions.add_parser("status", help="say what waits, for how long, and what was put aside")
    drain = actions.add_parser("drain", help="send what processes that have died left")
    purge = actions.add_parser("purge", help="delete what waits")
    for action in (status, drain, purge):
        action.add_argument("directory", nargs="?", metavar="DIR", help=f"the spool (default: {_FOLDER})")
    drain.add_argument(
        "--all",
        action="store_true",
        help="also what was left for other addresses: it goes to the present one",
    )
    drain.add_argument("--dead", action="store_true", help="also what the collector refused before")
    drain.add_argument(
        "--timeout",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="how long it may take (default: %(default)s)",
    )
    which = purge.add_mutually_exclusive_group()
    which.add_argument("--dead", action="store_true", help="what the collector refused, and nothing else")
    which.add_argument("--corrupt", action="store_true", help="damaged files, and nothing else")
    purge.add_argument("--yes", action="store_true", help="do not ask")
    status.set_defaults(do=_status)
    drain.set_defaults(do=_drain)
    purge.set_defaults(do=_purge)


def _run(arguments: argparse.Namespace) -> int:
    from otel_callbacks.export.terminal import Look  # noqa: PLC0415  # see the rules in cli/__init__.py

    code: int = arguments.do(arguments, _directory(arguments), Look.of(sys.stdout, os.environ))
    return code


def _directory(arguments: argparse.Namespace) -> str:
    directory: str | None = arguments.directory or os.environ.get(_FOLDER, "").strip() or None
    if directory is None:
        raise ConfigurationError(f"Which spool? Name its folder, or set {_FOLDER}.")
    return directory


def _check(directory: str) -> None:
    if not os.path.isdir(directory):  # noqa: PTH112  (a folder that is not there must not be made)
        raise ConfigurationError(f"There is no folder {directory!r}.")


def _settings(directory: str) -> dict[Signal, Settings]:
    from otel_callbacks.settings import Settings  # noqa: PLC0415  # see the rules in cli/__init__.py

    signals: tuple[Signal, ...] = ("traces", "metrics", "logs")
    return {signal: Settings.from_env(os.environ, None, signal, spool_dir=directory) for signal in signals}


def _destinations(directory: str) -> dict[str, str]:
    """Return where each signal goes by the present settings, as files of the spool name it."""
    from otel_callbacks.export.outlets import destination_of  # noqa: PLC0415  # see the rules in cli/__init__.py

    return {signal: destination_of(settings, signal) for signal, settings in _settings(directory).items()}


def _status(_arguments: argparse.Namespace, directory: str, look: Look) -> int:
    from otel_callbacks.export.spool.left_open import left_open  # noqa: PLC0415  # see the rules in cli/__init__.py
    from otel_callbacks.export.spool.survey import survey  # noqa: PLC0415  # as above
    from otel_callbacks.spooled import page  # noqa: PLC0415  # as above

    found = survey(directory)
    for line in page.status(found, left_open(directory), _destinations(directory), time.time_ns(), look):
        print(line)
    return 1 if found.problem else 0


def _drain(arguments: argparse.Namespace, directory: str, look: Look) -> int:
    from otel_callbacks.export.spool.survey import resend  # noqa: PLC0415  # see the rules in cli/__init__.py
    from otel_callbacks.spooled.draining import drain  # noqa: PLC0415  # as above
    from otel_callbacks.spooled.page import count  # noqa: PLC0415  # as above
    from otel_callbacks.spooled.progress import Bar  # noqa: PLC0415  # as above

    _check(directory)
    if arguments.dead:
        resend(directory)
    bar = Bar(sys.stderr, os.environ)
    try:
        done = drain(
            _settings(directory),
            directory,
            everything=arguments.all,
            timeout_s=arguments.timeout,
            progress=lambda drained: bar.show(drained.sent + drained.lost, drained.total),
        )
    finally:
        bar.end()
    print(look.spell(_said(done)))
    if others := 0 if arguments.all else _of_other_addresses(directory):
        print(f"  {count(others, 'item')} for another address: --all sends them to the present one")
    return 1 if done.left else 0


def _of_other_addresses(directory: str) -> int:
    from otel_callbacks.export.spool.survey import survey  # noqa: PLC0415  # see the rules in cli/__init__.py

    own = _destinations(directory)
    return sum(
        group.items for group in survey(directory).waiting if own.get(group.signal) != group.destination
    )


def _said(done: Drained) -> str:
    texts = [f"{done.sent:,} sent"]
    if done.lost:
        texts.append(f"{done.lost:,} lost")
    if done.left:
        texts.append(f"{done.left:,} left")
    return ("✗ " if done.left else "✓ ") + ", ".join(texts)


def _purge(arguments: argparse.Namespace, directory: str, look: Look) -> int:
    from otel_callbacks.export.spool.survey import purge  # noqa: PLC0415  # see the rules in cli/__init__.py
    from otel_callbacks.spooled.page import count, size  # noqa: PLC0415  # as above

    folder = "dead" if arguments.dead else "corrupt" if arguments.corrupt else ""
    _check(directory)
    if not arguments.yes:
        what = {"dead": "what the collector refused", "corrupt": "the damaged files"}.get(
            folder, "what waits"
        )
        if not sys.stdin.isatty():
            raise ConfigurationError("Nobody is here to be asked: say --yes.")
        if input(f"Delete {what} in {directory!r}? [y/N] ").strip().lower() not in {"y", "yes"}:
            return 1
    removed: Removed = purge(directory, folder=folder)
    print(look.spell(f"✓ {count(removed.items, 'item')} deleted, {size(removed.size_bytes)}"))
    if removed.held:
        print(f"  {count(removed.held, 'file')} of processes that live: left alone")
    return 0


COMMAND = Command(
    name="spool",
    help="look at, send or delete what waits on disk",
    description="A spool is a folder where traces, metrics and log events wait until a collector has them"
    f" ({_FOLDER}). Every process with the same settings sends what others have left in it; this is for the rest.",
    add_arguments=_add_arguments,
    run=_run,
)
