"""What runs are called and what they say at their start, kind by kind."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import OTelCallbackHandler

AGENT = {"ls_integration": "langchain_create_agent", "lc_agent_name": "helper"}


def run(
    handler: OTelCallbackHandler, kind: str, *children: tuple[Any, ...], parent: Any = None, **given: Any
) -> None:
    """Report a run and those below it, each given as (kind, children ..., arguments)."""
    run_id = uuid.uuid4()
    arguments: dict[str, Any] = {"tags": [], "metadata": None, "name": None, **given}
    getattr(handler, f"on_{kind}_start")(
        arguments.pop("serialized", None), "in", run_id=run_id, parent_run_id=parent, **arguments
    )
    for child_kind, *grandchildren, child in children:
        run(handler, child_kind, *grandchildren, parent=run_id, **child)
    getattr(handler, f"on_{'llm' if kind == 'chat_model' else kind}_end")(None, run_id=run_id)


def spans(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    return list(reversed(exporter.get_finished_spans()))


def said(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.mark.parametrize(
    ("name", "span_name"),
    [
        ("pipeline", "invoke_workflow pipeline"),
        ("RunnableSequence", "invoke_workflow"),
        ("LangGraph", "invoke_workflow"),
    ],
)
def test_a_root_with_steps_is_a_workflow(
    name: str, span_name: str, handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    run(handler, "chain", ("chain", {"tags": ["seq:step:1"]}), ("chain", {"tags": ["seq:step:2"]}), name=name)
    root, *_ = spans(exporter)
    assert root.name == span_name
    assert said(root)["gen_ai.operation.name"] == "invoke_workflow"
    assert said(root).get("gen_ai.workflow.name") == ("pipeline" if name == "pipeline" else None)


def test_an_agent_its_nodes_and_its_tools(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    node = {"metadata": AGENT, "tags": ["graph:step:1"], "name": "model"}
    inner = {"metadata": AGENT, "name": "prepare"}
    sub = {"metadata": AGENT, "name": "helper"}
    tool = ("tool", {"metadata": AGENT, "serialized": {"name": "search"}})
    run(
        handler,
        "chain",
        ("chain", ("chain", inner), ("chain", sub), tool, node),
        metadata=AGENT,
        name="LangGraph",
    )
    names = {span.name for span in spans(exporter)}
    assert names == {"invoke_agent helper", "model", "prepare", "execute_tool search"}
    assert [span.name for span in spans(exporter)].count("invoke_agent helper") == 2
    (searched,) = [span for span in spans(exporter) if span.name == "execute_tool search"]
    assert said(searched)["gen_ai.agent.name"] == "helper"


def test_an_agent_without_a_name_is_an_agent(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    run(handler, "chain", metadata={"ls_integration": "langchain_create_agent"}, name="LangGraph")
    assert spans(exporter)[0].name == "invoke_agent"
    assert "gen_ai.agent.name" not in said(spans(exporter)[0])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"metadata": {"ls_provider": "Azure"}}, "azure.ai.openai"),
        ({"metadata": {"ls_provider": "mine"}}, "mine"),
        ({"invocation_params": {"_type": "openai-chat"}}, "openai"),
        ({"invocation_params": {"_type": "unheard-of"}}, "unknown"),
        ({"serialized": {"id": ["langchain_anthropic", "chat"]}}, "anthropic"),
        ({"serialized": {"id": ["langchain_cohere.x", "chat"]}}, "cohere"),
        ({"serialized": {"id": ["other", "chat"]}}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_a_provider_is_found_in(
    given: dict[str, Any], expected: str, handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    run(handler, "chat_model", **given)
    assert said(spans(exporter)[0])["gen_ai.provider.name"] == expected


def test_parameters_come_from_the_call_or_else_from_the_metadata(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    run(
        handler, "chat_model", metadata={"ls_temperature": 0.5, "ls_max_tokens": "many", "ls_stop": "s", "ls_model_name": "models/m"},
        invocation_params={"n": 1, "stream": False, "response_format": {"type": "text"}},
    )  # fmt: skip
    found = said(spans(exporter)[0])
    assert spans(exporter)[0].name == "chat m"
    assert found["gen_ai.request.temperature"] == 0.5
    assert found["gen_ai.request.stop_sequences"] == ("s",)
    assert found["gen_ai.output.type"] == "text"
    assert (
        not {"gen_ai.request.max_tokens", "gen_ai.request.choice.count", "gen_ai.request.stream"}
        & found.keys()
    )


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        ("https://me:pass@host.example/v1?key=k", "host.example", 443),
        ("http://[::1]:8080", "::1", 8080),
        ("http://host", "host", 80),
        ("http://[::1", None, None),
        ("http://host:port", None, None),
        ("http:///path", None, None),
        ("no url", None, None),
    ],
)
def test_a_server_is_its_host_and_port_and_never_its_credentials(
    url: str,
    address: str | None,
    port: int | None,
    handler: OTelCallbackHandler,
    exporter: InMemorySpanExporter,
) -> None:
    run(handler, "chat_model", serialized={"kwargs": {"base_url": url}})
    found = said(spans(exporter)[0])
    assert (found.get("server.address"), found.get("server.port")) == (address, port)
    assert "pass" not in str(found)


def test_metadata_has_its_own_names_langgraph_its_own_and_plumbing_none(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    metadata = {
        "user": "u",
        "langgraph_step": 3,
        "ls_x": 1,
        "lc_y": 2,
        "checkpoint_ns": "c",
        "session_id": "s",
        "": 1,
        5: "five",
        (1,): 2,
    }
    run(handler, "chain", metadata=metadata)
    found = said(spans(exporter)[0])
    assert found["langchain.metadata.user"] == "u"
    assert found["langchain.metadata.5"] == "five"
    assert found["langgraph.step"] == 3
    assert found["gen_ai.conversation.id"] == "s"
    assert len([key for key in found if key.startswith("langchain.metadata.")]) == 3


def test_names_of_keys_are_kept_up_to_a_bound(
    handler: OTelCallbackHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    from otel_callbacks.core import metadata  # noqa: PLC0415 - its own state is replaced

    monkeypatch.setattr(metadata, "_names", {})
    monkeypatch.setattr(metadata, "MAX_NAMES", 10)
    for number in range(50):
        run(handler, "chain", metadata={f"key {number}": number})
    assert len(metadata._names) == 10


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (("__pregel_pull", "node"), ("__pregel_pull", "node")),
        (("__pregel_push", 0), ("__pregel_push", "0")),
        (
            ("__pregel_push", ("__pregel_pull", "node"), 2, True),
            ("__pregel_push", '["__pregel_pull","node"]', "2", "true"),
        ),
        ([1, 2], ("1", "2")),
        ("by hand", ("by hand",)),
        (7, ("7",)),
    ],
)
def test_a_graphs_path_is_a_list_of_texts_whatever_is_in_it(
    given: Any, path: Any, handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    run(handler, "chain", metadata={"langgraph_path": given})
    assert said(spans(exporter)[0])["langgraph.path"] == path


def test_an_empty_path_is_not_said(handler: OTelCallbackHandler, exporter: InMemorySpanExporter) -> None:
    run(handler, "chain", metadata={"langgraph_path": ()})
    assert "langgraph.path" not in said(spans(exporter)[0])


@pytest.mark.parametrize("kind", ["llm", "chat_model"])
@pytest.mark.parametrize("error", [ConnectionError("cut"), GeneratorExit(), asyncio.CancelledError()])
def test_a_stream_that_was_cut_finished_with_an_error(
    kind: str, error: BaseException, handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    run_id = uuid.uuid4()
    getattr(handler, f"on_{kind}_start")({}, ["in"], run_id=run_id)
    handler.on_llm_new_token("a", run_id=run_id)
    handler.on_llm_error(error, run_id=run_id)
    assert said(spans(exporter)[0])["gen_ai.response.finish_reasons"] == ("error",)


def test_a_model_that_never_answered_has_no_finish_reason(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    run_id = uuid.uuid4()
    handler.on_llm_start({}, ["in"], run_id=run_id)
    handler.on_llm_error(ConnectionError("refused"), run_id=run_id)
    assert "gen_ai.response.finish_reasons" not in said(spans(exporter)[0])


def test_a_stream_that_failed_after_its_reason_keeps_it(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    run_id = uuid.uuid4()
    handler.on_llm_start({}, ["in"], run_id=run_id)
    handler.on_llm_new_token("a", run_id=run_id)
    partial: Any = {"generations": [[{"generation_info": {"finish_reason": "length"}}]]}
    handler.on_llm_error(ConnectionError("cut"), run_id=run_id, response=partial)
    assert said(spans(exporter)[0])["gen_ai.response.finish_reasons"] == ("length",)
