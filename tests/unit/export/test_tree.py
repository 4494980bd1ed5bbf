"""The tree of a trace: what a person sees, whole."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from otel_callbacks.export.terminal import Look, columns
from otel_callbacks.export.tree import late_lines, tree_lines

from .conftest import TRACE, make_span

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD = f"trace {TRACE:032x}"


def run(kind: str, operation: str | None = None, **more: Any) -> dict[str, Any]:
    """Attributes of a run; ``a__b`` stands for ``a.b``."""
    said = {"langchain.run.kind": kind} | ({"gen_ai.operation.name": operation} if operation else {})
    return said | {name.replace("__", "."): value for name, value in more.items()}


def shown(spans: Iterable[ReadableSpan], look: Look | None = None) -> str:
    return "\n" + "\n".join(line.rstrip() for line in tree_lines(spans, look)) + "\n"


AGENT = [
    make_span(1, None, "invoke_agent weather", 0, 2240, attributes=run("chain", "invoke_agent")),
    make_span(2, 1, "model", 1, 812, attributes=run("chain", langgraph__node="model")),
    make_span(
        3, 2, "chat gpt-4o-mini", 2, 810, kind=SpanKind.CLIENT,
        attributes=run(
            "chat_model", "chat", gen_ai__response__model="gpt-4o-mini-2024-07-18", gen_ai__usage__input_tokens=1420,
            gen_ai__usage__output_tokens=35, gen_ai__response__time_to_first_chunk=0.21,
        ),
    ),
    make_span(
        4, 3, "POST", 3, 805, kind=SpanKind.CLIENT,
        attributes={"url.full": "https://u:p@api.openai.com/v1/chat?key=SECRET", "http.response.status_code": 200},
    ),
    make_span(5, 1, "tools", 812, 1000, attributes=run("chain", langgraph__node="tools")),
    make_span(6, 5, "execute_tool get_weather", 813, 840.4, attributes=run("tool", "execute_tool")),
    make_span(
        7, 5, "execute_tool search", 813, 999, attributes=run("tool", "execute_tool"),
        error=("my.tools.ToolError", "no network:\nretry \x1b]0;pwn\x07later"),
    ),
    make_span(8, 1, "RunnableSequence", 1001, 1500, attributes=run("chain")),
    make_span(9, 8, "retrieval Docs", 1002, 1100, attributes=run("retriever", "retrieval", langchain__retriever__document_count=4)),
    make_span(10, 8, "RunnableLambda", 1100, 1100.02, attributes=run("chain")),
    make_span(
        11, 8, "chat claude", 1101, 1500,
        attributes=run("chat_model", "chat", langchain__run__outcome="cancelled", langchain__run__end_reason="task_cancelled"),
    ),
    make_span(12, 1, "東京 Lookup", 1501, 2239, attributes=run("chain", langgraph__node="x"), error=("ValueError", "bad")),
    make_span(13, 12, "RunnableLambda", 1502, 2238, attributes=run("chain"), error=("ValueError", "bad")),
]  # fmt: skip


def test_an_agent() -> None:
    assert (
        shown(AGENT)
        == f"""
{HEAD} · 13 spans · 2.24 s · 3 failed · 1,420 → 35 tokens
● invoke_agent weather                                            ━━━━━━━━━━━━━━━━━━━━━━━━    2.24 s
├─ model                                                          ━━━━━━━━                    811 ms
│  └─ ◆ chat gpt-4o-mini  1,420 → 35 tokens · first chunk 210 ms  ━━━━━━━━                    808 ms
│     └─ → POST  api.openai.com/v1/chat 200                       ━━━━━━━━                    802 ms
├─ tools                                                                  ━━                  188 ms
│  ├─ ■ execute_tool get_weather                                          ━                    27 ms
│  └─ ■ execute_tool search                                               ━━                  186 ms
│       ✗ ToolError: no network: retry \\x1b]0;pwn\\x07later
├─ RunnableSequence                                                         ━━━━━━            499 ms
│  ├─ ▤ retrieval Docs  4 documents                                         ━                  98 ms
│  ├─ RunnableLambda                                                         ━                 20 µs
│  └─ ◆ chat claude  ⊘ cancelled                                             ━━━━━            399 ms
└─ 東京 Lookup  ✗ ValueError                                                      ━━━━━━━     738 ms
   └─ RunnableLambda                                                              ━━━━━━━     736 ms
        ✗ ValueError: bad
