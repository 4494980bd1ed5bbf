"""One test span, sent the way an application's would be: through ``configure()``, with what the delivery logs as the reason.

Rules for this file: what is said of a failure has passed the filters that take secrets out of log lines.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from otel_callbacks.doctor.heard import listening
from otel_callbacks.export.delivery.ledger import Ledger
from otel_callbacks.export.setup import configure
from otel_callbacks.export.telemetry import NOTHING
from otel_callbacks.handlers import OTelCallbackHandler

TIMEOUT_S: Final = 10.0
RUN_NAME: Final = "otel-callbacks doctor"
_NOBODY: Final = "Nothing listens there. Is the collector running, and is the port that of this protocol (4318 http, 4317 grpc)?"
# What a message of the delivery or of a collector says, and what to do about it; the first that fits.
_HINTS: Final = (
    ("nobody listens", _NOBODY),
    ("nobody answers", _NOBODY),
    ("no answer in time", "Nobody took it in time. Is the collector running, and is this its address?"),
    ("cannot be resolved", "The host's name is unknown. Check OTEL_EXPORTER_OTLP_ENDPOINT."),
    ("404", "The server knows no such path. OTEL_EXPORTER_OTLP_ENDPOINT gets /v1/traces added; ..._TRACES_ENDPOINT does not."),
    ("401", "The server wants a key. Check OTEL_EXPORTER_OTLP_HEADERS."),
    ("403", "The server refuses this key. Check OTEL_EXPORTER_OTLP_HEADERS."),
    ("TLS", "TLS failed. Check OTEL_EXPORTER_OTLP_CERTIFICATE, or use http:// for a collector without TLS."),
    ("does not speak", "What answered does not speak this protocol: 4318 is http/protobuf, 4317 is grpc."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of the test span."""

    destination: str
    trace_id: str | None
    delivered: bool | None
    """None if nothing is exported at all."""
    duration_s: float
    said: tuple[str, ...]
    hint: str
    ledgers: Mapping[str, Ledger] = field(default_factory=dict[str, Ledger])
    """What became of everything, by signal."""


def send(env: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> Delivery:
    """Send one span. Raises: ConfigurationError: a setting is wrong."""
    with listening() as heard:
        began_s = time.monotonic()
        with configure(env=env) as telemetry:
            handler = OTelCallbackHandler(telemetry.tracer_provider)
            run_id = uuid4()
            handler.on_chain_start(None, None, run_id=run_id, name=RUN_NAME)
            handler.on_chain_end(None, run_id=run_id)
            trace_id = handler.trace_id(run_id)
            destination = telemetry.description
            delivered = None if destination == NOTHING else telemetry.force_flush(timeout_s)
            duration_s = time.monotonic() - began_s
            said = heard.lines  # what the shutdown adds is the same in other words
            ledgers = {str(signal): ledger for signal, ledger in telemetry.stats().items()}
    hint = next((hint for sign, hint in _HINTS if any(sign in line for line in said)), "")
    return Delivery(destination, trace_id, delivered, duration_s, said, "" if delivered else hint, ledgers)
