"""The names that we emit against the conventions' own data: `genai_semconv.json`, whose origin it states itself."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import pytest
from langchain_core.embeddings import Embeddings
from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind

from otel_callbacks import OTelCallbackHandler, semconv, traced_embeddings
from otel_callbacks.semconv import Operation

DATA: Final[dict[str, Any]] = json.loads((Path(__file__).parent / "genai_semconv.json").read_text())
THEIRS: Final = ("gen_ai.", "server.", "error.", "exception.", "openai.", "aws.")
# Of OpenTelemetry's general conventions, which are not in this data.
GENERAL: Final = {semconv.SESSION_ID, semconv.USER_ID}
TYPES: Final[Mapping[str, Any]] = {
    "string": lambda value: type(value) is str,
    "int": lambda value: type(value) is int,
    "double": lambda value: type(value) is float,
    "boolean": lambda value: type(value) is bool,
    "string[]": lambda value: type(value) is tuple and all(type(item) is str for item in value),
}
SPANS: Final = {
    Operation.CHAT: "gen_ai.inference.client",
    Operation.TEXT_COMPLETION: "gen_ai.inference.client",
    Operation.EMBEDDINGS: "gen_ai.embeddings.client",
    Operation.RETRIEVAL: "gen_ai.retrieval.client",
    Operation.EXECUTE_TOOL: "gen_ai.execute_tool.internal",
    Operation.INVOKE_AGENT: "gen_ai.invoke_agent.internal",
    Operation.INVOKE_WORKFLOW: "gen_ai.invoke_workflow.internal",
}


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    """What a test leaves behind in the context is not the next one's."""
    token = context_api.attach(Context())
    yield
    context_api.detach(token)


# The one deprecated name that is emitted, for those who read no other; the type is that of the name that replaces it.
EXCEPTION: Final = semconv.USAGE_CACHE_WRITE_DEPRECATED
REPLACED: Final = {**DATA["attributes"], EXCEPTION: DATA["attributes"][semconv.USAGE_CACHE_WRITE]}


def names() -> dict[str, str]:
    """Return the constants of `semconv` that are names of the conventions."""
    return {
        constant: value
        for constant, value in vars(semconv).items()
        if constant.isupper() and isinstance(value, str) and value.startswith(THEIRS)
    }


@pytest.mark.parametrize("name", sorted({*names().values()} - {EXCEPTION}))
def test_a_name_is_in_the_conventions_and_not_deprecated(name: str) -> None:
    assert name in DATA["attributes"]
    assert name not in DATA["deprecated"]["attributes"]


def test_the_one_deprecated_name_stands_beside_the_one_that_replaced_it() -> None:
    assert DATA["deprecated"]["attributes"][EXCEPTION] == semconv.USAGE_CACHE_WRITE
    said = emitted(Operation.CHAT)[0].attributes or {}
    assert said[EXCEPTION] == said[semconv.USAGE_CACHE_WRITE]


def test_a_name_is_written_once() -> None:
    written = [
        value for constant, value in vars(semconv).items() if constant.isupper() and isinstance(value, str)
    ]
    assert sorted(written) == sorted(set(written))


def test_every_name_of_the_conventions_is_looked_at() -> None:
    assert len(names()) > 30


@pytest.mark.parametrize("operation", Operation)
def test_an_operation_is_in_the_conventions(operation: Operation) -> None:
    assert operation.value in DATA["attributes"][semconv.OPERATION_NAME]["enum"]
    assert set(SPANS) == set(Operation)


@pytest.mark.parametrize("provider", sorted(set(semconv.PROVIDERS.values())))
def test_a_provider_is_in_the_conventions_and_not_deprecated(provider: str) -> None:
    enum = DATA["attributes"][semconv.PROVIDER_NAME]["enum"]
    assert provider in enum
    assert provider not in DATA["deprecated"]["enum_values"][semconv.PROVIDER_NAME]


