"""Every setting and the environment variables that it is read from: one table, the fields of :class:`Settings`.

Rules for this file: standard library only; the environment is a mapping that is passed in; nothing is opened, connected or
logged here. A setting exists only if something reads it. OpenTelemetry's own variables (``OTEL_*``) have the meaning of its
specification, and an empty variable is an unset one; ours are ``OTEL_CALLBACKS_*``. A value that may hold a secret
(headers, endpoints) appears in no message and in no ``repr``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final, Literal, Self, cast

from otel_callbacks import parsing
from otel_callbacks.errors import ConfigurationError

Protocol = Literal["http/protobuf", "grpc"]
Compression = Literal["none", "gzip", "deflate"]
Signal = Literal["traces", "metrics", "logs"]
Exemplars = Literal["trace_based", "always_on", "always_off"]
Fsync = Literal["never", "interval", "always"]
Temporality = Literal["cumulative", "delta", "lowmemory"]
Histograms = Literal["explicit_bucket_histogram", "base2_exponential_bucket_histogram"]

SHOWN_CHARACTERS: Final = 80  # of a wrong value, in a message


@dataclass(frozen=True, slots=True)
class Variable:
    """One row of the table: where a setting comes from, what it may be, what it is for."""

    field: str
    names: tuple[str, ...]
    """Environment variables, the first that is set and not empty wins: those of traces, where each signal has its own."""
    parse: Callable[[str], Any]
    """Text to value; raises ValueError for what is not allowed."""
    default: Any
    allowed: str
    doc: str
    secret: bool
    wrong_is_default: bool
    """OpenTelemetry's booleans: whatever is not ``true`` is false, with a warning, by specification."""
    fallback: Any
    """What a wrong value means where it cannot stop the program: the default, but of what keeps things private, the least."""

    def names_of(self, signal: Signal) -> tuple[str, ...]:
        """Return the variables of another signal: ``METRICS`` or ``LOGS`` where a name says ``TRACES``, ``BLRP`` for ``BSP``."""
        names = [name.replace("_TRACES_", f"_{signal.upper()}_") for name in self.names]
        return tuple([name.replace("_BSP_", "_BLRP_") if signal == "logs" else name for name in names])

    def refuse(self, name: str, value: Any) -> str:
        """Return the message for a *value* of *name* that is not allowed."""
        shown = "" if self.secret else f"={_shown(value)}"
        hidden = " (its value is not shown, because it may hold a secret)" if self.secret else ""
        return f"{name}{shown} is not allowed{hidden}. Allowed: {self.allowed}."


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else type(value).__name__
    return repr(text[:SHOWN_CHARACTERS]) + ("…" if len(text) > SHOWN_CHARACTERS else "")


_OTLP: Final = "OTEL_EXPORTER_OTLP_"
_SAME: Final = object()  # a wrong value means the default


def _setting(
    default: Any,
    name: str,
    parse: Callable[[str], Any],
    allowed: str,
    doc: str,
    *,
    secret: bool = False,
    wrong_is_default: bool = False,
    fallback: Any = _SAME,
) -> Any:
    """Return a dataclass field that is a row of the table.

    *name* may be several with blanks between; ``OTLP:X`` stands for X of traces, then X of every signal.
    """
    signal = name.removeprefix("OTLP:")
    names = tuple(name.split()) if signal == name else (f"{_OTLP}TRACES_{signal}", f"{_OTLP}{signal}")
    row = {
        "names": names, "parse": parse, "default": default, "allowed": allowed, "doc": doc,
        "secret": secret, "wrong_is_default": wrong_is_default, "fallback": default if fallback is _SAME else fallback,
    }  # fmt: skip
    return field(default=default, repr=not secret, metadata=row)


