"""From a run that has ended to what is counted of it: instruments, values, attributes.

Rules for this file: no clock, no I/O. What a metric says has few values: beyond a bound, a value is `_OTHER`. The dicts of
attributes are shared by the runs of one shape, and never changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final, TypeAlias

from otel_callbacks import semconv
from otel_callbacks.core.events import RunEnded
from otel_callbacks.core.runs import Run
from otel_callbacks.core.values import AttributeValue
from otel_callbacks.semconv import CLIENT_OPERATIONS, Instrument, Operation

MAX_VALUES: Final = 256  # distinct values of one attribute
MAX_SETS: Final = 2_000  # distinct sets of attributes of one instrument: where the SDK's own limit is
OTHER: Final = "_OTHER"  # what the conventions say for an ``error.type`` that is none of the known ones
_NANOSECONDS: Final = 1_000_000_000
_PLAIN: Final = frozenset({str, int, type(None)})

Attributes: TypeAlias = Mapping[str, str | int]
Observation: TypeAlias = tuple[Instrument, int | float, Attributes]

_MODEL_CALLS: Final = CLIENT_OPERATIONS - {Operation.RETRIEVAL}
# What an agent makes, by its place in ``Run.calls``.
_COUNTED: Final = {Operation.CHAT: 0, Operation.TEXT_COMPLETION: 0, Operation.EXECUTE_TOOL: 1}
_USAGE: Final = (
    (semconv.USAGE_INPUT_TOKENS, semconv.TOKENS_INPUT),
    (semconv.USAGE_OUTPUT_TOKENS, semconv.TOKENS_OUTPUT),
)
_DURATIONS: Final[Mapping[str, Instrument]] = {
    **dict.fromkeys((operation.value for operation in CLIENT_OPERATIONS), semconv.OPERATION_DURATION),
    Operation.EXECUTE_TOOL.value: semconv.TOOL_DURATION,
    Operation.INVOKE_AGENT.value: semconv.AGENT_DURATION,
    Operation.INVOKE_WORKFLOW.value: semconv.WORKFLOW_DURATION,
}
# Required by the conventions: a sampler or a mapper may have taken them from the span's. A retriever need have no provider.
_REQUIRED: Final[Mapping[str, str]] = {
    semconv.PROVIDER_NAME: semconv.PROVIDER_UNKNOWN,
    semconv.TOOL_NAME: OTHER,
}


def count_call(run: Run) -> None:
    """Count an ended model or tool call for the agent that made it: the nearest one above, and none above that."""
    index = _COUNTED.get(run.operation) if run.operation is not None else None
    if index is None:
        return
    agent = run.parent
    while agent is not None and agent.operation is not Operation.INVOKE_AGENT:
        agent = agent.parent
    if agent is None:
        return
    fresh = [0, 0]
    # Tools end in threads of their own: nothing can come between these two steps, nor into the addition.
    if agent.calls is None:
        agent.calls = fresh
    agent.calls[index] += 1


class Measure:
    """Knows the sets of attributes that were said before, and how many different values each attribute has had."""

    def __init__(self, max_values: int = MAX_VALUES, max_sets: int = MAX_SETS) -> None:
        self._max_values = max_values
        self._max_sets = max_sets
        self._values: dict[str, dict[str | int, None]] = {}
        self._sets: dict[str, dict[object, Attributes]] = {}

    def observations(self, run: Run, ended: RunEnded) -> Iterator[Observation]:
        """Return what is counted of *run*, whose attributes are final; durations are seconds of the monotonic clock."""
        said = run.attributes
        operation = _operation(run)
        instrument = _DURATIONS.get(operation)
        if instrument is None:
            return
        duration_s = (ended.time_ns - run.offset_ns - run.start_ns) / _NANOSECONDS
        yield instrument, duration_s, self._attributes(instrument, operation, said)
        if operation == Operation.INVOKE_AGENT.value:
            calls = run.calls or (0, 0)
            for instrument, count in zip(
                (semconv.AGENT_INFERENCE_CALLS, semconv.AGENT_TOOL_CALLS), calls, strict=True
            ):
                yield instrument, count, self._attributes(instrument, operation, said)
        elif operation in _MODEL_CALLS:
            yield from self._of_model_call(run, operation, said)

    def _of_model_call(
        self, run: Run, operation: str, said: Mapping[str, AttributeValue]
    ) -> Iterator[Observation]:
        for name, kind in _USAGE:
            tokens = said.get(name)
            if type(tokens) is int:
                yield (
                    semconv.TOKEN_USAGE,
                    tokens,
                    self._attributes(semconv.TOKEN_USAGE, operation, said, kind),
                )
        if run.first_chunk_ns:
            instrument = semconv.TIME_TO_FIRST_CHUNK
            waited_s = (run.first_chunk_ns - run.start_ns) / _NANOSECONDS
            yield instrument, waited_s, self._attributes(instrument, operation, said)
        if run.chunk_times_ns:
            instrument = semconv.TIME_PER_OUTPUT_CHUNK
            attributes = self._attributes(instrument, operation, said)
            times = run.chunk_times_ns[:: run.copies]
            for before, after in pairwise(times):
                yield instrument, (after - before) / _NANOSECONDS, attributes
        cost = said.get(semconv.COST)
        if type(cost) is float:
            instrument = semconv.OPERATION_COST
            yield instrument, cost, self._attributes(instrument, operation, said)

    @property
    def sets(self) -> int:
        """How many sets of attributes the instrument with the most of them has."""
        return max(map(len, self._sets.values()), default=0)

    def _attributes(
        self,
        instrument: Instrument,
        operation: str,
        said: Mapping[str, AttributeValue],
        token_type: str | None = None,
    ) -> Attributes:
        values = [said.get(name) for name in instrument.attributes]
        key = (operation, token_type, *values)
        sets = self._sets.setdefault(instrument.name, {})
        known: Attributes | None = None
        hashable = _PLAIN.issuperset(map(type, values))
        if hashable:  # else a mapper's value, which no metric can say
            known = sets.get(key)
        if known is not None:
            return known
        attributes: dict[str, str | int] = {}
        full = len(sets) >= self._max_sets
        for name, value in zip(instrument.attributes, values, strict=True):
            if name == semconv.OPERATION_NAME:
                attributes[name] = operation
                continue
            bounded = self._bounded(name, value, full=full)
            if bounded is None and operation != Operation.RETRIEVAL.value:
                bounded = _REQUIRED.get(name)
            if bounded is not None:
                attributes[name] = bounded
        if token_type is not None:
            attributes[semconv.TOKEN_TYPE] = token_type
        if hashable and not full:
            sets[key] = attributes
        return attributes

    def _bounded(self, name: str, value: object, *, full: bool) -> str | int | None:
        """Return *value* if it is one of the first, else `OTHER`; None for what is no value, and for one number too many."""
        if type(value) is str or type(value) is int:
            known = self._values.setdefault(name, {})
            if not full and (value in known or len(known) < self._max_values):
                known[value] = None
                return value
        return OTHER if type(value) is str else None


def _operation(run: Run) -> str:
    """Return the operation as the span says it; as the start said it if a sampler or a mapper took that away."""
    operation = run.attributes.get(semconv.OPERATION_NAME)
    if type(operation) is str:
        return operation
    return run.operation.value if run.operation is not None else ""
