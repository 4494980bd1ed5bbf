"""The cases: each sets a subject beside a base; to add one is to add a row to `paired`.

Rules for this file: subject and base get the same arguments, recorded from LangChain, and the same kind of provider.
"""

from __future__ import annotations

import contextvars
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast
from uuid import uuid4

from langchain_core.callbacks.manager import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased

from benchmarks.gate import Goal
from benchmarks.measured import meters, with_records
from benchmarks.recording import INPUTS, METADATA, TAGS, Call, Recording, chain_of
from benchmarks.targets import NoOp, Operation, Work, dispatch, provider, raw, replay
from otel_callbacks import OTelCallbackHandler

ERROR_DEPTH: Final = 30


@dataclass(frozen=True, slots=True)
class Case:
    """A subject and the base in whose units its cost is said.

    Attributes:
        operations: How many to do at once when instructions are counted: enough that starting the count does not count.
    """

    name: str
    subject: Work
    base_name: str
    base: Work
    goal: Goal
    operations: int = 30


def paired(recording: Recording) -> tuple[Case, ...]:
    """Return the cases whose subject and base are both measured by instructions and by time."""
    ours, noop = OTelCallbackHandler(provider()), NoOp()
    off = OTelCallbackHandler(provider(ALWAYS_OFF))
    never = OTelCallbackHandler(provider(ParentBased(TraceIdRatioBased(0.0))))
    tracer = provider().get_tracer("raw")
    by_hand = raw(recording, tracer)
    nothing = replay(recording, noop)
    return (
        Case("8 callbacks", replay(recording, ours), "raw SDK calls", by_hand, Goal(final=0.40, gate=1.25)),
        Case(
            "8 callbacks with metrics",
            replay(recording, OTelCallbackHandler(provider(), meters())),
            "raw SDK calls and records",
            with_records(by_hand),
            Goal(final=1.0),
        ),
        Case("8 callbacks, no-op handler", nothing, "raw SDK calls", by_hand, Goal(final=0.10)),
        Case(
            "invoke",
            invoke(recording, ours),
            "invoke with a no-op handler",
            invoke(recording, noop),
            Goal(final=1.07, final_time=1.15),
            operations=15,
        ),
        Case("8 callbacks, ALWAYS_OFF", replay(recording, off), "no-op handler", nothing, Goal(final=1.8)),
        Case(
            "8 callbacks, ParentBased ratio 0",
            replay(recording, never),
            "no-op handler",
            nothing,
            Goal(final=1.8),
        ),
        Case(
            "a token",
            tokens(recording, ours),
            "the same without the method",
            tokens(recording, noop),
            Goal(final=1.25),
            operations=200,
        ),
        Case(
            f"an error, {ERROR_DEPTH} frames",
            errors(recording, ours),
            "span.record_exception",
            recorded_exceptions(recording, provider()),
            Goal(final=0.10),
        ),
    )


def planted(case: Case, factor: float) -> Case:
    """Return *case* with a subject that does its work *factor* times: what the gate is there to find."""
    subject = case.subject
    return replace(case, subject=lambda count: subject(round(count * factor)))


# -- in place: inside LangChain ------------------------------------------------------------------------------------------


class ReplayedChatModel(BaseChatModel):
    """Gives the recorded answer, at once, with the recorded parameters."""

    reply: ChatResult
    parameters: dict[str, Any]
    described: dict[str, Any]

    @property
    def _llm_type(self) -> str:
        return "openai-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self.parameters

    def _get_invocation_params(self, stop: list[str] | None = None, **_kwargs: Any) -> dict[str, Any]:
        return {**self.parameters, "stop": stop}

    def _get_ls_params(self, stop: list[str] | None = None, **_kwargs: Any) -> LangSmithParams:
        del stop
        return cast("LangSmithParams", self.described.copy())

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_kwargs: Any
    ) -> ChatResult:
        del messages, stop, run_manager
        return self.reply

    async def _agenerate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_kwargs: Any
    ) -> ChatResult:
        del messages, stop, run_manager
        return self.reply


