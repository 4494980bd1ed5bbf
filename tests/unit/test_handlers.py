"""The handlers themselves: when there is no provider, where they bind, and the asynchronous one."""

from __future__ import annotations

import inspect
import uuid
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import AsyncOTelCallbackHandler, OTelCallbackHandler, bound
from otel_callbacks.handlers import EVENTS

_STARTS = ("chain", "chat_model", "llm", "tool", "retriever")


def everything(handler: Any, run_id: Any) -> list[Any]:
    """Call every event; return what the calls returned."""
    returned = [getattr(handler, f"on_{kind}_start")(None, "in", run_id=run_id) for kind in _STARTS]
    for kind in ("chain", "llm", "tool", "retriever"):
        returned.append(getattr(handler, f"on_{kind}_end")(None, run_id=run_id))
        returned.append(getattr(handler, f"on_{kind}_error")(ValueError(), run_id=run_id))
    notes = ("on_text", "on_retry", "on_agent_action", "on_agent_finish", "on_llm_new_token")
    returned += [getattr(handler, event)(None, run_id=run_id) for event in notes]
    returned.append(handler.on_custom_event("name", None, run_id=run_id))
    return [*returned, handler.on_interrupt(None), handler.on_resume(None)]


def test_without_a_provider_nothing_is_kept_and_nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bound, "global_provider", lambda: None)
    handler = OTelCallbackHandler(raise_errors=True)
    everything(handler, uuid.uuid4())
    assert handler.open_runs == 0
    assert handler.trace_id(uuid.uuid4()) is None


def test_a_provider_that_is_set_later_is_found(
    monkeypatch: pytest.MonkeyPatch, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    found: list[TracerProvider | None] = [None]
    monkeypatch.setattr(bound, "global_provider", lambda: found[0])
    handler = OTelCallbackHandler(raise_errors=True)
    run_id = uuid.uuid4()
    handler.on_chain_start(None, {}, run_id=run_id)
    found[0] = provider
    handler.on_chain_start(None, {}, run_id=run_id)
    assert len(handler.trace_id(run_id) or "") == 32
    handler.on_chain_end({}, run_id=run_id)
    assert len(exporter.get_finished_spans()) == 1
    assert handler.trace_id(str(run_id)) == trace.format_trace_id(
        getattr(exporter.get_finished_spans()[0].get_span_context(), "trace_id", 0)
    )


async def test_the_asynchronous_handler_says_the_same(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = AsyncOTelCallbackHandler(provider, raise_errors=True)
    run_id = uuid.uuid4()
    for pending in everything(handler, run_id):
        assert inspect.iscoroutine(pending)
        await pending
    blocking = OTelCallbackHandler(provider, raise_errors=True)
    first = [(span.name, span.status.status_code) for span in exporter.get_finished_spans()]
    exporter.clear()
    everything(blocking, uuid.uuid4())
    assert [(span.name, span.status.status_code) for span in exporter.get_finished_spans()] == first


@pytest.mark.parametrize("event", EVENTS)
def test_the_two_handlers_have_one_body_of_code(event: str) -> None:
    method = getattr(AsyncOTelCallbackHandler, event)
    assert inspect.iscoroutinefunction(method)
    assert not inspect.iscoroutinefunction(getattr(OTelCallbackHandler, event))
    assert method.__doc__ == getattr(OTelCallbackHandler, event).__doc__


def test_the_last_empty_chunk_of_langchain_is_no_chunk(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    run_id = uuid.uuid4()
    handler.on_chat_model_start(None, [[]], run_id=run_id)
    handler.on_llm_new_token("a", run_id=run_id)
    handler.on_llm_new_token("", chunk={"message": {"chunk_position": "last"}}, run_id=run_id)
    handler.on_llm_end(None, run_id=run_id)
    (span,) = exporter.get_finished_spans()
    assert (span.attributes or {})["langchain.run.chunks"] == 1


def test_events_in_between_are_span_events(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    run_id = uuid.uuid4()
    handler.on_chain_start(None, {}, run_id=run_id)
    handler.on_text("four", run_id=run_id)
    handler.on_retry({"attempt_number": 2}, run_id=run_id)
    handler.on_agent_action({"tool": "search"}, run_id=run_id)
    handler.on_agent_finish(None, run_id=run_id)
    handler.on_custom_event("mine", {"secret": 1}, run_id=run_id)
    handler.on_interrupt(
        {"run_id": run_id, "interrupts": (1, 2), "status": "pending", "checkpoint_ns": ("a", "b")}
    )
    handler.on_resume({"run_id": run_id, "checkpoint_id": "c"})
    handler.on_chain_end({}, run_id=run_id)
    (span,) = exporter.get_finished_spans()
    assert [(event.name, dict(event.attributes or {})) for event in span.events] == [
        ("langchain.text", {"langchain.text.length": 4}),
        ("langchain.retry", {"langchain.retry.attempt": 2}),
        ("langchain.agent.action", {"gen_ai.tool.name": "search"}),
        ("langchain.agent.finish", {}),
        ("langchain.custom.mine", {"langchain.custom.name": "mine"}),
        (
            "langgraph.interrupt",
            {
                "langgraph.interrupt_count": 2,
                "langgraph.status": "pending",
                "langgraph.checkpoint_ns": ("a", "b"),
            },
        ),
        ("langgraph.resume", {"langgraph.checkpoint_id": "c"}),
    ]
    assert (span.attributes or {})["langchain.run.retries"] == 1
