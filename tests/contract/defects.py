"""Known defects of LangChain's callbacks, each as a question: does this library have it?

Rules for this file: a question is a function of the library, ``langchain_core.callbacks`` or ours, and answers True where the
defect shows. It depends on no clock. Where the defect is in what LangChain builds on its callbacks (a model, a retriever),
the same thing is built on ours with its own means.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any, TypeAlias

import langchain_core.callbacks as theirs
import langchain_core.callbacks.manager as their_manager
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda

import otel_callbacks.callbacks as ours

Question: TypeAlias = Callable[[Any], Any]
DEFECTS: dict[str, Question] = {}

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def defect(question: Question) -> Question:
    DEFECTS[question.__name__] = question
    return question


def log_of(library: Any, *, is_async: bool = False, **attributes: Any) -> Any:
    """Return a handler that notes in ``told`` what it is told: events without their ``on_``."""
    base = library.AsyncCallbackHandler if is_async else library.BaseCallbackHandler
    told: list[str] = []

    def noting(event: str) -> Any:
        def note(self: Any, *args: Any, **kwargs: Any) -> None:
            told.append(event)

        async def anote(self: Any, *args: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            told.append(event)

        return anote if is_async else note

    events = [name for name in dir(base) if name.startswith("on_") and name != "on_text"]
    methods = {name: noting(name.removeprefix("on_")) for name in events}
    return type("Log", (base,), {**methods, "told": told, **attributes})()


def raising(library: Any, event: str, *, is_async: bool = False) -> Any:
    base = library.AsyncCallbackHandler if is_async else library.BaseCallbackHandler

    def fail(self: Any, *args: Any, **kwargs: Any) -> None:
        raise ValueError(event)

    async def afail(self: Any, *args: Any, **kwargs: Any) -> None:
        raise ValueError(event)

    method = afail if is_async else fail
    return type("Raising", (base,), {event: method, "raise_error": True})()


def is_open(told: list[str]) -> bool:
    """Return whether more runs were started than ended."""
    return sum("start" in event for event in told) > sum(event.endswith(("end", "error")) for event in told)


def manager_of(library: Any, name: str) -> Any:
    return getattr(their_manager if library is theirs else library, name)


class BrokenError(Exception): ...


@defect
async def a_context_set_at_the_start_cannot_be_reset_at_the_end(library: Any) -> bool:
    """langchain#31398: the end of an asynchronous run is told in another context than its start."""

    class Tokens(library.BaseCallbackHandler):  # type: ignore[misc] # one of two
        run_inline = True
        failed = False

        def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            self.token = variable.set("inside")

        def on_chain_end(self, *args: Any, **kwargs: Any) -> None:
            try:
                variable.reset(self.token)
            except ValueError:
                self.failed = True

    handler = Tokens()
    run = await library.AsyncCallbackManager([handler]).on_chain_start({}, {})
    await run.on_chain_end({})
    return bool(handler.failed) or variable.get() != "unset"


@defect
async def a_text_models_start_is_kept_from_all_but_inline_handlers(library: Any) -> bool:
    """langchain#39633."""
    inline, other = log_of(library, run_inline=True), log_of(library, is_async=True)
    await library.AsyncCallbackManager([inline, other]).on_llm_start({}, ["p"])
    return bool(other.told != ["llm_start"])


@defect
async def a_cancelled_model_never_ends(library: Any) -> bool:
    """langchain#16004, #38469."""
    log, called = log_of(library, run_inline=True), asyncio.Event()

    class Slow(FakeListChatModel):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            called.set()
            await asyncio.Event().wait()

    async def answer() -> None:
        async with ours.chat_model("slow", "q", callbacks=[log]):
            called.set()
            await asyncio.Event().wait()

    work = Slow(responses=["x"]).ainvoke("q", {"callbacks": [log]}) if library is theirs else answer()
    task = asyncio.ensure_future(work)
    await called.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return is_open(log.told)


