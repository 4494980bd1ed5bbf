"""Links: from a tool to the model call that asked for it, from a graph's run to the interrupted one that it goes on from.

Ids of tool calls are not unique: models of a test all say "1". So a call is looked for in the tool's own trace, and there
among those that stand nearest in the tree of runs; else in its conversation, for a run that was resumed in another trace.

Rules for this file: bounded; spans are remembered by their ids alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from opentelemetry.trace import Link, Span, SpanContext

from otel_callbacks import semconv
from otel_callbacks.core.recent import Recent
from otel_callbacks.core.runs import Run

MAX_UNSETTLED: Final = 4_096  # of whose ends none came
_Place: TypeAlias = tuple[int, ...]
"""The keys of a run and of those above it, the root's first."""
_Scope: TypeAlias = int | str
"""A trace, or a conversation."""


class Links:
    """What of earlier spans later ones may refer to."""

    def __init__(self) -> None:
        self._calls: Recent[tuple[_Scope, str], tuple[SpanContext, _Place]] = Recent()
        self._interrupted: Recent[tuple[object, ...], SpanContext] = Recent()
        # Open runs that resume (when that was), or below which some wait (for how many answers): LangGraph has not said so
        # yet, and does so only to handlers that stand in the configuration. A run takes its entry out at its end.
        self.unsettled: dict[int, list[tuple[str, int]]] = {}

    def unsettle(self, key: int, what: str, value: int) -> None:
        """Remember of the run of *key* that an event is due: *what* is its name."""
        if len(self.unsettled) >= MAX_UNSETTLED:
            self.unsettled.clear()
        self.unsettled.setdefault(key, []).append((what, value))

    # -- tool calls ----------------------------------------------------------------------------------------------------

    def asked(self, run: Run, call_ids: Sequence[str]) -> None:
        """Remember that the model call *run* asked for tool calls."""
        asked = (run.reference, _place(run))
        for scope in _scopes(run, run.reference.trace_id):
            for call_id in call_ids:
                self._calls.add((scope, call_id), asked)

    def request(self, run: Run, above: Span | None, call_id: object) -> tuple[Link, ...]:
        """Return the link of a tool's *run*, about to start under *above*, to the model call that asked for it, if it is known."""
        if not self._calls or type(call_id) is not str:
            return ()
        place = _place(run)
        for scope in _scopes(run, above.get_span_context().trace_id if above is not None else 0):
            found = self._calls.of((scope, call_id))
            if found:
                nearest = max(reversed(found), key=lambda asked: _shared(asked[1], place))
                return (Link(nearest[0], {semconv.LINK_REQUESTED_BY: True, semconv.TOOL_CALL_ID: call_id}),)
        return ()

    # -- interrupts ----------------------------------------------------------------------------------------------------

    def interrupted(self, run: Run, where: Mapping[str, Any]) -> None:
        """Remember that a graph's *run* stopped to wait for somebody; *where* are the attributes of the event."""
        thread = _thread(run, where)
        if thread is not None:
            self._interrupted.add(thread, run.reference)
            self._interrupted.add((*thread, where.get(semconv.GRAPH_CHECKPOINT_ID)), run.reference)

    def resumed(self, run: Run, where: Mapping[str, Any]) -> SpanContext | None:
        """Return what refers to the interrupted run that *run* goes on from, if it is known.

        That is the one of the checkpoint; else (somebody has changed the state meanwhile) the thread's last one, once.
        """
        thread = _thread(run, where)
        if thread is None:
            return None
        checkpoint = (*thread, where.get(semconv.GRAPH_CHECKPOINT_ID))
        found = self._interrupted.of(checkpoint) or self._interrupted.of(thread)
        self._interrupted.forget(thread)
        return found[-1] if found else None


def _thread(run: Run, where: Mapping[str, Any]) -> tuple[object, ...] | None:
    thread = run.identity.get(semconv.CONVERSATION_ID) if run.identity is not None else None
    return (thread, where.get(semconv.GRAPH_CHECKPOINT_NS)) if thread is not None else None


def _scopes(run: Run, trace_id: int) -> list[_Scope]:
    conversation = run.identity.get(semconv.CONVERSATION_ID) if run.identity is not None else None
    return [trace_id, conversation] if conversation is not None else [trace_id]


def _place(run: Run) -> _Place:
    keys: list[int] = []
    above: Run | None = run
    while above is not None:
        keys.append(above.key)
        above = above.parent
    return tuple(reversed(keys))


def _shared(one: _Place, other: _Place) -> int:
    """Return how far two runs have the same way from the root."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count
