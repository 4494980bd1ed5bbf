"""The two handlers: what users attach. Each event goes, in the caller's own context, straight to the provider's engine.

Rules for this file: both handlers are ``run_inline``, so that order is kept and the context that a start sets is the one in
which the run's body runs; there is one body of code per event, and the asynchronous handler awaits nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from otel_callbacks import semconv
from otel_callbacks.bound import BoundHandler
from otel_callbacks.callbacks.base import AsyncCallbackHandler
from otel_callbacks.core import notes, values
from otel_callbacks.core.events import RunKind
from otel_callbacks.core.reading import field

if TYPE_CHECKING:
    # What ``foreign_bases`` makes true at run time, said to type checkers: LangChain's signatures ask for its own class.
    from langchain_core.callbacks.base import BaseCallbackHandler as _ForLangChain
else:
    _ForLangChain = object


class OTelCallbackHandler(BoundHandler, _ForLangChain):
    """Turns every run that it is told of into an OpenTelemetry span, which is the current span inside the run.

    For ``invoke``, ``stream`` and ``batch``, and for ``ainvoke``, ``astream`` and ``abatch`` as well: a callback is
    dictionary work, so it is called on the event loop itself. One instance serves any number of runs, threads and loops.

    Args:
        tracer_provider: Where spans go. Default: the application's global provider, whenever it is set.
        meter_provider: Where metrics go. Default: the global provider, if there is one when the handler sees its first run.
        logger_provider: Where log events go. Default: as for metrics.
        capture_content: Where messages, tools' arguments and results, queries and documents go: ``SPAN_ONLY``, ``EVENT_ONLY``,
            ``SPAN_AND_EVENT`` or ``NO_CONTENT``. True is as the environment says, or spans if it says nothing. Default:
            ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``, else nowhere.
        content_fields: Which content that may be, of ``input_messages``, ``output_messages``, ``system_instructions``,
            ``tool_definitions``, ``tool_arguments``, ``tool_results``, ``retrieval_query`` and ``retrieval_documents``.
            Default: ``OTEL_CALLBACKS_CONTENT_FIELDS``, else every one.
        capture_errors: Record messages and stack traces of errors. Default: ``OTEL_CALLBACKS_CAPTURE_ERRORS``, else True.
        redactors: Applied in order to every string of the application before it becomes an attribute, after the
            redaction of secrets. One that raises costs the string. `otel_callbacks.redactors` has some.
        mappers: Called at a run's end with the run and its attributes, to change them. One that raises is passed over.
        raise_errors: Let this package's own faults reach the application. For its developers.
    """

    # -- starts --------------------------------------------------------------------------------------------------------

    def on_chain_start(
        self,
        serialized: Any,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Open a chain's span."""
        self._start(RunKind.CHAIN, inputs, run_id, parent_run_id, serialized, tags, metadata, kwargs)

    def on_chat_model_start(
        self,
        serialized: Any,
        messages: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Open a chat model's span."""
        self._start(RunKind.CHAT_MODEL, messages, run_id, parent_run_id, serialized, tags, metadata, kwargs)

    def on_llm_start(
        self,
        serialized: Any,
        prompts: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Open a text model's span."""
        self._start(RunKind.LLM, prompts, run_id, parent_run_id, serialized, tags, metadata, kwargs)

    def on_tool_start(
        self,
        serialized: Any,
        input_str: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Open a tool's span."""
        self._start(
            RunKind.TOOL,
            input_str if inputs is None else inputs,
            run_id,
            parent_run_id,
            serialized,
            tags,
            metadata,
            kwargs,
        )

    def on_retriever_start(
        self,
        serialized: Any,
        query: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Open a retriever's span."""
        self._start(RunKind.RETRIEVER, query, run_id, parent_run_id, serialized, tags, metadata, kwargs)

    # -- ends ----------------------------------------------------------------------------------------------------------

    def on_chain_end(
        self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """End a chain's span."""
        # A stream knows its input when it has been read; its start had none.
        self._end(RunKind.CHAIN, run_id, parent_run_id, outputs, kwargs.get("inputs"))

    def on_llm_end(
        self,
        response: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """End a model's span with its usage, ids and finish reasons."""
        self._end(RunKind.CHAT_MODEL, run_id, parent_run_id, response)

    def on_tool_end(
        self, output: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """End a tool's span; a message with status "error" is a failure."""
        self._end(RunKind.TOOL, run_id, parent_run_id, output)

    def on_retriever_end(
        self, documents: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """End a retriever's span."""
        self._end(RunKind.RETRIEVER, run_id, parent_run_id, documents)

    def on_chain_error(
        self, error: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """End a chain's span with what it was ended by."""
        self._fail(RunKind.CHAIN, run_id, parent_run_id, error, given=kwargs.get("inputs"))

    def on_llm_error(
        self,
        error: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """End a model's span with what it was ended by, and the usage of what came before."""
        self._fail(RunKind.CHAT_MODEL, run_id, parent_run_id, error, kwargs.get("response"))

    def on_tool_error(
        self, error: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """End a tool's span with what it was ended by."""
        self._fail(RunKind.TOOL, run_id, parent_run_id, error)

    def on_retriever_error(
        self, error: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """End a retriever's span with what it was ended by."""
        self._fail(RunKind.RETRIEVER, run_id, parent_run_id, error)

    # -- in between ----------------------------------------------------------------------------------------------------

    def on_llm_new_token(
        self,
        token: Any,
        *,
        chunk: Any = None,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Count a chunk; the first one is timed."""
        engine = self._bound
        if engine is not None:
            # Text, which is not looked at: nearly every one.
            marker = not (type(token) is str and token) and notes.is_end_marker(token, chunk)
            engine.chunk(self._policy, run_id, marker=marker)

    def on_text(self, text: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> Any:
        """Note that the run had something to say, and how much; the text itself is content."""
        self._note(run_id, semconv.EVENT_TEXT, notes.of_text(text))

    def on_retry(
        self, retry_state: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """Note that the model's client tries again."""
        engine = self._bound or self._engine()
        if engine is not None:
            engine.retry(self._policy, run_id, values.integer(field(retry_state, "attempt_number")))

    def on_agent_action(
        self, action: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """Note which tool an agent chose."""
        self._note(run_id, semconv.EVENT_AGENT_ACTION, notes.of_action(action))

    def on_agent_finish(
        self, finish: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """Note that an agent has its answer."""
        self._note(run_id, semconv.EVENT_AGENT_FINISH, {})

    def on_custom_event(
        self,
        name: Any,
        data: Any,
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Note an event of the application's own by its name; its data is content."""
        known = values.name(name) or "unnamed"
        self._note(run_id, semconv.EVENT_CUSTOM_PREFIX + known, {semconv.EVENT_CUSTOM_NAME: known})

    def on_interrupt(self, event: Any) -> Any:
        """Note on a LangGraph run that it stopped to wait for somebody."""
        self._note(field(event, "run_id"), semconv.EVENT_INTERRUPT, notes.of_interrupt(event))

    def on_resume(self, event: Any) -> Any:
        """Note on a LangGraph run that it goes on from a checkpoint."""
        self._note(field(event, "run_id"), semconv.EVENT_RESUME, notes.of_resume(event))


EVENTS: Final = tuple(name for name in vars(OTelCallbackHandler) if name.startswith("on_"))
"""The events that the handlers act on."""


def _asynchronous(event: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, None]]:
    # Its frames are known by this name (`core.tasks.AWAITED`).
    async def awaited(self: OTelCallbackHandler, *args: Any, **kwargs: Any) -> None:
        event(self, *args, **kwargs)

    awaited.__name__, awaited.__doc__ = event.__name__, event.__doc__
    return awaited


class AsyncOTelCallbackHandler(OTelCallbackHandler, AsyncCallbackHandler):
    """The same behind ``async def`` methods, for code that wants every handler to be asynchronous.

    Its methods await nothing. Prefer `OTelCallbackHandler`, which serves asynchronous runs as well: a synchronous run calls
    an asynchronous handler on an event loop of its own, where no context that a run's body could see can be set.
    """


for _name in EVENTS:
    setattr(AsyncOTelCallbackHandler, _name, _asynchronous(getattr(OTelCallbackHandler, _name)))