"""
    )


def test_a_narrow_terminal_has_no_bars_and_cuts_notes_before_names() -> None:
    assert (
        shown(AGENT[:4], Look(width=56))
        == f"""
{HEAD} · 4 spans · 2.24…
● invoke_agent weather                            2.24 s
└─ model                                          811 ms
   └─ ◆ chat gpt-4o-mini  1,420 → 35 tokens ·…    808 ms
      └─ → POST  api.openai.com/v1/chat 200       802 ms
"""
    )


def test_ascii_where_the_output_has_no_more() -> None:
    assert (
        shown(AGENT[4:7], Look(unicode=False))
        == f"""
{HEAD} - 3 spans - 188 ms - 1 failed
tools                          ========================    188 ms
|- $ execute_tool get_weather  ===                          27 ms
`- $ execute_tool search       =======================     186 ms
     x ToolError: no network: retry \\x1b]0;pwn\\x07later
"""
    )


def test_colour_changes_nothing_but_colour() -> None:
    painted = "\n".join(tree_lines(AGENT, Look(colour=True)))
    assert re.sub(r"\x1b\[[0-9]+m", "", painted) == "\n".join(tree_lines(AGENT))
    assert "\x1b[31m✗ ToolError" in painted
    assert "\x1b[36m◆ chat" in painted


def test_the_order_is_that_of_the_starts_not_of_the_ends() -> None:
    spans = [
        make_span(3, 1, "second", 5, 6),
        make_span(2, 1, "first", 1, 9),
        make_span(1, None, "root", 0, 10),
    ]
    names = [line.split()[1] for line in tree_lines(spans)[2:]]
    assert names == ["first", "second"]


def test_a_parent_that_is_remote_or_not_there_makes_a_root() -> None:
    spans = [
        make_span(1, 77, "remote", 0, 4, remote=True),
        make_span(2, 88, "orphan", 1, 2),
        make_span(3, 2, "child", 1, 2),
    ]
    assert [line.split("  ")[0] for line in tree_lines(spans)[1:]] == ["remote", "orphan", "└─ child"]


def test_traces_are_shown_one_after_the_other() -> None:
    spans = [make_span(1, None, "later", 5, 6, trace_id=7), make_span(1, None, "earlier", 0, 1, trace_id=8)]
    heads = [line for line in tree_lines(spans) if line.startswith("trace")]
    assert heads == [f"trace {8:032x} · 1 span · 1.0 ms", f"trace {7:032x} · 1 span · 1.0 ms"]


def test_cycles_are_shown_once_each() -> None:
    spans = [
        make_span(1, 2, "a", 0, 3),
        make_span(2, 1, "b", 1, 2),
        make_span(3, 3, "self", 2, 3),
        make_span(4, 1, "c", 2, 3),
    ]
    assert [line.split("  ")[0] for line in tree_lines(spans)[1:]] == ["a", "├─ b", "└─ c", "self"]


def test_a_trace_deeper_than_the_stack_is_shown_with_half_of_each_line_for_text() -> None:
    spans = [make_span(number, number - 1, f"run {number}", number, 5000) for number in range(1, 3000)]
    lines = tree_lines(spans, Look(width=60))
    assert len(lines) == 3000
    assert "run 2999" in lines[-1]
    assert max(map(columns, lines)) <= 60


def test_odd_spans_are_shown() -> None:
    spans = [
        make_span(1, None, "", 0, None),
        make_span(2, 1, 42, 5, 1),
        ReadableSpan("no context", None, start_time=None, end_time=None),
    ]
    assert (
        shown(spans)
        == f"""
trace {0:032x} · 1 span · 0 µs
no context      open
{HEAD} · 2 spans · 5.0 ms
(no name)  ━━━━━━━━━━━━━━━━━━━━━━━━      open
└─ 42                             ━      0 µs
"""
    )


def test_an_error_is_told_once_where_it_came_from() -> None:
    spans = [
        make_span(1, None, "root", 0, 9, error=("a.Wrong", "x")),
        make_span(2, 1, "node", 1, 8, error=("a.Wrong", "x")),
        make_span(3, 1, "other", 2, 3),
    ]
    assert (
        shown(spans)
        == f"""
{HEAD} · 3 spans · 9.0 ms · 2 failed
root  ✗ Wrong  ━━━━━━━━━━━━━━━━━━━━━━━━    9.0 ms
├─ node          ━━━━━━━━━━━━━━━━━━━       7.0 ms
│    ✗ Wrong: x
└─ other            ━━━                    1.0 ms
"""
    )


def test_an_error_of_a_parent_hangs_above_its_children() -> None:
    spans = [make_span(1, None, "root", 0, 9, error="status says"), make_span(2, 1, "child", 1, 8)]
    assert (
        shown(spans)
        == f"""
{HEAD} · 2 spans · 9.0 ms · 1 failed
root      ━━━━━━━━━━━━━━━━━━━━━━━━    9.0 ms
│  ✗ error: status says
└─ child    ━━━━━━━━━━━━━━━━━━━       7.0 ms
"""
    )


def test_a_late_span_says_which_trace_it_belongs_to() -> None:
    assert late_lines(AGENT[5]) == ["trace 4bf92f35… later: ■ execute_tool get_weather     27 ms"]
    assert late_lines(AGENT[6], Look(width=45, unicode=False)) == [
        "trace 4bf92f35~ later: $ execute_t~    186 ms",
        "trace 4bf92f35~ later:   x ToolError: no net~",
    ]


def test_a_refused_request_says_its_status() -> None:
    refused = make_span(1, None, "POST", 0, 1, attributes={"http.status_code": 429}, error="")
    assert tree_lines([refused], Look())[-1].endswith("✗ HTTP 429")


def test_a_span_below_one_that_is_its_own_parent_hides_nothing() -> None:
    lines = tree_lines([make_span(1, 2, "below", 0, 1), make_span(2, 2, "own parent", 0, 1)], Look())
    assert ["own parent" in line for line in lines] == [False, True, False]
    assert "below" in lines[2]


@pytest.mark.parametrize("width", [40, 41, 60, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(columns, tree_lines(AGENT, Look(width=width)))) <= width


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(codec=None)),
    st.lists(st.text()),
)
names = st.sampled_from(
    [
        "gen_ai.operation.name", "gen_ai.request.model", "gen_ai.response.model", "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens", "gen_ai.response.time_to_first_chunk", "langchain.run.kind", "langchain.run.outcome",
        "langchain.run.end_reason", "langchain.retriever.document_count", "langchain.run.retries", "langgraph.node", "url.full",
        "http.status_code", "error.type",
    ]
)  # fmt: skip
spans = st.builds(
    make_span, st.integers(1, 6), st.one_of(st.none(), st.integers(1, 7)), st.text(st.characters(codec=None)),
    st.integers(0, 99), st.one_of(st.none(), st.integers(0, 99)), attributes=st.dictionaries(names, values),
    error=st.one_of(st.none(), st.tuples(st.text(st.characters(codec=None)), st.text())), remote=st.booleans(),
)  # fmt: skip


@given(st.lists(spans, max_size=8), st.sampled_from([Look(), Look(width=40), Look(unicode=False)]))
def test_any_spans_make_harmless_lines_that_fit(members: list[ReadableSpan], look: Look) -> None:
    lines = tree_lines(members, look)
    assert all(columns(line) <= look.width for line in lines)
    assert not {unicodedata.category(c) for c in "".join(lines)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    ids = {span.get_span_context().span_id for span in members if span.get_span_context()}  # type: ignore[union-attr]
    assert sum(line.endswith((" s", " ms", " µs", " us", " m", "open")) for line in lines) >= len(ids)
