"""The journal of open spans: what `recovery` reports if this process dies before they end.

Rules for this file: a span's start and its end cost one small write each, on the application's thread. No lock there: the same
thread may come back in the middle of anything, out of a garbage collection or a signal handler, and a lock that it holds would
hang it. So every step hands on something by one atomic operation of a dict, a list or a deque:

- A slot has one holder, who alone writes and empties it: a thread that has taken it from the file's free ones, then the list of
  its entry, then whoever pops it from there. So nobody writes into a slot that is another's by then, nor frees one twice.
- A slot is written before it goes into its entry's list; whoever puts it there looks afterwards whether the span has ended in
  between. An end is marked before the list is emptied. So one of the two sees the other, in any order.
- A new state of a span goes into another slot, and the old one is emptied only when the new one is as safe: a write that is
  cut short costs what was new. Of two records of one span, the one with the higher version is true.
- An end that a signal's exception cuts off between two of these steps is taken up again when the span is collected. At one point
  (the slot has been popped, and the exception comes before it has a name) it is not, and if the process dies later, the span is
  reported as if it had been open.

Spans are held by weak references: one that is dropped without an end frees its slot. Nothing raises, but for what a signal
handler does.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from operator import is_
from typing import TYPE_CHECKING, Any, Final, Literal

from opentelemetry.sdk.trace import ReadableSpan

from otel_callbacks.export.children import call_in_children
from otel_callbacks.export.spool.directory import Directory
from otel_callbacks.export.spool.fitting import fitted
from otel_callbacks.export.spool.slots import SLOT_BYTES, Slot, SlotFile, Source, size_of, source_of
from otel_callbacks.export.spool.started import Form, written
from otel_callbacks.export.wire.origins import origin_of
from otel_callbacks.export.wire.protobuf import time_ns
from otel_callbacks.export.wire.spans import open_span_item
from otel_callbacks.settings import Fsync

if TYPE_CHECKING:
    from otel_callbacks.export.items import Origin

ENDING: Final = "open"
"""Of the names of journals."""
MAX_OPEN: Final = 100_000
_MAX_SOURCES: Final = 1_000
_RETRY_S: Final = 5.0
_WARN_S: Final = 60.0
# In one refresh, so that the application's threads are not kept waiting for the interpreter: the next one goes on from there.
_MAX_LOOKED_AT: Final = 20_000
_MAX_WRITTEN: Final = 1_000

_logger = logging.getLogger(__name__)


class _Entry(weakref.ref[ReadableSpan]):
    """An open span."""

    __slots__ = ("ended", "key", "seen", "settled", "slots", "version")

    key: tuple[int, int]
    slots: list[Slot]
    """One, but while a new state is being written."""
    settled: bool
    """Its `begin` is over: from now on, only the refreshing thread writes it."""
    ended: bool
    version: int
    seen: tuple[object, ...] | None
    """What it was like when it was looked at; None if it never was."""


class Journal:
    """The open spans of this process and one destination, on disk.

    Args:
        directory: Where: its folder and its system calls, nothing else of it is used.
        destination: Where their ends are to be sent: a hash.
        fsync: When what is written has to survive a power cut: ``interval``, with each `refresh`; ``always``, a span's start
            as well, which then waits for the disk; ``never``.
        now_ns: The time of spans.
        clock_s: A clock that is never set.
    """

    def __init__(
        self,
        directory: Directory,
        destination: str,
        *,
        fsync: Fsync = "interval",
        max_open: int = MAX_OPEN,
        now_ns: Callable[[], int] = time.time_ns,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._destination = destination
        self._fsync = fsync
        self._max_open = max_open
        self._now_ns = now_ns
        self._clock_s = clock_s
        self._warned_s: float | None = None
        self._closed = False
        self._sources: dict[Origin, Source] = {}
        self._begin_anew()
        call_in_children(self.after_fork)

    def _begin_anew(self) -> None:
        self.skipped = 0
        """Spans that are open and not on disk, or were, because there were too many or they could not be read."""
        self._open: dict[tuple[int, int], _Entry] = {}
        self._gone: deque[weakref.ref[ReadableSpan]] = deque()
        self._files: dict[Literal["now"], SlotFile] = {}
        """The file, if there is one."""
        self._retry_s: float | None = None
        """When the disk is tried again; None while it works."""
        self._refreshing = threading.Lock()  # is only ever tried
        self._round: list[_Entry] = []

    # -- the application's threads -------------------------------------------------------------------------------------------

    def begin(self, span: ReadableSpan) -> None:
        """Write down that *span* has started."""
        if self._closed:
            return
        entry: _Entry | None = None
        try:
            if len(self._open) >= self._max_open:
                self._reap()
                if len(self._open) >= self._max_open:
                    self.skipped += 1
                    return
            context: Any = span.get_span_context()
            key = (context.trace_id, context.span_id)
            new = _Entry(span, self._gone.append)
            new.key = key
            new.slots = []
            new.settled = new.ended = False
            new.version = 0
            new.seen = None
            if self._open.setdefault(key, new) is not new:
                return
            entry = new
            if self._retry_s is None:
                file = self._files.get("now") or self._opened()
                form, body = written(span)
                if not self._put(new, file, span, time_ns(span.start_time), form, body):
                    self.skipped += 1
                if self._fsync == "always":
                    file.sync()
        except Exception as error:  # noqa: BLE001 - telemetry never reaches the application
            self._failed(error)
        finally:
            if entry is not None:
                entry.settled = True

    def end(self, span: ReadableSpan) -> None:
        """Write down that *span* is kept elsewhere, as a whole."""
        try:
            context: Any = span.get_span_context()
            key = (context.trace_id, context.span_id)
            entry = self._open.get(key)
            if entry is not None:
                self._forget(entry)
        except Exception as error:  # noqa: BLE001 - telemetry never reaches the application
            self._failed(error)

    def _forget(self, entry: _Entry) -> None:
        entry.ended = True
        _empty(entry)
        self._open.pop(entry.key, None)

    def _opened(self, former: SlotFile | None = None) -> SlotFile:
        """Return the file, which is made if there is none, or none but *former*. Raises: OSError."""
        made = self._made()
        if former is None:
            file = self._files.setdefault("now", made)
        else:  # all entries move to it with this refresh and the next ones
            file = self._files["now"] = made
            former.remove()
        if file is not made or self._closed:  # another thread was faster
            made.remove()
        return file

    def _made(self) -> SlotFile:
        # Another thread may be about to do the same: each has a view of its own of the folder, and opens it anew.
        own = Directory(self._directory.path, files=self._directory.files)
        now_ns = self._now_ns()
        try:
            opened = None
            while opened is None:
                opened = own.create(f"{own.new_name('', now_ns).identity}.{ENDING}")
            path = f"{own.path}/{opened.name}"
            try:
                made = SlotFile(own.files, opened.descriptor, path, self._destination, now_ns)
                if self._fsync == "always":
                    own.files.sync_folder(own.folder())
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(path)  # noqa: PTH108  (a text)
                raise
        finally:
            own.forget()
        return made

    def _put(
        self, entry: _Entry, file: SlotFile, span: ReadableSpan, last_ns: int, form: Form, body: bytes
    ) -> bool:
        """Write the span into a slot of its own; return whether there was one. Raises: OSError: the disk is full, or broken."""
        origin = origin_of(span.resource, span.instrumentation_scope)
        source = self._sources.get(origin)
        if source is None:
            source = self._source(origin)
        slot = file.take(size_of(source, body))
        if slot is None:
            for room in (SLOT_BYTES[-1], SLOT_BYTES[0]):
                form, body = Form.ITEM, fitted(span, room - size_of(source, b""))
                slot = file.take(size_of(source, body))
                if slot is not None:
                    break
            else:
                return False
        version = entry.version + 1
        try:
            file.write(slot, entry.key, version, last_ns, source, form, body)
        except BaseException:
            file.discard(slot)
            raise
        entry.slots.append(slot)
        entry.version = version
        if entry.ended:
            _empty(entry)
        return True

    def _source(self, origin: Origin) -> Source:
        if len(self._sources) >= _MAX_SOURCES:
            self._sources.clear()
        source = self._sources[origin] = source_of(origin)
        return source

    # -- the delivery's thread -------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Bring the file up to date: about once a second, never on the application's thread."""
        if self._closed or not self._refreshing.acquire(blocking=False):
            return
        try:
            self._refresh()
        except Exception as error:  # noqa: BLE001 - the thread has other things to do
            self._failed(error)
        finally:
            self._refreshing.release()

    def _refresh(self) -> None:
        self._reap()
        if self._retry_s is not None and self._clock_s() < self._retry_s:
            return
        file = self._files.get("now")
        if file is None and not self._open:
            self._retry_s = None
            return
        if file is None or file.spoilt or file.is_gone():
            file = self._opened(file)
            self._round = []
        file.beat(self._now_ns())
        self._retry_s = None
        renewed = self._write_what_changed(file)
        if self._fsync != "never":
            self._sync(file)
        for entry in renewed:  # what they were like before, on disk until now
            _empty(entry, leave=1)

    def _sync(self, file: SlotFile) -> None:
        if file.dirty:
            file.sync()
        if file.is_new:  # its name has to outlive a power cut as well
            own = Directory(self._directory.path, files=self._directory.files)
            try:
                own.files.sync_folder(own.folder())
            finally:
                own.forget()
            file.is_new = False

    def _write_what_changed(self, file: SlotFile) -> list[_Entry]:
        renewed: list[_Entry] = []
        if not self._round:
            self._round = list(self._open.values())
        for _ in range(min(_MAX_LOOKED_AT, len(self._round))):
            entry = self._round.pop()
            span = entry()
            # One that has an end time is about to be ended here as well.
            if span is None or entry.ended or not entry.settled or span.end_time is not None:
                continue
            now = _seen(span)  # before the span is written: what changes meanwhile is seen next time
            if _is_new(entry, now, file):
                last_ns = max(
                    [time_ns(span.start_time), *(time_ns(event.timestamp) for event in span.events)]
                )
                if not self._put(entry, file, span, last_ns, Form.ITEM, open_span_item(span)):
                    break  # the file is full
                entry.seen = now
            if len(entry.slots) > 1:
                renewed.append(entry)
            if len(renewed) >= _MAX_WRITTEN:
                break
        return renewed

    def _reap(self) -> None:
        """Forget the spans that nobody can end any more."""
        gone = self._gone
        while gone:
            try:
                entry = gone.popleft()
            except IndexError:  # another thread reaps as well
                return
            if isinstance(entry, _Entry):
                self._forget(entry)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, OSError):
            self.skipped += 1
            _logger.debug("A span could not be journalled: %s.", type(error).__name__)
            return
        self._retry_s = (now_s := self._clock_s()) + _RETRY_S
        if self._warned_s is None or now_s - self._warned_s >= _WARN_S:
            self._warned_s = now_s
            _logger.warning(
                "The journal of open spans cannot be written (%s): if this process dies now, they are lost. It is tried again.",
                errno.errorcode.get(error.errno or 0, type(error).__name__),
            )

    # -- both ------------------------------------------------------------------------------------------------------------------

    @property
    def open_count(self) -> int:
        """How many spans are open, on disk or not."""
        return len(self._open)

    def open_spans(self) -> list[ReadableSpan]:
        """Return what is open: for the journal that follows this one."""
        return [span for entry in list(self._open.values()) if (span := entry()) is not None]

    def after_fork(self) -> None:
        """Begin anew in a forked child: the open spans are the parent's, and so is its file. Called by itself."""
        self._begin_anew()

    def close(self) -> None:
        """Delete the file: what is open now ends with the process, of its own accord."""
        self._closed = True
        file = self._files.pop("now", None)
        if file is not None:
            file.remove()
        self._open = {}
        self._round = []


def _empty(entry: _Entry, leave: int = 0) -> None:
    """Give back the slots of *entry*, the oldest first, but for the last *leave*."""
    slots = entry.slots
    while len(slots) > leave:
        try:
            slot = slots.pop(0)
        except IndexError:  # another thread does the same
            return
        slot[0].discard(slot)


def _is_new(entry: _Entry, now: tuple[object, ...], file: SlotFile) -> bool:
    """Return whether the span is not in *file* as it is now."""
    slots, before = entry.slots, entry.seen
    if before is None or not slots or slots[-1][0] is not file:
        return True
    return len(before) != len(now) or not all(map(is_, before, now))


def _seen(span: ReadableSpan) -> tuple[object, ...]:
    """Return objects that are others when the span has become another."""
    events, links = span.events, span.links
    return (
        span.name,
        span.status,
        events[-1] if events else None,
        links[-1] if links else None,
        *(span.attributes or {}).values(),
    )
