"""Every name that is said: attributes, metrics, log events, operations, enum values and the rule for span names, each with its source.

Rules for this file: data only; a name is written here once and nowhere else. ``gen_ai.*``, ``server.*``, ``error.*`` and
``exception.*`` are OpenTelemetry's (GenAI conventions, schema ``gen-ai-dev/1.42.0-dev``, read 2026-11-21; a contract test
holds them against the conventions' data). ``langchain.*`` and ``langgraph.*`` are ours: what the conventions have no name
for; ``otel_callbacks.*`` is what this package says of itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SCOPE_NAME: Final = "otel_callbacks"


class Operation(StrEnum):
    """Values of ``gen_ai.operation.name`` that callbacks can show."""

    CHAT = "chat"
    TEXT_COMPLETION = "text_completion"
    EMBEDDINGS = "embeddings"
    RETRIEVAL = "retrieval"
    EXECUTE_TOOL = "execute_tool"
    INVOKE_AGENT = "invoke_agent"
    INVOKE_WORKFLOW = "invoke_workflow"


class SpanKind(StrEnum):
    """The two span kinds in use: a call that leaves the process, and everything else."""

    CLIENT = "client"
    INTERNAL = "internal"


CLIENT_OPERATIONS: Final = frozenset(
    {Operation.CHAT, Operation.TEXT_COMPLETION, Operation.EMBEDDINGS, Operation.RETRIEVAL}
)

OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
OUTPUT_TYPE: Final = "gen_ai.output.type"
AGENT_NAME: Final = "gen_ai.agent.name"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"

REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_TOP_K: Final = "gen_ai.request.top_k"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
REQUEST_FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
REQUEST_PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_CHOICE_COUNT: Final = "gen_ai.request.choice.count"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_REASONING_LEVEL: Final = "gen_ai.request.reasoning.level"
REQUEST_PREVIOUS_RESPONSE_ID: Final = "gen_ai.request.previous_response.id"

RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"  # seconds

USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_WRITE: Final = "gen_ai.usage.cache_write.input_tokens"
# Deprecated for the name above, and written beside it: Phoenix and Jaeger read only this one. The one exception.
USAGE_CACHE_WRITE_DEPRECATED: Final = "gen_ai.usage.cache_creation.input_tokens"
USAGE_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"
USAGE_TEXT_INPUT: Final = "gen_ai.usage.text.input_tokens"
USAGE_TEXT_OUTPUT: Final = "gen_ai.usage.text.output_tokens"
USAGE_TEXT_CACHE_READ: Final = "gen_ai.usage.text.cache_read.input_tokens"
USAGE_IMAGE_INPUT: Final = "gen_ai.usage.image.input_tokens"
USAGE_IMAGE_OUTPUT: Final = "gen_ai.usage.image.output_tokens"
USAGE_IMAGE_CACHE_READ: Final = "gen_ai.usage.image.cache_read.input_tokens"
USAGE_AUDIO_INPUT: Final = "gen_ai.usage.audio.input_tokens"
USAGE_AUDIO_OUTPUT: Final = "gen_ai.usage.audio.output_tokens"
USAGE_AUDIO_CACHE_READ: Final = "gen_ai.usage.audio.cache_read.input_tokens"

# What the conventions ask for of one provider only (their refinements of the inference span).
OPENAI_API_TYPE: Final = "openai.api.type"
OPENAI_CHAT_COMPLETIONS: Final = "chat_completions"
OPENAI_RESPONSES: Final = "responses"
OPENAI_REQUEST_SERVICE_TIER: Final = "openai.request.service_tier"
OPENAI_RESPONSE_SERVICE_TIER: Final = "openai.response.service_tier"
OPENAI_RESPONSE_SYSTEM_FINGERPRINT: Final = "openai.response.system_fingerprint"
BEDROCK_GUARDRAIL_ID: Final = "aws.bedrock.guardrail.id"

TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_DESCRIPTION: Final = "gen_ai.tool.description"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
TOOL_TYPE_FUNCTION: Final = "function"
RETRIEVAL_TOP_K: Final = "gen_ai.retrieval.top_k"

# Content: written where it is asked for, and only there.
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"
RETRIEVAL_QUERY: Final = "gen_ai.retrieval.query.text"
RETRIEVAL_DOCUMENTS: Final = "gen_ai.retrieval.documents"
CONTENT_TRUNCATED: Final = "langchain.content.truncated"
DATA_SOURCE_ID: Final = "gen_ai.data_source.id"
EMBEDDINGS_DIMENSIONS: Final = "gen_ai.embeddings.dimension.count"
REQUEST_ENCODING_FORMATS: Final = "gen_ai.request.encoding_formats"

# OpenTelemetry's general conventions (registry, session and user).
SESSION_ID: Final = "session.id"
USER_ID: Final = "user.id"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

ERROR_TYPE: Final = "error.type"
ERROR_TYPE_OTHER: Final = "_OTHER"
# ToolNode and handled tool errors report failure as a message with status="error"; no exception reaches a callback.
ERROR_TYPE_TOOL: Final = "tool_error"
EXCEPTION_EVENT: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"

RUN_ID: Final = "langchain.run.id"
RUN_PARENT_ID: Final = "langchain.run.parent_id"
RUN_KIND: Final = "langchain.run.kind"
RUN_NAME: Final = "langchain.run.name"
RUN_OUTCOME: Final = "langchain.run.outcome"
RUN_END_REASON: Final = "langchain.run.end_reason"
RUN_RETRIES: Final = "langchain.run.retries"
RUN_CHUNKS: Final = "langchain.run.chunks"
TAGS: Final = "langchain.tags"
METADATA_PREFIX: Final = "langchain.metadata."
METADATA_OMITTED: Final = "langchain.metadata_omitted_count"  # keys for which there was no room
RETRIEVER_DOCUMENTS: Final = "langchain.retriever.document_count"
EMBEDDINGS_TEXTS: Final = "langchain.embeddings.text_count"

EVENT_TEXT: Final = "langchain.text"
EVENT_RETRY: Final = "langchain.retry"
EVENT_RETRY_ATTEMPT: Final = "langchain.retry.attempt"
EVENT_AGENT_ACTION: Final = "langchain.agent.action"
EVENT_AGENT_FINISH: Final = "langchain.agent.finish"
EVENT_CUSTOM_PREFIX: Final = "langchain.custom."
EVENT_CUSTOM_NAME: Final = "langchain.custom.name"
EVENT_CHARACTERS: Final = "langchain.text.length"  # characters; the text itself is content
EVENT_INTERRUPT: Final = "langgraph.interrupt"
EVENT_RESUME: Final = "langgraph.resume"
EVENT_PROCESS_DIED: Final = "otel_callbacks.process_died"  # when the process was last seen alive
GRAPH_STATUS: Final = "langgraph.status"
GRAPH_CHECKPOINT_ID: Final = "langgraph.checkpoint_id"
GRAPH_CHECKPOINT_NS: Final = "langgraph.checkpoint_ns"
GRAPH_PATH: Final = "langgraph.path"
GRAPH_TRIGGERS: Final = "langgraph.triggers"
GRAPH_INTERRUPTS: Final = "langgraph.interrupt_count"

# Links, each with an attribute that says what it is.
LINK_SAME_RUN_ID: Final = "langchain.run.previous"
LINK_REQUESTED_BY: Final = "langchain.tool.requested_by"
LINK_RESUMES: Final = "langgraph.resumes"

# Metadata that LangGraph adds to every run below a node; its own names, under one prefix.
LANGGRAPH_METADATA: Final = {
    "langgraph_node": "langgraph.node",
    "langgraph_step": "langgraph.step",
    "langgraph_triggers": GRAPH_TRIGGERS,
    "langgraph_path": GRAPH_PATH,
    "langgraph_checkpoint_ns": GRAPH_CHECKPOINT_NS,
}
# Frameworks' plumbing: said by gen_ai.* and langgraph.* attributes, or by nothing that a reader of a trace asks for.
PLUMBING_METADATA_PREFIXES: Final = ("ls_", "lc_")
PLUMBING_METADATA: Final = frozenset({"checkpoint_ns"})
# Whose run it is, by the metadata that say so, the first that is present: LangGraph's thread and what LangSmith's
# documentation names; then as Langfuse and LangGraph's server write it.
IDENTITY_METADATA: Final = {
    CONVERSATION_ID: ("thread_id", "session_id", "conversation_id", "langfuse_session_id"),
    SESSION_ID: ("session_id", "langfuse_session_id"),
    USER_ID: ("user_id", "langfuse_user_id", "langgraph_auth_user_id"),
}
# The tag that keeps a run out of LangSmith, and by default out of a trace: LangGraph's own machinery has it.
HIDDEN_TAG: Final = "langsmith:hidden"

# ``ls_provider``, the first segments of ``_type`` and class paths, as integrations of 2026 give them -> gen_ai.provider.name.
PROVIDERS: Final = {
    "openai": "openai",
    "openai-codex": "openai",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "azure-openai": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "anthropic": "anthropic",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "google_anthropic_vertex": "gcp.vertex_ai",
    "amazon_bedrock": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "anthropic-bedrock": "aws.bedrock",
    "anthropic-mantle": "aws.bedrock",
    "openai-mantle": "aws.bedrock",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
    "ibm": "ibm.watsonx.ai",
    "watsonx": "ibm.watsonx.ai",
    "moonshot": "moonshot_ai",
}
PROVIDER_UNKNOWN: Final = "unknown"


class Outcome(StrEnum):
    """How a run ended when it neither succeeded nor failed: value of ``langchain.run.outcome``."""

    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    INTERRUPTED = "interrupted"
    HANDED_OFF = "handed_off"
    DRAINED = "drained"


class EndReason(StrEnum):
    """Why a run was ended without an end event of its own: value of ``langchain.run.end_reason``."""

    PARENT_ENDED = "parent_ended"
    TASK_CANCELLED = "task_cancelled"
    TASK_FAILED = "task_failed"
    TASK_COLLECTED = "task_collected"
    TASK_ENDED = "task_ended"
    DUPLICATE_START = "duplicate_start"
    START_MISSING = "start_missing"
    EVICTED = "evicted"
    EXPIRED = "expired"
    SHUTDOWN = "shutdown"
    # Also the ``error.type`` of such a span: the conventions have no value for it, and let one be chosen.
    PROCESS_DIED = "process_died"


def span_name(operation: Operation, target: str | None) -> str:
    """Return ``{operation} {target}``, or the operation alone where no target is known (conventions, span names)."""
    return f"{operation.value} {target}" if target else operation.value


# -- metrics and log events ----------------------------------------------------------------------------------------------

TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105  (tokens of text)
TOKENS_INPUT: Final = "input"
TOKENS_OUTPUT: Final = "output"
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
EVALUATION_SCORE: Final = "gen_ai.evaluation.score.value"
EVALUATION_LABEL: Final = "gen_ai.evaluation.score.label"
EVALUATION_EXPLANATION: Final = "gen_ai.evaluation.explanation"

# The conventions know no prices.
COST: Final = "langchain.cost.total"  # US dollars
COST_SOURCE: Final = (
    "langchain.cost.source"  # the price library and its version, which is the date of its prices
)
HEALTH_REASON: Final = "otel_callbacks.reason"
HEALTH_SIGNAL: Final = "otel_callbacks.signal"  # traces, metrics, logs
HEALTH_OUTCOME: Final = "otel_callbacks.outcome"  # accepted, adopted, delivered, rejected, dropped, dead
HEALTH_PLACE: Final = "otel_callbacks.place"  # disk, memory


class EventName(StrEnum):
    """Names of log events."""

    INFERENCE_DETAILS = "gen_ai.client.inference.operation.details"
    EXCEPTION = "gen_ai.client.operation.exception"
    EVALUATION = "gen_ai.evaluation.result"


# What the event of an inference says of its span's attributes, beside the content: names, and beginnings of names.
INFERENCE_DETAILS: Final = (
    "gen_ai.request.", "gen_ai.response.", "gen_ai.usage.", "server.", OPERATION_NAME, PROVIDER_NAME, CONVERSATION_ID,
    "gen_ai.conversation.compacted", OUTPUT_TYPE, "gen_ai.prompt.name", "gen_ai.prompt.version", ERROR_TYPE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric: a histogram where it has *buckets*. *attributes* are those that a run's span has as well."""

    name: str
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_CALL: Final = (OPERATION_NAME, PROVIDER_NAME, REQUEST_MODEL, RESPONSE_MODEL, SERVER_ADDRESS, SERVER_PORT)
_CALL_BUCKETS: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
_COUNT_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128)

