"""A run that starts: made, with its place below its parent and its time, and described as its policy wants it.

Rules for this file: the run table is read and not changed; whatever is handed over, there is a run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from otel_callbacks import semconv
from otel_callbacks.core import mapping, normalize, redaction
from otel_callbacks.core.clock import Clock
from otel_callbacks.core.events import Description, RunKind
from otel_callbacks.core.policy import Policy
from otel_callbacks.core.runs import Run, RunTable
from otel_callbacks.core.shield import Shield
from otel_callbacks.core.sink import content_of


def made(
    kind: RunKind,
    policy: Policy,
    key: int,
    run_id: object,
    parent_run_id: object,
    tags: object,
    table: RunTable,
    shield: Shield,
) -> Run:
    """Return a run, its attributes the ids; it is not open yet, and `timed` is to be called."""
    run_text = str(run_id) if type(run_id) is UUID else normalize.run_id_text(key)
    parent_key = normalize.run_key(parent_run_id) if parent_run_id is not None else None
    if parent_key == key:
        shield.count("own_parent")
        parent_key = None
    parent = table.open.get(parent_key) if parent_key is not None else None
    run = Run(key, run_text, kind, parent, policy, tags)
    run.parent_key = parent_key
    if policy.redactors:
        run.redactors = policy.patience.with_(policy.redactors, shield.slow)
    run.attributes[semconv.RUN_ID] = run_text
    if parent is not None:
        run.attributes[semconv.RUN_PARENT_ID] = parent.id if not parent.hidden else _shown(parent).id
    elif parent_key is not None:
        run.attributes[semconv.RUN_PARENT_ID] = normalize.run_id_text(parent_key)
    return run


def timed(run: Run, now_ns: int, clock: Clock) -> None:
    """Let *run* start now (monotonic); the wall clock is read once a trace."""
    run.start_ns = run.touched_ns = now_ns
    # No time is before the epoch, wherever somebody set the clock: OTLP's encoder refuses the batch that it is in.
    run.offset_ns = run.parent.offset_ns if run.parent is not None else max(clock.offset_ns(), -now_ns)


def above(run: Run, table: RunTable) -> Any:
    """Return the parent of *run* if it is open, or what refers to an ended one; None if there is none or it is unknown."""
    parent = run.parent
    if parent is not None and parent.children is not None:
        return parent
    # It has ended, perhaps in another thread since it was looked up.
    ended = table.recall(run.parent_key) if run.parent_key is not None else None
    return ended if ended is not None or parent is None else parent.reference


def described(
    run: Run, serialized: object, tags: object, metadata: object, extra: dict[str, Any], shield: Shield
) -> Description:
    """Add to *run* what its span says at its start, without secrets; return the rest. All but *run* is the callback's own."""
    policy = run.policy
    try:
        description = mapping.described(run, serialized, tags, metadata, extra)
    except Exception as fault:  # noqa: BLE001 - described or not, there is a run
        # A run that we cannot describe is still a run: time, parent and outcome are worth having.
        shield.fault("describe", fault, reraise=policy.raise_errors)
        description = mapping.undescribed(run)
    run.attributes = redaction.described(run.attributes, run.redactors)
    name = redaction.name(description.name, run.redactors)
    if name is not description.name:
        description = replace(description, name=name)
        run.name = redaction.name(run.name, run.redactors) if run.name is not None else None
    run.operation = description.operation
    return description


def taken_down(run: Run, given: object, serialized: object, extra: dict[str, Any], shield: Shield) -> None:
    """Let the policy take down the content of a start, before the callback returns: a graph's state changes later."""
    content = content_of(run)
    if content is not None:
        try:
            content.started(run, given, serialized, extra)
        except Exception as fault:  # noqa: BLE001 - a run without its content is still a run
            shield.fault("content", fault, reraise=run.policy.raise_errors)


def _shown(run: Run) -> Run:
    """Return the nearest run above that is not hidden; the topmost if there is none."""
    while run.hidden and run.parent is not None:
        run = run.parent
    return run
