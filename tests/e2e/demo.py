"""Running the demo as its user does, with the collector as its endpoint, and knowing what it sent.

What it sent is read from the file that it writes beside sending: a second exporter, which no network alters.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.e2e.readers import read_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.backends import Running
    from tests.e2e.records import SpanRecord

DEMO_WITHIN_S: Final = 120  # it takes a few seconds, most of them imports

# Protocol, as OTEL_EXPORTER_OTLP_PROTOCOL spells it -> the collector's port that speaks it and nothing else.
PORTS: Final = {"grpc": "COLLECTOR_OTLP_GRPC_PORT", "http/protobuf": "COLLECTOR_OTLP_HTTP_PORT"}


@dataclass(frozen=True, slots=True)
class DemoRun:
    """One run of the demo: *traces* are the spans sent, by trace id."""

    protocol: str
    output: str
    traces: dict[str, list[SpanRecord]]

    @property
    def spans(self) -> list[SpanRecord]:
        return [record for trace in self.traces.values() for record in trace]

    def traces_with(self, key: str, value: str) -> set[str]:
        """The traces in which a span has the string *value* as its attribute *key*."""
        return {record.trace_id for record in self.spans if (key, ("string", value)) in record.attributes}


def run_demo(protocol: str, running: Running, folder: Path) -> DemoRun:
    """Run the demo, sending over *protocol*.

    Raises:
        AssertionError: It failed; the message is what it printed.
    """
    path = folder / "sent.jsonl"
    answer = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "otel_callbacks", "demo", "--file", str(path)],
        check=False,
        cwd=folder,
        env={
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": running.url(PORTS[protocol]),
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEMO_WITHIN_S,
    )
    assert answer.returncode == 0, (
        f"the demo exited with {answer.returncode}:\n{answer.stdout}\n{answer.stderr}"
    )
    traces: dict[str, list[SpanRecord]] = {}
    for record in read_file(path):
        traces.setdefault(record.trace_id, []).append(record)
    return DemoRun(protocol, answer.stdout + answer.stderr, traces)