_A_FILE: Final = "the path of a file that can be read"
_AN_ENDPOINT: Final = "a URL such as http://localhost:4318 (http or https), or host:port"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment and the arguments say. A field is a row: default, variables, parser, what is allowed, why."""

    console: bool | None = _setting(
        None, "OTEL_CALLBACKS_CONSOLE", parsing.boolean, parsing.ANY_BOOLEAN,
        "Print the tree of every finished trace to standard error.",
    )  # fmt: skip
    file: str | None = _setting(
        None, "OTEL_CALLBACKS_FILE", parsing.string, "a path",
        "Append every finished span to this file, as OTLP JSON lines.",
    )  # fmt: skip
    max_open_runs: int = _setting(
        100_000, "OTEL_CALLBACKS_MAX_OPEN_RUNS", parsing.count, "a whole number from 1",
        "Runs that may be open at once; beyond it the oldest is ended as abandoned.",
    )  # fmt: skip
    max_run_age_s: float = _setting(
        7200.0, "OTEL_CALLBACKS_MAX_RUN_AGE_S", parsing.seconds, "a number of seconds above 0",
        "Seconds without any event after which an open run is ended as abandoned.",
    )  # fmt: skip
    show_hidden: bool = _setting(
        False, "OTEL_CALLBACKS_SHOW_HIDDEN", parsing.boolean, parsing.ANY_BOOLEAN,
        "Show runs with the tag langsmith:hidden, as LangGraph's own machinery has it.",
    )  # fmt: skip
    mappers: tuple[str, ...] = _setting(
        (), "OTEL_CALLBACKS_MAPPERS", parsing.names, "names of entry points of the group otel_callbacks_mapper, with commas between",
        "Mappers that other packages provide, by name, in the order in which they are called.",
    )  # fmt: skip
    capture_errors: bool = _setting(
        True, "OTEL_CALLBACKS_CAPTURE_ERRORS", parsing.boolean, parsing.ANY_BOOLEAN,
        "Record the messages and stack traces of errors; their types are always recorded.", fallback=False,
    )  # fmt: skip
    max_value_length: int = _setting(
        32_768, "OTEL_CALLBACKS_MAX_VALUE_LENGTH", parsing.count, "a whole number of characters from 1",
        "Characters kept of one attribute's text.",
    )  # fmt: skip
    capture_content: str | None = _setting(
        None, "OTEL_CALLBACKS_CAPTURE_CONTENT", parsing.content, parsing.ANY_CONTENT_MODE,
        "Where messages, tools' arguments and results, queries and documents go; stronger than OpenTelemetry's own variable.",
        fallback="NO_CONTENT",
    )  # fmt: skip
    content_fields: tuple[str, ...] | None = _setting(
        None, "OTEL_CALLBACKS_CONTENT_FIELDS", parsing.content_fields, f"{', '.join(parsing.CONTENT_FIELDS)}, with commas between",
        "Which content is captured where content is captured at all; by default every field.", fallback=(),
    )  # fmt: skip
    genai_content: str = _setting(
        "NO_CONTENT", "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", parsing.content_mode,
        "NO_CONTENT, SPAN_ONLY, EVENT_ONLY or SPAN_AND_EVENT", "The same, for every instrumentation.", wrong_is_default=True,
    )  # fmt: skip
    max_content_bytes: int = _setting(
        262_144, "OTEL_CALLBACKS_MAX_CONTENT_BYTES", parsing.count, "a whole number of bytes from 1",
        "Bytes of all content of one span; the oldest messages are cut and left out first.",
    )  # fmt: skip
    max_attribute_bytes: int | None = _setting(
        None, "OTEL_CALLBACKS_MAX_CONTENT_ATTRIBUTE_BYTES", parsing.count, "a whole number of bytes from 1",
        "Bytes of one attribute's content, for a backend that cuts longer ones (Tempo at 2048): the JSON stays valid.",
    )  # fmt: skip
    sdk_value_length: int | None = _setting(
        None, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", parsing.count,
        "a whole number of characters from 1", "Where the SDK cuts attributes: content is cut before, inside its JSON.",
        wrong_is_default=True,
    )  # fmt: skip
    redactors: tuple[str, ...] | None = _setting(
        None, "OTEL_CALLBACKS_REDACTORS", parsing.redactors, f"{', '.join(parsing.REDACTORS)}, with commas between",
        "What is taken out of every text, beside secrets, which always are.", fallback=parsing.REDACTORS,
    )  # fmt: skip
    redaction_budget_ms: int = _setting(
        1_000, "OTEL_CALLBACKS_REDACTION_BUDGET_MS", parsing.count, "a whole number of milliseconds from 1",
        "Milliseconds that a handler's redactors may take in one run; then what is left of its texts is withheld.",
    )  # fmt: skip
    completion_hook: str | None = _setting(
        None, "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK", parsing.string,
        "the name of an entry point in the group opentelemetry_genai_completion_hook",
        "Gets the content of every model call, agent and workflow, for example to store it elsewhere (upload).",
    )  # fmt: skip

    emit_event: bool | None = _setting(
        None, "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT", parsing.boolean, parsing.ANY_BOOLEAN,
        "A log event with the details of every model call; by default if content is captured for events.",
    )  # fmt: skip
    cost: bool = _setting(
        False, "OTEL_CALLBACKS_COST", parsing.boolean, parsing.ANY_BOOLEAN,
        "Add the price of every model call, in US dollars, by genai-prices (`pip install 'otel-callbacks[prices]'`).",
    )  # fmt: skip

    sdk_disabled: bool = _setting(
        False, "OTEL_SDK_DISABLED", parsing.strict_boolean, "true or false",
        "true: configure() exports nothing.", wrong_is_default=True,
    )  # fmt: skip
    exporters: tuple[str, ...] = _setting(
        ("otlp",), "OTEL_TRACES_EXPORTER", parsing.exporters, "otlp, console, both with a comma between, or none",
        "Where traces go; metrics and log events have variables of their own, and go by OTLP if traces do.",
    )  # fmt: skip
    metric_interval_ms: int = _setting(
        60_000, "OTEL_METRIC_EXPORT_INTERVAL", parsing.count, "a whole number of milliseconds from 1",
        "Milliseconds from one export of metrics to the next.",
    )  # fmt: skip
    metric_timeout_ms: int = _setting(
        30_000, "OTEL_METRIC_EXPORT_TIMEOUT", parsing.count, "a whole number of milliseconds from 1",
        "Milliseconds that an export of metrics may take.",
    )  # fmt: skip
    exemplars: Exemplars = _setting(  # noqa: RUF009  (a frozen field, made at import)
        "trace_based", "OTEL_METRICS_EXEMPLAR_FILTER", parsing.one_of("trace_based", "always_on", "always_off"),
        "trace_based, always_on or always_off", "Which measurements lead to their trace.",
    )  # fmt: skip
    temporality: Temporality = _setting(  # noqa: RUF009  (as above)
        "cumulative", f"{_OTLP}METRICS_TEMPORALITY_PREFERENCE", parsing.one_of("cumulative", "delta", "lowmemory"),
        "cumulative, delta or lowmemory", "Whether a metric is sent as its sum so far or since the last export.",
    )  # fmt: skip
    histograms: Histograms = _setting(  # noqa: RUF009  (as above)
        "explicit_bucket_histogram", f"{_OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        parsing.one_of("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
        "explicit_bucket_histogram or base2_exponential_bucket_histogram", "How durations and tokens are put into buckets.",
    )  # fmt: skip
    service_name: str | None = _setting(
        None, "OTEL_SERVICE_NAME", parsing.string, "a text", "Name of the service in every trace (service.name)."
    )  # fmt: skip
    resource_attributes: Mapping[str, str] | None = _setting(
        None, "OTEL_RESOURCE_ATTRIBUTES", parsing.pairs, "key=value pairs with commas between, values percent-encoded",
        "Further attributes of the service.", secret=True,
    )  # fmt: skip
    protocol: Protocol = _setting(  # noqa: RUF009  (a frozen field, made at import)
        "http/protobuf", "OTLP:PROTOCOL", parsing.one_of("http/protobuf", "grpc"), "http/protobuf or grpc",
        "How OTLP is sent.",
    )  # fmt: skip
    own_endpoint: str | None = _setting(
        None, f"{_OTLP}TRACES_ENDPOINT", parsing.endpoint, _AN_ENDPOINT,
        "Where traces are sent, used exactly as it is; metrics and log events have variables of their own.", secret=True,
    )  # fmt: skip
    endpoint: str | None = _setting(
        None, f"{_OTLP}ENDPOINT", parsing.endpoint, _AN_ENDPOINT,
        "The collector; for http/protobuf, /v1/traces, /v1/metrics and /v1/logs are added.", secret=True,
    )  # fmt: skip
    headers: Mapping[str, str] | None = _setting(
        None, "OTLP:HEADERS", parsing.headers, "name=value pairs with commas between, values percent-encoded",
        "Headers of every export, for example the key of a backend.", secret=True,
    )  # fmt: skip
    timeout_s: float = _setting(
        10.0, "OTLP:TIMEOUT", parsing.seconds, "a number of seconds above 0",
        "Seconds for one request and its answer (OpenTelemetry for Python counts seconds here).",
    )  # fmt: skip
    compression: Compression = _setting(  # noqa: RUF009  (as above)
        "none", "OTLP:COMPRESSION", parsing.one_of("none", "gzip", "deflate"), "none, gzip or (http/protobuf only) deflate",
        "How exports are compressed.",
    )  # fmt: skip
    certificate: str | None = _setting(
        None, "OTLP:CERTIFICATE", parsing.string, _A_FILE, "The only certificate authorities that are trusted (PEM)."
    )  # fmt: skip
    client_key: str | None = _setting(
        None, "OTLP:CLIENT_KEY", parsing.string, _A_FILE, "The key that the client proves itself with (PEM)."
    )  # fmt: skip
    client_certificate: str | None = _setting(
        None, "OTLP:CLIENT_CERTIFICATE", parsing.string, _A_FILE, "The certificate that belongs to the client's key (PEM)."
    )  # fmt: skip
    insecure: bool | None = _setting(
        None, "OTLP:INSECURE", parsing.strict_boolean, "true or false",
        "grpc to an endpoint without a scheme: true means without TLS.", wrong_is_default=True,
    )  # fmt: skip
    proxy: str | None = _setting(
        None, "OTEL_CALLBACKS_PROXY", parsing.endpoint, "a URL such as http://proxy:3128",
        "An HTTP proxy for OTLP over http/protobuf, except to this machine itself; HTTP_PROXY and its like are not consulted.",
        secret=True,
    )  # fmt: skip
    batch_delay_ms: int = _setting(
        5_000, "OTEL_BSP_SCHEDULE_DELAY", parsing.count, "a whole number of milliseconds from 1",
        "Milliseconds that a span may wait for others to be sent with; for log events OTEL_BLRP_SCHEDULE_DELAY.",
    )  # fmt: skip
    batch_items: int = _setting(
        512, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", parsing.count, "a whole number from 1",
        "Spans in a request, when none are waiting for more; for log events OTEL_BLRP_MAX_EXPORT_BATCH_SIZE.",
    )  # fmt: skip
    queue_items: int | None = _setting(
        None, "OTEL_BSP_MAX_QUEUE_SIZE", parsing.count, "a whole number from 1",
        "Spans that may wait in memory; by default only their bytes count. For log events OTEL_BLRP_MAX_QUEUE_SIZE.",
    )  # fmt: skip
    max_request_bytes: int = _setting(
        3_670_016, "OTEL_CALLBACKS_MAX_REQUEST_BYTES", parsing.count, "a whole number of bytes from 1",
        "Bytes of one request before compression; collectors refuse more than 4 MiB over gRPC.",
    )  # fmt: skip
    memory_max_bytes: int = _setting(
        67_108_864, "OTEL_CALLBACKS_MEMORY_MAX_BYTES", parsing.count, "a whole number of bytes from 1",
        "Bytes of one signal that may wait in memory, without a spool or while its disk fails; the oldest are dropped, and counted.",
    )  # fmt: skip
    spool_dir: str | None = _setting(
        None, "OTEL_CALLBACKS_SPOOL_DIR", parsing.string, "the path of a directory",
        "Where everything waits on disk until a collector has it: nothing is lost by a crash, an outage or a restart.",
    )  # fmt: skip
    spool_max_bytes: int = _setting(
        536_870_912, "OTEL_CALLBACKS_SPOOL_MAX_BYTES", parsing.count, "a whole number of bytes from 1",
        "Bytes that may wait in the directory; the oldest are dropped, and counted. Never more than a tenth of the free disk.",
    )  # fmt: skip
    spool_fsync: Fsync = _setting(  # noqa: RUF009  (a frozen field, made at import)
        "interval", "OTEL_CALLBACKS_SPOOL_FSYNC", parsing.one_of("never", "interval", "always"), "never, interval or always",
        "When the disk itself is waited for: each second, off the application's thread; a power cut costs that second.",
    )  # fmt: skip
    exit_timeout_s: float = _setting(
        5.0, "OTEL_CALLBACKS_EXIT_TIMEOUT_S", parsing.seconds, "a number of seconds above 0",
        "Seconds that the exit of the program may wait for a collector.",
    )  # fmt: skip

    @classmethod
    def from_env(
        cls,
        env: Mapping[str, str],
        report: Callable[[str], object] | None = None,
        signal: Signal = "traces",
        **arguments: object,
    ) -> Self:
        """Read the environment, overridden by arguments.

        Args:
            env: Variables by name; ``os.environ`` as a rule.
            report: Called with a message where the specification wants a wrong value to be the default.
            signal: Whose variables are read, where each has its own.
            **arguments: Values by field; None means not given.

        Raises: ConfigurationError: a value that is not allowed; the message says which and what is.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        values = {
            row.field: _argument(row, given[row.field])
            if row.field in given
            else _read(row, env, report if row.wrong_is_default else None, signal)
            for row in VARIABLES
        }
        return cls(**values)

    @classmethod
    def lenient(cls, env: Mapping[str, str], report: Callable[[str], object] = lambda _message: None) -> Self:
        """Read *env* without ever raising: what is not allowed is the default, and *report* gets the message."""
        return cls(**{row.field: _read(row, env, report) for row in VARIABLES})