TOKEN_USAGE: Final = Instrument(
    "gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.", _CALL,
    (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864),
)  # fmt: skip
OPERATION_DURATION: Final = Instrument(
    "gen_ai.client.operation.duration", "s", "GenAI operation duration.", (*_CALL, ERROR_TYPE), _CALL_BUCKETS
)
TIME_TO_FIRST_CHUNK: Final = Instrument(
    "gen_ai.client.operation.time_to_first_chunk", "s", "Time from the request to the first chunk of the response.",
    _CALL, _CALL_BUCKETS,
)  # fmt: skip
TIME_PER_OUTPUT_CHUNK: Final = Instrument(
    "gen_ai.client.operation.time_per_output_chunk", "s", "Time from one chunk of the response to the next.",
    _CALL, _CALL_BUCKETS,
)  # fmt: skip
TOOL_DURATION: Final = Instrument(
    "gen_ai.execute_tool.duration", "s", "The duration of a single tool execution.",
    (TOOL_NAME, TOOL_TYPE, AGENT_NAME, ERROR_TYPE), _CALL_BUCKETS,
)  # fmt: skip
AGENT_DURATION: Final = Instrument(
    "gen_ai.invoke_agent.duration", "s", "The end-to-end duration of a single in-process agent invocation.",
    (AGENT_NAME, REQUEST_MODEL, ERROR_TYPE),
    (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6),
)  # fmt: skip
AGENT_INFERENCE_CALLS: Final = Instrument(
    "gen_ai.invoke_agent.inference_calls", "{inference_call}", "Model calls that an agent made in one invocation.",
    (AGENT_NAME,), _COUNT_BUCKETS,
)  # fmt: skip
AGENT_TOOL_CALLS: Final = Instrument(
    "gen_ai.invoke_agent.tool_calls", "{tool_call}", "Tool calls that an agent made in one invocation.",
    (AGENT_NAME,), _COUNT_BUCKETS,
)  # fmt: skip
WORKFLOW_DURATION: Final = Instrument(
    "gen_ai.invoke_workflow.duration", "s", "GenAI workflow duration.", (WORKFLOW_NAME, ERROR_TYPE),
    (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200),
)  # fmt: skip
OPERATION_COST: Final = Instrument(
    "langchain.client.operation.cost", "{USD}", "Price of a model call, by a public price list.", _CALL,
    (1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1, 5, 10),
)  # fmt: skip
INSTRUMENTS: Final = (
    TOKEN_USAGE, OPERATION_DURATION, TIME_TO_FIRST_CHUNK, TIME_PER_OUTPUT_CHUNK, TOOL_DURATION, AGENT_DURATION,
    AGENT_INFERENCE_CALLS, AGENT_TOOL_CALLS, WORKFLOW_DURATION, OPERATION_COST,
)  # fmt: skip
OPEN_RUNS: Final = Instrument("otel_callbacks.runs.open", "{run}", "Runs that are open.")
ODD_EVENTS: Final = Instrument(
    "otel_callbacks.odd_events", "{event}", "Odd inputs and faults of this package so far, by reason."
)
DELIVERED_ITEMS: Final = Instrument(
    "otel_callbacks.delivery.items", "{item}", "Spans, metrics and log events so far, by what became of them."
)
WAITING_ITEMS: Final = Instrument(
    "otel_callbacks.delivery.waiting",
    "{item}",
    "Spans, metrics and log events that wait for a collector, on disk or in memory.",
)
