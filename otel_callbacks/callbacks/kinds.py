"""The five kinds of runs that a body can be of: how each is started, what it is handed, how its end is told.

Rules for this file: data and small functions, no state; the differences between kinds are here and nowhere else. Nothing
here raises on odd input: what cannot be understood is handed on as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from otel_callbacks.callbacks.runs import (
    AsyncCallbackManagerForChainRun,
    AsyncCallbackManagerForLLMRun,
    AsyncCallbackManagerForRetrieverRun,
    AsyncCallbackManagerForToolRun,
    BaseRunManager,
    CallbackManagerForChainRun,
    CallbackManagerForLLMRun,
    CallbackManagerForRetrieverRun,
    CallbackManagerForToolRun,
)
from otel_callbacks.callbacks.types import (
    AIMessage,
    ChatGeneration,
    Generation,
    HumanMessage,
    LLMResult,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Ending:
    """What a body adds to the manager of its run."""

    __slots__ = ()

    output: Any

    def end(self, output: Any) -> None:
        """Say what the run's output is; it is reported when the body ends, unless that is by an exception.

        A model's may be an ``LLMResult``, a message, a generation or plain text; a run without output ends with None.
        """
        self.output = output


class ChainRun(Ending, CallbackManagerForChainRun):
    """The run of a chain, in ``with``."""

    __slots__ = ("output",)


class AsyncChainRun(Ending, AsyncCallbackManagerForChainRun):
    """The run of a chain, in ``async with``."""

    __slots__ = ("output",)


class ToolRun(Ending, CallbackManagerForToolRun):
    """The run of a tool, in ``with``."""

    __slots__ = ("output",)


class AsyncToolRun(Ending, AsyncCallbackManagerForToolRun):
    """The run of a tool, in ``async with``."""

    __slots__ = ("output",)


class RetrieverRun(Ending, CallbackManagerForRetrieverRun):
    """The run of a retriever, in ``with``."""

    __slots__ = ("output",)


class AsyncRetrieverRun(Ending, AsyncCallbackManagerForRetrieverRun):
    """The run of a retriever, in ``async with``."""

    __slots__ = ("output",)


class LLMRun(Ending, CallbackManagerForLLMRun):
    """The run of a model, in ``with``."""

    __slots__ = ("output",)


class AsyncLLMRun(Ending, AsyncCallbackManagerForLLMRun):
    """The run of a model, in ``async with``."""

    __slots__ = ("output",)


S = TypeVar("S", bound=BaseRunManager)
A = TypeVar("A", bound=BaseRunManager)


@dataclass(frozen=True, slots=True)
class Kind(Generic[S, A]):
    """One kind of run.

    Attributes:
        run: What ``with`` gives.
        async_run: What ``async with`` gives.
        start: Calls the manager's start method, given the name, the payload and what else was said.
        end: The method that reports a good end.
        error: The method that reports any other.
        result: Makes of the body's output what handlers get.
        by_name: Whether the payload is the arguments by name, not the first of them.
        is_many: Whether starting gives a list of runs, one per prompt.
        streams: Whether the items that a generator yields are tokens.
    """

    run: type[S]
    async_run: type[A]
    start: Callable[[Any, str, Any, dict[str, Any]], Any]
    end: str
    error: str
    result: Callable[[Any], Any]
    by_name: bool = False
    is_many: bool = False
    streams: bool = False

    def item(self, run: Any, item: Any) -> Any:
        """Take an item that a generator yields; return what is to be awaited, in the asynchronous world."""
        if not run.scope.handlers:
            return None
        if not hasattr(run, "output"):
            run.output = Items()
        run.output.append(item)
        return run.on_llm_new_token(_token(item)) if self.streams else None


class Items(list[Any]):
    """What a generator yielded."""


def _whole(output: Any) -> Any:
    if isinstance(output, Items) and all(isinstance(item, str) for item in output):
        return "".join(output)
    return output


def _start_chain(manager: Any, name: str, payload: Any, more: dict[str, Any]) -> Any:
    return manager.on_chain_start(None, payload, name=name, **more)


def _start_tool(manager: Any, name: str, payload: Any, more: dict[str, Any]) -> Any:
    serialized = {"name": name, "description": more.pop("description", "")}
    more["inputs"] = payload if isinstance(payload, dict) else None
    return manager.on_tool_start(serialized, _string(payload), **more)


def _string(payload: Any) -> str:
    try:
        return str(payload)
    except Exception as fault:  # noqa: BLE001 - the arguments are the application's, and so are their methods
        return f"<{type(fault).__name__}>"


def _start_retriever(manager: Any, name: str, payload: Any, more: dict[str, Any]) -> Any:
    return manager.on_retriever_start(None, payload, name=name, **more)


def _start_chat_model(manager: Any, name: str, payload: Any, more: dict[str, Any]) -> Any:
    conversation: Any = [HumanMessage(payload)] if isinstance(payload, str) else payload
    return manager.on_chat_model_start({"name": name}, [conversation], batch_size=1, **more)


def _start_llm(manager: Any, name: str, payload: Any, more: dict[str, Any]) -> Any:
    return manager.on_llm_start({"name": name}, [payload], batch_size=1, **more)


def _token(item: Any) -> str:
    """Return the text of what a model yields: of a string itself, of a message or generation its text."""
    if isinstance(item, str):
        return item
    text = getattr(item, "text", None)
    return text if isinstance(text, str) else ""


def _chat_result(output: Any) -> Any:
    return _result(output, lambda text, usage: ChatGeneration(AIMessage(text, usage_metadata=usage)))


def _llm_result(output: Any) -> Any:
    return _result(output, lambda text, _: Generation(text))


def _result(output: Any, generation: Callable[[str, Any], Generation | ChatGeneration]) -> Any:
    """Return *output* as an LLMResult; pieces that a stream yielded are joined."""
    if output is None:
        return LLMResult([])
    if hasattr(output, "generations"):
        return output
    if hasattr(output, "message") or isinstance(output, Generation):
        return LLMResult([[output]])
    if hasattr(output, "content"):
        return LLMResult([[ChatGeneration(output)]])
    pieces: Sequence[Any] = output if isinstance(output, Items) else [output]
    usage: Mapping[str, Any] | None = None
    for piece in pieces:
        usage = getattr(piece, "usage_metadata", None) or usage
    return LLMResult([[generation("".join(map(_token, pieces)), usage)]])


CHAIN: Final = Kind(
    ChainRun, AsyncChainRun, _start_chain, "on_chain_end", "on_chain_error", _whole, by_name=True
)
TOOL: Final = Kind(ToolRun, AsyncToolRun, _start_tool, "on_tool_end", "on_tool_error", _whole, by_name=True)
RETRIEVER: Final = Kind(
    RetrieverRun,
    AsyncRetrieverRun,
    _start_retriever,
    "on_retriever_end",
    "on_retriever_error",
    lambda documents: [] if documents is None else documents,
)
CHAT_MODEL: Final = Kind(
    LLMRun,
    AsyncLLMRun,
    _start_chat_model,
    "on_llm_end",
    "on_llm_error",
    _chat_result,
    is_many=True,
    streams=True,
)
LLM: Final = Kind(
    LLMRun, AsyncLLMRun, _start_llm, "on_llm_end", "on_llm_error", _llm_result, is_many=True, streams=True
)
