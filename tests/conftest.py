"""What every test may ask for: a provider in memory, a handler on it, and silence in the log."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import hypothesis
import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry._logs import _internal as logs_internal
from opentelemetry.context import Context
from opentelemetry.metrics import _internal as metrics_internal
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.export import providers, setup
from tests.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Tracer

# Nobody can want these; a warning about anything else is wanted where faults are staged.
CONTEXTS = "opentelemetry.context"
LOGGERS = ("opentelemetry", "otel_callbacks")

# No example is judged by the clock. CI looks at the same examples each time; on a developer's machine, at new ones.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "logs: the test makes OpenTelemetry or this package log a warning")


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def _nothing_logged(request: pytest.FixtureRequest) -> Iterator[None]:
    """A warning about contexts (one that cannot be detached) fails any test; one of any kind, those that use `provider`.

    Unless they are marked ``logs``, or look for themselves with ``caplog``.
    """
    heard = _Heard()
    for name in LOGGERS:
        logging.getLogger(name).addHandler(heard)
    yield
    for name in LOGGERS:
        logging.getLogger(name).removeHandler(heard)
    quiet = "provider" in request.fixturenames and not (
        "caplog" in request.fixturenames or request.node.get_closest_marker("logs") is not None
    )
    lines = [
        f"{record.name}: {record.getMessage()}"
        for record in heard.records
        # An exporter's thread may outlive the test that gave it a collector that hangs; here, spans stay in memory.
        if (quiet and not record.name.startswith("opentelemetry.exporter.")) or record.name == CONTEXTS
    ]
    assert not lines, lines


@pytest.fixture(autouse=True)
def _a_context_of_its_own() -> Iterator[None]:
    """Synchronous tests share a thread: what one leaves current, on purpose or not, is not the next one's."""
    token = context_api.attach(Context())
    yield
    context_api.detach(token)


@pytest.fixture(autouse=True)
def _no_global_meters_and_loggers() -> Iterator[None]:
    """What a test sets globally for metrics and logs, or `configure()` for it, is not the next one's."""
    yield
    if providers.made.metrics is not None:
        providers.made.metrics[1].shutdown()
    providers.made.metrics = providers.made.logs = None
    metrics_internal._METER_PROVIDER = logs_internal._LOGGER_PROVIDER = None
    metrics_internal._METER_PROVIDER_SET_ONCE = Once()
    logs_internal._LOGGER_PROVIDER_SET_ONCE = Once()


@pytest.fixture
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process that has configured nothing, in an environment that says nothing; what is left running is ended."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(setup, "_running", [])
    monkeypatch.setattr(setup, "_made", [])
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    yield
    for telemetry in setup._running:
        telemetry.shutdown(timeout_s=0.5)
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


@pytest.fixture
def handler(provider: TracerProvider) -> OTelCallbackHandler:
    """The handler under test: on `provider`, and with faults of our own raised."""
    return OTelCallbackHandler(provider, raise_errors=True)


@pytest.fixture
def tracer(provider: TracerProvider) -> Tracer:
    """For spans made by hand, as the application's and its HTTP client's are."""
    return provider.get_tracer("application")


@pytest.fixture
def scene(provider: TracerProvider, exporter: InMemorySpanExporter, handler: OTelCallbackHandler) -> Scene:
    return Scene(provider, exporter, handler)
