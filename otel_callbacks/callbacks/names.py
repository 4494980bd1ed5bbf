"""Other people's names as a log line may have them: one line of printable characters, whatever a class is called."""

from __future__ import annotations

from typing import Final

MAX_LENGTH: Final = 200  # characters


def plain(name: str, limit: int = MAX_LENGTH) -> str:
    """Return *name*, cut; escaped as Python writes strings if it would break the line, or colour it."""
    name = name[:limit]
    return name if name.isprintable() else repr(name)


def class_name(value: object) -> str:
    """Return what the class of *value* is called."""
    return plain(type(value).__name__)
