"""Code as users write it. Type checkers read it (`make types`); it is never run."""

from __future__ import annotations

from uuid import UUID

from langchain_core.callbacks import Callbacks
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.runnables import Runnable, RunnableConfig
from opentelemetry.sdk.trace import TracerProvider

import otel_callbacks
from otel_callbacks import AsyncOTelCallbackHandler, AttributeValue, Mapper, OTelCallbackHandler, RunView


def attach_by_config(chain: Runnable[str, str], handler: OTelCallbackHandler) -> str:
    return chain.invoke("question", config={"callbacks": [handler]})


async def attach_the_asynchronous_one(chain: Runnable[str, str], handler: AsyncOTelCallbackHandler) -> str:
    config: RunnableConfig = {"callbacks": [handler], "tags": ["a"], "metadata": {"thread_id": "1"}}
    return await chain.ainvoke("question", config)


def attach_by_constructor(handler: OTelCallbackHandler) -> FakeListChatModel:
    return FakeListChatModel(responses=["hi"], callbacks=[handler])


def as_langchain_names_it(handler: OTelCallbackHandler) -> Callbacks:
    return [handler]


def settings() -> OTelCallbackHandler:
    def redactor(text: str) -> str:
        return text.replace("secret", "")

    return OTelCallbackHandler(TracerProvider(), capture_errors=False, redactors=[redactor], mappers=[])


def mapped() -> OTelCallbackHandler:
    def add_team(run: RunView, attributes: dict[str, AttributeValue]) -> None:
        if run.kind == "tool" and run.parent_id is not None and run.operation == "execute_tool":
            attributes["team"] = run.name or run.id
        attributes["seconds"] = run.started_ns / 1e9
        attributes.pop("langchain.tags", None)

    mapper: Mapper = add_team
    return OTelCallbackHandler(mappers=[mapper])


def link(handler: OTelCallbackHandler, run_id: UUID) -> str | None:
    return handler.trace_id(run_id)


def whole_process() -> None:
    with otel_callbacks.configure(service_name="app", console=True) as telemetry:
        otel_callbacks.instrument()
        otel_callbacks.uninstrument()
        telemetry.force_flush(timeout_s=5)
