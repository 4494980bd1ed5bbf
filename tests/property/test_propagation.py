"""Handlers, tags and metadata through any sequence of operations: order is kept, and nothing mutable is shared.

Every manager and run that the machine has made is compared after every step with a plain model of its own; whatever two of
them shared would show in one that was not touched.
"""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from otel_callbacks.callbacks import AsyncCallbackManager, BaseCallbackHandler, CallbackManager

FIELDS = ("handlers", "inheritable_handlers", "tags", "inheritable_tags", "metadata", "inheritable_metadata")


class Log(BaseCallbackHandler):
    """Notes what it is told of a start, and scribbles into it: what it was given is its own."""

    run_inline = True

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        tags, metadata = kwargs["tags"], kwargs["metadata"]
        self.told.append((list(tags), dict(metadata), kwargs["parent_run_id"]))
        tags.append("scribble")
        metadata["scribble"] = True

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        kwargs["tags"].clear()


@dataclass
class Model:
    """What a manager or run should say."""

    handlers: list[Any] = field(default_factory=list)
    inheritable_handlers: list[Any] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    inheritable_tags: list[str] = field(default_factory=list)
    metadata: dict[str, int] = field(default_factory=dict)
    inheritable_metadata: dict[str, int] = field(default_factory=dict)
    parent_run_id: Any = None

    def copy(self) -> Model:
        return replace(self, **{name: copy.copy(getattr(self, name)) for name in FIELDS})

    def add_handler(self, handler: Any, inherit: bool) -> None:
        for row in (self.handlers, self.inheritable_handlers) if inherit else (self.handlers,):
            if not any(each is handler for each in row):
                row.append(handler)

    def remove_handler(self, handler: Any) -> None:
        self.handlers = [each for each in self.handlers if each is not handler]
        self.inheritable_handlers = [each for each in self.inheritable_handlers if each is not handler]

    def add_tags(self, tags: list[str], inherit: bool) -> None:
        for row in (self.tags, self.inheritable_tags):
            row[:] = [tag for tag in row if tag not in tags]
        self.tags += tags
        self.inheritable_tags += tags if inherit else []

    def remove_tags(self, tags: list[str]) -> None:
        for row in (self.tags, self.inheritable_tags):
            row[:] = [tag for tag in row if tag not in tags]

    def add_metadata(self, metadata: dict[str, int], inherit: bool) -> None:
        self.metadata.update(metadata)
        self.inheritable_metadata.update(metadata if inherit else {})

    def remove_metadata(self, keys: list[str]) -> None:
        for row in (self.metadata, self.inheritable_metadata):
            for key in keys:
                row.pop(key, None)

    def merge(self, other: Model) -> Model:
        merged = self.copy()
        for name in FIELDS[:4]:
            mine = getattr(merged, name)
            mine += [each for each in getattr(other, name) if each not in mine]
        merged.metadata.update(other.metadata)
        merged.inheritable_metadata.update(other.inheritable_metadata)
        merged.parent_run_id = self.parent_run_id or other.parent_run_id
        return merged

    def child(self, run_id: Any, tag: str | None) -> Model:
        handed = self.copy()
        child = Model(
            handed.inheritable_handlers,
            list(handed.inheritable_handlers),
            handed.inheritable_tags,
            list(handed.inheritable_tags),
            handed.inheritable_metadata,
            dict(handed.inheritable_metadata),
            run_id,
        )
        if tag is not None:
            child.add_tags([tag], inherit=False)
        return child


HANDLERS = st.sampled_from([Log() for _ in range(4)])
NAMES = ["a", "b", "c", "d"]
TAGS = st.lists(st.sampled_from(NAMES), max_size=3, unique=True)
METADATA = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 9), max_size=3)


def now(result: Any) -> Any:
    """Return what *result* is, or what comes of it: inline handlers make a coroutine wait for nothing."""
    if not inspect.iscoroutine(result):
        return result
    with pytest.raises(StopIteration) as done:
        result.send(None)
    return done.value.value


