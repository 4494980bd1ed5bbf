"""What a run says at its end: its output or its error read, its attributes brought to their final state.

Rules for this file: only sizes, identifiers and outcomes of an output, no content; an error is taken down, never kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from otel_callbacks import semconv
from otel_callbacks.core import calls, embedding, failures, mapping, notes, redaction, response
from otel_callbacks.core.events import RunEnded, RunKind
from otel_callbacks.core.policy import Policy
from otel_callbacks.core.runs import Run, Steps
from otel_callbacks.core.values import AttributeValue
from otel_callbacks.core.view import view_of
from otel_callbacks.semconv import EndReason, Outcome

_NANOSECONDS: Final = 1_000_000_000
_CANCELLED: Final = "asyncio.CancelledError"
_MODELS: Final = frozenset({RunKind.CHAT_MODEL, RunKind.LLM})
_CUT: Final = ("error",)

_NONE: Final[Sequence[Exception]] = ()


def read_output(run: Run, output: object, ended: RunEnded) -> None:
    """Read a run's result into *ended*."""
    kind = run.kind
    if kind is RunKind.CHAT_MODEL or kind is RunKind.LLM:
        ended.attributes = response.of_llm(output)
        if kind is RunKind.CHAT_MODEL:
            ended.calls = calls.asked_for(output)
    elif kind is RunKind.TOOL:
        ended.attributes, ended.error_type = response.of_tool(output)
        call_id = ended.attributes.get(semconv.TOOL_CALL_ID)
        if type(call_id) is str and semconv.TOOL_CALL_ID not in run.attributes:
            ended.calls = (call_id,)
    elif kind is RunKind.RETRIEVER:
        ended.attributes = response.of_retriever(output)
    else:  # embeddings: what a chain says is not read
        ended.attributes = embedding.of_answer(output)


def read_error(run: Run, error: object, ended: RunEnded) -> None:
    """Read what *run* was ended by into *ended*: control flow has no error type, a cancellation has no failure."""
    ended.outcome = failures.outcome_of(error)
    if ended.outcome in failures.CONTROL_FLOW:
        if ended.outcome is Outcome.INTERRUPTED:
            ended.attributes = {**ended.attributes, semconv.GRAPH_INTERRUPTS: notes.interrupts(error)}
        return
    ended.error_type = failures.type_of(error)
    if ended.outcome is None:
        policy: Policy = run.policy
        ended.failure = failure = failures.failure_of(error, capture=policy.capture_errors)
        if failure.message is not None and not (policy.content is not None and policy.content.recorded):
            failure.message = failures.without_quotes(error, failure.message)
        if failure.message is not None:
            failure.message = redaction.error_text(
                failure.message, failures.MAX_MESSAGE_LENGTH, run.redactors
            )
        if failure.stacktrace is not None:
            failure.stacktrace = redaction.error_text(
                failure.stacktrace, failures.MAX_STACK_LENGTH + 1, run.redactors
            )


def cut_short(run: Run, ended: RunEnded) -> RunEnded:
    """Return the end of a run that is still open below *run* when that one ends: cancelled with it, else abandoned.

    *ended* may change: a sequence whose step is open had its stream closed, although LangChain reports that it went well.
    """
    if (
        run.steps is Steps.SEQUENCE
        and not mapping.is_node(run.tags)
        and ended.error_type is None
        and ended.outcome is None
    ):
        ended.outcome = Outcome.ABANDONED
    below = RunEnded(ended.time_ns, reason=EndReason.PARENT_ENDED, outcome=Outcome.ABANDONED)
    if ended.outcome is Outcome.CANCELLED or ended.reason is EndReason.TASK_CANCELLED:
        below.outcome, below.error_type = Outcome.CANCELLED, ended.error_type or _CANCELLED
    return below


def complete(run: Run, ended: RunEnded) -> Sequence[Exception]:
    """Bring the run's attributes to their final state; return what the user's mappers raised."""
    attributes = run.attributes
    if ended.attributes:
        attributes.update(redaction.finished(ended.attributes, run.redactors))
    if run.first_chunk_ns or run.retries or run.steps is not None:
        _add_counts(run, attributes)
    if ended.reason is not None or ended.outcome is not None or ended.error_type is not None:
        _add_outcome(run, ended, attributes)
    return _mapped(run, attributes) if run.policy.mappers else _NONE


def _mapped(run: Run, attributes: dict[str, AttributeValue]) -> list[Exception]:
    faults: list[Exception] = []
    view = view_of(run, attributes)
    for mapper in run.policy.mappers:
        try:
            mapper(view, attributes)
        except Exception as fault:  # noqa: BLE001 - mappers are the user's, and fail open
            faults.append(fault)
    return faults


def _add_counts(run: Run, attributes: dict[str, AttributeValue]) -> None:
    if run.first_chunk_ns:
        attributes[semconv.REQUEST_STREAM] = True
        attributes[semconv.RUN_CHUNKS] = run.chunks // run.copies
        attributes[semconv.RESPONSE_TIME_TO_FIRST_CHUNK] = (run.first_chunk_ns - run.start_ns) / _NANOSECONDS
    if run.retries:
        attributes[semconv.RUN_RETRIES] = run.retries // run.copies
    if mapping.is_workflow(run, attributes):
        run.span_name = mapping.workflow(run, attributes)


def _add_outcome(run: Run, ended: RunEnded, attributes: dict[str, AttributeValue]) -> None:
    if ended.reason is not None:
        attributes[semconv.RUN_END_REASON] = ended.reason.value
        if ended.reason is EndReason.TASK_CANCELLED:
            ended.outcome, ended.error_type = Outcome.CANCELLED, _CANCELLED
        elif ended.outcome is None and ended.reason is not EndReason.START_MISSING:
            ended.outcome = Outcome.ABANDONED
    if ended.outcome is not None:
        attributes[semconv.RUN_OUTCOME] = ended.outcome.value
    if ended.error_type is not None:
        attributes[semconv.ERROR_TYPE] = ended.error_type
        if run.first_chunk_ns and run.kind in _MODELS and semconv.RESPONSE_FINISH_REASONS not in attributes:
            # A stream that was cut: a reason was to come (conventions, `gen_ai.response.finish_reasons`).
            attributes[semconv.RESPONSE_FINISH_REASONS] = _CUT
    if ended.failure is not None and ended.failure.identity == run.failed_with:
        # The span where it was raised has its stack (conventions: record once).
        ended.failure.inherited = True
