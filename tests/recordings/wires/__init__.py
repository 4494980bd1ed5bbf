"""What providers answer on the wire, as their own documentation and SDK types show it: bytes, made from a scenario.

Rules for this folder: standard library only; each module names the pages that its shapes were taken from; what varies
between two providers of one protocol is a table, not a branch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

TEXT: Final = ("The capital ", "is ", "Paris.")
TOOL: Final = "get_weather"
ARGUMENTS: Final = {"city": "Paris"}

# What is asked for, and so what is answered: an answer, a call of a tool, two choices, a refusal.
ANSWER: Final = "answer"
TOOLS: Final = "tools"
CHOICES: Final = "choices"
LIMITED: Final = "limited"  # HTTP 429
REJECTED: Final = "rejected"  # HTTP 400
STATUS: Final[Mapping[str, int]] = {LIMITED: 429, REJECTED: 400}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the loopback server got it, and which scenario is being played."""

    scenario: str
    path: str
    body: Mapping[str, Any]

    @property
    def streamed(self) -> bool:
        """Whether the body or the path asks for a stream."""
        return self.body.get("stream") is True or "stream" in self.path.lower()


@dataclass(frozen=True, slots=True)
class Answered:
    """What is sent back: the parts go out one by one."""

    parts: tuple[bytes, ...]
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def whole(body: Any, status: int = 200) -> Answered:
    """Return an answer of one JSON document."""
    return Answered((encoded(body),), status)


def events(chunks: Iterable[Mapping[str, Any]], *, named: bool = False, done: bool = True) -> Answered:
    """Return a stream of server-sent events; *named* ones say their ``type`` as the event's name too."""
    parts = [
        (b"event: %s\n" % str(chunk["type"]).encode() if named else b"")
        + b"data: "
        + encoded(chunk)
        + b"\n\n"
        for chunk in chunks
    ]
    if done:
        parts.append(b"data: [DONE]\n\n")
    return Answered(tuple(parts), content_type="text/event-stream")


def encoded(body: Any) -> bytes:
    """Return *body* as JSON text without blanks."""
    return json.dumps(body, separators=(",", ":")).encode()
