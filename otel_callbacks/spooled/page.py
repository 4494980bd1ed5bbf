"""What ``spool status`` prints.

Rules for this file: every text from a folder passes `plain`, so that no name in it steers the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from otel_callbacks.export.spool.left_open import LeftOpen
from otel_callbacks.export.spool.survey import Group, Survey
from otel_callbacks.export.terminal import Look, duration, plain

_INDENT: Final = "  "
_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")
_THOUSAND: Final = 1000


def status(found: Survey, left: LeftOpen, own: dict[str, str], now_ns: int, look: Look) -> Iterator[str]:
    """Return what a spool holds, as lines.

    Args:
        found: What waits, and what was put aside.
        left: What is open, or was when its process died.
        own: The destination of the present settings, by signal.
        now_ns: Since the epoch: how old something is.
        look: What the terminal can show.
    """
    yield (
        look.paint("Spool", "bold")
        + look.spell(f" {plain(found.path)}  ")
        + look.paint(f"({plain(found.filesystem)})", "dim")
    )
    if found.problem:
        yield _INDENT + look.paint(look.spell(f"✗ {plain(found.problem)}"), "red")
        return
    if found.volatile:
        yield _INDENT + look.paint("in memory: it is gone when the machine or the container is", "yellow")
    yield ""
    yield look.paint("Waiting", "bold")
    for group in found.waiting:
        yield look.spell(_INDENT + _group(group, now_ns))
        yield look.paint(look.spell(_INDENT * 2 + _fate(group, own)), "dim")
    if not found.waiting:
        yield f"{_INDENT}nothing"
    if left.alive or left.dead:
        yield ""
        yield look.paint("Open runs", "bold")
        if left.alive:
            yield f"{_INDENT}{count(left.alive, 'process')} at work"
        if left.dead:
            yield f"{_INDENT}{count(left.spans, 'span')} left open by {count(left.dead, 'process')} that died: to be sent as such"
    yield from _aside(found, look)


def _aside(found: Survey, look: Look) -> Iterator[str]:
    """Say what is kept for a person to look at."""
    if not (found.dead or found.corrupt_files or found.unreadable):
        return
    yield ""
    yield look.paint("Put aside", "bold")
    for group in found.dead:
        yield f"{_INDENT}{count(group.items, 'item')} of {plain(group.signal)} that the collector refused: spool drain --dead"
    if found.corrupt_files:
        yield f"{_INDENT}{count(found.corrupt_files, 'damaged file')}, {size(found.corrupt_bytes)}"
    if found.unreadable:
        yield f"{_INDENT}{count(found.unreadable, 'file')} of another version"


def _group(group: Group, now_ns: int) -> str:
    text = f"{plain(group.signal):<8} {count(group.items, 'item'):>14}  {size(group.size_bytes):>8}"
    text += f"  since {duration(now_ns - group.oldest_ns)}"
    return text + (f"  {group.damaged} damaged" if group.damaged else "")


def _fate(group: Group, own: dict[str, str]) -> str:
    """Say who will send a group."""
    left = group.segments - group.alive
    texts: list[str] = []
    if group.alive:
        texts.append(f"{count(group.alive, 'file')} of a process that lives and sends them")
    if left and own.get(group.signal) == group.destination:
        texts.append(
            f"{count(left, 'file')} left: the next process with these settings sends them, or spool drain"
        )
    elif left:
        texts.append(
            f"{count(left, 'file')} left for another address ({plain(group.destination)}): spool drain --all"
        )
    return "; ".join(texts)


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 file``, ``1,200 items``."""
    plural = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{plural}"


def size(number: int) -> str:
    """Return a number of bytes as a person says it: ``512 bytes``, ``4.2 MB``."""
    amount, unit = float(number), 0
    while amount >= _THOUSAND and unit < len(_UNITS) - 1:
        amount, unit = amount / _THOUSAND, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{number} {_UNITS[0]}"