@defect
async def a_cancelled_start_leaves_its_run_open(library: Any) -> bool:
    log, begun = log_of(library, run_inline=True), asyncio.Event()

    class Slow(library.AsyncCallbackHandler):  # type: ignore[misc] # one of two
        async def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(library.AsyncCallbackManager([log, Slow()]).on_chain_start({}, {}))
    await begun.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return is_open(log.told)


@defect
def one_failing_prompt_leaves_the_others_open(library: Any) -> bool:
    """Where one call makes several runs."""
    log = log_of(library)

    class Picky(FakeListChatModel):
        def _call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
            if messages[0].content == "bad":
                raise BrokenError
            return "x"

    with suppress(BrokenError):
        if library is theirs:
            Picky(responses=["x"]).generate([[_human("good")], [_human("bad")]], callbacks=[log])
        else:
            with ExitStack() as runs:
                for prompt in ("good", "bad"):
                    runs.enter_context(ours.chat_model("picky", prompt, callbacks=[log]))
                raise BrokenError
    return is_open(log.told)


def _human(text: str) -> Any:
    from langchain_core.messages import HumanMessage  # noqa: PLC0415 - for one question

    return HumanMessage(text)


@defect
def an_interrupted_retriever_never_ends(library: Any) -> bool:
    log = log_of(library)

    class Library(BaseRetriever):
        def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        if library is theirs:
            Library().invoke("q", {"callbacks": [log]})
        else:
            with ours.retriever("library", "q", callbacks=[log]):
                raise KeyboardInterrupt
    return is_open(log.told)


@defect
def a_fallback_loses_its_parent(library: Any) -> bool:
    """langchain#36072: the alternatives are given the callbacks of the run around, not those of their own run."""
    parents: list[Any] = []

    class Parents(library.BaseCallbackHandler):  # type: ignore[misc] # one of two
        def on_chain_start(self, *args: Any, run_id: Any, parent_run_id: Any = None, **kwargs: Any) -> None:
            parents.append(parent_run_id)

    def fail(x: Any) -> Any:
        raise BrokenError

    if library is theirs:
        either = RunnableLambda(fail).with_fallbacks([RunnableLambda(lambda x: x)])
        either.invoke("q", {"callbacks": [Parents()]})
    else:
        with ours.chain("either", "q", callbacks=[Parents()]):
            with suppress(BrokenError), ours.chain("first", "q"):
                fail("q")
            with ours.chain("second", "q"):
                pass
    return parents[1:] != [parents[1]] * 2 or parents[1] is None


@defect
def a_hook_is_registered_at_every_use(library: Any) -> bool:
    """langchain#32300: every call that is configured afterwards is slower than the last."""
    from langchain_core.tracers import context  # noqa: PLC0415 - for one question

    from otel_callbacks.callbacks import configuration  # noqa: PLC0415 - likewise

    def hooks() -> int:
        return len(context._configure_hooks if library is theirs else configuration._hooks)

    with library.get_usage_metadata_callback():
        pass
    before = hooks()
    try:
        for _ in range(3):
            with library.get_usage_metadata_callback():
                pass
        return hooks() > before
    finally:
        if library is theirs:
            del context._configure_hooks[before - 1 :]


@defect
def an_async_handlers_error_is_swallowed_in_a_sync_run(library: Any) -> bool:
    """Whatever its raise_error says."""
    try:
        library.CallbackManager([raising(library, "on_chain_start", is_async=True)]).on_chain_start({}, {})
    except ValueError:
        return False
    return True


@defect
def a_start_that_raises_leaves_the_other_handlers_runs_open(library: Any) -> bool:
    log = log_of(library)
    with suppress(ValueError):
        library.CallbackManager([log, raising(library, "on_chain_start")]).on_chain_start({}, {})
    return is_open(log.told)


