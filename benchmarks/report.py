"""The table: a line per case, its ratios, what must hold and where it is to go."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version

from benchmarks.gate import Result, Source, judge

_PACKAGES = ("opentelemetry-sdk", "langchain-core")
_HEAD = ("case", "in units of", "instructions or count", "time (quartiles)", "gate", "final goal", "measured")
_DASH = "-"


def table(results: Sequence[Result]) -> str:
    """Return *results* as a Markdown table."""
    rows = [_HEAD, tuple(_DASH * 3 for _ in _HEAD), *[_row(result) for result in results]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = []
    for row in rows:
        fill = "-" if row[0] == _DASH * 3 else " "
        lines.append(
            "| " + " | ".join(cell.ljust(width, fill) for cell, width in zip(row, widths, strict=True)) + " |"
        )
    return "\n".join(lines)


def _row(result: Result) -> tuple[str, ...]:
    ratios, verdict = result.ratios(), judge(result)
    first = ratios.get(Source.COUNT, ratios.get(Source.INSTRUCTIONS))
    spread = result.time
    gate = _DASH
    if verdict is not None:
        sign = "=" if result.goal.exact else "<="
        gate = f"{sign} {verdict.limit:.2f} by {verdict.source}: {'ok' if verdict.passed else 'OVER'}"
    return (
        result.name,
        result.base,
        f"{first:.3f}" if first is not None else _DASH,
        f"{spread.median:.3f} ({spread.low:.3f}-{spread.high:.3f})" if spread is not None else _DASH,
        gate,
        _final(result),
        result.detail,
    )


def _final(result: Result) -> str:
    sources = result.ratios()
    if not sources:
        return f"{result.goal.final:.2f}"
    source, ratio = next(iter(sources.items()))
    goal = result.goal.final_of(source)
    return f"{goal:.2f} {'reached' if ratio <= goal else 'not yet'}"


def machine() -> str:
    """Return what the numbers were taken on, in one line."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, {packages}"
