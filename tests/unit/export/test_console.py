"""When a trace is printed, and that printing harms nobody."""

from __future__ import annotations

import gc
import io
import os
import sys
import threading
import weakref

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, Tracer, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from otel_callbacks.export.console import MAX_PRINTED, TreePrinter

from .conftest import make_span


class Output(io.StringIO):
    def names(self) -> list[str]:
        """Names of the spans that were printed, in order, without the lines that are not spans."""
        lines = [
            line for line in self.getvalue().splitlines() if line and not line.startswith(("trace ", "("))
        ]
        return [line.strip("│├└─ ").split("  ")[0] for line in lines]

    def late(self) -> list[str]:
        return [
            line.partition("later: ")[2].split("  ")[0]
            for line in self.getvalue().splitlines()
            if "later: " in line
        ]


@pytest.fixture
def output() -> Output:
    return Output()


def tracer_of(printer: TreePrinter, sampler: Sampler | None = None) -> Tracer:
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(printer)
    tracer = provider.get_tracer("test")
    assert isinstance(tracer, Tracer)
    return tracer


def test_a_trace_is_printed_when_its_root_ends(output: Output) -> None:
    tracer = tracer_of(TreePrinter(output))
    with tracer.start_as_current_span("root"):
        with tracer.start_as_current_span("child"):
            pass
        assert output.getvalue() == ""
    assert output.names() == ["root", "child"]
    assert output.getvalue().endswith("\n\n")


def test_standard_error_is_taken_when_it_is_written(monkeypatch: pytest.MonkeyPatch, output: Output) -> None:
    tracer = tracer_of(TreePrinter())
    monkeypatch.setattr(sys, "stderr", output)
    tracer.start_span("root").end()
    monkeypatch.setattr(sys, "stderr", None)
    tracer.start_span("unseen").end()
    assert output.names() == ["root"]


def test_a_span_that_ends_after_its_root_is_printed_alone(output: Output) -> None:
    tracer = tracer_of(TreePrinter(output))
    root = tracer.start_span("root")
    inside = trace.set_span_in_context(root)
    early = tracer.start_span("early", inside)
    root.end()
    early.end()
    tracer.start_span("late", inside).end()
    assert (output.names(), output.late()) == (["root"], ["early", "late"])


def test_a_remote_parent_makes_a_local_root_each_time(output: Output) -> None:
    tracer = tracer_of(TreePrinter(output))
    remote = SpanContext(7, 7, is_remote=True, trace_flags=TraceFlags(1))
    upstream = trace.set_span_in_context(NonRecordingSpan(remote))
    for name in ("one", "two"):
        with tracer.start_as_current_span(name, upstream), tracer.start_as_current_span(f"in {name}"):
            pass
    assert (output.names(), output.late()) == (["one", "in one", "two", "in two"], [])


def test_roots_that_overlap_in_one_trace_are_printed_together(output: Output) -> None:
    tracer = tracer_of(TreePrinter(output))
    remote = SpanContext(7, 7, is_remote=True, trace_flags=TraceFlags(1))
    upstream = trace.set_span_in_context(NonRecordingSpan(remote))
    one, two = tracer.start_span("one", upstream), tracer.start_span("two", upstream)
    one.end()
    assert output.getvalue() == ""
    two.end()
    assert output.names() == ["one", "two"]


def test_a_parent_of_another_provider_makes_a_local_root(output: Output) -> None:
    tracer = tracer_of(TreePrinter(output))
    foreign = TracerProvider(shutdown_on_exit=False).get_tracer("other").start_span("foreign")
    with tracer.start_as_current_span("ours", trace.set_span_in_context(foreign)):
        pass
    assert output.names() == ["ours"]


def test_a_span_that_started_before_the_printer_was_there_is_printed(output: Output) -> None:
    printer = TreePrinter(output, max_traces=1)
    printer.on_end(make_span(2, 1, "child"))
    assert output.getvalue() == ""
    printer.on_end(make_span(1, None, "root"))
    assert output.names() == ["root", "child"]
    printer.on_end(ReadableSpan("no context"))


