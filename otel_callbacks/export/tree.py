"""A finished trace as lines of text: a tree of its spans, a bar for when each ran, its duration in a column on the right.

Rules for this file: pure, spans in and lines out; a span is only read. Whatever is odd (a parent that is not there, a cycle, no
end, a depth of thousands) is shown, never raised. What a line says of its span is the business of ``labels``.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otel_callbacks.export import labels
from otel_callbacks.export.labels import GAP
from otel_callbacks.export.terminal import Look, columns, cut, duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

LENGTH_COLUMNS: Final = 8  # "999 ms", "2 m 05 s"
BAR_COLUMNS: Final = (10, 24)  # the narrowest that says something, the widest that helps
_BRANCH, _LAST, _PIPE, _BLANK = "├─ ", "└─ ", "│  ", "   "


@dataclass(slots=True)
class _Node:
    span: ReadableSpan
    children: list[_Node] = field(default_factory=list["_Node"])


@dataclass(frozen=True, slots=True)
class _Row:
    """A line before its columns are aligned. A row without a span (a header, an error) has the whole width."""

    pieces: tuple[tuple[str, str], ...]
    span: ReadableSpan | None = None

    @property
    def columns(self) -> int:
        return sum(columns(text) for text, _ in self.pieces)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The columns of one trace, and the time that its bars stand for."""

    look: Look
    text: int
    bar: int
    start_ns: int
    end_ns: int


def tree_lines(spans: Iterable[ReadableSpan], look: Look | None = None) -> list[str]:
    """Return the lines of the traces that *spans* belong to, the earliest trace first, without line ends.

    A span whose parent is remote or absent is a root. Siblings are in the order of their start. An error that came up from a
    child is told in full at the child only.
    """
    look = look or Look()
    traces: defaultdict[int, list[ReadableSpan]] = defaultdict(list)
    for span in sorted(spans, key=_start_ns):
        traces[_ids(span)[0]].append(span)
    return [line for members in traces.values() for line in _trace_lines(members, look)]


def late_lines(span: ReadableSpan, look: Look | None = None) -> list[str]:
    """Return the lines for a span that ended after its trace was shown."""
    look = look or Look()
    opening = f"trace {_ids(span)[0]:032x}"[:14] + "… later: "
    rows = [
        _Row(_spelled(((opening, "dim"), *row.pieces), look), row.span)
        for row in _rows(_Node(span), "", "", look)
    ]
    return list(_aligned(rows, look, _start_ns(span), _end_ns(span), bars=False))


def _trace_lines(spans: list[ReadableSpan], look: Look) -> Iterator[str]:
    start_ns, end_ns = min(map(_start_ns, spans)), max(map(_end_ns, spans))
    rows = [_header(spans, end_ns - start_ns, look)]
    # A stack, not recursion: a trace may be deeper than the interpreter's limit.
    stack = [(root, "", "") for root in reversed(_roots(spans))]
    while stack:
        node, guide, branch = stack.pop()
        below = _narrow(guide + {_BRANCH: _PIPE, _LAST: _BLANK}.get(branch, ""), look)
        rows += _rows(node, guide + branch, below, look)
        branches = [_BRANCH] * (len(node.children) - 1) + [_LAST]
        stack += [(child, below, joint) for child, joint in zip(node.children, branches, strict=False)][::-1]
    return _aligned(rows, look, start_ns, end_ns, bars=len(spans) > 1)


def _roots(spans: Sequence[ReadableSpan]) -> list[_Node]:
    """Link the spans, sorted by start, and return those that hang on nothing here; of a cycle, its earliest span."""
    nodes: dict[int | None, _Node] = {_ids(span)[1]: _Node(span) for span in spans}
    parents = {key: node.span.parent.span_id if node.span.parent else None for key, node in nodes.items()}
    settled: set[int | None] = set()
    roots: list[_Node] = []
    for key, node in nodes.items():
        # Who is passed on the way up from here, in order: to meet one of them again is a cycle.
        passed: dict[int | None, None] = {}
        at = key
        while at in nodes and at not in settled and at not in passed:
            passed[at] = None
            at = parents[at]
        if at in passed:
            way = list(passed)
            cycle = set(way[way.index(at) :])
            parents[next(other for other in nodes if other in cycle)] = None
        settled |= passed.keys()
        parent = nodes.get(parents[key])
        (parent.children if parent else roots).append(node)
    return roots


