"""The application that suffers: it makes spans when it is told to, and writes each one's id down before it makes the next.

``python -m tests.faults.application SUBJECT REPORT``: commands come as lines of JSON on standard input, each is answered by
one on standard output; the end of input is the end of the program. A span is written to the report after its end has
returned: from then on the application believes that it will be delivered.

Rules for this file: spans are made through OpenTelemetry's and our public interface only. It never talks to the collector,
and it must survive being stopped at any point: nothing that was written down is held in a buffer.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from opentelemetry import trace

from tests.faults.marks import GUILTY, LARGE, OPEN, PLAIN, RECORD, SDK, Kind

# About what an HTTP or database span carries: 480 bytes when encoded.
ATTRIBUTES: Final[dict[str, str | int | float | bool]] = {
    "http.request.method": "POST",
    "http.response.status_code": 200,
    "server.address": "api.example.com",
    "server.port": 443,
    "url.full": "https://api.example.com/v1/chat/completions",
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "a-model-of-medium-size",
    "gen_ai.usage.input_tokens": 1234,
    "gen_ai.usage.output_tokens": 321,
    "app.tenant": "tenant-0042",
    "app.cached": False,
    "app.score": 0.75,
}

Answer = dict[str, Any]


class Application:
    """One process: its exporter, its report, and what it can be told to do."""

    def __init__(self, subject: str, report: Path) -> None:
        self._report = os.open(report, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._ledgers = report.with_suffix(".ledgers")
        # Before configure(): what is registered first is called last, when the exporter has been shut down.
        atexit.register(self.write_ledger)
        self._flush, self._ledger = _plain_sdk() if subject == SDK else _ours()
        self._tracer = trace.get_tracer("tests.faults")

    def note(self, span: trace.Span, kind: Kind, took_ns: int = 0) -> None:
        span_id = span.get_span_context().span_id
        os.write(self._report, RECORD.pack(span_id, time.monotonic(), took_ns, os.getpid(), kind))

    def spans(self, count: int, rate: float = 0, kind: Kind = PLAIN, size: int = 0) -> Answer:
        """Make *count* spans, *rate* in a second (0: as fast as it goes), each with a text of *size* characters."""
        attributes: dict[str, str | int | float | bool] = {
            **ATTRIBUTES,
            "kind": kind,
            **({"app.text": "x" * size} if size else {}),
        }
        begun = time.monotonic()
        for number in range(count):
            if rate and (wait := begun + number / rate - time.monotonic()) > 0:
                time.sleep(wait)
            before_ns = time.perf_counter_ns()
            span = self._tracer.start_span("guilty" if kind == GUILTY else "work", attributes=attributes)
            span.end()
            self.note(span, kind, time.perf_counter_ns() - before_ns)
        return {"took_s": time.monotonic() - begun}

    def large(self, size: int) -> Answer:
        return self.spans(1, kind=LARGE, size=size)

    def open_runs(self, count: int) -> Answer:
        """Start *count* runs of a chain that never end; each is current while its step, a span that ends, is made."""
        from otel_callbacks import OTelCallbackHandler  # noqa: PLC0415  (the plain SDK is measured without us)

        handler = OTelCallbackHandler()
        for number in range(count):
            handler.on_chain_start(
                {"name": f"chain {number}"}, {"question": "?"}, run_id=uuid4(), tags=["open"]
            )
            self.note(trace.get_current_span(), OPEN)
        return {}

    def flush(self, timeout_s: float) -> Answer:
        before = time.monotonic()
        done = self._flush(timeout_s)
        return {"done": done, "took_s": time.monotonic() - before}

    def ledger(self) -> Answer:
        return {"ledger": self._ledger()}

    def write_ledger(self) -> None:
        line = json.dumps({"pid": os.getpid(), **self.ledger()}) + "\n"
        with self._ledgers.open("a") as ledgers:
            ledgers.write(line)

    def fork(self, how: str, children: int, count: int) -> Answer:
        """Let *children* make *count* spans each and end; wait for them."""
        if how == "multiprocessing":
            context = multiprocessing.get_context("fork")
            processes = [context.Process(target=self.spans, args=(count,)) for _ in range(children)]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
            return {"statuses": [process.exitcode for process in processes]}
        pids = [self._child(how, count) for _ in range(children)]
        return {"statuses": [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]}

    def _child(self, how: str, count: int) -> int:
        pid = os.fork()
        if not pid:
            self.spans(count)
            if how == "os._exit":
                os._exit(0)
            sys.exit(0)
        return pid

    def prefork(self, workers: int, count: int) -> Answer:
        """Serve as gunicorn does with --preload: workers are forked, killed in the middle of their work, and replaced."""
        self._killed_workers(workers, count)
        return self.fork("normal exit", workers, count)

    def _killed_workers(self, workers: int, count: int) -> None:
        reader, writer = os.pipe()
        pids: list[int] = []
        for _ in range(workers):
            pid = os.fork()
            if not pid:
                self.spans(count)
                os.write(writer, b".")
                while True:
                    self.spans(1, rate=100)
                    time.sleep(0.01)
            pids.append(pid)
        for _ in pids:
            os.read(reader, 1)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)

    def loop(self, tasks: int, count: int) -> Answer:
        """Make spans in tasks of an ``asyncio.run`` that then ends, cancelling one that still runs."""

        async def one() -> None:
            self.spans(count)
            await asyncio.sleep(0)

        async def forever() -> None:
            span = self._tracer.start_span("cancelled")
            try:
                await asyncio.Event().wait()
            finally:
                span.end()
                self.note(span, PLAIN)

        async def main() -> None:
            task = asyncio.create_task(forever())
            await asyncio.gather(*(one() for _ in range(tasks)))
            assert not task.done()

        asyncio.run(main())
        return {}

    def limit_files(self, size: int) -> Answer:
        """Let no file grow over *size* bytes: a write over it fails with EFBIG, as one on a full disk with ENOSPC."""
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        return {}

    def exit_on_sigterm(self) -> Answer:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        return {}


def _plain_sdk() -> tuple[Callable[[float], bool], Callable[[], Any]]:
    protocol = {"grpc": "grpc", "http/protobuf": "http"}[os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"]]
    exporters = import_module(f"opentelemetry.exporter.otlp.proto.{protocol}.trace_exporter")
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporters.OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return lambda timeout_s: provider.force_flush(int(timeout_s * 1000)), lambda: None


def _ours() -> tuple[Callable[[float], bool], Callable[[], Any]]:
    import otel_callbacks  # noqa: PLC0415  (the plain SDK is measured without us)

    telemetry = otel_callbacks.configure()

    def ledger() -> Any:
        found = telemetry.stats()["traces"]
        figures = {field.name: getattr(found, field.name) for field in fields(found)}
        return {**figures, "dropped": dict(found.dropped), "balanced": found.balanced}

    return telemetry.force_flush, ledger


def main(subject: str, report: str) -> None:
    application = Application(subject, Path(report))
    _say({"ready": os.getpid()})
    for line in iter(sys.stdin.readline, ""):
        command = json.loads(line)
        _say(getattr(application, command.pop("do"))(**command))


def _say(answer: Answer) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()  # before a fork, which would say it twice


if __name__ == "__main__":
    main(*sys.argv[1:])
