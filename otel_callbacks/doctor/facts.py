"""What can be known without doing anything: versions, neighbours, settings, where each comes from, what is wrong with them.

Rules for this file: nothing is connected or configured; a value that may hold a secret is never part of a fact.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Final

from otel_callbacks.settings import VARIABLES, Settings, Signal, Variable, origin

DISTRIBUTIONS: Final = (
    "otel-callbacks",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp",
    "langchain-core",
    "langgraph",
)
_INSTRUMENTORS: Final = "opentelemetry_instrumentor"
_OTHERS: Final[tuple[Signal, ...]] = ("metrics", "logs")
_EXPORTERS: Final = "exporters"


@dataclass(frozen=True, slots=True)
class Fact:
    """One line: what it is about, what it is, and why or from where."""

    subject: str
    value: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is known; *problems* are what the user has to mend."""

    versions: tuple[Fact, ...]
    settings: tuple[Fact, ...]
    problems: tuple[str, ...]


def gather(env: Mapping[str, str]) -> Facts:
    """Read *env* and the installed distributions."""
    problems: list[str] = []
    settings = Settings.lenient(env, problems.append)
    shown = [_setting(row, getattr(settings, row.field), "traces", env) for row in VARIABLES]
    shown += [fact for signal in _OTHERS for fact in _own(signal, env)]
    return Facts(versions=tuple(_versions()), settings=tuple(shown), problems=tuple(problems))


def _own(signal: Signal, env: Mapping[str, str]) -> list[Fact]:
    """Return what *signal* has of its own: where it goes, and what is set for it alone."""
    facts: list[Fact] = []
    for row in VARIABLES:
        own = tuple(name for name in row.names_of(signal) if name not in row.names)
        name = own[0] if own else None
        if name is None or not (row.field == _EXPORTERS or env.get(name, "").strip()):
            continue
        text = env.get(name, "").strip()
        facts.append(
            _setting(row, text, signal, env) if text else Fact(name, "unset", "by OTLP if traces go by OTLP")
        )
    return facts


def _versions() -> list[Fact]:
    found = [Fact("python", platform.python_version())]
    for name in DISTRIBUTIONS:
        try:
            found.append(Fact(name, version(name)))
        except PackageNotFoundError:
            found.append(Fact(name, "not installed"))
    neighbours = sorted(entry.name for entry in entry_points(group=_INSTRUMENTORS))
    if neighbours:
        found.append(Fact("instrumentations", ", ".join(neighbours), "active if the application starts them"))
    return found


def _setting(row: Variable, value: object, signal: Signal, env: Mapping[str, str]) -> Fact:
    name = origin(row, env, signal)
    if row.secret and value is not None:
        shown = "(not shown: it may hold a secret)"
    elif value is None:
        shown = "unset"
    else:
        shown = ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] # of strings
    return Fact(name or row.names[-1], shown, "from the environment" if name else "default")