def replayed_chain(recording: Recording) -> Any:
    """Return the chain with a model that gives the recorded answer without a request."""
    start = recording.start_of("on_chat_model_start")
    result = next(call.args[0] for call in recording.calls if call.event == "on_llm_end")
    assert isinstance(result, LLMResult)
    generations = [item for item in result.generations[0] if isinstance(item, ChatGeneration)]
    described = {key: value for key, value in start.kwargs["metadata"].items() if key.startswith("ls_")}
    return chain_of(
        ReplayedChatModel(
            reply=ChatResult(generations=generations, llm_output=result.llm_output),
            parameters=start.kwargs["invocation_params"],
            described=described,
        )
    )


def config_with(handler: Any) -> Any:
    """Return the configuration of a measured invocation."""
    return {"callbacks": [handler], "tags": TAGS, "metadata": METADATA}


def invoke(recording: Recording, handler: Any) -> Work:
    """Return the work of running the whole chain with *handler* attached."""
    chain, config = replayed_chain(recording), config_with(handler)

    def prepare(count: int) -> Operation:
        def operation() -> None:
            for _ in range(count):
                chain.invoke(INPUTS, config)

        return operation

    return prepare


# -- single events -------------------------------------------------------------------------------------------------------


def started(handler: Any, start: Call) -> tuple[contextvars.Context, Call]:
    """Open a run, and return the context in which it is current and its start."""
    context = contextvars.copy_context()
    fresh = start.fresh({None: None, start.run_id: uuid4()})
    context.run(dispatch, handler, [fresh])
    return context, fresh


def tokens(recording: Recording, handler: Any) -> Work:
    """Return the work of telling *handler* of tokens through LangChain's own run manager."""
    start = recording.start_of("on_chat_model_start")
    token, chunk = recording.token.kwargs["token"], recording.token.kwargs["chunk"]

    def prepare(count: int) -> Operation:
        _, run = started(handler, start)
        manager = CallbackManagerForLLMRun(
            run_id=run.run_id, handlers=[handler], inheritable_handlers=[], tags=run.kwargs["tags"]
        )

        def operation() -> None:
            for _ in range(count):
                manager.on_llm_new_token(token, chunk=chunk)

        return operation

    return prepare


def _deep(depth: int) -> None:
    if depth <= 1:
        raise ValueError("the tide table is out of date")
    _deep(depth - 1)


def deep_error(depth: int = ERROR_DEPTH) -> BaseException:
    """Return an exception that was raised *depth* calls down."""
    try:
        _deep(depth)
    except ValueError as error:
        return error
    raise AssertionError


def errors(recording: Recording, handler: Any) -> Work:
    """Return the work of telling *handler* that a run failed, its span's end included."""
    start, error = recording.start_of("on_chain_start"), deep_error()

    def prepare(count: int) -> Operation:
        ready = []
        for _ in range(count):
            context, run = started(handler, start)
            kwargs = {key: run.kwargs[key] for key in ("run_id", "parent_run_id", "tags")}
            ready.append((context, [Call("on_chain_error", (error,), kwargs)]))

        def operation() -> None:
            for context, calls in ready:
                context.run(dispatch, handler, calls)

        return operation

    return prepare


def recorded_exceptions(recording: Recording, source: Any) -> Work:
    """Return the work of ``record_exception`` alone on open spans of the SDK."""
    tracer, error = source.get_tracer("raw"), deep_error()
    name = recording.start_of("on_chain_start").kwargs["name"]

    def prepare(count: int) -> Operation:
        spans = [tracer.start_span(name) for _ in range(count)]

        def operation() -> None:
            for span in spans:
                span.record_exception(error)

        return operation

    return prepare


def by_name(cases: Sequence[Case], names: Sequence[str]) -> tuple[Case, ...]:
    """Return the cases whose names contain one of *names*; all if there are none."""
    return tuple(case for case in cases if not names or any(name in case.name for name in names))
