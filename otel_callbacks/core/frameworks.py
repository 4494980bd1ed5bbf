"""Which frameworks mark the bodies of their runs, and how to ask them in whose body the calling code is.

Rules for this file: names and functions only; a framework is never imported here. `otel_callbacks.integrations` registers.
"""

from __future__ import annotations

from collections.abc import Callable

BodyRun = Callable[[], int | None]
"""Answers in which run's body the calling code is: the run's key, or None if that cannot be told."""

_dispatchers: set[str] = set()
_body_runs: list[BodyRun] = []


def register(dispatcher: str, body_run: BodyRun) -> None:
    """Know a framework by the module that calls handlers; doing it again changes nothing."""
    if dispatcher not in _dispatchers:
        _dispatchers.add(dispatcher)
        _body_runs.append(body_run)


def is_dispatcher(module: object) -> bool:
    """Tell whether handlers called from *module* get the runs of a framework that marks bodies."""
    return module in _dispatchers


def body_run() -> int | None:
    """Return the key of the run in whose body the calling code is; None if no framework knows."""
    for ask in _body_runs:
        key = ask()
        if key is not None:
            return key
    return None
