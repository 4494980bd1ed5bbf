"""What the installed version of the official encoder can and cannot write."""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.common._internal import _encode_value
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext


def encodes_none() -> bool:
    """The official encoder takes None for a value in newer versions, and drops the attribute in older ones."""
    try:
        _encode_value(None)
    except Exception:
        return False
    return True


def encodes_whole_scopes() -> bool:
    """The official encoder leaves a scope's attributes and schema out in older versions."""
    scope = InstrumentationScope("s", schema_url="https://schema")
    probe = ReadableSpan("", SpanContext(1, 1, is_remote=False), instrumentation_scope=scope)
    return bool(encode_spans([probe]).resource_spans[0].scope_spans[0].schema_url)
