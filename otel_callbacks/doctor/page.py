"""What ``doctor`` prints.

Rules for this file: every text passes `plain`, so that nothing in a setting or an answer steers the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from otel_callbacks.doctor.delivery import Delivery
from otel_callbacks.doctor.facts import Fact, Facts
from otel_callbacks.doctor.sample import Sample
from otel_callbacks.export.delivery.ledger import Ledger
from otel_callbacks.export.terminal import Look, cut, plain

_INDENT: Final = "  "
_VALUE_WIDTH: Final = 72


def facts(known: Facts, look: Look) -> Iterable[str]:
    """Return versions, settings and problems as lines."""
    yield from _section("Versions", known.versions, look)
    yield from _section("Settings", known.settings, look)
    if known.problems:
        yield look.paint("Problems", "bold")
        for problem in known.problems:
            yield _INDENT + look.paint(look.spell(f"✗ {plain(problem)}"), "red")
        yield ""


def _section(title: str, lines: Sequence[Fact], look: Look) -> Iterable[str]:
    width = max(len(line.subject) for line in lines)
    yield look.paint(title, "bold")
    for line in lines:
        reason = look.paint(f"  ({plain(line.reason)})", "dim") if line.reason else ""
        yield look.spell(f"{_INDENT}{line.subject:<{width}}  {cut(plain(line.value), _VALUE_WIDTH)}") + reason
    yield ""


def sample(said: Sample, look: Look) -> Iterable[str]:
    """Return what a made-up agent's run says, as lines."""
    yield look.paint("What is emitted: a made-up agent's spans, with these settings", "bold")
    for span in said.spans:
        yield look.spell(f"{_INDENT}{_INDENT * span.depth}● {plain(span.name)}")
        inner = _INDENT * (span.depth + 2)
        for name, value in sorted(span.attributes.items()):
            yield look.spell(
                inner + look.paint(name, "dim") + f" = {cut(plain(_shown(value)), _VALUE_WIDTH)}"
            )
    yield look.paint("its metrics, and the log events of its run", "bold")
    for name, unit in sorted(said.metrics):
        yield look.spell(f"{_INDENT}{name}" + look.paint(f"  {unit}", "dim"))
    for name in said.events or ("no log event",):
        yield look.spell(f"{_INDENT}{name}")
    yield ""


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] # of strings


def delivery(done: Delivery, look: Look) -> Iterable[str]:
    """Return what became of the test span, as lines."""
    yield look.paint("Test span", "bold")
    yield look.spell(f"{_INDENT}to {plain(done.destination)}")
    if done.delivered is None:
        yield look.spell(f"{_INDENT}not sent: nothing is exported with these settings")
    elif done.delivered:
        yield _INDENT + look.paint(look.spell(f"✓ delivered in {done.duration_s * 1e3:.0f} ms"), "green")
        yield look.spell(f"{_INDENT}trace {done.trace_id}")
    else:
        yield _INDENT + look.paint(look.spell(f"✗ not delivered within {done.duration_s:.1f} s"), "red")
        for line in done.said:
            yield look.spell(f"{_INDENT}  {plain(line)}")
        if done.hint:
            yield look.spell(f"{_INDENT}  → {done.hint}")
    for signal, ledger in done.ledgers.items():
        figures = ", ".join(f"{count} {outcome}" for outcome, count in _figures(ledger) if count)
        yield look.paint(f"{_INDENT}{signal}: {figures or 'none'}", "dim")


def _figures(ledger: Ledger) -> Iterable[tuple[str, int]]:
    for outcome in ("accepted", "adopted", "delivered", "rejected", "dead"):
        yield outcome, getattr(ledger, outcome)
    for reason, count in ledger.dropped.items():
        yield f"dropped ({reason})", count
    yield "waiting on disk", ledger.on_disk
    yield "waiting in memory", ledger.in_memory
