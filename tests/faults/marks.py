"""The words that the application and those who watch it share: subjects, kinds of spans, and a line of the report."""

from __future__ import annotations

from struct import Struct
from typing import Final, Literal

SDK: Final = "sdk"
MEMORY: Final = "memory"
SPOOL: Final = "spool"
SUBJECTS: Final = (SDK, MEMORY, SPOOL)

HTTP: Final = "http/protobuf"
GRPC: Final = "grpc"

Kind = Literal[0, 1, 2, 3]
PLAIN: Final = 0
GUILTY: Final = 1
"""The collector refuses it."""
LARGE: Final = 2
"""Larger than the collector takes."""
OPEN: Final = 3
"""A run that started and does not end."""

RECORD: Final = Struct("<QdIIH")
"""A span in the report: its id, when its end returned (monotonic seconds), how long the calls took (ns), pid, kind."""
