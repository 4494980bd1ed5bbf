"""Rows 40 to 50: calls that no signature has, tags and documents, odd moments, hooks, copies, surroundings, faults of our own."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from functools import cache
from typing import Any, Final
from unittest import mock
from uuid import uuid4

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import StructuredTool
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.core import completion, normalize
from otel_callbacks.handlers import EVENTS
from tests.integration.hostile.stage import Driven, Says, Stage, row
from tests.property import hostile
from tests.property.hostile import CANARY
from tests.scene import attributes, outcome


def _identity(name: str = "identity") -> Any:
    return RunnableLambda(lambda given: given, name=name)


# -- 40 to 43: arguments -------------------------------------------------------------------------------------------------------


@row(40, Driven.DIRECT)
async def arguments_nobody_has_heard_of_are_passed_over(stage: Stage, _: None) -> None:
    """``run_id`` alone must be there: a call without it is Python's to refuse, and no framework makes it."""
    odd: Any = {"unheard_of": hostile.hostile(), "tags": None, "metadata": None, "parent_run_id": None}
    for event in EVENTS:
        if event in ("on_interrupt", "on_resume"):
            await stage.call(event, hostile.hostile())
            continue
        run_id = uuid4()
        first = (
            [None]
            if event.endswith(("end", "error", "token", "text", "retry", "action", "finish"))
            else [None, None]
        )
        await stage.call(event, *first, run_id=run_id, **odd)
        await stage.call(event, *first, run_id=run_id)
        await stage.end("chain", run_id)
    assert getattr(stage.handler, "on_something_new", None) is None


@row(
    41, Driven.DIRECT,
    none=lambda: (None, None), one_text=lambda: ("one", ("one",)), mixed=lambda: (["a", 1, None, "b"], ("a", "b")), number=lambda: (5, None),
    a_set=lambda: ({"a"}, None), a_tuple=lambda: (("a",), ("a",)), an_enum=lambda: ([hostile.Word.ONE], ("one",)), long=lambda: (["x" * 500], ("x" * 127 + "…",)),
    many=lambda: ([str(number) for number in range(10_000)], tuple(str(number) for number in range(64))),
    hostile=lambda: (hostile.hostile(), None), hostile_inside=lambda: ([hostile.hostile(), "kept"], ("kept",)),
)  # fmt: skip
async def tags_are_a_few_texts(stage: Stage, given: Any) -> None:
    tags, recorded = given
    await stage.run("chain", tags=stage.watch(tags))
    assert stage.said.get("langchain.tags") == recorded


@row(
    41,
    Driven.DIRECT,
    none=lambda: None,
    list=lambda: ["a"],
    text=lambda: "text",
    number=lambda: 5,
    pairs=lambda: [("a", 1)],
    hostile=hostile.hostile,
)
async def metadata_that_is_no_dict_is_none(stage: Stage, metadata: Any) -> None:
    await stage.run("chain", metadata=stage.watch(metadata))
    assert not [key for key in stage.said if key.startswith("langchain.metadata")]


@row(41, Driven.LANGCHAIN, many=lambda: [str(number) for number in range(10_000)])
async def langchains_tags_are_bounded(stage: Stage, tags: Any) -> None:
    await stage.langchain(_identity(), 1, tags=stage.watch(tags))
    assert 0 < len(stage.said["langchain.tags"]) <= 64


@row(
    42, Driven.LANGCHAIN,
    message=lambda: ToolMessage("x", tool_call_id="c", status="error"), bytes=lambda: b"\xff", none=lambda: None, huge=lambda: "x" * 10_000_000,
    a_secret=hostile.Secret, cyclic=hostile.cyclic_dict, generator=hostile.VALUES["generator"],
)  # fmt: skip
async def a_tool_may_return_anything(stage: Stage, output: Any) -> None:
    def body(given: str) -> Any:
        """Return it."""
        return output

    tool = StructuredTool.from_function(body, name="t")
    returned = await stage.langchain(tool, {"given": "{not json"})
    assert returned is output
    failed = isinstance(output, ToolMessage)
    assert stage.said.get("error.type") == ("tool_error" if failed else None)
    # A tool that is not called by a model gets its input as LangChain prints it.
    assert "{not json" in stage.said["gen_ai.tool.call.arguments"]
    assert CANARY not in stage.everything
    if hasattr(output, "__next__"):
        assert list(output) == [0, 1, 2]