VARIABLES: Final = tuple(Variable(field=row.name, **row.metadata) for row in fields(Settings))


def origin(row: Variable, env: Mapping[str, str], signal: Signal = "traces") -> str | None:
    """Return the variable that the value of *row* is read from; None for the default."""
    return next((name for name in row.names_of(signal) if env.get(name, "").strip()), None)


def variable(field: str) -> Variable:
    """Return the row of a field."""
    return next(row for row in VARIABLES if row.field == field)


def _read(
    row: Variable,
    env: Mapping[str, str],
    report: Callable[[str], object] | None,
    signal: Signal = "traces",
) -> Any:
    """Return the row's value from *env*. Raises ConfigurationError if it is wrong and there is no *report*."""
    name = origin(row, env, signal)
    if name is None:
        return row.default
    text = env[name].strip()
    try:
        return row.parse(text)
    except ValueError:
        message = row.refuse(name, text)
        if report is None:
            raise ConfigurationError(message) from None
        used = "The default is" if row.fallback is row.default else "What records the least is"
        report(f"{message} {used} used.")
        return row.fallback


def _argument(row: Variable, value: Any) -> Any:
    """Return *value* as the field holds it: texts pass the parser of their variable, headers the check of headers."""
    try:
        if isinstance(value, str):
            return row.parse(value.strip())
        if isinstance(value, Mapping):
            mapping = cast("Mapping[object, object]", value)
            pairs = {str(name): str(text) for name, text in mapping.items()}
            return parsing.checked_headers(pairs) if row.field == "headers" else MappingProxyType(pairs)
    except ValueError:
        raise ConfigurationError(row.refuse(row.field, value)) from None
    return value