def test_an_own_value_of_a_closed_set_is_in_it() -> None:
    assert semconv.ERROR_TYPE_OTHER in DATA["attributes"][semconv.ERROR_TYPE]["enum"]
    assert {"text", "json", "speech", "image"} <= set(DATA["attributes"][semconv.OUTPUT_TYPE]["enum"])
    assert {semconv.OPENAI_CHAT_COMPLETIONS, semconv.OPENAI_RESPONSES} == set(
        DATA["attributes"][semconv.OPENAI_API_TYPE]["enum"]
    )


def test_own_names_stand_apart_from_the_conventions() -> None:
    own: list[str] = [
        value
        for constant, value in vars(semconv).items()
        if constant.isupper() and isinstance(value, str) and "." in value and not value.startswith(THEIRS)
    ]
    assert own
    assert set(own) & GENERAL == GENERAL
    assert all(name.startswith(("langchain.", "langgraph.", "otel_callbacks.")) for name in {*own} - GENERAL)
    enums = [kind for kind in vars(semconv).values() if isinstance(kind, type) and issubclass(kind, StrEnum)]
    assert all(len(set(kind)) == len(kind.__members__) for kind in enums)


# -- as emitted -----------------------------------------------------------------------------------------------------------


class Recording(Sampler):
    """Keeps what it was given to decide on."""

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Any] | None = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        self.given.append(dict(attributes or {}))
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)

    def get_description(self) -> str:
        return "Recording"


_MODEL: Final[dict[str, Any]] = {
    "serialized": {"id": ["langchain_openai", "ChatOpenAI"], "kwargs": {"base_url": "https://models.example:8443/v1"}},
    "metadata": {"ls_provider": "openai", "ls_model_name": "m", "ls_temperature": 1, "thread_id": "t"},
    "invocation_params": {
        "model": "m", "temperature": 0, "top_p": 1, "top_k": 3.0, "max_tokens": 5, "stop": ["a"], "seed": 1, "n": 2,
        "frequency_penalty": 0, "presence_penalty": 1, "stream": True, "response_format": {"type": "json_object"},
        "reasoning": {"effort": "low"}, "previous_response_id": "r0", "service_tier": "flex",
    },
}  # fmt: skip
_AGENT: Final = {"ls_integration": "langchain_create_agent", "lc_agent_name": "helper"}
_RESULT: Final[dict[str, Any]] = {
    "generations": [[{
        "message": {
            "id": "r1",
            "response_metadata": {
                "model_name": "m-1", "finish_reason": "stop", "model_provider": "openai", "service_tier": "default",
                "system_fingerprint": "fp", "usage_metadata": {"cache_tokens_details": [
                    {"modality": kind, "token_count": 1} for kind in ("TEXT", "IMAGE", "AUDIO")
                ]},
            },
            "usage_metadata": {
                "input_tokens": 1, "output_tokens": 2,
                "input_token_details": {"cache_read": 1, "cache_creation": 1, "text": 1, "image": 1, "audio": 1},
                "output_token_details": {"reasoning": 1, "text": 1, "image": 1, "audio": 1},
            },
        }
    }]]
}  # fmt: skip
# operation -> (kind of callback, arguments of its start)
STARTS: Final[dict[Operation, tuple[str, dict[str, Any]]]] = {
    Operation.CHAT: ("chat_model", _MODEL),
    Operation.TEXT_COMPLETION: ("llm", _MODEL),
    Operation.RETRIEVAL: (
        "retriever",
        {
            "metadata": {"ls_vector_store_provider": "p", "ls_embedding_model": "e", "data_source_id": "d"},
            "serialized": {"kwargs": {"k": 4}},
        },
    ),
    Operation.EXECUTE_TOOL: (
        "tool",
        {"serialized": {"name": "search", "description": "d"}, "tool_call_id": "c"},
    ),
    Operation.INVOKE_AGENT: ("chain", {"metadata": _AGENT, "name": "helper"}),
    Operation.INVOKE_WORKFLOW: ("chain", {"metadata": {"ls_integration": "langgraph"}, "name": "pipeline"}),
}


class _Failing(Embeddings):
    """Embeddings for which LangChain has no callback: a wrapper reports them."""

    model = "e"
    dimensions = 3
    encoding_format = "float"
    base_url = "https://models.example:8443/v1"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise NotImplementedError

    def embed_query(self, text: str) -> list[float]:
        raise ValueError("v")


