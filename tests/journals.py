"""What tests of the journal of open spans share: what is on disk, spans of any kind, system calls with something planted in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Wire
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.export.spool.directory import Directory
from otel_callbacks.export.spool.files import Files
from otel_callbacks.export.spool.journal import Journal
from otel_callbacks.export.spool.slots import Found, LeftFile
from otel_callbacks.export.spool.started import item_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

DESTINATION = "0123abcd"


class Planted(Files):
    """System calls; before each one that a journal makes, `before` is asked, with its name."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[str], object] = lambda _name: None
        self.made: list[str] = []

    def _ask(self, name: str) -> None:
        self.made.append(name)
        self.before(name)

    def create(self, name: str, folder: int) -> int:
        self._ask("create")
        return super().create(name, folder)

    def write(self, descriptor: int, data: bytes, offset: int) -> int:
        self._ask("write")
        return super().write(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        self._ask("sync")
        super().sync(descriptor)

    def status(self, descriptor: int) -> os.stat_result:
        self._ask("status")
        return super().status(descriptor)

    @contextmanager
    def at(self, number: int, plant: Callable[[], object]) -> Iterator[None]:
        """Do something before the call of that *number*, counted from 0; in it, nothing is planted."""
        counted = iter(range(1_000_000))

        def before(_name: str) -> None:
            if next(counted) == number:
                self.before = lambda _name: None
                plant()

        self.before = before
        yield
        self.before = lambda _name: None


def files_of(folder: Path) -> list[Path]:
    """Return the journals that are there."""
    return sorted(folder.glob("*.open"))


def records(folder: Path) -> list[Found]:
    """Return every record on disk, of journals that live as well."""
    found: list[Found] = []
    for path in files_of(folder):
        descriptor = os.open(path, os.O_RDONLY)
        found += LeftFile(Files(), descriptor).records()
        os.close(descriptor)
    return found


def on_disk(folder: Path) -> dict[int, Wire]:
    """Return the newest state of each span on disk, by span id."""
    newest: dict[int, Wire] = {}
    for found in sorted(records(folder), key=lambda found: found.version):
        item = item_of(found.form, found.body, found.identity)
        assert item is not None
        newest[int.from_bytes(found.identity[16:], "big")] = Wire.FromString(item)
    return newest


def said(attributes: Iterable[Any]) -> dict[str, Any]:
    """Return attributes of the wire's form as Python's."""
    return {pair.key: _value(pair.value) for pair in attributes}


def _value(value: Any) -> Any:
    field = value.WhichOneof("value")
    if field == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, field) if field else None


class Journalling(SpanProcessor):
    """Tells a journal of every span, as the delivery does; what has ended goes to *keep* first."""

    def __init__(self, journal: Journal, keep: Callable[[ReadableSpan], object] = lambda _span: None) -> None:
        self.journal = journal
        self._keep = keep

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        self.journal.begin(span)

    def on_end(self, span: ReadableSpan) -> None:
        self._keep(span)
        self.journal.end(span)


class Desk:
    """A journal in a folder, and spans of both kinds that it is told of: the SDK's, and a run's of a handler."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.files = Planted()
        self.journal = Journal(Directory(folder, files=self.files), DESTINATION, **options)
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(Journalling(self.journal))
        self.tracer = self.provider.get_tracer("application", "1.0")
        self.handler = OTelCallbackHandler(self.provider, raise_errors=True)

    def start(self, name: str = "work", **options: Any) -> Any:
        """Start a span of the SDK's, without a parent."""
        return self.tracer.start_span(name, Context(), **options)

    def run(self, run_id: Any, parent_id: Any = None, name: str = "chain", **options: Any) -> None:
        """Start a run; its context is not left behind."""
        token = context_api.attach(context_api.get_current())
        self.handler.on_chain_start({}, {}, run_id=run_id, parent_run_id=parent_id, name=name, **options)
        context_api.detach(token)

    @property
    def on_disk(self) -> dict[int, Wire]:
        return on_disk(self.folder)

    @property
    def names(self) -> set[str]:
        """The names of the spans on disk."""
        return {span.name for span in self.on_disk.values()}


def id_of(span: Any) -> int:
    """Return a span's own id."""
    number: int = span.get_span_context().span_id
    return number
