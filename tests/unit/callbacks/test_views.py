"""The lists and dicts that managers give out: listened to, and shared with nobody."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from otel_callbacks.callbacks import (
    AsyncCallbackManager,
    BaseCallbackHandler,
    CallbackManager,
    CallbackManagerForChainRun,
)
from otel_callbacks.callbacks.roster import Roster
from otel_callbacks.callbacks.views import Scoped, _View


class Recorder(BaseCallbackHandler):
    def __init__(self) -> None:
        self.starts: list[Any] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.starts.append((inputs, kwargs["tags"], kwargs["metadata"]))


def started(*handlers: Any) -> CallbackManagerForChainRun:
    return CallbackManager(handlers, handlers).on_chain_start(None, "parent")


def test_a_handler_appended_in_place_gets_the_next_event() -> None:
    manager, recorder = CallbackManager([]), Recorder()
    manager.handlers.append(recorder)
    manager.on_chain_start(None, "a")
    manager.handlers.remove(recorder)
    manager.on_chain_start(None, "b")
    assert [start[0] for start in recorder.starts] == ["a"]


def test_langgraphs_extend_of_a_runs_inheritable_handlers_reaches_its_children() -> None:
    run, recorder = started(), Recorder()
    run.inheritable_handlers.extend([recorder])
    run.get_child().on_chain_start(None, "child")
    assert recorder.starts == [("child", [], {})]


def test_an_assigned_list_counts_and_is_copied() -> None:
    manager, recorder = CallbackManager([]), Recorder()
    given = [recorder]
    manager.handlers = given
    manager.tags = ["t"]
    manager.metadata = {"k": 1}
    given.clear()
    manager.on_chain_start(None, "a")
    assert recorder.starts == [("a", ["t"], {"k": 1})]
    assert manager.handlers == [recorder]


def test_none_may_be_assigned_and_is_nothing() -> None:
    manager = CallbackManager([], tags=["t"])
    manager.tags = None
    assert manager.tags == []


@pytest.mark.parametrize("name", ["tags", "inheritable_tags"])
def test_tags_changed_in_place_count(name: str) -> None:
    manager = CallbackManager([])
    getattr(manager, name).append("t")
    assert getattr(manager.scope, name) == ("t",)


@pytest.mark.parametrize("name", ["metadata", "inheritable_metadata"])
def test_metadata_changed_in_place_counts(name: str) -> None:
    manager = CallbackManager([])
    getattr(manager, name)["k"] = 1
    assert getattr(manager.scope, name) == {"k": 1}


def test_the_same_list_is_given_out_each_time_and_follows_the_manager() -> None:
    manager, recorder = CallbackManager([]), Recorder()
    handlers, metadata = manager.handlers, manager.metadata
    manager.add_handler(recorder)
    manager.add_metadata({"k": 1})
    assert manager.handlers is handlers
    assert manager.metadata is metadata
    assert (handlers, metadata) == ([recorder], {"k": 1})


def test_a_parent_and_its_child_share_no_list() -> None:
    run = started(Recorder())
    child = run.get_child()
    child.handlers.clear()
    child.inheritable_tags.append("below")
    child.inheritable_metadata["k"] = 1
    assert len(run.handlers) == len(run.inheritable_handlers) == 1
    assert (run.inheritable_tags, run.inheritable_metadata) == ([], {})


def test_a_run_does_not_change_with_the_manager_that_started_it() -> None:
    manager = CallbackManager([Recorder()])
    run = manager.on_chain_start(None, "a")
    manager.handlers.clear()
    assert len(run.handlers) == 1


@pytest.mark.parametrize(
    "duplicate", [copy.copy, lambda manager: manager.copy()], ids=["copy.copy", "copy()"]
)
def test_a_copy_starts_equal_and_goes_its_own_way(duplicate: Any) -> None:
    manager = AsyncCallbackManager([Recorder()], tags=["t"])
    manager.handlers.append(Recorder())
    twin = duplicate(manager)
    assert type(twin) is AsyncCallbackManager
    assert (twin.handlers, twin.tags) == (manager.handlers, ["t"])
    twin.handlers.clear()
    assert len(manager.handlers) == 2


def test_attributes_that_others_add_are_copied_too() -> None:
    manager = CallbackManager([])
    manager.run_id = 7  # type: ignore[attr-defined]  # LangGraph does this
    assert copy.copy(manager).run_id == 7  # type: ignore[attr-defined]


def test_a_run_can_be_pickled() -> None:
    run = CallbackManager([], tags=["t"]).on_chain_start(None, "a")
    again = pickle.loads(pickle.dumps(run))  # noqa: S301 - our own bytes
    assert (again.run_id, again.tags) == (run.run_id, ["t"])


def test_a_roster_is_pickled_as_its_handlers_alone() -> None:
    manager = CallbackManager([Recorder()])
    manager.on_chain_start(None, "a")
    again = pickle.loads(pickle.dumps(manager))  # noqa: S301 - our own bytes
    assert again.scope.handlers.__reduce__() == (Roster, ((again.handlers[0],),))
    assert again.handlers[0].starts == [("a", [], {})]


def test_the_parent_can_be_set() -> None:
    run = started()
    manager = CallbackManager([])
    manager.parent_run_id = run.run_id
    assert manager.on_chain_start(None, "a").parent_run_id == run.run_id


def test_on_the_class_the_attribute_is_the_view_itself() -> None:
    assert isinstance(Scoped.handlers, _View)


def test_a_roster_looked_at_but_not_changed_keeps_what_it_remembers() -> None:
    manager = CallbackManager([Recorder()])
    before = manager.scope.handlers
    assert manager.handlers
    assert manager.scope.handlers is before
