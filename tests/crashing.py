"""``python -m tests.crashing SCENARIO FOLDER``: applications that die, each in its own way, with a spool in FOLDER.

What has happened is told line by line on standard output, as it happens.
"""

from __future__ import annotations

import operator
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Final, TypedDict, cast
from uuid import uuid4

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.export.spool.directory import Directory
from otel_callbacks.export.spool.journal import Journal
from otel_callbacks.export.spool.store import SpoolStore
from otel_callbacks.export.wire.origins import origin_of
from otel_callbacks.export.wire.spans import span_item
from tests.fakes import Chat
from tests.journals import DESTINATION, Journalling, Planted

QUESTION: Final = "what is the tide at noon?"


def tell(*words: object) -> None:
    """Say what has happened, at once."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def die() -> None:
    """End as the kernel ends a process that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


class Application:
    """A handler whose spans go to a spool, as `configure` has it, but for what sends them."""

    def __init__(self, folder: Path, *, dies_before_it_says_so: str = "") -> None:
        self.files = Planted()
        self.store = SpoolStore(directory=folder, signal="traces", destination=DESTINATION)
        self.journal = Journal(Directory(folder, files=self.files), DESTINATION)
        self.victim = dies_before_it_says_so
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(Journalling(self.journal, self._keep))
        self.tracer = provider.get_tracer("application")
        self.handler = OTelCallbackHandler(provider, raise_errors=True)

    def _keep(self, span: ReadableSpan) -> None:
        self.store.put(origin_of(span.resource, span.instrumentation_scope), [span_item(span)])
        tell("kept", span.name)
        if span.name == self.victim:
            die()


class _State(TypedDict):
    seen: Annotated[list[str], operator.add]


def run_graph(handler: Any, in_tool: Callable[[], object]) -> None:
    """Run a graph: one node asks a model, the next uses a tool, in whose body something happens."""

    @tool
    def tide(place: str) -> str:
        """Tell the tide."""
        in_tool()
        return place

    def plan(_state: Any) -> Any:
        return {"seen": [Chat().invoke(QUESTION).text]}

    def act(_state: Any) -> Any:
        return {"seen": [tide.invoke({"place": "Dover"})]}

    builder: Any = StateGraph(_State)
    builder.add_node("plan", plan)
    builder.add_node("act", act)
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "act")
    builder.add_edge("act", END)
    builder.compile(name="harbour").invoke(
        {"seen": []}, {"callbacks": [handler], "metadata": {"thread_id": "t-1"}, "tags": ["night"]}
    )


def in_a_tool(folder: Path) -> None:
    """Die in the body of a tool of a graph."""
    run_graph(Application(folder).handler, die)


def before_it_says_so(folder: Path) -> None:
    """Die when a span is kept, and before the journal hears of it."""
    run_graph(Application(folder, dies_before_it_says_so="execute_tool tide").handler, lambda: None)


def in_a_stream(folder: Path) -> None:
    """Die when a model has given tokens and was tried again, and the journal has been refreshed since."""
    application = Application(folder)
    handler, chain, model = application.handler, uuid4(), uuid4()
    handler.on_chain_start({}, {}, run_id=chain, name="ask")
    handler.on_chat_model_start(
        {}, [[HumanMessage(QUESTION)]], run_id=model, parent_run_id=chain, name="model"
    )
    for token in ("high ", "water"):
        handler.on_llm_new_token(token, run_id=model)
    handler.on_retry(SimpleNamespace(attempt_number=2, outcome=None), run_id=model)
    handler.on_text("a note", run_id=model)
    application.journal.refresh()
    die()


def terminated(folder: Path) -> None:
    """Wait in a tool until somebody ends the process."""

    def wait() -> None:
        tell("ready")
        sys.stdin.read()

    run_graph(Application(folder).handler, wait)


def nested(application: Application) -> None:
    """Three runs, one below the other, a refresh in the middle, all but the first ended."""
    handler, ids = application.handler, [uuid4() for _ in range(3)]
    for number, run_id in enumerate(ids):
        name = f"run {number}"
        parent = ids[number - 1] if number else None
        handler.on_chain_start({}, {}, run_id=run_id, parent_run_id=parent, name=name)
        tell("begun", name)
    handler.on_text("hello", run_id=ids[1])
    application.journal.refresh()
    handler.on_chain_end({}, run_id=ids[2])
    handler.on_chat_model_start({}, [[HumanMessage("x")]], run_id=uuid4(), parent_run_id=ids[1], name="model")
    tell("begun chat")
    application.journal.refresh()
    handler.on_chain_end({}, run_id=ids[1])
    tell("done")


def at_every_call(folder: Path) -> None:
    """Do the same again and again, and die at each system call of the journal in turn, in a child."""
    for number in range(60):
        child = os.fork()
        if child == 0:
            try:
                application = Application(folder / f"{number:03}")
                with application.files.at(number, die):
                    nested(application)
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        tell("child", number, code)
        if code != -signal.SIGKILL:
            return


def forked(folder: Path) -> None:
    """Fork with a span open, and die; the child goes on until its standard input ends."""
    application = Application(folder)
    inherited = application.tracer.start_span("the parent's")
    other = application.tracer.start_span("the parent's other")
    if os.fork() == 0:
        child = application.tracer.start_span("the child's")
        application.journal.end(cast("Any", other))  # it has nothing to say of it
        application.journal.refresh()
        tell("open in the child:", application.journal.open_count)
        tell("child ready")
        sys.stdin.read()
        tell("child ends")
        os._exit(0 if child.is_recording() else 1)
    tell("open in the parent:", application.journal.open_count, inherited.is_recording())
    sys.stdin.readline()
    die()


def configured(folder: Path) -> None:
    """Die in the body of a tool of a graph, with nothing but the public interface; the collector is not there."""
    import otel_callbacks  # noqa: PLC0415

    otel_callbacks.configure(endpoint=os.environ["COLLECTOR"], spool_dir=folder)
    run_graph(OTelCallbackHandler(), die)


SCENARIOS: Final[dict[str, Callable[[Path], None]]] = {
    scenario.__name__: scenario
    for scenario in (in_a_tool, before_it_says_so, in_a_stream, terminated, at_every_call, forked, configured)
}

if __name__ == "__main__":
    SCENARIOS[sys.argv[1]](Path(sys.argv[2]))
