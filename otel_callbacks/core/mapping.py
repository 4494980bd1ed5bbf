"""From a started run to what its span says at the start: operation, name, kind, attributes.

Rules for this file: tables before branches; a name comes from `semconv`; only what is known is said; what samplers decide
on (operation, provider, model, agent, tool) is here, at the start, because a sampler never sees what comes later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from otel_callbacks import semconv
from otel_callbacks.core import metadata, normalize, request, shapes, values
from otel_callbacks.core.events import Description, RunKind, RunStarted
from otel_callbacks.core.reading import mapping, sequence
from otel_callbacks.core.shapes import Shape
from otel_callbacks.core.values import AttributeValue, string
from otel_callbacks.semconv import CLIENT_OPERATIONS, Operation, SpanKind

if TYPE_CHECKING:
    from otel_callbacks.core.runs import Run

AGENT_INTEGRATION: Final = "langchain_create_agent"
GRAPH_INTEGRATION: Final = "langgraph"
# Names that a framework gave, not the application: conventions, gen_ai.workflow.name.
DEFAULT_NAMES: Final = frozenset({"LangGraph", "RunnableSequence"})
_NODE_TAG: Final = "graph:step:"
STEP_TAG: Final = "seq:step:"

Mapper: TypeAlias = Callable[["Run", dict[str, AttributeValue]], None]
"""A user's hook: gets the run and its span's attributes at the end of the run, and may add, change or remove some."""


def described(
    run: Run, serialized: object, tags: object, given: object, extra: dict[str, Any]
) -> Description:
    """Add to the attributes of *run* what its span says at its start; return the rest. All but *run* is the callback's own.

    Most of what a chain says is known from another run of the same shape.
    """
    limit = run.policy.max_length
    if run.kind is not RunKind.CHAIN:
        return describe(normalize.started(run.kind, serialized, tags, given, extra), run, limit)
    key = shapes.key_of(run, tags, given, extra)
    shape = shapes.shapes.get(key) if key is not None else None
    if shape is None:
        event = normalize.started(RunKind.CHAIN, serialized, tags, given, extra)
        if key is None:
            return describe(event, run, limit)
        shape = _shape(event, run)
        shapes.keep(key, shape)
    run.name, run.agent, run.integration = shape.run_name, shape.agent, shape.integration
    if shape.is_step and run.parent is not None:
        run.parent.steps = True
    attributes = run.attributes
    attributes.update(shape.attributes)
    if given:
        metadata.add(attributes, mapping(given), limit)
    return shape.description


def _shape(event: RunStarted, run: Run) -> Shape:
    ids, run.attributes = run.attributes, {}
    try:
        return Shape(
            description=_described(event, run),  # first: it writes what the others read
            run_name=run.name,
            agent=run.agent,
            integration=run.integration,
            is_step=any(tag.startswith(STEP_TAG) for tag in event.tags),
            attributes=run.attributes,
        )
    finally:
        run.attributes = ids


def describe(event: RunStarted, run: Run, limit: int) -> Description:
    """As `described`, from the event; *limit* is the longest value in characters."""
    description = _described(event, run)
    if event.metadata:
        metadata.add(run.attributes, event.metadata, limit)
    return description


def _described(event: RunStarted, run: Run) -> Description:
    run.name = event.name
    run.integration = string(event.metadata.get("ls_integration"))
    if run.parent is not None and not run.parent.steps:
        run.parent.steps = any(tag.startswith(STEP_TAG) for tag in event.tags)
    attributes = run.attributes
    operation, target = _DESCRIBERS[event.kind](event, run, attributes)
    if operation is not None:
        attributes[semconv.OPERATION_NAME] = operation.value
    name = semconv.span_name(operation, target) if operation is not None else (event.name or event.kind.value)
    if event.name is not None and event.name not in (name, target):
        attributes[semconv.RUN_NAME] = event.name
    attributes[semconv.RUN_KIND] = event.kind.value
    if event.tags:
        attributes[semconv.TAGS] = event.tags
    span_kind = SpanKind.CLIENT if operation in CLIENT_OPERATIONS else SpanKind.INTERNAL
    return Description(name, span_kind, operation)


def undescribed(run: Run) -> Description:
    """Return what is said of a run of which nothing is known but its kind and its ids."""
    run.attributes[semconv.RUN_KIND] = run.kind.value
    return Description(run.kind.value, SpanKind.INTERNAL, None)


def workflow(run: Run, attributes: dict[str, AttributeValue]) -> str:
    """Make *run* a workflow's, which its children's tags told: add the attributes, return the span's name."""
    attributes[semconv.OPERATION_NAME] = Operation.INVOKE_WORKFLOW.value
    return semconv.span_name(Operation.INVOKE_WORKFLOW, _workflow(run, attributes))