class RecordOnly(Sampler):
    def should_sample(self, *args: object, **kwargs: object) -> SamplingResult:
        return SamplingResult(Decision.RECORD_ONLY)

    def get_description(self) -> str:
        return "record only"


@pytest.mark.parametrize("sampler", [ParentBased(ALWAYS_OFF), RecordOnly()])
def test_what_is_not_sampled_is_not_printed_and_not_kept(output: Output, sampler: Sampler) -> None:
    printer = TreePrinter(output)
    tracer = tracer_of(printer, sampler)
    root = tracer.start_span("root")
    child = tracer.start_span("child", trace.set_span_in_context(root))
    root.end()
    child.end()
    assert output.getvalue() == ""
    assert not printer._traces


def test_the_number_of_traces_is_bounded_and_the_oldest_is_printed(output: Output) -> None:
    printer = TreePrinter(output, max_traces=2)
    tracer = tracer_of(printer)
    roots = [tracer.start_span(f"root {number}") for number in range(2)]
    tracer.start_span("child", trace.set_span_in_context(roots[0])).end()
    tracer.start_span("root 2")
    assert output.names() == ["child"]
    for number in range(10, 14):
        printer.on_end(make_span(1, 99, "orphan", trace_id=number))
    assert len(printer._traces) == 2


def test_the_number_of_spans_is_bounded_and_said(output: Output) -> None:
    printer = TreePrinter(output, max_spans=3)
    tracer = tracer_of(printer)
    with tracer.start_as_current_span("root"):
        for number in range(5):
            tracer.start_span(f"child {number}").end()
    assert output.names() == ["child 0", "child 1", "child 2"]
    assert "(3 more spans are not shown)" in output.getvalue()


def test_the_memory_of_printed_traces_is_bounded(output: Output) -> None:
    printer = TreePrinter(output)
    tracer = tracer_of(printer)
    for _ in range(MAX_PRINTED + 5):
        tracer.start_span("root").end()
    assert len(printer._printed) == MAX_PRINTED


def test_a_shutdown_prints_what_has_no_end(output: Output) -> None:
    printer = TreePrinter(output)
    tracer = tracer_of(printer)
    root = tracer.start_span("root")
    tracer.start_span("child", trace.set_span_in_context(root)).end()
    assert printer.force_flush()
    assert output.getvalue() == ""
    printer.shutdown()
    assert output.names() == ["child"]


def test_a_closed_stream_is_reported_once(output: Output, caplog: pytest.LogCaptureFixture) -> None:
    tracer = tracer_of(TreePrinter(output))
    output.close()
    for _ in range(3):
        tracer.start_span("root").end()
    assert [record.message for record in caplog.records] == [
        "The tree of a trace could not be printed (ValueError); later ones may be missing too."
    ]


def test_a_stream_of_another_encoding_gets_escapes() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="latin-1")
    tracer_of(TreePrinter(stream)).start_span("é 東").end()
    assert "\\u6771" in raw.getvalue().decode("latin-1")


def test_threads_print_whole_trees(output: Output) -> None:
    tracer = tracer_of(TreePrinter(output))

    def work(number: int) -> None:
        for _ in range(20):
            with (
                tracer.start_as_current_span(f"root {number}"),
                tracer.start_as_current_span(f"child {number}"),
            ):
                pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = output.names()
    assert len(names) == 160
    assert all(names[at].split()[1] == names[at + 1].split()[1] for at in range(0, 160, 2))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_lock_held_at_a_fork_is_free_in_the_child(output: Output) -> None:
    printer = TreePrinter(output)
    with printer._lock, printer._writing:
        child = os.fork()
        if child == 0:  # pragma: no cover
            os._exit(
                0 if printer._lock.acquire(blocking=False) and printer._writing.acquire(blocking=False) else 1
            )
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_printer_is_not_kept_alive_by_its_fork_hook() -> None:
    printer = TreePrinter(Output())
    gone = weakref.ref(printer)
    del printer
    gc.collect()
    assert gone() is None
