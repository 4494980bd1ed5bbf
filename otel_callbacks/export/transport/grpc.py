"""OTLP over gRPC: bytes in, bytes out, over a channel that belongs to one process.

Rules for this file: a channel is made at the first send of each process and never used, nor closed, after a fork: an inherited one
hangs. Nobody is inside of gRPC while the process forks. What the environment says to gRPC of proxies and service configurations is not heard. Nothing is raised.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import grpc  # type: ignore[import-untyped]  # grpcio ships no types

from otel_callbacks.errors import ConfigurationError
from otel_callbacks.export.items import Answer, Verdict
from otel_callbacks.export.transport.answers import Mask, grpc_answer, grpc_delivered
from otel_callbacks.export.transport.faults import answer_of
from otel_callbacks.export.transport.forks import Gate
from otel_callbacks.export.transport.sockets import Deadline
from otel_callbacks.export.transport.unobserved import unobserved

if TYPE_CHECKING:
    from otel_callbacks.settings import Signal

_METHODS: Final[dict[Signal, str]] = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_MAX_ANSWER_BYTES: Final = 1 << 20
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _MAX_ANSWER_BYTES),
    ("grpc.max_send_message_length", -1),  # bounded by who made the request
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_retries", 0),  # ours, with a view of all batches
    # Else a channel that is made anew shares the connection of one that failed, and the two minutes that it waits.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)
# gRPC over HTTP/2, "Custom-Metadata": narrower than HTTP's own names and values.
_NAME: Final = re.compile(r"[0-9a-z_.-]+")
_VALUE: Final = re.compile(r"[\x20-\x7e]*")

_NO_FORKS: Final = frozenset(
    {"0", "false", "no"}
)  # of GRPC_ENABLE_FORK_SUPPORT, as gRPC reads it; on if unset
_UNUSABLE: Final = Answer(
    Verdict.MISCONFIGURED,
    "gRPC cannot be used in a forked process with GRPC_ENABLE_FORK_SUPPORT=0; leave it out, or use http/protobuf",
)
_FORKING: Final = Answer(Verdict.RETRY, "the process forks")

gate: Final = Gate().guard()
_users: Final[list[int]] = []
"""The first process that has used gRPC, here."""
inherited: Final[list[Any]] = []
"""Channels of a parent process: kept, because to let go of one would close it."""


@dataclass(frozen=True, slots=True)
class GrpcTarget:
    """What is the same for all connections of a signal."""

    signal: Signal
    address: str
    pem: Callable[[], dict[str, bytes | None]] | None
    """The certificates, for TLS; asked for at each connection."""
    metadata: tuple[tuple[str, str], ...] = field(repr=False)
    agent: str
    compresses: bool
    mask: Mask


def metadata_of(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return *headers* as gRPC sends them. Raises: ConfigurationError: one that it cannot."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or name.startswith("grpc-"):
            raise ConfigurationError(
                f"The header {name[:80]!r} of OTLP cannot be sent over grpc. Allowed: letters, digits, '-', '_' and '.' in its "
                "name, which does not begin with 'grpc-', and printable ASCII in its value."
            )
        if name.endswith("-bin"):
            raise ConfigurationError(
                f"The header {name[:80]!r} of OTLP cannot be sent over grpc: names that end with '-bin' are for binary values."
            )
    return tuple(headers.items())


class GrpcTransport:
    """One channel, made when first needed and after a failure to connect."""

    def __init__(self, target: GrpcTarget) -> None:
        self._target = target
        self._channel: Any = None
        self._call: Any = None
        self._pid = os.getpid()

    def send(self, body: bytes, identity: str, timeout_s: float) -> Answer:
        """Send an encoded request and wait for its answer, never longer than *timeout_s* in total. Never raises."""
        if self._pid != os.getpid():
            self.abandon()
        if _is_forked() and os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "").lower() in _NO_FORKS:
            return _UNUSABLE
        deadline = Deadline(timeout_s)
        with unobserved(), gate.inside(self, self._call_back, timeout_s) as entered:
            answer = self._exchange(body, identity, deadline) if entered else _FORKING
        if answer.verdict is not Verdict.DELIVERED and not answer.explicit:
            self.close()  # the next one connects at once, and reads the certificates again
        return answer

    def _exchange(self, body: bytes, identity: str, deadline: Deadline) -> Answer:
        target = self._target
        try:
            if self._channel is None:
                self._connect()
            response: bytes = self._call(
                body,
                timeout=deadline.left_s(),  # never 0: to gRPC, that is no limit that holds
                metadata=(*target.metadata, ("idempotency-key", identity)),
                compression=grpc.Compression.Gzip if target.compresses else grpc.Compression.NoCompression,
            )
        except grpc.RpcError as error:
            return _answer_of(error, target.mask)
        except Exception as error:  # noqa: BLE001  (a certificate that has gone, a channel that was closed)
            return answer_of(error)
        return grpc_delivered(target.signal, response, target.mask)

    def _call_back(self) -> None:
        channel = self._channel
        if channel is not None:
            channel.close()

    def close(self) -> None:
        """End the connection; a later `send` makes a new one."""
        if self._pid != os.getpid():
            self.abandon()
        channel, self._channel, self._call = self._channel, None, None
        if channel is not None:
            channel.close()

    def abandon(self) -> None:
        """Let go of the parent's channel without closing it."""
        self._pid = os.getpid()
        if self._channel is not None:
            inherited.append((self._channel, self._call))
        self._channel = self._call = None

    def _connect(self) -> None:
        target = self._target
        if not _users:
            _users.append(os.getpid())
        options = (*_OPTIONS, ("grpc.primary_user_agent", target.agent))
        if target.pem is None:
            channel = grpc.insecure_channel(target.address, options)
        else:
            credentials = grpc.ssl_channel_credentials(**target.pem())
            channel = grpc.secure_channel(target.address, credentials, options)
        self._channel = channel
        self._call = channel.unary_unary(_METHODS[target.signal])


def _is_forked() -> bool:
    return bool(_users) and _users[0] != os.getpid()


def _answer_of(error: Any, mask: Mask) -> Answer:
    code = error.code()
    return grpc_answer(
        getattr(code, "name", "UNKNOWN"), error.details() or "", error.trailing_metadata() or (), mask
    )
