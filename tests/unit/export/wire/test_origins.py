"""Who made an item: encoded once for the same objects, whatever is wrong with them, and not kept for ever."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics, ScopeMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_callbacks.export.wire import origins
from otel_callbacks.export.wire.origins import origin_of


def test_an_origin_reads_the_same_in_every_signals_messages() -> None:
    origin = origin_of(
        Resource({"service.name": "a"}, "https://r"), InstrumentationScope("s", "1", "https://s", {"k": 1})
    )
    for of_resource in (ResourceSpans, ResourceLogs, ResourceMetrics):
        read: Any = of_resource.FromString(origin.resource)
        assert (read.resource.attributes[0].key, read.schema_url) == ("service.name", "https://r")
    for of_scope in (ScopeSpans, ScopeLogs, ScopeMetrics):
        found: Any = of_scope.FromString(origin.scope)
        scope = found.scope
        assert (scope.name, scope.version, found.schema_url) == ("s", "1", "https://s")
        assert [pair.key for pair in scope.attributes] == ["k"]


def test_the_same_objects_have_the_same_origin_and_equal_ones_an_equal_one() -> None:
    def made() -> tuple[Resource, InstrumentationScope]:
        return Resource({"a": 1}), InstrumentationScope("s")

    resource, scope = made()
    assert origin_of(resource, scope) is origin_of(resource, scope)
    assert origin_of(*made()) == origin_of(resource, scope)
    assert origin_of(resource, InstrumentationScope("t")) != origin_of(resource, scope)


def test_a_number_that_came_free_is_not_taken_for_the_object_that_had_it() -> None:
    for number in range(1_000):
        origin = origin_of(Resource({"n": number}), None)
        assert ResourceSpans.FromString(origin.resource).resource.attributes[0].value.int_value == number


def test_origins_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[Any, Any] = {}
    monkeypatch.setattr(origins, "_kept", kept)
    for number in range(1_000):
        origin_of(Resource({"n": number}), None)
    assert 0 < len(kept) <= 256


def test_nobody_is_an_empty_resource_and_scope_that_are_there() -> None:
    origin = origin_of(None, None)
    assert ResourceSpans.FromString(origin.resource).HasField("resource")
    assert ScopeSpans.FromString(origin.scope).HasField("scope")


def test_what_is_wrong_with_an_origin_costs_itself() -> None:
    class Odd:
        name = "a\ud800"
        version = 7
        schema_url = None

        @property
        def attributes(self) -> Any:
            return 5

    origin = origin_of(Odd(), Odd())
    assert not ResourceSpans.FromString(origin.resource).resource.attributes
    scope = ScopeSpans.FromString(origin.scope).scope
    assert (scope.name, scope.version) == ("a\ufffd", "7")
