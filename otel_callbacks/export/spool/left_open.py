"""The journals in a folder, seen from outside: how many processes write one, and what dead ones have left open.

Rules for this file: as of `survey.py`: nothing is changed, and a lock is asked for only for an instant.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

from otel_callbacks.export.spool.directory import Directory
from otel_callbacks.export.spool.files import Files, opened_folder
from otel_callbacks.export.spool.journal import ENDING
from otel_callbacks.export.spool.slots import LeftFile


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """What journals say."""

    alive: int = 0
    """Processes that write one now."""
    dead: int = 0
    """Journals whose process has died, and that nobody has recovered."""
    spans: int = 0
    """Spans that were open when those died."""


def left_open(directory: str | os.PathLike[str]) -> LeftOpen:
    """Return what the journals in *directory* say; nothing if it cannot be read."""
    alive = dead = spans = 0
    files = Files()
    with suppress(OSError), opened_folder(files, Directory(directory).path) as folder:
        for name in files.names(folder):
            if not name.endswith(f".{ENDING}"):
                continue
            with suppress(OSError):
                descriptor = files.open(name, folder, writable=False)
                try:
                    if not files.lock(descriptor, shared=True):
                        alive += 1
                        continue
                    dead += 1
                    spans += len({found.identity for found in LeftFile(files, descriptor).records()})
                finally:
                    files.close(descriptor)
    return LeftOpen(alive, dead, spans)
