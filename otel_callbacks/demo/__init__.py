"""The demo: real LangChain flows against a model server of our own, with nothing to sign up for.

`ModelServer` is also the witness of the tests: it records what it was asked and what it sent.
"""

from __future__ import annotations

from otel_callbacks.demo.brain import LABEL, Draft
from otel_callbacks.demo.faults import ALWAYS_LIMITED, BROKEN, CUT, RATE_LIMITED, SLOW, Fault
from otel_callbacks.demo.record import Exchange, ToolCall, Usage
from otel_callbacks.demo.server import ModelServer, Pace

__all__ = [
    "ALWAYS_LIMITED",
    "BROKEN",
    "CUT",
    "LABEL",
    "RATE_LIMITED",
    "SLOW",
    "Draft",
    "Exchange",
    "Fault",
    "ModelServer",
    "Pace",
    "ToolCall",
    "Usage",
]
