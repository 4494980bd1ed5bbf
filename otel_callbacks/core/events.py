"""The alphabet of the core: what a callback said, in our own words.

Rules for this file: data only. Events are plain slotted classes, not frozen ones: two are made per run, and a frozen
dataclass pays ``object.__setattr__`` for every field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from otel_callbacks.core.values import AttributeValue
from otel_callbacks.semconv import EndReason, Operation, Outcome, SpanKind


class RunKind(StrEnum):
    """Which callback started a run, or that a wrapper did, of embeddings; the value of ``langchain.run.kind``."""

    CHAIN = "chain"
    CHAT_MODEL = "chat_model"
    LLM = "llm"
    TOOL = "tool"
    RETRIEVER = "retriever"
    EMBEDDINGS = "embeddings"


@dataclass(slots=True)
class RunStarted:
    """A run began. The mappings are the application's own: read now, never kept, never changed."""

    kind: RunKind
    name: str | None
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]
    serialized: Mapping[str, Any]
    extra: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Description:
    """What a span is when it starts, beside its attributes; the same object for every run of one shape."""

    name: str
    kind: SpanKind
    operation: Operation | None
    hidden: bool = False
    """Tagged so as not to be shown; whether it is shown all the same is a setting."""


@dataclass(slots=True)
class Failure:
    """An exception, taken down without keeping it alive.

    Attributes:
        type: ``module.QualName``, builtins without their module.
        message: Redacted and capped; None when it could not be had or must not be said.
        stacktrace: File, line and function of each frame, at most 8 kB; None when not wanted.
        identity: A number that tells whether an ancestor fails with the very same exception.
        inherited: A run below failed with the same exception, and its span has the details.
    """

    type: str
    message: str | None
    stacktrace: str | None
    identity: int
    inherited: bool = False


@dataclass(slots=True)
class RunEnded:
    """A run is over: by an end event, by an error event, or because nothing more will come.

    At most one of *failure* and *outcome* says more than "it succeeded"; *reason* is there when no event of the run's own
    ended it. *calls* are ids of tool calls: those that a model asked for, or the one that a tool's output was the first to tell.
    """

    time_ns: int
    attributes: dict[str, AttributeValue] = field(default_factory=dict[str, AttributeValue])
    failure: Failure | None = None
    outcome: Outcome | None = None
    reason: EndReason | None = None
    error_type: str | None = None
    name: str | None = None
    calls: Sequence[str] = ()


@dataclass(slots=True)
class RunNoted:
    """Something happened inside a run that is worth a span event."""

    time_ns: int
    name: str
    attributes: dict[str, AttributeValue]
