"""OTLP's three services as a collector sees them: what a request holds, and what is answered. Parsed by the official classes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration  # type: ignore[import-untyped]  # no stubs are shipped
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped,unused-ignore]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped,unused-ignore]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

DECODERS: Final[dict[str | None, Callable[[bytes], bytes]]] = {
    None: bytes,
    "identity": bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


@dataclass(frozen=True)
class Service:
    """What a signal's requests are, and where their items stand."""

    name: str
    request: Any
    response: Any
    groups: str
    scopes: str
    items: str
    rejected: str

    @property
    def path(self) -> str:
        """Return gRPC's."""
        return f"/{self.name}/Export"


_COLLECTOR: Final = "opentelemetry.proto.collector"
SERVICES: Final = {
    "traces": Service(
        f"{_COLLECTOR}.trace.v1.TraceService", ExportTraceServiceRequest, ExportTraceServiceResponse,
        "resource_spans", "scope_spans", "spans", "rejected_spans",
    ),
    "metrics": Service(
        f"{_COLLECTOR}.metrics.v1.MetricsService", ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        "resource_metrics", "scope_metrics", "metrics", "rejected_data_points",
    ),
    "logs": Service(
        f"{_COLLECTOR}.logs.v1.LogsService", ExportLogsServiceRequest, ExportLogsServiceResponse,
        "resource_logs", "scope_logs", "log_records", "rejected_log_records",
    ),
}  # fmt: skip


def items_in(signal: str, request: Any) -> tuple[Any, ...]:
    """Return the items of a parsed request."""
    service = SERVICES[signal]
    return tuple(
        item
        for group in getattr(request, service.groups)
        for scope in getattr(group, service.scopes)
        for item in getattr(scope, service.items)
    )


def success(signal: str, rejected: int = 0, message: str = "") -> bytes:
    """Return the encoded response of a signal, partial if something was rejected or is said."""
    service = SERVICES[signal]
    response = service.response()
    if rejected or message:
        setattr(response.partial_success, service.rejected, rejected)
        response.partial_success.error_message = message
    return response.SerializeToString()  # type: ignore[no-any-return]


def retry_info(seconds: float, message: str = "") -> bytes:
    """Return an encoded ``google.rpc.Status`` that asks for patience."""
    status = Status(message=message)
    whole = int(seconds // 1)
    status.details.add().Pack(
        RetryInfo(retry_delay=Duration(seconds=whole, nanos=int((seconds - whole) * 1e9)))
    )
    return status.SerializeToString()  # type: ignore[no-any-return,unused-ignore]


def refusal(message: str) -> bytes:
    """Return an encoded ``google.rpc.Status`` that says *message*."""
    return Status(message=message).SerializeToString()  # type: ignore[no-any-return,unused-ignore]