def emitted(operation: Operation) -> tuple[ReadableSpan, dict[str, Any]]:
    """Return a failed and streamed run's span, which says the most, and what a sampler was given at its start."""
    exporter, sampler = InMemorySpanExporter(), Recording()
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handler = OTelCallbackHandler(provider, raise_errors=True)
    if operation is Operation.EMBEDDINGS:
        with pytest.raises(ValueError, match="v"):
            traced_embeddings(_Failing(), handler).embed_query("x")
        return exporter.get_finished_spans()[0], sampler.given[0]
    kind, arguments = STARTS[operation]
    given: dict[str, Any] = {"serialized": None, "tags": ["tag"], "metadata": None, "name": None, **arguments}
    run_id = uuid.uuid4()
    getattr(handler, f"on_{kind}_start")(given.pop("serialized"), "in", run_id=run_id, **given)
    handler.on_llm_new_token("x", run_id=run_id)
    kind = {"chat_model": "llm"}.get(kind, kind)
    getattr(handler, f"on_{kind}_error")(ValueError("v"), run_id=run_id, response=_RESULT)
    (span,) = exporter.get_finished_spans()
    return span, sampler.given[0]


@pytest.mark.parametrize("operation", Operation)
def test_a_span_has_the_kind_of_the_conventions(operation: Operation) -> None:
    span, _ = emitted(operation)
    assert span.kind.name.lower() == DATA["spans"][SPANS[operation]]["kind"]
    assert span.name.split()[0] == operation.value


@pytest.mark.parametrize("operation", Operation)
def test_what_is_required_or_known_for_sampling_is_there_at_the_start(operation: Operation) -> None:
    span, given = emitted(operation)
    asked = DATA["spans"][SPANS[operation]]["attributes"]
    said = span.attributes or {}
    for name, about in asked.items():
        if about["level"] == "required":
            assert name in given, name
        if about.get("sampling") and name in said:
            assert given.get(name) == said[name], name  # not added, not changed later
    assert semconv.ERROR_TYPE in said


# What no callback tells when a run starts: an agent's model shows in its first call, and its span does not say it at all.
UNKNOWN_AT_START: Final = {Operation.INVOKE_AGENT: {semconv.REQUEST_MODEL}}


@pytest.mark.parametrize("operation", Operation)
def test_a_start_says_all_that_a_sampler_may_ask(operation: Operation) -> None:
    span, given = emitted(operation)
    asked = DATA["spans"][SPANS[operation]]["attributes"]
    relevant = {name for name, about in asked.items() if about.get("sampling")}
    unknown = UNKNOWN_AT_START.get(operation, set())
    assert relevant - given.keys() == unknown
    assert not unknown & (span.attributes or {}).keys()


@pytest.mark.parametrize("operation", Operation)
def test_an_attribute_has_the_type_of_the_conventions(operation: Operation) -> None:
    span, _ = emitted(operation)
    for name, value in (span.attributes or {}).items():
        if name.startswith(THEIRS):
            assert TYPES[REPLACED[name]["type"]](value), (name, value)
    for event in span.events:
        assert event.name == semconv.EXCEPTION_EVENT
        assert all(
            TYPES[DATA["attributes"][name]["type"]](value) for name, value in (event.attributes or {}).items()
        )


def test_a_failed_model_call_says_nearly_everything_that_has_a_name() -> None:
    """So that the types above are not those of a handful."""
    said = {name for operation in Operation for name in emitted(operation)[0].attributes or {}}
    events = {semconv.EXCEPTION_TYPE, semconv.EXCEPTION_MESSAGE, semconv.EXCEPTION_STACKTRACE}
    elsewhere = {
        name for name in names().values() if name.startswith(("gen_ai.token.", "gen_ai.evaluation.", "aws."))
    }
    asked_for = {  # content, which is off until it is asked for
        name
        for about in DATA["spans"].values()
        for name, of in about["attributes"].items()
        if of["level"] == "opt_in"
    }
    assert set(names().values()) - said - events - elsewhere - asked_for == set()
