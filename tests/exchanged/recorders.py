"""Handlers that note all that they are told, and what they noted in a form that two processes can compare.

Written on langchain_core.callbacks, whatever that is in this process: see ``callbacks``. Ids of runs become numbers in the
order in which a handler meets them; nothing else is left out.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.tracers.base import AsyncBaseTracer, BaseTracer
from langchain_core.tracers.schemas import Run
from pydantic import BaseModel

Told = list[tuple[str, tuple[Any, ...], dict[str, Any]]]

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
_PLACE = re.compile(r"0x[0-9a-f]+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.+]+")
_CLOCKS = {"start_time", "end_time", "time"}


class Plain:
    """Turns what handlers are told into JSON."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def _number(self, run_id: str) -> str:
        return f"#{self._numbers.setdefault(run_id, len(self._numbers))}"

    def text(self, text: str) -> str:
        """Return *text* with ids as numbers and without times and addresses of memory."""
        return _TIME.sub("T", _PLACE.sub("0x", _ID.sub(lambda found: self._number(found[0]), text)))

    def __call__(self, value: Any) -> Any:
        """Return *value* as JSON can hold it."""
        match value:
            case None | bool() | int() | float():
                return value
            case UUID():
                return self._number(str(value))
            case str():
                return self.text(value)
            case BaseException():
                return [type(value).__name__, self.text(str(value))]
            case BaseMessage() | BaseModel():
                return [type(value).__name__, self(dict(value))]
            case Mapping():
                # Sorted, because ids are numbered as they come.
                items = sorted(((str(key), each) for key, each in value.items()), key=itemgetter(0))
                return {self.text(key): self(each) for key, each in items if key not in _CLOCKS}
            case list() | tuple():
                return [self(each) for each in value]
            case _:
                return self.text(repr(value))


def _noted(
    event: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    rest = dict(kwargs)
    # By keyword in langchain-core's synchronous world, by position in its other one; here by position in both.
    token = (rest.pop("token"),) if "token" in rest else ()
    return event, (*args, *token), rest


def _noting(event: str) -> Callable[..., None]:
    def note(self: Any, *args: Any, **kwargs: Any) -> None:
        self.told.append(_noted(event, args, kwargs))

    return note


def _anoting(event: str) -> Callable[..., Any]:
    async def note(self: Any, *args: Any, **kwargs: Any) -> None:
        self.told.append(_noted(event, args, kwargs))

    return note


class Noting:
    """The part that all have."""

    def __init__(self) -> None:
        self.told: Told = []


EVENTS = [name for name in dir(BaseCallbackHandler) if name.startswith("on_")]
ASYNC = [name for name in EVENTS if inspect.iscoroutinefunction(getattr(AsyncCallbackHandler, name))]

_sync = {event: _noting(event) for event in EVENTS}
_async = {event: _anoting(event) for event in ASYNC}


def kind(name: str, base: type[Any], body: Mapping[str, Any], **attributes: Any) -> type[Any]:
    """Return a class of handlers."""
    return type(name, (Noting, base), {**body, **attributes})


class FlatTracer(BaseTracer):
    """LangChain's tracer: what it made of a run, with the runs below it."""

    def __init__(self) -> None:
        super().__init__()
        self.told: Told = []

    def _persist_run(self, run: Run) -> None:
        self.told.append(("run", (_tree(run),), {}))


class AsyncFlatTracer(AsyncBaseTracer):
    """The same for asynchronous runs."""

    def __init__(self) -> None:
        super().__init__()
        self.told: Told = []

    async def _persist_run(self, run: Run) -> None:
        self.told.append(("run", (_tree(run),), {}))


def _tree(run: Run) -> dict[str, Any]:
    fields = ("name", "run_type", "inputs", "outputs", "error", "tags", "extra", "id", "parent_run_id")
    about = {field: getattr(run, field) for field in fields}
    about["error"] = (run.error or "").partition("\n")[0]  # what follows is where in the code
    about["events"] = [event["name"] for event in run.events or ()]
    return {**about, "children": [_tree(child) for child in run.child_runs or ()]}


KINDS: dict[str, type[Any]] = {
    "sync": kind("Sync", BaseCallbackHandler, _sync),
    "inline": kind("Inline", BaseCallbackHandler, _sync, run_inline=True),
    "async": kind("Async", AsyncCallbackHandler, _async),
    "async inline": kind("AsyncInline", AsyncCallbackHandler, _async, run_inline=True),
    # Knows text models only: chat models' starts come as prompts.
    "text": kind("Text", BaseCallbackHandler, {k: v for k, v in _sync.items() if k != "on_chat_model_start"}),
    "no models": kind("NoModels", BaseCallbackHandler, _sync, ignore_llm=True, ignore_chat_model=True),
    "no chains": kind("NoChains", BaseCallbackHandler, _sync, ignore_chain=True, ignore_retriever=True),
    "tracer": FlatTracer,
    "async tracer": AsyncFlatTracer,
}
"""By what they are like; each gets every event that it wants, and notes it for itself."""


def in_order(told: Told) -> list[Any]:
    """Return what a handler was told, event by event."""
    plain = Plain()
    return [[event, plain(args), plain(kwargs)] for event, args, kwargs in told]


def by_run(told: Told) -> list[Any]:
    """Return what a handler was told, run by run: where runs are concurrent, no order is promised between them."""
    events: dict[Any, list[Any]] = {}
    parents: dict[Any, Any] = {}
    for event, args, kwargs in told:
        run_id = kwargs.get("run_id")
        parents.setdefault(run_id, kwargs.get("parent_run_id"))
        rest = {key: value for key, value in kwargs.items() if key not in {"run_id", "parent_run_id"}}
        events.setdefault(run_id, []).append([event, Plain()(args), Plain()(rest)])

    def tree(run_id: Any) -> list[Any]:
        below = [tree(child) for child, parent in parents.items() if parent == run_id and child is not None]
        return [events[run_id], sorted(below, key=repr)]

    return sorted((tree(root) for root, parent in parents.items() if parent not in events), key=repr)