@row(42, Driven.LANGCHAIN)
async def arguments_that_are_no_json_are_text(stage: Stage, _: None) -> None:
    message = AIMessage(
        "",
        invalid_tool_calls=[
            {"name": "t", "args": "{no", "id": "c", "error": None, "type": "invalid_tool_call"}
        ],
    )
    message.tool_calls = []
    await stage.langchain(Says(message=message), "q")
    if not stage.streaming:  # the fake's chunk leaves them out
        assert json.loads(stage.said["gen_ai.output.messages"])[0]["parts"][-1]["arguments"] == "{no"


class Finds(BaseRetriever):
    """Finds what it is given."""

    found: Any

    def _get_relevant_documents(self, query: str, **kwargs: Any) -> Any:
        return self.found


def _vectors() -> Any:
    return [
        Document(
            "text", id="d", metadata={"embedding": [0.123] * 1_536, "score": float("nan"), "key": CANARY}
        )
    ]


@row(
    43, Driven.LANGCHAIN,
    none=lambda: (None, None), text=lambda: ("text", None), nothing=lambda: ([], 0), odd=lambda: ([None, 5], 2), a_tuple=lambda: ((1,), 1),
    vectors=lambda: (_vectors(), 1), hostile=lambda: ([hostile.Secret()], 1),
)  # fmt: skip
async def documents_are_counted_and_said_without_their_vectors(stage: Stage, given: Any) -> None:
    found, count = given
    assert await stage.langchain(Finds(found=found), "query") == found
    assert stage.said.get("langchain.retriever.document_count") == count
    assert "0.123" not in stage.everything
    assert CANARY not in stage.everything
    assert "NaN" not in stage.said.get("gen_ai.retrieval.documents", "")


# -- 44: odd moments -----------------------------------------------------------------------------------------------------------


@row(44, Driven.LANGCHAIN)
async def before_anything_is_configured_nothing_is_kept(stage: Stage, _: None) -> None:
    stage.handler = type(stage.handler)()
    await stage.langchain(_identity(), 1)
    await stage.run("tool")
    assert stage.handler.open_runs == 0
    assert stage.spans == []


