"""``configure()``: from settings to running exporters.

Rules for this file: everything is checked and built before anything is changed, so that a wrong setting leaves what runs as it
is. A provider that the application has set is never replaced. No secret is logged.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import ProxyTracerProvider

from otel_callbacks import plugins
from otel_callbacks.core.shield import class_name
from otel_callbacks.errors import ConfigurationError
from otel_callbacks.export.console import TreePrinter
from otel_callbacks.export.fanout import fanout_of
from otel_callbacks.export.file import JsonLinesExporter
from otel_callbacks.export.guard import GuardedExporter
from otel_callbacks.export.masking import without_secrets
from otel_callbacks.export.outlets import Outlet
from otel_callbacks.export.parts import OutletPart, Part, ProcessorPart
from otel_callbacks.export.providers import batched_logs, console_exporter, logs_part, metrics_part
from otel_callbacks.export.telemetry import NOTHING, Telemetry
from otel_callbacks.export.transport.addresses import endpoint_of
from otel_callbacks.otel.engines import end_open_runs
from otel_callbacks.settings import Settings, Signal, origin, variable
from otel_callbacks.version import version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.util.types import AttributeValue

DISTRIBUTION: Final = "otel-callbacks"
_OTHERS: Final[tuple[Signal, ...]] = ("metrics", "logs")

_logger = logging.getLogger(__name__)
_locks: Final = [threading.RLock()]
"""The one that `configure` holds: another one in a forked child, as its holder is not there."""
_running: list[Telemetry] = []
"""The one that runs, or none."""
_made: list[TracerProvider] = []
"""The provider that we set globally, or none: the API lets one be set once in a process."""


def configure(
    *,
    service_name: str | None = None,
    resource_attributes: Mapping[str, AttributeValue] | None = None,
    otlp: bool | None = None,
    console: bool | None = None,
    file: str | os.PathLike[str] | None = None,
    endpoint: str | None = None,
    protocol: Literal["http/protobuf", "grpc"] | None = None,
    headers: Mapping[str, str] | None = None,
    spool_dir: str | os.PathLike[str] | None = None,
    span_processors: Sequence[SpanProcessor] = (),
    env: Mapping[str, str] | None = None,
) -> Telemetry:
    """Start to export traces, metrics and log events, as the environment says and the arguments override.

    If the application has set a tracer provider, our processors are added to it; else one is made and set. A second call
    replaces what the first one started, which is flushed and shut down (its ``on_shutdown`` goes over), so that a notebook's cell can be run again and
    no span is exported twice. The environment's proxies and ``.netrc`` are not consulted.

    Metrics and log events go where the variables of their own say (``OTEL_METRICS_EXPORTER``, ``OTEL_EXPORTER_OTLP_LOGS_HEADERS``
    and so on); those that are unset are as for traces. A meter or logger provider that the application has set is left alone.

    Args:
        service_name: Name of the service (``OTEL_SERVICE_NAME``).
        resource_attributes: Further attributes of the service, added to those of ``OTEL_RESOURCE_ATTRIBUTES``.
        otlp: Whether to send to a collector; by default if ``OTEL_TRACES_EXPORTER`` has ``otlp``, which it has if unset.
        console: Whether to print the tree of each trace to standard error.
        file: Where to append spans as OTLP JSON lines.
        endpoint: The collector's address, as ``OTEL_EXPORTER_OTLP_ENDPOINT`` has it; /v1/traces is added for http/protobuf.
        protocol: ``http/protobuf`` or ``grpc``.
        headers: Headers of every export; they replace those of the environment.
        spool_dir: A folder where everything waits on disk until the collector has it (``OTEL_CALLBACKS_SPOOL_DIR``); without it,
            in memory.
        span_processors: Processors of the application's own. They belong to the result: its shutdown ends them.
        env: The environment to read, instead of the process's.

    Raises: ConfigurationError: a setting is wrong, or the provider that the application has set is not the SDK's.
    """
    environment = os.environ if env is None else env

    def read(signal: Signal) -> Settings:
        settings = Settings.from_env(
            environment,
            _logger.warning if signal == "traces" else None,
            signal,
            service_name=service_name,
            console=console,
            file=None if file is None else os.fspath(file),
            endpoint=endpoint,
            protocol=protocol,
            headers=headers,
            spool_dir=None if spool_dir is None else os.fspath(spool_dir),
        )
        # An argument is stronger than any variable.
        return settings if endpoint is None else replace(settings, own_endpoint=None)

    settings = read("traces")
    if settings.sdk_disabled:
        return Telemetry(trace.get_tracer_provider(), description="disabled by OTEL_SDK_DISABLED")
    plugins.mappers(settings.mappers)  # a wrong name is said here; handlers load what they use themselves
    traced = endpoint is not None or "otlp" in settings.exporters if otlp is None else otlp
    plans = [_Plan("traces", settings, otlp=traced, console=False)]
    for signal in _OTHERS:
        own = read(signal)
        chosen = origin(variable("exporters"), environment, signal) is not None
        by_otlp = traced and (not chosen or "otlp" in own.exporters)
        plans.append(_Plan(signal, own, otlp=by_otlp, console=chosen and "console" in own.exporters))
    with _locks[-1]:
        telemetry = _telemetry(plans, _attributes(service_name, resource_attributes), span_processors)
        formers = tuple(_running)
        _running.append(telemetry)
        telemetry.start()  # first: to end the former ones takes seconds if the collector hangs
        for former in formers:
            _logger.info(
                "configure() was called again: what the former call started is shut down and replaced."
            )
            telemetry.replace(former)
        telemetry.show()
    return telemetry


def _attributes(
    service_name: str | None, given: Mapping[str, AttributeValue] | None
) -> dict[str, AttributeValue]:
    """Return what the arguments say of the service."""
    return {**(given or {}), **({SERVICE_NAME: service_name} if service_name else {})}


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where one signal goes."""

    signal: Signal
    settings: Settings
    otlp: bool
    console: bool

    def outlets(self) -> dict[Signal, Outlet]:
        """Build the signal's way by OTLP. Raises: ConfigurationError."""
        return {self.signal: Outlet(self.settings, self.signal)} if self.otlp else {}