def _workflow(run: Run, attributes: dict[str, AttributeValue]) -> str | None:
    target = _given(run.name)
    if target:
        attributes[semconv.WORKFLOW_NAME] = target
    return target


_Described: TypeAlias = tuple[Operation | None, str | None]


def _chain(event: RunStarted, run: Run, attributes: dict[str, AttributeValue]) -> _Described:
    if run.integration == AGENT_INTEGRATION and _is_agent_root(event, run):
        name = values.name(event.metadata.get("lc_agent_name")) or _given(event.name)
        if name:
            run.agent = attributes[semconv.AGENT_NAME] = name
        return Operation.INVOKE_AGENT, name
    if run.parent is None and (event.name == "RunnableSequence" or run.integration == GRAPH_INTEGRATION):
        return Operation.INVOKE_WORKFLOW, _workflow(run, attributes)
    return None, None


def _given(name: str | None) -> str | None:
    """Return *name* if the application gave it."""
    return None if name in DEFAULT_NAMES else name


def _is_agent_root(event: RunStarted, run: Run) -> bool:
    """Tell an agent's own run from the nodes and tools below it, which inherit its metadata."""
    if is_node(event.tags):
        return False
    parent = run.parent
    if parent is None or parent.integration != AGENT_INTEGRATION:
        return True
    return event.name is not None and event.name in (
        values.name(event.metadata.get("lc_agent_name")),
        "LangGraph",
    )


def is_node(tags: object) -> bool:
    """Tell a graph's node by its tags; LangGraph tags what runs inside of one as steps, but it is no sequence."""
    return any(type(tag) is str and tag.startswith(_NODE_TAG) for tag in sequence(tags))


def _tool(event: RunStarted, run: Run, attributes: dict[str, AttributeValue]) -> _Described:
    name = values.name(event.serialized.get("name")) or event.name
    if name:
        attributes[semconv.TOOL_NAME] = name
    attributes[semconv.TOOL_TYPE] = semconv.TOOL_TYPE_FUNCTION
    description = string(event.serialized.get("description"))
    if description:
        attributes[semconv.TOOL_DESCRIPTION] = values.clean(description, 1_024)
    call_id = values.short(event.extra.get("tool_call_id"), values.MAX_KEY_LENGTH)
    if call_id:
        attributes[semconv.TOOL_CALL_ID] = call_id
    if run.agent:
        attributes[semconv.AGENT_NAME] = run.agent
    return Operation.EXECUTE_TOOL, name


def _retriever(event: RunStarted, _run: Run, attributes: dict[str, AttributeValue]) -> _Described:
    given = event.metadata
    provider = values.name(given.get("ls_vector_store_provider"))
    if provider:
        attributes[semconv.PROVIDER_NAME] = provider
    model = values.name(given.get("ls_embedding_model"))
    if model:
        attributes[semconv.REQUEST_MODEL] = model
    top_k = values.integer(mapping(event.serialized.get("kwargs")).get("k"))
    if top_k is not None:
        attributes[semconv.RETRIEVAL_TOP_K] = top_k
    return Operation.RETRIEVAL, None


_DESCRIBERS: Final[Mapping[RunKind, Callable[[RunStarted, Any, dict[str, AttributeValue]], _Described]]] = {
    RunKind.CHAIN: _chain,
    RunKind.CHAT_MODEL: request.describe,
    RunKind.LLM: request.describe,
    RunKind.TOOL: _tool,
    RunKind.RETRIEVER: _retriever,
}