@row(44, Driven.LANGCHAIN)
async def after_the_shutdown_nothing_is_said(stage: Stage, _: None) -> None:
    """What becomes of a span that ends then is the exporter's to count."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanProcessor())  # the SDK's own complain of every span
    stage.handler = type(stage.handler)(provider)
    run_id = uuid4()
    await stage.start("chain", run_id)
    provider.shutdown()
    await stage.langchain(_identity(), 1)
    await stage.end("chain", run_id)


_ELSEWHERE: Final = {
    "exit": [
        ["parent", "before the exit", None],
        ["parent", "at the exit", None],
        ["parent", "open at the exit", "shutdown"],
        ["parent", "at the very end", None],
    ],
    "fork": [
        ["child", "after the fork", None],
        ["parent", "after the fork", None],
        ["parent", "of the parent", None],
    ],
}


@row(44, Driven.LANGCHAIN, **{what: (lambda what=what: what) for what in _ELSEWHERE})
async def at_the_exit_and_after_a_fork_runs_end_once(stage: Stage, what: str) -> None:
    lines = [rest for way, *rest in _said_elsewhere(what) if way == stage.way]
    assert (sorted(lines, key=str) if what == "fork" else lines) == _ELSEWHERE[what]


@cache
def _said_elsewhere(what: str) -> list[list[str | None]]:
    """Return what a process said that went all the ways: a process takes seconds to start."""
    command = [sys.executable, "-m", "tests.integration.hostile.elsewhere", what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - our own interpreter
    assert done.stderr == ""
    assert done.returncode == 0
    return [json.loads(line) for line in done.stdout.splitlines()]


# -- 45 to 46: hooks and copies --------------------------------------------------------------------------------------------------


@row(
    45,
    Driven.LANGCHAIN,
    none=lambda: lambda _: None,
    number=lambda: lambda _: 5,
    raises=lambda: lambda text: text[10**9],
    hostile=lambda: lambda _: hostile.hostile(),
)
async def a_redactor_that_fails_costs_the_text(stage: Stage, redactor: Any) -> None:
    """One that sleeps cannot be interrupted: after its budget, no more texts are given to it, and they are withheld."""
    stage.handler = stage.new_handler(redactors=[redactor])
    await stage.langchain(
        _identity(), {"text": CANARY}, metadata={"key": CANARY, "keys": [CANARY]}, tags=[CANARY]
    )
    assert CANARY not in stage.everything
    assert "withheld" in str(stage.said["langchain.tags"])


@row(45, Driven.LANGCHAIN)
async def a_redactor_that_runs_a_chain_is_not_asked_for_its_texts(stage: Stage, _: None) -> None:
    def redactor(text: str) -> str:
        _identity("inner").invoke(text, {"callbacks": [stage.handler], "metadata": {"inner": CANARY}})
        return "redacted"

    sync = OTelCallbackHandler(stage.provider, redactors=[redactor])
    stage.handler = sync if not stage.asynchronous else stage.new_handler(redactors=[redactor])
    await stage.langchain(RunnableLambda(lambda given: given, name="outer"), 1, metadata={"key": CANARY})
    assert CANARY not in stage.everything


@row(45, Driven.LANGCHAIN)
async def a_mapper_that_raises_and_runs_a_chain_costs_nothing(stage: Stage, _: None) -> None:
    def mapper(run: Any, said: Any) -> None:
        said["own"] = "kept"
        if run.name == "outer":
            _identity("inner").invoke(1, {"callbacks": [stage.handler]})
        raise RuntimeError(CANARY)

    stage.expected_faults = ("completion",)
    stage.handler = stage.new_handler(mappers=[mapper])
    if stage.asynchronous:  # a synchronous chain inside, whose handler is asynchronous, needs another loop
        stage.handler = OTelCallbackHandler(stage.provider, mappers=[mapper])
    await stage.langchain(_identity("outer"), 1)
    assert {span.name for span in stage.spans} == {"outer", "inner"}
    assert all(attributes(span)["own"] == "kept" for span in stage.spans)
    assert CANARY not in stage.everything


@row(46, Driven.LANGCHAIN)
async def a_handler_is_copied_pickled_compared_and_hashed(stage: Stage, _: None) -> None:
    handler = stage.handler
    assert copy.deepcopy({"handlers": [handler]})["handlers"][0] is handler
    assert copy.copy(handler) is handler
    assert {handler: 1}[handler] == 1
    assert handler != stage.new_handler()
    restored = pickle.loads(pickle.dumps(type(handler)(capture_errors=False)))  # noqa: S301 - our own
    assert type(restored) is type(handler)
    assert restored._policy.capture_errors is False
    config: Any = copy.deepcopy({"callbacks": [handler]})
    await stage.langchain(_identity().with_config(config), 1)
    assert stage.only.name == "identity"


# -- 47 to 49: surroundings ------------------------------------------------------------------------------------------------------

_GARBAGE: Final = {
    "OTEL_CALLBACKS_MAX_OPEN_RUNS": "-1", "OTEL_CALLBACKS_MAX_RUN_AGE_S": "abc", "OTEL_CALLBACKS_CAPTURE_ERRORS": "perhaps",
    "OTEL_CALLBACKS_CAPTURE_CONTENT": "\x1b[31m", "OTEL_CALLBACKS_MAX_VALUE_LENGTH": "0", "OTEL_CALLBACKS_REDACTORS": "nobody",
    "OTEL_CALLBACKS_MAPPERS": "nobody", "OTEL_EXPORTER_OTLP_TIMEOUT": "abc", "OTEL_BSP_MAX_QUEUE_SIZE": "0",
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {CANARY}\n,,=", "OTEL_EXPORTER_OTLP_ENDPOINT": f"::?key={CANARY}",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "many",
}  # fmt: skip


@row(47, Driven.LANGCHAIN)
async def garbage_in_the_environment_stops_no_handler(stage: Stage, _: None) -> None:
    """What is wrong stops `configure`, which is called at start-up to be told; a handler goes by the defaults, and says so."""
    stage.own_lines = 16
    with mock.patch.dict(os.environ, _GARBAGE):
        stage.handler = type(stage.handler)(stage.provider)
        await stage.langchain(_identity(), 1)
    assert stage.only.name == "identity"


class Full(SpanProcessor):
    """As a disk that is full: nothing can be written, whoever tries."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise OSError(28, "No space left on device")

    def on_end(self, span: Any) -> None:
        raise OSError(28, "No space left on device")


