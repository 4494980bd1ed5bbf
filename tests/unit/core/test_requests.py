"""What a model's start says of the request, where no recorded provider shows it: kinds of output, servers, providers, sharing."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.core import request

Exporter = InMemorySpanExporter
Handler = OTelCallbackHandler


def said(handler: Handler, exporter: Exporter, serialized: Any = None, **given: Any) -> dict[str, Any]:
    """Return the attributes of a chat that was started with these arguments."""
    run_id = uuid.uuid4()
    handler.on_chat_model_start(serialized or {}, [[]], run_id=run_id, **given)
    handler.on_llm_end(None, run_id=run_id)
    return dict(exporter.get_finished_spans()[-1].attributes or {})


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"response_format": {"type": "text"}}, "text"),
        ({"response_format": {"type": "json_schema"}}, "json"),
        ({"response_format": dict}, "json"),
        ({"text": {"format": {"type": "json_object"}}}, "json"),
        ({"text": {"verbosity": "low"}}, None),
        ({"response_mime_type": "application/json"}, "json"),
        ({"response_mime_type": "text/plain"}, "text"),
        ({"modalities": ["text", "audio"]}, "speech"),
        ({"response_modalities": ["IMAGE"]}, "image"),
        ({"modalities": ["text"]}, None),
        ({"modalities": [None, "text"], "format": "json"}, "json"),
        ({"format": {"type": "object"}}, "json"),
        ({}, None),
    ],
)
def test_the_kind_of_output_is_what_the_request_asks_for(
    parameters: dict[str, Any], expected: str | None, handler: Handler, exporter: Exporter
) -> None:
    assert said(handler, exporter, invocation_params=parameters).get("gen_ai.output.type") == expected


def test_structured_output_is_json(handler: Handler, exporter: Exporter) -> None:
    options = {"ls_structured_output_format": {"kwargs": {"method": "function_calling"}}}
    assert said(handler, exporter, options=options)["gen_ai.output.type"] == "json"


@pytest.mark.parametrize(
    ("serialized", "address"),
    [
        ({"repr": "ChatX(model='m', base_url='http://here:1/v1')"}, ("here", 1)),
        ({"repr": "ChatX(x_api_base='https://there/v1')"}, ("there", 443)),
        ({"repr": "ChatX(model='m')"}, None),
        ({"repr": "ChatX(base_url='https://:80')"}, None),
        ({"repr": "x" * 10_000 + "base_url='http://here'"}, None),
        ({"repr": 5}, None),
        ({"repr": "base_url='http://here'", "kwargs": {"base_url": "http://first"}}, ("first", 80)),
        ({"kwargs": {"base_url": None, "endpoint": "http://second"}}, ("second", 80)),
        ({"kwargs": {"base_url": "no url", "api_endpoint": "http://third"}}, ("third", 80)),
    ],
)
def test_a_server_is_found_wherever_the_model_says_it(
    serialized: dict[str, Any], address: tuple[str, int] | None, handler: Handler, exporter: Exporter
) -> None:
    found = said(handler, exporter, serialized)
    assert (found.get("server.address"), found.get("server.port")) == (address or (None, None))


def test_a_server_that_the_call_names_is_found(handler: Handler, exporter: Exporter) -> None:
    found = said(handler, exporter, invocation_params={"base_url": "http://here:8080"})
    assert (found["server.address"], found["server.port"]) == ("here", 8080)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (["langchain", "chat_models", "azure_openai", "AzureChatOpenAI"], "azure.ai.openai"),
        (["langchain_community", "llms", "tongyi", "Tongyi"], "tongyi"),
        (["langchain", "schema", "runnable", "X"], "unknown"),
        (["langchain_", "x"], "unknown"),
        ([None, None, None], "unknown"),
    ],
)
def test_a_provider_is_read_from_the_path_of_the_class(
    path: list[Any], expected: str, handler: Handler, exporter: Exporter
) -> None:
    assert said(handler, exporter, {"id": path})["gen_ai.provider.name"] == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"vertexai": True}, "gcp.vertex_ai"),
        ({"project": "p"}, "gcp.vertex_ai"),
        ({"vertexai": False, "project": "p"}, "gcp.gemini"),
        ({"model": "m"}, "gcp.gemini"),
        ({}, "gcp.gemini"),
    ],
)
def test_one_class_for_two_of_googles_services_is_told_apart(
    settings: dict[str, Any], expected: str, handler: Handler, exporter: Exporter
) -> None:
    metadata = {"ls_provider": "google_genai"}
    assert (
        said(handler, exporter, {"kwargs": settings}, metadata=metadata)["gen_ai.provider.name"] == expected
    )


@pytest.mark.parametrize(
    ("serialized", "parameters", "expected"),
    [
        ({}, {}, "chat_completions"),
        ({"use_responses_api": True}, {}, "responses"),
        ({"use_responses_api": False}, {"reasoning": {"effort": "low"}}, "chat_completions"),
        ({}, {"reasoning": {"effort": "low"}}, "responses"),
        ({}, {"previous_response_id": "r"}, "responses"),
    ],
)
def test_which_of_openais_interfaces_it_is_follows_from_the_request(
    serialized: dict[str, Any],
    parameters: dict[str, Any],
    expected: str,
    handler: Handler,
    exporter: Exporter,
) -> None:
    found = said(
        handler, exporter, {"kwargs": serialized}, metadata={"ls_provider": "openai"}, invocation_params=parameters
    )  # fmt: skip
    assert found["openai.api.type"] == expected
    assert "openai.api.type" not in said(handler, exporter, metadata={"ls_provider": "groq"})


@pytest.mark.parametrize("tier", ["auto", "", None, 5])
def test_a_service_tier_is_said_only_when_it_is_another(
    tier: Any, handler: Handler, exporter: Exporter
) -> None:
    found = said(
        handler, exporter, metadata={"ls_provider": "openai"}, invocation_params={"service_tier": tier}
    )
    assert "openai.request.service_tier" not in found


@pytest.mark.parametrize(
    ("parameters", "constructor", "expected"),
    [
        ({"guardrailIdentifier": "call"}, {"guardrails": {"guardrailIdentifier": "model"}}, "call"),
        ({}, {"guardrails": {"guardrailIdentifier": "model"}}, "model"),
        ({}, {"guardrails": {"guardrailIdentifier": None}}, None),
        ({}, {}, None),
    ],
)
def test_bedrocks_guardrail_is_the_calls_or_else_the_models(
    parameters: dict[str, Any],
    constructor: dict[str, Any],
    expected: str | None,
    handler: Handler,
    exporter: Exporter,
) -> None:
    found = said(
        handler, exporter, {"kwargs": constructor}, metadata={"ls_provider": "amazon_bedrock"}, invocation_params=parameters
    )  # fmt: skip
    assert found.get("aws.bedrock.guardrail.id") == expected


@pytest.mark.parametrize("previous", ["", None, 5])
def test_a_previous_response_without_an_id_is_not_said(
    previous: Any, handler: Handler, exporter: Exporter
) -> None:
    found = said(handler, exporter, invocation_params={"previous_response_id": previous})
    assert "gen_ai.request.previous_response.id" not in found


def test_each_request_says_its_own_previous_response(
    handler: Handler, exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a description is remembered once for all of them."""
    monkeypatch.setattr(request, "_known", {})
    for previous in ("r1", "r2", None):
        given = {"previous_response_id": previous} if previous else {}
        found = said(handler, exporter, invocation_params={"model": "m", **given})
        assert found.get("gen_ai.request.previous_response.id") == previous
    assert len(request._known) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"stop": ["a"]}, {"stop": ["b"]}),
        ({"stop": ["a"]}, {"stop": None}),
        ({"reasoning": {"effort": "low"}}, {"reasoning": {"effort": "high"}}),
        ({"model_kwargs": {"seed": 1}}, {"model_kwargs": {"seed": True}}),
        ({"model_kwargs": {"seed": 1}}, {"model_kwargs": {"seed": 2.0}}),
    ],
)
def test_requests_that_differ_in_something_nested_share_nothing(
    first: dict[str, Any], second: dict[str, Any], handler: Handler, exporter: Exporter
) -> None:
    told = [said(handler, exporter, {"kwargs": kwargs}) for kwargs in (first, second, first)]
    names = ("gen_ai.request.stop_sequences", "gen_ai.request.reasoning.level", "gen_ai.request.seed")
    plain = [[found.get(name) for name in names] for found in told]
    assert plain[0] == plain[2] != plain[1]


@pytest.mark.parametrize(
    "odd", [[["nested"]], ["a"] * 40, {"a": {"b": 1}}, dict.fromkeys(map(str, range(40)), 1), object(), (1,)]
)
def test_what_cannot_be_compared_cheaply_is_read_each_time(
    odd: Any, handler: Handler, exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "_known", {})
    found = said(handler, exporter, invocation_params={"model": "m", "stop": odd, "reasoning": odd})
    assert found["gen_ai.request.model"] == "m"
    assert not request._known


def test_requests_alike_are_described_once(
    handler: Handler, exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "_known", {})
    for _ in range(3):
        found = said(
            handler,
            exporter,
            {"kwargs": {"stop": ["a"], "model_kwargs": {"top_p": 0.5}}},
            metadata={"ls_stop": ["b"]},
            invocation_params={"model": "m", "reasoning": {"effort": "low"}},
        )
        assert found["gen_ai.request.stop_sequences"] == ("b",)
        assert found["gen_ai.request.top_p"] == 0.5
        assert found["gen_ai.request.reasoning.level"] == "low"
    assert len(request._known) == 1