def _telemetry(
    plans: Sequence[_Plan], attributes: dict[str, AttributeValue], own: Sequence[SpanProcessor]
) -> Telemetry:
    """Build everything; nothing receives a span yet. What can be wrong comes first, the provider last: it cannot be unset."""
    with ExitStack() as undoing:
        telemetry = _built(plans, attributes, own, undoing)
        undoing.pop_all()
    return telemetry


def _built(
    plans: Sequence[_Plan],
    attributes: dict[str, AttributeValue],
    own: Sequence[SpanProcessor],
    undoing: ExitStack,
) -> Telemetry:
    provider = _provider_of_application()
    traces, *others = plans
    settings = traces.settings
    console = settings.console if settings.console is not None else "console" in settings.exporters
    outlets: dict[Signal, Outlet] = {}
    for plan in plans:
        for signal, outlet in plan.outlets().items():
            outlets[signal] = outlet
            undoing.callback(outlet.shutdown, 0.0)
    guards = [_file_exporter(settings.file)] if settings.file else []
    batches = [*map(_batched, guards)]
    for batch in batches:
        undoing.callback(batch.shutdown)
    printers: dict[Signal, Any] = {
        plan.signal: console_exporter(plan.signal) for plan in others if plan.console
    }
    guards += printers.values()
    if "logs" in printers:
        printers["logs"] = batched_logs(printers["logs"])
    processors = [*([TreePrinter()] if console else []), *own, *batches]
    receivers = [*processors]
    parts: list[Part] = [*map(ProcessorPart, processors)]
    if "traces" in outlets:
        receivers.append(outlets["traces"].receiver())
        parts.append(OutletPart(outlets["traces"]))
    if provider is None:
        provider = _make_provider(settings, attributes)
    else:
        _tell_of_provider(provider, attributes)
    for plan in others:
        part = _part(plan, provider, outlets.get(plan.signal), printers.get(plan.signal))
        parts += [part] if part is not None else []

    def release() -> None:
        _running[:] = [other for other in _running if other is not telemetry]

    telemetry = Telemetry(
        provider,
        fanout_of(provider),
        receivers,
        parts,
        outlets=outlets,
        exporters=guards,
        description=_description(traces, console=console, own=own),
        release=release,
        exit_timeout_s=settings.exit_timeout_s,
    )
    telemetry.on_shutdown.append(
        partial(end_open_runs, provider)
    )  # else they would end when nobody listens any more
    return telemetry


