"""From a started run to what its span says at the start: operation, name, kind, attributes.

Rules for this file: tables before branches; a name comes from `semconv`; only what is known is said; what samplers decide
on (operation, provider, model, agent, tool) is here, at the start, because a sampler never sees what comes later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from otel_callbacks import semconv
from otel_callbacks.core import embedding, metadata, normalize, request, shapes, values
from otel_callbacks.core.events import Description, RunKind, RunStarted
from otel_callbacks.core.reading import mapping, sequence
from otel_callbacks.core.runs import Run, Steps
from otel_callbacks.core.shapes import Shape
from otel_callbacks.core.values import AttributeValue, string
from otel_callbacks.semconv import CLIENT_OPERATIONS, Operation, SpanKind

AGENT_INTEGRATION: Final = "langchain_create_agent"
GRAPH_INTEGRATION: Final = "langgraph"
# Names that a framework gave, not the application: conventions, gen_ai.workflow.name.
DEFAULT_NAMES: Final = frozenset({"LangGraph", "RunnableSequence"})
# What runs agents under the name of its class (langchain-classic); no name of the agent's.
_AGENT_RUNNERS: Final = frozenset({"AgentExecutor"})
# Where integrations and applications write which index, collection or knowledge base is searched.
_DATA_SOURCES: Final = (
    "data_source_id",
    "knowledge_base_id",
    "index_name",
    "collection_name",
    "data_store_id",
)
_NODE_TAG: Final = "graph:step:"
STEP_TAG: Final = "seq:step:"


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
    if shape.steps is not None and run.parent is not None:
        run.parent.steps = shape.steps
    run.attributes.update(shape.attributes)
    if given or run.identity is not None:
        metadata.add(run, mapping(given), limit)
    return shape.description


def _shape(event: RunStarted, run: Run) -> Shape:
    ids, run.attributes = run.attributes, {}
    try:
        return Shape(
            description=_described(event, run),  # first: it writes what the others read
            run_name=run.name,
            agent=run.agent,
            integration=run.integration,
            steps=_told(event.tags),
            attributes=run.attributes,
        )
    finally:
        run.attributes = ids


def describe(event: RunStarted, run: Run, limit: int) -> Description:
    """As `described`, from the event; *limit* is the longest value in characters."""
    description = _described(event, run)
    if event.metadata or run.identity is not None:
        metadata.add(run, event.metadata, limit)
    return description


def _described(event: RunStarted, run: Run) -> Description:
    run.name = event.name
    run.integration = string(event.metadata.get("ls_integration"))
    if run.parent is not None and run.parent.steps is None:
        run.parent.steps = _told(event.tags)
    attributes = run.attributes
    operation, target = _DESCRIBERS[event.kind](event, run, attributes)
    if operation is not None:
        attributes[semconv.OPERATION_NAME] = operation.value
    name = semconv.span_name(operation, target) if operation is not None else (event.name or event.kind.value)
    if event.name is not None and event.name not in (name, target):
        attributes[semconv.RUN_NAME] = event.name
    attributes[semconv.RUN_KIND] = event.kind.value
    if run.agent and event.kind is not RunKind.CHAIN:
        attributes[semconv.AGENT_NAME] = run.agent
    if event.tags:
        attributes[semconv.TAGS] = event.tags
    span_kind = SpanKind.CLIENT if operation in CLIENT_OPERATIONS else SpanKind.INTERNAL
    return Description(name, span_kind, operation, semconv.HIDDEN_TAG in event.tags)


def undescribed(run: Run) -> Description:
    """Return what is said of a run of which nothing is known but its kind and its ids."""
    run.attributes[semconv.RUN_KIND] = run.kind.value
    return Description(run.kind.value, SpanKind.INTERNAL, None)


def is_workflow(run: Run, attributes: dict[str, AttributeValue]) -> bool:
    """Tell by what its children turned out to be whether *run* is a workflow: a sequence that is a root, a graph with a name."""
    if run.steps is None or run.operation is not None:
        return False
    return semconv.RUN_PARENT_ID not in attributes if run.steps is Steps.SEQUENCE else bool(_given(run.name))


def workflow(run: Run, attributes: dict[str, AttributeValue]) -> str:
    """Make *run* a workflow's, which its children's tags told: add the attributes, return the span's name."""
    run.operation = Operation.INVOKE_WORKFLOW
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
        run.agent = name = _agent_name(event, run.parent)
        if name:
            attributes[semconv.AGENT_NAME] = name
        return Operation.INVOKE_AGENT, name
    if event.name in _AGENT_RUNNERS:
        run.agent = None
        return Operation.INVOKE_AGENT, None
    if run.parent is None and (event.name == "RunnableSequence" or run.integration == GRAPH_INTEGRATION):
        return Operation.INVOKE_WORKFLOW, _workflow(run, attributes)
    return None, None


def _agent_name(event: RunStarted, parent: Run | None) -> str | None:
    name = values.name(event.metadata.get("lc_agent_name"))
    if name and parent is not None and parent.agent == name != event.name:
        name = None  # it came down with the metadata of the agent that calls this one, which has no name of its own
    return name or _given(event.name)


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


def _told(tags: tuple[str, ...]) -> Steps | None:
    """Return what a run's tags tell about its parent."""
    for tag in tags:
        if tag.startswith(STEP_TAG):
            return Steps.SEQUENCE
        if tag.startswith(_NODE_TAG):
            return Steps.GRAPH
    return None


def _tool(event: RunStarted, _run: Run, attributes: dict[str, AttributeValue]) -> _Described:
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
    return Operation.EXECUTE_TOOL, name


def _retriever(event: RunStarted, _run: Run, attributes: dict[str, AttributeValue]) -> _Described:
    given = event.metadata
    provider = values.name(given.get("ls_vector_store_provider"))
    if provider:
        attributes[semconv.PROVIDER_NAME] = provider
    model = values.name(given.get("ls_embedding_model"))
    if model:
        attributes[semconv.REQUEST_MODEL] = model
    constructor = mapping(event.serialized.get("kwargs"))
    searched = mapping(constructor.get("search_kwargs"))
    for value in (searched.get("k"), constructor.get("k"), constructor.get("top_k"), given.get("top_k")):
        top_k = values.integer(value)
        if top_k is not None:
            attributes[semconv.RETRIEVAL_TOP_K] = top_k
            break
    for source in (given, constructor):
        for key in _DATA_SOURCES:
            data_source = values.name(source.get(key))
            if data_source:
                attributes[semconv.DATA_SOURCE_ID] = data_source
                return Operation.RETRIEVAL, data_source
    return Operation.RETRIEVAL, None


_DESCRIBERS: Final[Mapping[RunKind, Callable[[RunStarted, Any, dict[str, AttributeValue]], _Described]]] = {
    RunKind.CHAIN: _chain,
    RunKind.CHAT_MODEL: request.describe,
    RunKind.LLM: request.describe,
    RunKind.TOOL: _tool,
    RunKind.RETRIEVER: _retriever,
    RunKind.EMBEDDINGS: embedding.describe,
}
