"""The run table: which runs are open, whose children they are, which ended lately.

Rules for this file: no clock, no I/O, and no lock. Each method is a few single steps on built-in dicts, which the
interpreter makes atomic, in an order in which any interleaving is right: whoever pops a run out of ``open`` ends it, and
nobody else can. A lock would not do: a garbage collection inside the locked region can close an abandoned generator, whose
error callback arrives here, on the same thread, in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from itertools import islice
from typing import Any, Final, Protocol

from otel_callbacks.core.events import RunKind
from otel_callbacks.core.redact import Redactor
from otel_callbacks.core.values import AttributeValue
from otel_callbacks.semconv import Operation

MAX_CHUNK_TIMES: Final = 16_384  # of one run; what comes later is counted, and not timed
RECENT_RUNS: Final = 4_096  # ended runs whose span is remembered: at least so many, at most twice so many


class Watch(Protocol):
    """What ends the open runs of an asyncio task with it."""

    def add(self, run: Run) -> None:
        """Take a run that the task has opened."""
        ...

    def discard(self, key: int) -> None:
        """Let go of a run that has ended."""
        ...


class Steps(Enum):
    """What the children of a chain tell about it."""

    SEQUENCE = "steps of a sequence"
    GRAPH = "nodes of a graph"


class Run:
    """One run while it is open: what its end, its chunks and its children need to know. Mutable."""

    __slots__ = (
        "agent",
        "attributes",
        "calls",
        "children",
        "chunk_times_ns",
        "chunks",
        "chunks_seen",
        "content",
        "copies",
        "failed_with",
        "first_chunk_ns",
        "hidden",
        "id",
        "identity",
        "integration",
        "key",
        "kind",
        "muted",
        "name",
        "offset_ns",
        "one_task",
        "operation",
        "parent",
        "parent_key",
        "policy",
        "redactors",
        "reference",
        "retries",
        "span",
        "span_name",
        "start_ns",
        "steps",
        "tags",
        "touched_ns",
        "watch",
    )

    def __init__(
        self, key: int, run_id: str, kind: RunKind, parent: Run | None, policy: Any, tags: object
    ) -> None:
        self.key = key
        self.id = run_id
        self.kind = kind
        self.parent = parent  # if it was open at the start
        self.parent_key: int | None = None  # whether anything is known of it or not
        self.policy = policy  # of the handler that started the run; its identity tells handlers apart
        self.redactors: Sequence[Redactor] = ()  # the policy's, as long as they are quick enough
        self.tags = tags  # the dispatcher's own object: a second delivery of one start brings the very same
        self.name: str | None = None
        self.span_name = ""  # the span's at its end, where that is another than at its start
        self.operation: Operation | None = None
        self.integration: str | None = None
        self.agent: str | None = parent.agent if parent is not None else None
        # Conversation, session and user by attribute, as the application wrote them: the whole run's, and unredacted.
        self.identity: Mapping[str, str] | None = parent.identity if parent is not None else None
        self.attributes: dict[str, AttributeValue] = {}
        self.children: dict[int, Run] | None = {}  # None as soon as the run is ending
        self.span: Any = None  # the trace sink's
        self.reference: Any = (
            None  # the trace sink's as well: what later runs need to refer to this one, open or ended
        )
        self.content: Any = None  # the policy's: what was said, as far as it is wanted beside the attributes
        self.watch: Watch | None = None  # over the task that started this one
        self.one_task = False  # whoever started it ends it, or nobody does
        self.muted = False  # without a span: not sampled, and nothing below it can be; or hidden
        self.hidden = (
            False  # its own tag says so: what is below it is shown, and goes to the nearest one that is
        )
        self.start_ns = 0  # monotonic, as every time in the core
        # Wall clock minus monotonic clock: the same in a whole trace, so that its spans nest.
        self.offset_ns = 0
        self.touched_ns = 0
        self.first_chunk_ns = 0
        self.chunks = 0
        self.chunk_times_ns: list[int] | None = None  # for observers, at most MAX_CHUNK_TIMES
        self.chunks_seen = 0  # by the last sweep: a token reads no clock
        self.copies = 1  # how often one handler delivers each event of this run (listed twice)
        self.retries = 0
        self.steps: Steps | None = None  # what its children turned out to be
        self.failed_with: int | None = None  # the identity of what a child failed with
        self.calls: list[int] | None = None  # an agent's model calls and tool calls, if observers count them

    def note_chunk(self, time_ns: int) -> None:
        """Remember when a chunk came."""
        if self.chunk_times_ns is None:
            self.chunk_times_ns = []
        if len(self.chunk_times_ns) < MAX_CHUNK_TIMES:
            self.chunk_times_ns.append(time_ns)


class RunTable:
    """Open runs by key, at most *max_open*, and the spans of those that ended lately."""

    def __init__(self, max_open: int, recent: int = RECENT_RUNS) -> None:
        self.open: dict[int, Run] = {}
        self.max_open = max_open
        self._recent_limit = recent
        self._recent: dict[int, Any] = {}
        self._older: dict[int, Any] = {}

    def add(self, run: Run) -> bool:
        """Open *run*, under its parent if that is still open; return False if a run of its key is open already."""
        if self.open.setdefault(run.key, run) is not run:
            return False
        if run.watch is not None:
            run.watch.add(run)
        parent = run.parent
        if parent is not None:
            siblings = parent.children
            if (
                siblings is not None
            ):  # else the parent has ended since we looked it up, and this is a late child
                siblings[run.key] = run
            parent.touched_ns = run.start_ns
        return True

    def pop(self, key: int) -> Run | None:
        """Take the run out; exactly one caller gets it, and that one ends it. From now on it is remembered."""
        run = self.open.get(key)
        if run is not None:
            # First, so that a child that starts in another thread finds the one or the other.
            self.remember(key, run.reference)
            run = self.open.pop(key, None)
        if run is not None:
            siblings = run.parent.children if run.parent is not None else None
            if siblings is not None:
                siblings.pop(key, None)
            if run.watch is not None:
                run.watch.discard(key)
        return run

    def pop_below(self, run: Run) -> list[Run]:
        """Take out every open run below *run*, children before their parents; from now on *run* gets no more."""
        children, run.children = run.children, None
        if not children:
            return []
        order = list(children.values())
        for child in order:  # grows while it is walked
            grandchildren, child.children = child.children, None
            if grandchildren:
                order += list(grandchildren.values())
        return [popped for child in reversed(order) if (popped := self.pop(child.key)) is not None]

    def overflow(self) -> list[Run]:
        """Take out the oldest open runs, because there are more than `max_open`: a hundredth at once.

        One at a time would walk over the holes that the former ones left in the dict.
        """
        oldest = self._oldest(max(1, self.max_open // 100))
        return [popped for run in oldest if (popped := self.pop(run.key)) is not None]

    def idle(self, before_ns: int, now_ns: int) -> list[Run]:
        """Take out the runs without open children that nothing has touched since *before_ns* (monotonic).

        Runs stand in the order of their starts, so only those that are old enough are looked at.
        """
        found: list[Run] = []
        for run in self._oldest(len(self.open)):
            if run.start_ns >= before_ns:
                break
            if run.chunks != run.chunks_seen:  # a stream that flows
                run.chunks_seen, run.touched_ns = run.chunks, now_ns
            if run.touched_ns < before_ns and not run.children and (popped := self.pop(run.key)) is not None:
                found.append(popped)
        return found

    def _oldest(self, count: int) -> list[Run]:
        try:
            return list(islice(self.open.values(), count))
        except RuntimeError:  # another thread changed the dict in the same instant: the next sweep will do
            return []

    def remember(self, key: int, reference: Any) -> None:
        """Keep the *reference* for late children, links and look-ups, for the next `RECENT_RUNS` runs or more."""
        recent = self._recent
        recent[key] = reference
        if len(recent) > self._recent_limit:
            self._older, self._recent = recent, {}

    def recall(self, key: int) -> Any:
        """Return what was remembered of an ended run, or None."""
        found = self._recent.get(key)
        return found if found is not None else self._older.get(key)


def is_same_start(run: Run, policy: object, tags: object) -> bool:
    """Tell whether a second start with the id of the open *run* is the same start, delivered again.

    Two handlers of one provider, or one handler listed twice, report each start twice, with the dispatcher's own tag list.
    The same id with another list is another run, whose predecessor never ended.
    """
    return policy is not run.policy or (tags is not None and tags is run.tags)