@defect
def an_end_that_raises_is_kept_from_the_handlers_behind(library: Any) -> bool:
    log = log_of(library)
    run = library.CallbackManager([raising(library, "on_chain_end"), log]).on_chain_start({}, {})
    with suppress(ValueError):
        run.on_chain_end({})
    return is_open(log.told)


@defect
def a_chat_start_without_its_messages_masks_what_was_wrong(library: Any) -> bool:
    """langchain#31576: an IndexError out of the fallback reaches whoever sent the event."""
    event: dict[str, Any] = {"serialized": {}, "messages": [[_human("hi")]], "run_id": None}

    class Plain(library.BaseCallbackHandler):  # type: ignore[misc] # one of two
        def on_llm_start(self, *args: Any, **kwargs: Any) -> None: ...

    try:
        manager_of(library, "handle_event")([Plain()], "on_chat_model_start", None, **event)
    except IndexError:
        return True
    return False


@defect
def a_handler_listed_twice_is_told_twice(library: Any) -> bool:
    """langchain#24642: at that level, and once below."""
    log = log_of(library)
    library.CallbackManager.configure([log, log]).on_chain_start({}, {})
    return bool(log.told != ["chain_start"])


@defect
def merging_managers_mixes_up_the_order_of_handlers(library: Any) -> bool:
    """langchain#32028: in theirs a set decides, by the handlers' addresses."""
    handlers = [log_of(library) for _ in range(40)]
    merged = library.CallbackManager(handlers[:20]).merge(library.CallbackManager(handlers[20:]))
    return [id(handler) for handler in merged.handlers] != [id(handler) for handler in handlers]


@defect
def a_handler_that_writes_into_its_tags_changes_everybodys(library: Any) -> bool:
    seen: list[Any] = []

    class Scribbler(library.BaseCallbackHandler):  # type: ignore[misc] # one of two
        def on_chain_start(self, *args: Any, tags: Any, metadata: Any, **kwargs: Any) -> None:
            seen.append((list(tags), dict(metadata)))
            tags.append("mine")
            metadata["mine"] = True

    manager = library.CallbackManager([Scribbler(), Scribbler()], tags=["t"], metadata={"k": 1})
    run = manager.on_chain_start({}, {})
    return [*seen, (run.tags, run.metadata)] != [(["t"], {"k": 1})] * 3


@defect
def a_group_ignores_the_callbacks_it_is_given(library: Any) -> bool:
    """With LangSmith's tracing off."""
    log = log_of(library)
    with manager_of(library, "trace_as_chain_group")("g", library.CallbackManager([log])):
        pass
    return bool(log.told != ["chain_start", "chain_end"])


@defect
def a_token_is_refused_by_whoever_calls_it_otherwise(library: Any) -> bool:
    """In synchronous runs it comes by keyword, in asynchronous ones by position."""
    seen: list[str] = []

    class Words(library.BaseCallbackHandler):  # type: ignore[misc] # one of two
        def on_llm_new_token(self, word: str, **kwargs: Any) -> None:
            seen.append(word)

    library.CallbackManager([Words()]).on_llm_start({}, ["p"])[0].on_llm_new_token("w")
    return seen != ["w"]


@defect
async def async_handlers_of_nested_sync_runs_wait_for_each_other_for_ever(library: Any) -> bool:
    """langchain#10945: theirs run in a pool of ten threads, which an eleventh level waits for in vain."""
    depth, log = 11, []

    class Nesting(library.AsyncCallbackHandler):  # type: ignore[misc] # one of two
        async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            log.append(inputs)
            if inputs:
                library.CallbackManager([self]).on_chain_start({}, inputs - 1)

    if library is theirs:
        return their_manager._executor()._max_workers < depth  # to try it would be to wait for ever
    library.CallbackManager([Nesting()]).on_chain_start({}, depth)
    return log != list(range(depth, -1, -1))


class Muted:
    """Nothing is logged meanwhile: the failures are staged."""

    def __enter__(self) -> None:
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(logging.NOTSET)