def _part(plan: _Plan, provider: TracerProvider, outlet: Outlet | None, printer: Any) -> Part | None:
    """Return what a signal beside traces goes through, if it goes anywhere: its *printer*, its outlet, or both."""
    resource = getattr(provider, "resource", None)
    members = [each for each in (printer, outlet and outlet.receiver()) if each is not None]
    below: list[Part] = [OutletPart(outlet)] if outlet is not None else []
    if not members:
        return None
    if plan.signal == "metrics":
        return metrics_part(plan.settings, resource, members, below)
    return logs_part(resource, members, [*([ProcessorPart(printer)] if printer is not None else []), *below])


def _description(plan: _Plan, *, console: bool, own: Sequence[SpanProcessor]) -> str:
    said = ["console"] if console else []
    if plan.settings.file:
        said.append(f"file {plan.settings.file!r}")
    if plan.otlp:
        spooled = f" by {plan.settings.spool_dir!r}" if plan.settings.spool_dir else ""
        said.append(f"otlp {plan.settings.protocol} {without_secrets(endpoint_of(plan.settings))}{spooled}")
    said += [class_name(processor) for processor in own]
    return " + ".join(said) or NOTHING


def _provider_of_application() -> TracerProvider | None:
    """Return the provider that is set globally, None if none is. Raises: ConfigurationError: it takes no processors."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, ProxyTracerProvider):
        return None
    if not hasattr(provider, "add_span_processor"):
        raise ConfigurationError(
            f"The tracer provider that is set, {type(provider).__module__}.{type(provider).__qualname__}, is not the "
            "OpenTelemetry SDK's and takes no span processors. Let it export by its own means and give it to the handlers "
            "(OTelCallbackHandler(tracer_provider=...)), or call configure() before it is set."
        )
    return cast("TracerProvider", provider)


def _make_provider(settings: Settings, attributes: Mapping[str, AttributeValue]) -> TracerProvider:
    said: dict[str, AttributeValue] = {
        "telemetry.distro.name": DISTRIBUTION,
        "telemetry.distro.version": version(),
        **(settings.resource_attributes or {}),
        **({SERVICE_NAME: settings.service_name} if settings.service_name else {}),
        **attributes,
    }
    provider = TracerProvider(resource=Resource.create(said))
    trace.set_tracer_provider(provider)
    _made[:] = [provider]
    return provider


def _tell_of_provider(provider: TracerProvider, attributes: Mapping[str, AttributeValue]) -> None:
    ours = provider in _made
    if not ours:
        _logger.info("A tracer provider is set already: it is kept, and the exporters are added to it.")
    present = getattr(provider, "resource", Resource.get_empty()).attributes
    if differ := sorted(name for name, value in attributes.items() if present.get(name) != value):
        _logger.warning(
            "%s cannot be changed: %s.",
            ", ".join(repr(name[:80]) for name in differ),
            "the first call of configure() in this process has set it"
            if ours
            else "the application's own tracer provider says what the service is",
        )


def _file_exporter(path: str) -> GuardedExporter:
    exporter = JsonLinesExporter(path)
    try:
        exporter.open()
    except OSError as error:
        raise ConfigurationError(
            f"The file for traces, {path[:200]!r}, cannot be written: {error.strerror}."
        ) from None
    return GuardedExporter(exporter)


def _batched(exporter: SpanExporter) -> SpanProcessor:
    try:
        return BatchSpanProcessor(exporter)
    except ValueError as error:  # the SDK reads OTEL_BSP_* itself
        raise ConfigurationError(f"One of the OTEL_BSP_* variables is not allowed: {error}") from None


def _after_fork() -> None:
    _locks[:] = [threading.RLock()]


if hasattr(os, "register_at_fork"):  # pragma: no branch  (Windows does not fork)
    os.register_at_fork(after_in_child=_after_fork)
