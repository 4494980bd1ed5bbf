"""The conventions as a judge of OTLP: what spans, metrics and log events say that the registry does not know, or lack.

Rules for this file: it reads parsed requests and data, nothing of this package; what it finds is a list of sentences. The GenAI
conventions are their own data; of the general ones, the few names that a trace of ours meets are below, and a test holds them
against OpenTelemetry's package of names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_FOLDER: Final = Path(__file__).parent
SPANS: Final[dict[str, Any]] = json.loads((_FOLDER / "genai_semconv.json").read_text())
SIGNALS: Final[dict[str, Any]] = json.loads((_FOLDER / "genai_semconv_signals.json").read_text())

# General conventions 1.43: attributes, by type.
GENERAL: Final = {
    **dict.fromkeys(
        (
            "service.name", "service.instance.id", "telemetry.sdk.language", "telemetry.sdk.name", "telemetry.sdk.version",
            "telemetry.distro.name", "telemetry.distro.version", "session.id", "user.id", "error.type", "exception.type",
            "exception.message", "exception.stacktrace", "server.address", "http.request.method", "network.peer.address",
            "network.protocol.version", "url.full",
        ),
        "string",
    ),
    **dict.fromkeys(("server.port", "network.peer.port", "http.response.status_code", "http.request.resend_count"), "int"),
}  # fmt: skip
# The same, metrics: kind, unit.
GENERAL_METRICS: Final = {"http.client.request.duration": ("histogram", "s")}
# A set of values that is open by the conventions' own words: any other value is allowed beside those that it has.
_OPEN: Final = frozenset({"error.type", "gen_ai.provider.name"})
_OF_OPERATION: Final = {
    "chat": "gen_ai.inference.client",
    "text_completion": "gen_ai.inference.client",
    "generate_content": "gen_ai.inference.client",
    "embeddings": "gen_ai.embeddings.client",
    "retrieval": "gen_ai.retrieval.client",
    "execute_tool": "gen_ai.execute_tool.internal",
    "create_agent": "gen_ai.create_agent.client",
    "invoke_agent": "gen_ai.invoke_agent.internal",
    "invoke_workflow": "gen_ai.invoke_workflow.internal",
}
_KINDS: Final = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_FAILED: Final = 2
_OPERATION: Final = "gen_ai.operation.name"


def value_of(value: Any) -> Any:
    """Return what an ``AnyValue`` holds."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {item.key: value_of(item.value) for item in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def _of(kind: type) -> Callable[[Any], bool]:
    return lambda value: type(value) is kind


_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "string": _of(str),
    "int": _of(int),
    "double": _of(float),
    "boolean": _of(bool),
    "string[]": lambda value: type(value) is list and all(type(item) is str for item in value),
    "any": lambda value: value is not None,
}


