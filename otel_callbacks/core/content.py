"""Content policy: what was said in a run, taken down as far as it is wanted.

Rules for this file: what is kept is plain (dict, list, str, number, None), redacted and limited, and holds nothing of the
application's alive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Taken:
    """What events say of a run: each field a structure as in the conventions' schemas, or None where nothing was said.

    Attributes:
        input_messages: ``[{"role", "parts", "name"?}]``.
        output_messages: The same, one for each generation, with ``finish_reason`` where the provider gave one.
        system_instructions: Parts, where they are apart from the messages.
        tool_definitions: ``[{"type", "name"}]``.
    """

    input_messages: list[dict[str, Any]] | None = None
    output_messages: list[dict[str, Any]] | None = None
    system_instructions: list[dict[str, Any]] | None = None
    tool_definitions: list[dict[str, Any]] | None = None