class Propagation(RuleBasedStateMachine):
    """Managers and runs, and what each should say."""

    managers = Bundle("managers")
    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.models: list[tuple[Any, Model]] = []

    def known(self, holder: Any, model: Model) -> tuple[Any, Model]:
        self.models.append((holder, model))
        return holder, model

    # One of each to begin with: a rule whose bundle is empty would be an example thrown away.
    @initialize(target=managers)
    def a_manager(self) -> Any:
        return self.known(CallbackManager([]), Model())

    @initialize(target=runs)
    def a_run(self) -> Any:
        return self.known(CallbackManager([]).on_chain_start(None, {}), Model())

    @rule(target=managers, kind=st.sampled_from([CallbackManager, AsyncCallbackManager]))
    def new(self, kind: Any) -> Any:
        return self.known(kind([]), Model())

    @rule(pair=managers, handler=HANDLERS, inherit=st.booleans())
    def add_handler(self, pair: Any, handler: Any, inherit: bool) -> None:
        for each in pair:
            each.add_handler(handler, inherit)

    @rule(pair=managers, handler=HANDLERS)
    def remove_handler(self, pair: Any, handler: Any) -> None:
        for each in pair:
            each.remove_handler(handler)

    @rule(pair=managers, handlers=st.lists(HANDLERS, max_size=3, unique_by=id), inherit=st.booleans())
    def set_handlers(self, pair: Any, handlers: list[Any], inherit: bool) -> None:
        manager, model = pair
        manager.set_handlers(handlers, inherit)
        model.handlers, model.inheritable_handlers = list(handlers), list(handlers) if inherit else []
        handlers.clear()

    @rule(pair=managers, tags=TAGS, inherit=st.booleans())
    def add_tags(self, pair: Any, tags: list[str], inherit: bool) -> None:
        for each in pair:
            each.add_tags(list(tags), inherit)

    @rule(pair=managers, tags=TAGS)
    def remove_tags(self, pair: Any, tags: list[str]) -> None:
        for each in pair:
            each.remove_tags(tags)

    @rule(pair=managers, metadata=METADATA, inherit=st.booleans())
    def add_metadata(self, pair: Any, metadata: dict[str, int], inherit: bool) -> None:
        for each in pair:
            each.add_metadata(dict(metadata), inherit)

    @rule(pair=managers, keys=st.lists(st.sampled_from(NAMES), max_size=2))
    def remove_metadata(self, pair: Any, keys: list[str]) -> None:
        for each in pair:
            each.remove_metadata(keys)

    @rule(pair=st.one_of(managers, runs), handler=HANDLERS, name=st.sampled_from(FIELDS[:2]))
    def append_a_handler_in_place(self, pair: Any, handler: Any, name: str) -> None:
        for each in pair:
            if not any(present is handler for present in getattr(each, name)):
                getattr(each, name).append(handler)

    @rule(pair=st.one_of(managers, runs), metadata=METADATA, name=st.sampled_from(FIELDS[4:]))
    def change_metadata_in_place(self, pair: Any, metadata: dict[str, int], name: str) -> None:
        for each in pair:
            getattr(each, name).update(metadata)

    @rule(pair=managers, handlers=st.lists(HANDLERS, max_size=2, unique_by=id))
    def assign_handlers(self, pair: Any, handlers: list[Any]) -> None:
        manager, model = pair
        manager.handlers = handlers
        model.handlers = list(handlers)
        handlers.append(Log())

    @rule(target=managers, pair=managers, how=st.sampled_from([copy.copy, lambda manager: manager.copy()]))
    def copy(self, pair: Any, how: Any) -> Any:
        return self.known(how(pair[0]), pair[1].copy())

    @rule(target=managers, one=managers, other=managers)
    def merge(self, one: Any, other: Any) -> Any:
        return self.known(one[0].merge(other[0]), one[1].merge(other[1]))

    @rule(target=managers, pair=managers, local=st.lists(HANDLERS, max_size=2, unique_by=id), tags=TAGS)
    def configure(self, pair: Any, local: list[Any], tags: list[str]) -> Any:
        manager, model = pair
        made = model.copy()
        for handler in local:
            made.add_handler(handler, inherit=False)
        made.add_tags(list(tags), inherit=False)
        return self.known(type(manager).configure(manager, local, local_tags=tags), made)

    @rule(target=runs, pair=managers)
    def start(self, pair: Any) -> Any:
        manager, model = pair
        for handler in model.handlers:
            handler.told.clear()
        run = now(manager.on_chain_start(None, {}))
        for handler in model.handlers:
            assert handler.told == [(model.tags, model.metadata, model.parent_run_id)]
        return self.known(run, model.copy())

    @rule(target=managers, pair=runs, tag=st.sampled_from([None, *NAMES]))
    def get_child(self, pair: Any, tag: str | None) -> Any:
        run, model = pair
        return self.known(run.get_child(tag), model.child(run.run_id, tag))

    @rule(pair=runs)
    def end(self, pair: Any) -> None:
        now(pair[0].on_chain_end({}))

    @invariant()
    def everybody_says_what_it_should_and_nobody_shares(self) -> None:
        for holder, model in self.models:
            assert [getattr(holder, name) for name in FIELDS] == [getattr(model, name) for name in FIELDS]
            assert holder.parent_run_id == model.parent_run_id
        given_out = [id(getattr(holder, name)) for holder, _ in self.models for name in FIELDS]
        assert len(given_out) == len(set(given_out))


Propagation.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
TestPropagation = Propagation.TestCase
