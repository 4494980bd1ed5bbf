"""`docs/trees.md`: what callbacks report and what the trace shows, drawn from real runs and held against the file.

``OTEL_CALLBACKS_WRITE_DOCS=1 python -m pytest tests/integration/test_trees.py`` writes the file again.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from langchain_core.callbacks import BaseCallbackHandler
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import OTelCallbackHandler
from tests import scenarios
from tests.scenarios import Scenario, Way

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "trees.md"
TITLES: Final[dict[Scenario, str]] = {
    scenarios.one_agent: "An agent and its tools",
    scenarios.supervisor: "A supervisor: an agent that is another agent's tool",
    scenarios.swarm: "A swarm: an agent hands over to another",
    scenarios.branches: "Parallel branches, `Send` and a subgraph",
    scenarios.approval: "An interrupt, and its resume in a trace of its own",
    scenarios.failure: "A failure",
    scenarios.chain: "A chain",
}
HEAD: Final = """\
# What a trace shows of an agent or a graph

For each application below, first the runs that LangChain's callbacks report, then the spans that become of them. Both are
drawn by `tests/integration/test_trees.py` from real runs; a test fails when this file is out of date.

What is different:

- A graph, an agent, a model call, a tool have the names of the GenAI conventions; a name that a framework gave (`LangGraph`,
  `RunnableSequence`) is no workflow's name. Nodes and other chains keep their own. A graph inside another is `invoke_workflow`
  if it has a name; that it is a graph, its first node tells, so the operation is on the span when it ends.
- Who is an agent: what `create_agent` made, and an `AgentExecutor`. LangGraph's older `create_react_agent` cannot be told
  from any other graph: it is a workflow.
- `gen_ai.agent.name` stands on the model calls and the tools inside of an agent, the inner one's if agents are nested.
- A tool's span links to the model call that asked for it (link attribute `langchain.tool.requested_by`), across branches and
  after a resume as well. The call is looked for by its id in the same trace, then in the same conversation.
- A graph that resumes links to the run that was interrupted (`langgraph.resumes`), if that was in the same process.
- Interrupts and hand-offs are no errors. The event `langgraph.interrupt` says for how many answers a graph waits.
- Runs tagged `langsmith:hidden` have no spans; what is below them goes to the nearest span above, and so do their errors.
  `OTEL_CALLBACKS_SHOW_HIDDEN=true` shows them.
- `gen_ai.conversation.id`, `session.id` and `user.id` stand on every span of a run whose metadata say them at the top:
  `thread_id`, `session_id`, `user_id`.
