"""The demo as a person sees it: five flows, the tree of each, and where the traces went.

Imports LangChain, so `requirements.check` comes first.
"""

from __future__ import annotations

import os
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import openai
from langsmith.run_helpers import (
    tracing_context,  # pyright: ignore[reportUnknownVariableType]  # one of its parameters is an open Mapping
)

import otel_callbacks
from otel_callbacks.demo.destination import DEFAULT_FILE, Destination, without_user
from otel_callbacks.demo.flows import FLOWS, Flow
from otel_callbacks.demo.http import http_spans
from otel_callbacks.demo.models import Models, Service
from otel_callbacks.demo.server import ModelServer, Pace
from otel_callbacks.errors import ConfigurationError
from otel_callbacks.export.console import TreePrinter
from otel_callbacks.export.terminal import Look, plain

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

PACE = Pace(
    first_chunk_s=0.03, chunk_s=0.004
)  # a model takes its time, and the trace should have something to show
FLUSH_S = 5.0
GIVE_UP_S = 0.5  # who did not listen for five seconds is not waited for again

SIMULATED = "Everything stays on this machine. What the model says is made up and labelled [simulated]."
REAL = "A real model answers: its calls may cost money, and no rate limit is staged."


@dataclass(frozen=True, slots=True)
class Page:
    """The output: what it can show, and how the demo writes on it."""

    out: TextIO
    look: Look

    def say(self, text: str = "", style: str = "") -> None:
        """Write one line, at once: the trees are written by somebody else in between."""
        print(self.look.paint(self.look.spell(text), style), file=self.out, flush=True)


def run(destination: Destination, service: Service | None, out: TextIO) -> int:
    """Run every flow against *service*, or against our own server without one; return the exit code."""
    page = Page(out, Look.of(out, os.environ))
    with ExitStack() as stack:
        # Whatever the environment says, the demo's runs go nowhere but where this module sends them.
        stack.enter_context(tracing_context(enabled=False))
        if service is None:
            server = stack.enter_context(ModelServer(PACE))
            service = Service(server.base_url)
        _start_afresh(destination)
        telemetry = stack.enter_context(
            otel_callbacks.configure(
                service_name="otel-callbacks-demo",
                console=False,
                span_processors=[TreePrinter(out)],  # on the demo's own page, not on standard error
                file=destination.file,
                otlp=destination.endpoint is not None,
            )
        )
        if not telemetry.active:
            raise ConfigurationError("OTEL_SDK_DISABLED turns tracing off: unset it to see the demo's traces")
        handler = otel_callbacks.OTelCallbackHandler()
        models = stack.enter_context(Models(service))
        requests_seen = stack.enter_context(http_spans())
        _greet(page, service, requests_seen=requests_seen)
        outcomes = [_run(page, number, flow, models, handler) for number, flow in enumerate(FLOWS, start=1)]
        delivered = telemetry.force_flush(timeout_s=FLUSH_S)
        if not delivered:
            telemetry.shutdown(timeout_s=GIVE_UP_S)
    _conclude(page, destination, [trace_id for trace_id, _ in outcomes], delivered=delivered)
    return 0 if delivered and all(answered for _, answered in outcomes) else 1


def _run(
    page: Page, number: int, flow: Flow, models: Models, handler: otel_callbacks.OTelCallbackHandler
) -> tuple[str | None, bool]:
    """Run one flow; return its trace id and whether the model's service took part."""
    run_id = uuid.uuid4()
    callbacks: list[Any] = [handler]
    config: RunnableConfig = {
        "callbacks": callbacks,
        "run_id": run_id,
        "run_name": f"{flow.name}-demo",
        "tags": ["demo", flow.name],
        "metadata": {"thread_id": f"demo-{flow.name}", "user_id": "demo-user"},
    }
    page.say(f"{number}/{len(FLOWS)} {flow.name}: {flow.title}", "bold")
    try:
        said, answered = flow.run(models, config), True
    except openai.OpenAIError as error:
        said, answered = f"no answer: {type(error).__name__}: {error}", False
    page.say(f"  {'answer: ' if answered else ''}{plain(said)}")
    page.say()
    return handler.trace_id(run_id), answered


def _start_afresh(destination: Destination) -> None:
    """Remove the last demo's file. A file that the user named is left to grow, as `configure` lets it."""
    if destination.file == DEFAULT_FILE:
        DEFAULT_FILE.unlink(missing_ok=True)


def _greet(page: Page, service: Service, *, requests_seen: bool) -> None:
    who = "a simulated model" if service.simulated else plain(service.model)
    page.say(
        f"otel-callbacks demo: {len(FLOWS)} LangChain flows against {who} at {plain(without_user(service.base_url))}",
        "bold",
    )
    page.say(SIMULATED if service.simulated else REAL)
    if not requests_seen:
        page.say("For the HTTP requests as spans: pip install opentelemetry-instrumentation-httpx")
    page.say()


def _conclude(page: Page, destination: Destination, trace_ids: list[str | None], *, delivered: bool) -> None:
    if destination.endpoint:
        where = f"to {plain(without_user(destination.endpoint))}"
        page.say(
            f"Sent {where}."
            if delivered
            else f"Could not send everything {where}: is a collector listening?",
            "bold",
        )
        for flow, trace_id in zip(FLOWS, trace_ids, strict=True):
            page.say(f"  {flow.name:<10} {trace_id}")
    if destination.file:
        page.say(
            f"Written to {destination.file} (OTLP JSON lines, as the collector's file exporter writes).",
            "bold",
        )
    if not destination.endpoint:
        page.say(
            "Next: OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 otel-callbacks demo  # send it to a collector"
        )
    page.say("In your app: chain.invoke(x, config={'callbacks': [otel_callbacks.OTelCallbackHandler()]})")