@dataclass
class Judge:
    """Collects what is wrong.

    Attributes:
        own: Attributes outside the conventions, by type; ``<key>`` stands for any name.
        own_events: Names of span events outside the conventions, likewise.
        own_metrics: Metrics outside the conventions, by unit.
        excepted: Deprecated attributes that are let pass.
        seen: Attributes, metrics and events that were looked at.
    """

    own: Mapping[str, str]
    own_events: Iterable[str]
    own_metrics: Mapping[str, str]
    excepted: Iterable[str] = ()
    seen: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        self._patterns = {_pattern(name): kind for name, kind in self.own.items()}
        self._events = [_pattern(name) for name in self.own_events]
        self._deprecated = {
            *SPANS["deprecated"]["attributes"],
            *SIGNALS["deprecated"].get("attributes", ()),
        } - {*self.excepted}
        self._attributes = {**SIGNALS["attributes"], **SPANS["attributes"]}

    def spans(self, requests: Iterable[Any]) -> Iterator[str]:
        """Judge requests of traces."""
        for group in (group for request in requests for group in request.resource_spans):
            yield from self._said("resource", group.resource.attributes)
            for span in (span for scope in group.scope_spans for span in scope.spans):
                yield from self._span(span)

    def metrics(self, requests: Iterable[Any]) -> Iterator[str]:
        """Judge requests of metrics."""
        for group in (group for request in requests for group in request.resource_metrics):
            yield from self._said("resource", group.resource.attributes)
            for metric in (metric for scope in group.scope_metrics for metric in scope.metrics):
                yield from self._metric(metric)

    def logs(self, requests: Iterable[Any]) -> Iterator[str]:
        """Judge requests of log records, which are events all."""
        for group in (group for request in requests for group in request.resource_logs):
            yield from self._said("resource", group.resource.attributes)
            for record in (record for scope in group.scope_logs for record in scope.log_records):
                yield from self._event(record)

    def _span(self, span: Any) -> Iterator[str]:
        yield from self._said(span.name, span.attributes)
        for event in span.events:
            yield from self._said(f"{span.name}, {event.name}", event.attributes)
            self.seen.add(event.name)
            if event.name != "exception" and not any(known.fullmatch(event.name) for known in self._events):
                yield f"{span.name}: {event.name} is no event of the conventions"
        for link in span.links:
            yield from self._said(f"{span.name}, a link", link.attributes)
        attributes = {item.key: value_of(item.value) for item in span.attributes}
        operation = attributes.get(_OPERATION)
        if operation is not None:
            asked = SPANS["spans"][_OF_OPERATION[operation]]
            yield from _lacking(span.name, asked, attributes)
            if (
                span.status.code == _FAILED
                and "error.type" in asked["attributes"]
                and "error.type" not in attributes
            ):
                yield f"{span.name}: failed, and lacks error.type"
            if _KINDS[span.kind] != asked["kind"]:
                yield f"{span.name}: is {_KINDS[span.kind]}, should be {asked['kind']}"
            if span.name.split(" ")[0] != operation:
                yield f"{span.name}: is not called by its operation, {operation}"

    def _metric(self, metric: Any) -> Iterator[str]:
        kind = metric.WhichOneof("data")
        asked = SIGNALS["metrics"].get(metric.name)
        self.seen.add(metric.name)
        if metric.name in SIGNALS["deprecated"]["metrics"]:
            yield f"{metric.name}: deprecated"
        if asked is not None:
            expected = (asked["instrument"], asked["unit"])
        elif metric.name in self.own_metrics:
            expected = (kind, self.own_metrics[metric.name])
        elif metric.name in GENERAL_METRICS:
            expected = GENERAL_METRICS[metric.name]
        else:
            yield f"{metric.name}: is no metric of the conventions"
            return
        if (kind, metric.unit) != expected:
            yield f"{metric.name}: is a {kind} in {metric.unit}, should be {expected}"
        for point in getattr(metric, kind).data_points:
            yield from self._said(metric.name, point.attributes)
            if asked is not None:
                attributes = {item.key: value_of(item.value) for item in point.attributes}
                yield from _lacking(metric.name, asked, attributes)
                yield from _strange(metric.name, asked, attributes)
                if asked.get("advised_buckets") and list(point.explicit_bounds) != asked["advised_buckets"]:
                    yield f"{metric.name}: buckets of its own"

    def _event(self, record: Any) -> Iterator[str]:
        name = record.event_name
        yield from self._said(name, record.attributes)
        self.seen.add(name)
        asked = SIGNALS["events"].get(name)
        if asked is None or name in SIGNALS["deprecated"]["events"]:
            yield f"{name}: is no event of the conventions"
            return
        attributes = {item.key: value_of(item.value) for item in record.attributes}
        yield from _lacking(name, asked, attributes)
        yield from _strange(name, asked, attributes)

    def _said(self, where: str, attributes: Any) -> Iterator[str]:
        for item in attributes:
            yield from self._attribute(where, item.key, value_of(item.value))

    def _attribute(self, where: str, name: str, value: Any) -> Iterator[str]:
        self.seen.add(name)
        if name in self._deprecated:
            yield f"{where}: {name} is deprecated"
            return
        known = self._attributes.get(name)
        kind = GENERAL.get(name) if known is None else known["type"]
        if kind is None:
            kind = next((kind for own, kind in self._patterns.items() if own.fullmatch(name)), None)
        if kind is None:
            yield f"{where}: {name} is no attribute of the conventions"
        elif not _TYPES[kind](value):
            yield f"{where}: {name} is {value!r}, should be {kind}"
        elif known is not None and "enum" in known and name not in _OPEN and value not in known["enum"]:
            yield f"{where}: {name} is {value!r}, should be one of {sorted(known['enum'])}"


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"<\w+>", ".+", name.replace(".", r"\.")), re.DOTALL)


def _lacking(where: str, asked: Any, attributes: Mapping[str, Any]) -> Iterator[str]:
    """Find what is required, and what is where its condition can be told from the rest."""
    for name, about in asked["attributes"].items():
        if about["level"] == "required" and name not in attributes:
            yield f"{where}: lacks {name}"
    if (
        "server.address" in attributes
        and "server.port" in asked["attributes"]
        and "server.port" not in attributes
    ):
        yield f"{where}: server.address without server.port"


def _strange(where: str, asked: Any, attributes: Mapping[str, Any]) -> Iterator[str]:
    """Find what metrics and events do not have by the conventions, which would be a cardinality of its own."""
    for name in attributes.keys() - asked["attributes"].keys():
        yield f"{where}: has {name}, which the conventions do not give it"