@row(48, Driven.LANGCHAIN)
async def a_processor_that_cannot_write_costs_its_spans_and_nothing_else(stage: Stage, _: None) -> None:
    """What a full disk is to the durable queue is in that one's own tests."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Full())
    handler = type(stage.handler)(provider)
    stage.own_lines = 2  # at a start and at an end, once a minute
    run_id = uuid4()
    stage.handler, usual = handler, stage.handler
    await stage.langchain(_identity(), 1)
    await stage.start("chain", run_id)
    await stage.end("chain", run_id)
    assert handler.open_runs == 0
    stage.handler = usual
    await stage.langchain(_identity(), 1)
    assert stage.only.name == "identity"


class Other(OTelCallbackHandler):
    """As another instrumentation of LangChain does: spans of its own, made current by nobody."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(TracerProvider(shutdown_on_exit=False))
        self._tracer = stage.provider.get_tracer("another instrumentation")
        self._others: dict[Any, Any] = {}

    def on_chain_start(self, *args: Any, run_id: Any, **kwargs: Any) -> Any:
        self._others[run_id] = self._tracer.start_span("theirs", attributes={"theirs": True})

    def on_chain_end(self, *args: Any, run_id: Any, **kwargs: Any) -> Any:
        self._others.pop(run_id).end()


@row(49, Driven.LANGCHAIN)
async def one_run_that_is_reported_twice_is_one_span(stage: Stage, _: None) -> None:
    other = stage.new_handler()
    callbacks = [stage.handler, stage.handler, other, Other(stage)]
    await stage.langchain(_identity().with_config({"callbacks": [other]}), 1, callbacks=callbacks)
    assert stage.only.name == "identity"
    theirs = [span for span in stage.exporter.get_finished_spans() if span.name == "theirs"]
    assert [attributes(span) for span in theirs] == [{"theirs": True}]


# -- 50: faults of our own -------------------------------------------------------------------------------------------------------

_PLACES: Final = {
    "start": (normalize, "started"),
    "output": (completion, "read_output"),
    "error": (completion, "read_error"),
}


@row(
    50, Driven.LANGCHAIN,
    **{
        f"{fault.__name__}_at_{place}": (lambda fault=fault, place=place: (fault, place))
        for fault in (MemoryError, RecursionError, RuntimeError)
        for place in _PLACES
    },
)  # fmt: skip
async def a_fault_of_ours_costs_attributes_and_nothing_else(stage: Stage, given: Any) -> None:
    """At every line: ``tests/property/test_interrupted_anywhere.py``."""
    fault, place = given

    def body(given: str) -> Any:
        """Fail if it is to."""
        if place == "error":
            raise ValueError("the tool's own")
        return given

    stage.expected_faults = ("describe",) if place == "start" else ("end",)
    module, name = _PLACES[place]
    with mock.patch.object(module, name, side_effect=fault(CANARY)):
        try:
            await stage.langchain(StructuredTool.from_function(body, name="t"), {"given": "x"})
        except ValueError as error:
            assert error.args == ("the tool's own",)  # noqa: PT017 - whatever class it is of
    assert stage.said["langchain.run.kind"] == "tool"
    assert outcome(stage.only)[1] is None
    assert CANARY not in stage.everything