def _header(spans: list[ReadableSpan], length_ns: int, look: Look) -> _Row:
    failures = sum(map(labels.failed, spans))
    facts = [
        f"trace {_ids(spans[0])[0]:032x}",
        f"{len(spans):,} span{'s' * (len(spans) > 1)}",
        duration(length_ns),
    ]
    pieces = [(facts[0], "bold"), (" · " + " · ".join(facts[1:]), "dim")]
    if failures:
        pieces += [(" · ", "dim"), (f"{failures:,} failed", "red")]
    if tokens := labels.summary(spans):
        pieces.append((f" · {tokens}", "dim"))
    return _Row(_spelled(pieces, look))


def _rows(node: _Node, guide: str, below: str, look: Look) -> Iterator[_Row]:
    """The span's line, and one for its error; an error that a child has told already is only named."""
    error = labels.error_of(node.span)
    told = error is not None and any(labels.error_of(child.span) == error for child in node.children)
    pieces = [(guide, "dim"), *labels.label(node.span)]
    if error and told:
        pieces.append((f"{GAP}{labels.failure((error[0], ''))}", "red"))
    yield _Row(_spelled(pieces, look), node.span)
    if error and not told:
        pipe = _PIPE if node.children else "  "
        yield _Row(_spelled([(below + pipe, "dim"), (labels.failure(error), "red")], look))


def _narrow(guide: str, look: Look) -> str:
    """Keep half of the line for the text, however deep the span lies."""
    most = look.width // 2
    return guide if len(guide) <= most else "…" + guide[1 - most :]


def _spelled(pieces: Iterable[tuple[str, str]], look: Look) -> tuple[tuple[str, str], ...]:
    return tuple((look.spell(text), style) for text, style in pieces)


def _aligned(rows: Sequence[_Row], look: Look, start_ns: int, end_ns: int, *, bars: bool) -> Iterator[str]:
    """Give each column its width: the text what it needs, the bars what is left if that is enough, the lengths theirs."""
    right = len(GAP) + LENGTH_COLUMNS
    text = min(max(row.columns for row in rows if row.span), look.width - right)
    least, most = BAR_COLUMNS
    left = min(most, look.width - right - text - len(GAP))
    layout = _Layout(look, text, left if bars and left >= least else 0, start_ns, end_ns)
    return (_painted(row, layout) for row in rows)


def _painted(row: _Row, layout: _Layout) -> str:
    look = layout.look
    room = layout.text if row.span else look.width
    line: list[str] = []
    for text, style in row.pieces:
        kept = cut(text, room, look.spell("…"))
        room -= columns(kept)
        line.append(look.paint(kept, style))
    if row.span:
        style = "red" if labels.failed(row.span) else labels.marker(row.span).style or "dim"
        bar = look.paint(GAP + look.spell(_bar(row.span, layout)), style) if layout.bar else ""
        line += [" " * room, bar, GAP, look.spell(_length(row.span)).rjust(LENGTH_COLUMNS)]
    return "".join(line)


def _bar(span: ReadableSpan, layout: _Layout) -> str:
    """Return when in the trace the span ran; the shortest is one column."""
    width, whole_ns = layout.bar, max(1, layout.end_ns - layout.start_ns)
    begin = min(width - 1, (_start_ns(span) - layout.start_ns) * width // whole_ns)
    end_ns = layout.end_ns if span.end_time is None else _end_ns(span)
    end = (end_ns - layout.start_ns) * width // whole_ns
    return (" " * begin + "━" * max(1, end - begin)).ljust(width)


def _length(span: ReadableSpan) -> str:
    return "open" if span.end_time is None else duration(span.end_time - _start_ns(span))


def _start_ns(span: ReadableSpan) -> int:
    return span.start_time or 0


def _end_ns(span: ReadableSpan) -> int:
    """The span's end, never before its start: a clock may have been set back."""
    return max(span.end_time or 0, _start_ns(span))


def _ids(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    return (context.trace_id, context.span_id) if context else (0, 0)