"""


@dataclass
class Drawn:
    """A line of a tree, and where it stands among its siblings: parallel ones have no order but that of their text."""

    text: str
    step: int
    began: int
    below: list[Drawn] = field(default_factory=list)

    def lines(self, indent: str = "") -> list[str]:
        return [
            indent + self.text,
            *[line for child in _sorted(self.below) for line in child.lines(indent + "  ")],
        ]


def _sorted(siblings: Iterable[Drawn]) -> list[Drawn]:
    """Order by step of the graph, then, among nodes of one step, by text; what is no node, by its start."""
    return sorted(siblings, key=lambda each: (each.step, each.lines() if each.step >= 0 else [], each.began))


def _trees(rows: Sequence[tuple[Hashable, Hashable, Drawn]]) -> list[str]:
    """Return the lines of trees, given as (key, key of the parent, line) in the order of their start."""
    known = {key: drawn for key, _, drawn in rows}
    roots: list[Drawn] = []
    for _, parent, drawn in rows:
        (known[parent].below if parent in known else roots).append(drawn)
    return [line for root in roots for line in root.lines()]


def _step(metadata: dict[str, Any], tags: Iterable[str]) -> int:
    return int(metadata["langgraph_step"]) if any(tag.startswith("graph:step:") for tag in tags) else -1


class Listener(BaseCallbackHandler):
    """Takes down which runs there are, as any handler sees them."""

    run_inline = True

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: list[tuple[Hashable, Hashable, Drawn]] = []

    def _start(self, serialized: Any, run_id: Any, parent_run_id: Any, **given: Any) -> None:
        name, tags = given.get("name") or (serialized or {}).get("name"), given.get("tags") or []
        hidden = "  (hidden)" if "langsmith:hidden" in tags else ""
        with self.lock:
            drawn = Drawn(f"{name}{hidden}", _step(given.get("metadata") or {}, tags), len(self.rows))
            self.rows.append((run_id, parent_run_id, drawn))

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: Any, parent_run_id: Any = None, **kwargs: Any
    ) -> None:
        self._start(serialized, run_id, parent_run_id, **kwargs)

    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, run_id: Any, parent_run_id: Any = None, **kwargs: Any
    ) -> None:
        self._start(serialized, run_id, parent_run_id, **kwargs)

    def on_tool_start(
        self, serialized: Any, input_str: Any, *, run_id: Any, parent_run_id: Any = None, **kwargs: Any
    ) -> None:
        self._start(serialized, run_id, parent_run_id, **kwargs)


_WORDS: Final = {
    "langchain.tool.requested_by": "asked for by",
    "langgraph.resumes": "goes on from",
}


def _traced(spans: Iterable[ReadableSpan]) -> list[str]:
    """Return what *spans* show. Spans that are linked to have a number, in the order in which they are met."""
    ordered = sorted(spans, key=lambda span: span.start_time or 0)
    targets: dict[int, int] = defaultdict(lambda: len(targets) + 1)
    for span in ordered:
        for link in span.links:
            targets[link.context.span_id]  # the number is made here
    rows: list[tuple[Hashable, Hashable, Drawn]] = []
    for place, span in enumerate(ordered):
        said: dict[str, Any] = dict(span.attributes or {})
        context: Any = span.get_span_context()
        notes = [f"({targets[context.span_id]})"] if context.span_id in targets else []
        if "gen_ai.agent.name" in said and not span.name.startswith("invoke_agent"):
            notes.append(f"agent {said['gen_ai.agent.name']}")
        notes += [
            f"{_WORDS[what]} ({targets[link.context.span_id]})"
            for link in span.links
            for what in _WORDS
            if what in (link.attributes or {})
        ]
        notes += [
            str(said[name]).replace("_", " ")
            for name in ("langchain.run.outcome", "error.type")
            if name in said
        ]
        notes += [f"event {event.name}" for event in span.events]
        step = (
            said["langgraph.step"]
            if any(tag.startswith("graph:step:") for tag in said.get("langchain.tags", ()))
            else -1
        )
        drawn = Drawn(span.name + (f"  [{'; '.join(notes)}]" if notes else ""), step, place)
        rows.append((context.span_id, span.parent.span_id if span.parent else None, drawn))
    return _trees(rows)


async def _drawn(scenario: Scenario) -> str:
    exporter, provider, listener = InMemorySpanExporter(), TracerProvider(), Listener()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handler = OTelCallbackHandler(provider, raise_errors=True)
    await scenario(Way(), {"callbacks": [listener, handler]})
    reported, traced = _trees(listener.rows), _traced(exporter.get_finished_spans())
    said = inspect.getdoc(scenario)
    return "\n".join(
        [f"## {TITLES[scenario]}", "", f"{said}", "", "Reported:", "", "```text", *reported, "```", "", "Traced:", "", "```text", *traced, "```", ""]
    )  # fmt: skip


async def test_the_document_shows_what_is_traced() -> None:
    assert set(TITLES) == set(scenarios.SCENARIOS)
    drawn = "\n".join([HEAD, *[await _drawn(scenario) for scenario in TITLES]])
    if os.environ.get("OTEL_CALLBACKS_WRITE_DOCS"):
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(drawn, "utf-8")
    assert DOCUMENT.read_text("utf-8") == drawn
